import "@mantine/core/styles/Modal.layer.css";
import "@mantine/core/styles/Input.layer.css";
import { Button, Modal, Textarea } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { type CaseReply, type Decision, REASON_CHARS } from "../../shared/case-api.ts";
import type { CaseCalls } from "./case-calls.ts";
import { consequence, rulings } from "./case-text.ts";

/** The three rulings. Each says what it costs before it is made, and asks for a reason. */
export function CaseDecision(props: {
  found: CaseReply;
  calls: CaseCalls;
  /** The ruling that is being confirmed. */
  asked: Decision["ruling"] | null;
  onAsk(ruling: Decision["ruling"] | null): void;
}) {
  const { found, calls, asked, onAsk } = props;
  return (
    <div className="ruling">
      <h3 className="panel-title">Your ruling</h3>
      <div className="filters">
        {rulings.map(({ ruling, label }) => (
          <Button
            key={ruling}
            variant="default"
            disabled={!found.finable && ruling !== "dismissed"}
            onClick={() => onAsk(ruling)}
            data-testid={`rule-${ruling}`}
          >
            {label}…
          </Button>
        ))}
      </div>
      {found.finable ? null : (
        <p className="muted small">The hub's own node gave this answer: there is nobody to fine.</p>
      )}
      {asked === null ? null : <Confirm ruling={asked} found={found} calls={calls} onClose={() => onAsk(null)} />}
    </div>
  );
}

function Confirm(props: { ruling: Decision["ruling"]; found: CaseReply; calls: CaseCalls; onClose(): void }) {
  const { ruling, found, calls, onClose } = props;
  const [reason, setReason] = useState("");
  const [isTold, setTold] = useState(false);
  const queries = useQueryClient();
  const decide = useMutation({
    mutationFn: (decision: Decision) => calls.decide(found.case, decision),
    onSuccess: (decided) => {
      queries.setQueryData(["case", found.case], decided);
      void queries.invalidateQueries({ queryKey: ["cases"] });
      onClose();
    },
  });
  const label = rulings.find((one) => one.ruling === ruling)?.label;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (reason.trim() === "") return setTold(true);
    decide.mutate({ ruling, reason: reason.trim() });
  };
  return (
    <Modal
      opened
      onClose={onClose}
      title={`${label}: ${found.party}`}
      centered
      closeButtonProps={{ "aria-label": "Do not rule" }}
    >
      <form className="panel" onSubmit={submit} noValidate>
        <ul className="consequence">
          {consequence(ruling, found).map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
        <Textarea
          label="Reason"
          description="Kept in the audit log with the ruling."
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
          maxLength={REASON_CHARS}
          rows={4}
          required
          withAsterisk={false}
          error={isTold && reason.trim() === "" ? "A ruling needs a reason." : undefined}
          data-autofocus
          data-testid="reason"
        />
        {decide.isError ? (
          <p className="callout" data-tone="bad" role="alert">
            The hub did not take the ruling: {decide.error.message}
          </p>
        ) : null}
        <div className="filters">
          <Button type="submit" loading={decide.isPending} data-testid="confirm">
            {ruling === "dismissed" ? "Dismiss the case" : `Rule ${ruling}`}
          </Button>
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
        </div>
      </form>
    </Modal>
  );
}
