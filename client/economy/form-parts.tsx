import "@mantine/core/styles/Input.layer.css";
import { Button, NativeSelect, Textarea, TextInput } from "@mantine/core";
import { createContext, type FormEvent, type ReactNode, useContext, useRef, useState } from "react";
import { unitText } from "../ui/money-text.ts";
import { isAbout, Refused } from "./refused.ts";
import { percentText } from "./units.ts";
import type { Command } from "./use-command.ts";

/** What is wrong with a form's fields, by their names; null where nothing is. */
export type Faults = Readonly<Record<string, string | null>>;

interface FormState {
  faults: Faults;
  /** It was sent, or tried: empty fields are faults from now on. */
  isTried: boolean;
  refusal: Refused | null;
}
const FormContext = createContext<FormState>({ faults: {}, isTried: false, refusal: null });

/**
 * A form of one command: fields, a button, and the hub's refusal where there was one. A fault stands at its field; nothing is
 * sent while there is one, and what was typed stays.
 */
export function CommandForm(props: {
  label: string;
  submit: string;
  command: Command;
  faults?: Faults;
  /** What is wrong with the fields together. */
  fault?: string | null;
  done?: ReactNode;
  /** To look at only. */
  isReadOnly?: boolean;
  testId?: string;
  onSubmit(): void;
  children?: ReactNode;
}) {
  const { label, submit, command, faults = {}, fault = null, done, isReadOnly = false, onSubmit, children } = props;
  const [isTried, setTried] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (command.isPending || isReadOnly) return;
    const broken = Object.entries(faults).find(([, text]) => text !== null);
    setTried(broken !== undefined || fault !== null);
    if (broken) form.current?.querySelector<HTMLElement>(`[data-field="${broken[0]}"]`)?.focus();
    else if (fault === null) onSubmit();
  };
  const isBroken = isTried && Object.values(faults).some((text) => text !== null);
  // What the hub said of an earlier attempt is not of this one.
  const error = command.isError && !isBroken ? command.error : null;
  const refusal = error instanceof Refused ? error : null;
  const problem = isTried && fault !== null ? fault : error;
  return (
    <FormContext value={{ faults, isTried, refusal }}>
      <form
        ref={form}
        className="command-form"
        onSubmit={send}
        aria-label={label}
        noValidate
        data-testid={props.testId}
      >
        <fieldset disabled={isReadOnly}>{children}</fieldset>
        {isReadOnly ? null : (
          <Button type="submit" loading={command.isPending}>
            {submit}
          </Button>
        )}
        <Problem error={problem} isAtField={isShownAtField(refusal, faults)} />
        {done && command.isSuccess && !problem ? (
          <div className="callout" data-tone="good" role="status">
            {done}
          </div>
        ) : null}
      </form>
    </FormContext>
  );
}

const isShownAtField = (refusal: Refused | null, faults: Faults): boolean => {
  const field = refusal?.field;
  return field ? Object.keys(faults).some((name) => isAbout(field, name)) : false;
};

/** Why a command was not done. `isAtField`: a field already says what was expected there. */
export function Problem({ error, isAtField = false }: { error: Error | string | null; isAtField?: boolean }) {
  if (error === null) return null;
  const text = typeof error === "string" ? error : isAtField && error instanceof Refused ? error.detail : error.message;
  return (
    <p className="callout" data-tone="bad" role="alert">
      {text}
    </p>
  );
}

/** How the numbers of a field are told to people; the API speaks of nano units and of hundredths of a per cent. */
export type Unit = "amount" | "share" | ((number: string) => string);

const shown = (text: string, unit: Unit | undefined): string => {
  if (unit === undefined) return text;
  const show =
    unit === "amount" ? unitText : unit === "share" ? (share: string) => `${percentText(Number(share))} %` : unit;
  return text.replace(/^an integer, /, "").replace(/\d+/g, (number) => show(number));
};

function useFault(name: string | undefined, value: string, unit: Unit | undefined): string | null {
  const { faults, isTried, refusal } = useContext(FormContext);
  if (name === undefined) return null;
  const fault = faults[name] ?? null;
  if (fault !== null) return isTried || value !== "" ? fault : null;
  if (!refusal?.field || !isAbout(refusal.field, name)) return null;
  const { expected, got, detail } = refusal;
  return expected === null
    ? detail
    : `Expected ${shown(expected, unit)}${got === null ? "" : `, got ${shown(got, unit)}`}.`;
}

/** A fault stands above its field, so that the fields of a row stay in line. */
const order: ("label" | "description" | "error" | "input")[] = ["label", "description", "error", "input"];

interface FieldProps {
  label: string;
  value: string;
  onChange(text: string): void;
  /** As the API names it: where a fault or a refusal about it is shown. */
  name?: string;
  unit?: Unit;
  description?: string;
  disabled?: boolean;
  numeric?: boolean;
  rows?: number;
}

export function Field(props: FieldProps) {
  const { label, value, onChange, name, unit, description, disabled = false, numeric = false, rows } = props;
  const fault = useFault(name, value, unit);
  const common = {
    label,
    value,
    disabled,
    error: fault,
    inputWrapperOrder: order,
    "data-field": name,
    ...(description !== undefined && { description }),
    autoComplete: "off",
    spellCheck: false,
  };
  if (rows !== undefined) {
    return (
      <Textarea className="wide" {...common} rows={rows} onChange={(event) => onChange(event.currentTarget.value)} />
    );
  }
  return (
    <TextInput
      {...common}
      {...(numeric && { inputMode: "decimal" as const })}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

export function Choice(props: {
  label: string;
  value: string;
  options: readonly { value: string; label: string }[];
  onChange(value: string): void;
  name?: string;
  description?: string;
}) {
  const { label, value, options, onChange, name, description } = props;
  return (
    <NativeSelect
      label={label}
      value={value}
      data={[...options]}
      error={useFault(name, value, undefined)}
      inputWrapperOrder={order}
      data-field={name}
      {...(description !== undefined && { description })}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

/** A command without fields. `confirm`: what is asked before one that cannot be taken back. */
export function CommandButton<Input>(props: {
  command: Command & { mutate(input: Input): void };
  input: Input;
  children: ReactNode;
  confirm?: string;
  isMain?: boolean;
  disabled?: boolean;
  /** Several buttons stand in a row: who draws them shows what was refused, once. */
  isOfRow?: boolean;
}) {
  const { command, input, children, confirm, isMain = false, disabled = false, isOfRow = false } = props;
  const [isAsked, setAsked] = useState(false);
  const look = { size: "xs", variant: isMain ? "filled" : "default", disabled, loading: command.isPending };
  if (confirm !== undefined && isAsked) {
    const run = () => {
      setAsked(false);
      command.mutate(input);
    };
    return (
      <div className="callout">
        <p role="alert">{confirm}</p>
        <div className="filters">
          <Button size="xs" onClick={run}>
            Yes: {children}
          </Button>
          <Button size="xs" variant="default" autoFocus onClick={() => setAsked(false)}>
            No
          </Button>
        </div>
      </div>
    );
  }
  return (
    <div className="act">
      <Button {...look} onClick={() => (confirm === undefined ? command.mutate(input) : setAsked(true))}>
        {children}
      </Button>
      {isOfRow ? null : <Problem error={command.isError ? command.error : null} />}
    </div>
  );
}
