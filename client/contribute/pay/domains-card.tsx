import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { z } from "zod";
import { type bondSchema, bondsSchema, type DomainReply, domainsSchema } from "../../../shared/economy-api.ts";
import type { MinerId } from "../../../shared/ids.ts";
import { QueryState } from "../../console/query-state.tsx";
import { amountFault, microFault } from "../../economy/faults.ts";
import { CommandButton, CommandForm, Field } from "../../economy/form-parts.tsx";
import { nanoOf, nanoOfMicro } from "../../economy/units.ts";
import { useCommand } from "../../economy/use-command.ts";
import { Card } from "../../ui/card.tsx";
import { Moment } from "../../ui/moment.tsx";
import { microText, unitText } from "../../ui/money-text.ts";
import type { OwnerCalls } from "./owner-calls.ts";

type Bond = z.infer<typeof bondSchema>;

/** Where this owner mines: what a domain asks for, the deposit there, and the way out. */
export function DomainsCard({ calls, miner }: { calls: OwnerCalls; miner: MinerId }) {
  const domains = useQuery({
    queryKey: ["domains"],
    queryFn: ({ signal }) => calls.get(domainsSchema, "/domains", signal),
  });
  const bonds = useQuery({
    queryKey: ["bonds", miner],
    queryFn: ({ signal }) => calls.get(bondsSchema, `/miners/${miner}/collateral`, signal),
  });
  return (
    <Card title="Domains">
      <p className="muted small">
        A domain may ask for a fee and a deposit of DN before it gives you work. What is missing to the deposit is
        bonded from what you earn there.
      </p>
      <QueryState what="domains" query={domains} />
      <QueryState what="deposits" query={bonds} />
      {bonds.data
        ? domains.data?.data.map((domain) => (
            <Place
              key={domain.domain}
              domain={domain}
              bond={bonds.data.data.find((one) => one.domain === domain.domain) ?? null}
              calls={calls}
            />
          ))
        : null}
    </Card>
  );
}

function Place({ domain, bond, calls }: { domain: DomainReply; bond: Bond | null; calls: OwnerCalls }) {
  const { settings } = domain;
  if (settings === null) return null;
  const isFree = settings.registration_fee === "0" && settings.minimum_collateral === "0";
  const asks = isFree
    ? "open to everybody; who registers may name the least rate to work for"
    : `asks a fee of ${unitText(settings.registration_fee)} USDC and ${unitText(settings.minimum_collateral)} DN`;
  return (
    <article className="item" aria-label={domain.title} data-testid={`place-${domain.domain}`}>
      <header>
        <h3 className="panel-title">{domain.title}</h3>
        <span className="muted small">{bond?.state ?? "not registered"}</span>
      </header>
      <p className="small">
        Pays {microText(settings.nano_per_gflop)} µUSDC per GFLOP; {asks}.
      </p>
      {bond === null || bond.state === "left" ? <RegisterForm domain={domain} calls={calls} /> : null}
      {bond?.state === "registered" ? <Registered bond={bond} calls={calls} /> : null}
      {bond?.state === "leaving" ? <Leaving bond={bond} calls={calls} /> : null}
    </article>
  );
}

/** A request of the miner, signed. */
function useRequest<Input extends object>(calls: OwnerCalls, action: string, domain: string, done?: () => void) {
  return useCommand(
    (fields: Input, once) =>
      calls.signed(bondsSchema, "miner-request", "/miners/requests", { action, domain, ...fields }, once),
    done,
  );
}

function RegisterForm({ domain, calls }: { domain: DomainReply; calls: OwnerCalls }) {
  const [deposit, setDeposit] = useState("0");
  const [ask, setAsk] = useState("");
  const command = useRequest(calls, "register", domain.domain);
  return (
    <CommandForm
      label={`Register in ${domain.title}`}
      submit="Register"
      command={command}
      faults={{ deposit: amountFault(deposit, "0 or more"), ask: ask.trim() === "" ? null : microFault(ask) }}
      onSubmit={() => command.mutate({ deposit: nanoOf(deposit), ask: ask.trim() === "" ? null : nanoOfMicro(ask) })}
    >
      <Field label="Deposit, DN" name="deposit" unit="amount" value={deposit} onChange={setDeposit} numeric />
      <Field
        label="Least rate, µUSDC per GFLOP"
        name="ask"
        value={ask}
        onChange={setAsk}
        description="empty: any"
        numeric
      />
    </CommandForm>
  );
}

function Registered({ bond, calls }: { bond: Bond; calls: OwnerCalls }) {
  const [text, setText] = useState("");
  const command = useRequest(calls, "deposit", bond.domain, () => setText(""));
  const leave = useRequest(calls, "leave", bond.domain);
  return (
    <>
      <p className="small">
        {unitText(bond.deposit)} DN deposited; bonded in all {unitText(bond.bond)} of {unitText(bond.minimum)} DN.
        {bond.ask === null ? "" : ` Works for ${microText(bond.ask)} µUSDC per GFLOP or more.`}
      </p>
      <CommandForm
        label={`Deposit in ${bond.domain}`}
        submit="Deposit"
        command={command}
        faults={{ amount: amountFault(text) }}
        done="Deposited."
        onSubmit={() => command.mutate({ amount: nanoOf(text) })}
      >
        <Field label="Amount, DN" name="amount" unit="amount" value={text} onChange={setText} numeric />
      </CommandForm>
      <CommandButton
        command={leave}
        input={{}}
        confirm={`No more work comes from ${bond.domain}; the deposit is back after the unbonding delay. Leave it?`}
      >
        Leave
      </CommandButton>
    </>
  );
}

function Leaving({ bond, calls }: { bond: Bond; calls: OwnerCalls }) {
  const release = useRequest(calls, "release", bond.domain);
  return (
    <>
      <p className="small">
        {unitText(bond.deposit)} DN come back after the unbonding delay, unless a case is open
        {bond.left_at === null ? null : (
          <>
            ; left <Moment at={bond.left_at} />
          </>
        )}
        .
      </p>
      <CommandButton command={release} input={{}} isMain>
        Take the deposit back
      </CommandButton>
    </>
  );
}
