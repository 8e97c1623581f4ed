import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { domainsSchema, type PositionReply, positionSchema, positionsSchema } from "../../shared/economy-api.ts";
import { QueryState } from "../console/query-state.tsx";
import { amountFault, ownerFault } from "../economy/faults.ts";
import { Choice, CommandButton, CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { nanoOf } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { Moment } from "../ui/moment.tsx";
import { unitText } from "../ui/money-text.ts";
import { useNow } from "../ui/use-now.ts";
import { useSelf } from "./balances-view.tsx";

/** Stake on domains, or delegated to validators; rewards come with the closing of an epoch, into the DN balance. */
export function StakeView({ calls }: { calls: HubCalls }) {
  const self = useSelf(calls).data;
  const stakes = useQuery({
    queryKey: ["stakes"],
    queryFn: ({ signal }) => calls.get(positionsSchema, "/stakes", signal),
  });
  const domains = useQuery({
    queryKey: ["domains"],
    queryFn: ({ signal }) => calls.get(domainsSchema, "/domains", signal),
  });
  const names = domains.data?.data.map(({ domain }) => domain) ?? ["commons"];
  return (
    <>
      <Card title="Stake" aside={self ? `${unitText(self.dn)} DN to stake` : null}>
        <p className="muted small">
          Staked DN votes, and earns by time what a domain gives its stakers, as far as it covers what is at risk there;
          rewards are added to your DN when an epoch closes. Delegated stake is slashed with its validator.
        </p>
        <StakeForm calls={calls} domains={names} />
      </Card>
      <Card title="Your stake">
        <QueryState what="stake" query={stakes} />
        {stakes.isSuccess && stakes.data.data.length === 0 ? <EmptyState title="Nothing is staked" /> : null}
        {stakes.data?.data.map((one) => (
          <PositionItem key={`${one.domain} ${one.validator}`} one={one} calls={calls} />
        ))}
      </Card>
    </>
  );
}

function StakeForm({ calls, domains }: { calls: HubCalls; domains: readonly string[] }) {
  const [domain, setDomain] = useState(domains[0] ?? "commons");
  const [validator, setValidator] = useState("");
  const [text, setText] = useState("");
  const amount = nanoOf(text);
  const command = useCommand(
    (body: object, once) => calls.send(positionSchema, "POST", "/stakes", body, once),
    () => setText(""),
  );
  return (
    <CommandForm
      label="Stake"
      submit="Stake"
      command={command}
      faults={{
        amount: amountFault(text),
        validator: validator.trim() === "" ? null : ownerFault(validator),
      }}
      done="Staked."
      onSubmit={() => command.mutate({ domain, validator: validator.trim() || null, amount })}
    >
      <Choice
        label="Domain"
        value={domain}
        options={domains.map((name) => ({ value: name, label: name }))}
        onChange={setDomain}
      />
      <Field label="Amount, DN" name="amount" unit="amount" value={text} onChange={setText} numeric />
      <Field
        label="Delegate to"
        name="validator"
        value={validator}
        onChange={setValidator}
        description="a validator's owner, own_…, as its own page says under “Your pay”; empty stakes on the domain"
      />
    </CommandForm>
  );
}

function PositionItem({ one, calls }: { one: PositionReply; calls: HubCalls }) {
  const [text, setText] = useState("");
  const now = useNow();
  const amount = nanoOf(text);
  const target = { domain: one.domain, validator: one.validator };
  const unstake = useCommand(
    (body: object, once) => calls.send(positionSchema, "POST", "/stakes/unstake", body, once),
    () => setText(""),
  );
  const release = useCommand((_: null, once) => calls.send(positionSchema, "POST", "/stakes/release", target, once));
  const where = one.validator === null ? one.domain : `${one.domain}, with ${one.validator}`;
  const isFree = one.unbonding.some(({ free_at }) => free_at <= now);
  return (
    <article className="item" aria-label={`Stake on ${where}`} data-testid="position">
      <header>
        <h3 className="panel-title">{where}</h3>
        <strong>{unitText(one.amount)} DN</strong>
      </header>
      {one.unbonding.map(({ amount: leaving, free_at }) => (
        <p className="small" key={`${free_at} ${leaving}`}>
          {unitText(leaving)} DN on its way out, free <Moment at={free_at} />.
        </p>
      ))}
      {one.amount === "0" ? null : (
        <CommandForm
          label={`Unstake from ${where}`}
          submit="Unstake"
          command={unstake}
          faults={{ amount: amountFault(text) }}
          onSubmit={() => unstake.mutate({ ...target, amount })}
        >
          <Field label="Amount, DN" name="amount" unit="amount" value={text} onChange={setText} numeric />
        </CommandForm>
      )}
      {isFree ? (
        <CommandButton command={release} input={null} isMain>
          Take back what is free
        </CommandButton>
      ) : null}
    </article>
  );
}
