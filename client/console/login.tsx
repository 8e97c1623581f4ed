import "@mantine/core/styles/Input.layer.css";
import "@mantine/core/styles/PasswordInput.layer.css";
import "@mantine/core/styles/ActionIcon.layer.css";
import { Button, PasswordInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { Brand } from "../ui/logo.tsx";

export function Login({ refusal, onToken }: { refusal: string | null; onToken(token: string): void }) {
  const [token, setToken] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (token.trim()) onToken(token.trim());
  };
  return (
    <main className="login">
      <form className="card" onSubmit={submit}>
        <Brand href="/console" place="console" />
        <p className="muted">
          The operator's view of this hub. It needs the operator token, which the hub printed when it first started.
        </p>
        {refusal ? (
          <p className="callout" data-tone="bad" role="alert">
            The hub refused the token: {refusal}
          </p>
        ) : null}
        <PasswordInput
          label="Operator token"
          value={token}
          onChange={(event) => setToken(event.currentTarget.value)}
          autoComplete="off"
          spellCheck={false}
          data-testid="token"
          required
          withAsterisk={false}
          autoFocus
        />
        <Button type="submit" size="md" data-testid="open">
          Open the console
        </Button>
        <p className="muted small">It is kept for this browser tab only.</p>
      </form>
    </main>
  );
}
