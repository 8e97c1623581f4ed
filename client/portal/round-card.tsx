import { useState } from "react";
import { type RoundReply, roundSchema } from "../../shared/economy-api.ts";
import { amountFault, textFault } from "../economy/faults.ts";
import { CommandButton, CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { nanoOf, percentText } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Badge, type Tone } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { Moment } from "../ui/moment.tsx";
import { unitText } from "../ui/money-text.ts";

const tones: Record<RoundReply["state"], Tone> = {
  open: "busy",
  building: "good",
  done: "good",
  missed: "bad",
  stopped: "bad",
};

/** One round: what it offers, how far it is, and what the viewer may do with it. */
export function RoundCard({
  round,
  calls,
  viewer,
}: {
  round: RoundReply;
  calls: HubCalls;
  viewer: "creator" | "backer";
}) {
  const isOver = Date.now() >= round.deadline_at;
  return (
    <Card title={round.title} aside={<Badge tone={tones[round.state]}>{round.state}</Badge>}>
      <p className="small">
        <span className="mono">{round.model}</span> by {round.creator}: backers have {percentText(round.backers)} % of
        its {percentText(round.royalty)} % royalty
        {round.yield > 0 ? `, the yield venue ${percentText(round.yield)} %` : ""}.
      </p>
      <progress
        max={100}
        value={Number((BigInt(round.raised) * 100n) / BigInt(round.target))}
        aria-label={`Raised of ${round.title}`}
      />
      <p className="small" data-testid="raised">
        {unitText(round.raised)} of {unitText(round.target)} USDC from {round.holders}{" "}
        {round.holders === 1 ? "backer" : "backers"}; {unitText(round.escrow)} in escrow. Until{" "}
        <Moment at={round.deadline_at} />.
      </p>
      <ol className="small">
        {round.milestones.map(({ name, share, released }) => (
          <li key={name}>
            {released ? "✓ " : "○ "}
            {name}: {percentText(share)} % {released ? "released" : "to come"}
          </li>
        ))}
      </ol>
      <details>
        <summary>Terms</summary>
        <p className="small wrap-anywhere">{round.terms}</p>
      </details>
      {round.own_shares !== null && round.own_shares !== "0" && round.state !== "missed" ? (
        <p>
          You hold <strong data-testid="own-shares">{unitText(round.own_shares)}</strong> of {unitText(round.raised)}{" "}
          shares.
        </p>
      ) : null}
      {viewer === "backer" && round.state === "open" && !isOver ? <BackForm round={round} calls={calls} /> : null}
      {round.own_shares !== null &&
      round.own_shares !== "0" &&
      ["building", "done", "stopped"].includes(round.state) ? (
        <TransferForm round={round} calls={calls} />
      ) : null}
      {round.state === "open" && isOver ? (
        <Step round={round} calls={calls} what="refund" label="Pay everybody back" />
      ) : null}
      {viewer === "creator" && round.state === "building" ? (
        <Step
          round={round}
          calls={calls}
          what="stop"
          label="Give up what is left"
          confirm={`${unitText(round.escrow)} USDC in escrow go back to the backers, and the round ends. Do you give it up?`}
        />
      ) : null}
      {round.yield > 0 && round.state !== "open" && round.state !== "missed" ? (
        <Step round={round} calls={calls} what="yield" label="Pay what lies with the yield venue to the holders" />
      ) : null}
    </Card>
  );
}

function BackForm({ round, calls }: { round: RoundReply; calls: HubCalls }) {
  const [text, setText] = useState("");
  const amount = nanoOf(text);
  const command = useCommand(
    (body: object, once) => calls.send(roundSchema, "POST", `/rounds/${round.round}/backings`, body, once),
    () => setText(""),
  );
  return (
    <CommandForm
      label={`Back ${round.title}`}
      submit="Back it"
      command={command}
      faults={{ amount: amountFault(text) }}
      done="You are a backer."
      onSubmit={() => command.mutate({ amount })}
    >
      <Field label="Amount, USDC" name="amount" unit="amount" value={text} onChange={setText} numeric />
    </CommandForm>
  );
}

function TransferForm({ round, calls }: { round: RoundReply; calls: HubCalls }) {
  const [text, setText] = useState("");
  const [to, setTo] = useState("");
  const shares = nanoOf(text);
  const command = useCommand(
    (body: object, once) => calls.send(roundSchema, "POST", `/rounds/${round.round}/transfers`, body, once),
    () => setText(""),
  );
  return (
    <CommandForm
      label={`Give shares of ${round.title}`}
      submit="Give shares"
      command={command}
      faults={{ shares: amountFault(text), to: textFault(to, "a customer, such as c_…") }}
      done="The shares are theirs."
      onSubmit={() => command.mutate({ to: to.trim(), shares })}
    >
      <Field label="Shares" name="shares" unit="amount" value={text} onChange={setText} numeric />
      <Field label="To customer" name="to" value={to} onChange={setTo} description="c_…, as their balances show it" />
    </CommandForm>
  );
}

function Step(props: { round: RoundReply; calls: HubCalls; what: string; label: string; confirm?: string }) {
  const { round, calls, what, label, confirm } = props;
  const step = useCommand((_: null, once) =>
    calls.send(roundSchema, "POST", `/rounds/${round.round}/${what}`, {}, once),
  );
  return (
    <CommandButton command={step} input={null} {...(confirm !== undefined && { confirm })}>
      {label}
    </CommandButton>
  );
}
