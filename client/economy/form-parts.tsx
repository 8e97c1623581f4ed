import "@mantine/core/styles/Input.layer.css";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import type { FormEvent, ReactNode } from "react";

/** A form of one command: fields, a button, and the hub's refusal where there was one. */
export function CommandForm(props: {
  label: string;
  submit: string;
  command: { isPending: boolean; isError: boolean; isSuccess: boolean; error: Error | null };
  /** What is wrong with the fields, before anything is sent. */
  fault?: string | null;
  done?: string;
  disabled?: boolean;
  testId?: string;
  onSubmit(): void;
  children?: ReactNode;
}) {
  const { label, submit, command, fault = null, done, onSubmit, children } = props;
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (!command.isPending) onSubmit();
  };
  const problem = fault ?? (command.isError ? command.error?.message : null);
  return (
    <form className="command-form" onSubmit={send} aria-label={label} noValidate data-testid={props.testId}>
      {children}
      <Button type="submit" loading={command.isPending} disabled={props.disabled ?? false}>
        {submit}
      </Button>
      {problem ? (
        <p className="callout" data-tone="bad" role="alert">
          {problem}
        </p>
      ) : null}
      {done && command.isSuccess && !problem ? (
        <p className="callout" role="status">
          {done}
        </p>
      ) : null}
    </form>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onChange(text: string): void;
  description?: string;
  disabled?: boolean;
  numeric?: boolean;
}

export function Field({ label, value, onChange, description, disabled = false, numeric = false }: FieldProps) {
  return (
    <TextInput
      label={label}
      value={value}
      disabled={disabled}
      {...(description !== undefined && { description })}
      {...(numeric && { inputMode: "decimal" as const })}
      autoComplete="off"
      spellCheck={false}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

export function Choice(props: {
  label: string;
  value: string;
  options: readonly { value: string; label: string }[];
  onChange(value: string): void;
}) {
  const { label, value, options, onChange } = props;
  return (
    <NativeSelect
      label={label}
      value={value}
      data={[...options]}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
