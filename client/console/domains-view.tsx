import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import {
  type DomainReply,
  type DomainsReply,
  domainSchema,
  domainsSchema,
  type SettingsInput,
  type SettingsReply,
} from "../../shared/economy-api.ts";
import { type ServiceLevel, serviceLevels } from "../../shared/pricing.ts";
import { Choice, CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { SplitEditor, type SplitPart, splitFault } from "../economy/split-editor.tsx";
import { hundredthsOf, nanoOf, percentText, unitText } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";
import { QueryState } from "./query-state.tsx";

/** Domains, and the editor of what holds in them from a later epoch on. */
export function DomainsView({ calls }: { calls: HubCalls }) {
  const domains = useQuery({
    queryKey: ["domains"],
    queryFn: ({ signal }) => calls.get(domainsSchema, "/domains", signal),
  });
  const { data } = domains;
  return (
    <>
      <QueryState what="domains" query={domains} />
      {data?.data.map((domain) => (
        <Domain key={domain.domain} domain={domain} epoch={data.epoch} calls={calls} />
      ))}
      {data ? <NewDomain calls={calls} /> : null}
    </>
  );
}

function Domain({ domain, epoch, calls }: { domain: DomainReply; epoch: DomainsReply["epoch"]; calls: HubCalls }) {
  const [isOpen, setOpen] = useState(false);
  // What would hold in the next epoch if nobody changed it.
  const settings = domain.planned.find(({ from }) => from === epoch + 1)?.settings ?? domain.settings;
  const aside = domain.owner === null ? "run by the operator" : `owned by ${domain.owner}`;
  return (
    <Card title={domain.title} aside={<span className="mono">{domain.domain}</span>}>
      <p className="small">
        {aside}; {domain.models.length} {domain.models.length === 1 ? "version" : "versions"}:{" "}
        <span className="mono">{domain.models.join(", ") || "none yet"}</span>
      </p>
      {domain.planned.map(({ from, by }) => (
        <p className="callout" key={from}>
          A change by {by} takes effect in epoch {from}. It does not reach back.
        </p>
      ))}
      {settings ? (
        <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>Settings{domain.owner === null ? ", to change" : ", as its owner set them"}</summary>
          {isOpen ? <Settings domain={domain} settings={settings} epoch={epoch} calls={calls} /> : null}
        </details>
      ) : null}
    </Card>
  );
}

const byVote = "a vote changes it";
const fixed = "fixed";

function revenueParts(of: SettingsReply, royalty: number): SplitPart[] {
  const part = (id: string, label: string, share: number, locked?: string): SplitPart => {
    return { id, label, text: percentText(share), ...(locked !== undefined && { locked }) };
  };
  const taken = of.burn + of.foundation + of.processor + royalty + of.pool + of.owner + of.emission + of.variable_burn;
  return [
    part("burn", "Buyback and burn", of.burn, fixed),
    part("foundation", "Foundation", of.foundation, fixed),
    part("processor", "Fees and processors (y)", of.processor, byVote),
    part("royalty", "Model owners (x)", royalty, "highest of its versions"),
    part("pool", "Verification pool (v)", of.pool),
    part("owner", "Domain owner (o)", of.owner),
    part("emission", "Emission pool (z)", of.emission),
    part("variable_burn", "Variable burn (d)", of.variable_burn, byVote),
    part("miners", "Miners", 10_000 - taken),
  ];
}

const emissionParts = ({ emission_split: of }: SettingsReply): SplitPart[] => [
  { id: "miners", label: "Miners", text: percentText(of.miners) },
  { id: "stakers", label: "Stakers", text: percentText(of.stakers) },
  { id: "validators", label: "Validators", text: percentText(of.validators) },
];

const changed = (parts: readonly SplitPart[], id: string, text: string): SplitPart[] =>
  parts.map((part) => (part.id === id ? { ...part, text } : part));

function Settings(props: { domain: DomainReply; settings: SettingsReply; epoch: number; calls: HubCalls }) {
  const { domain, settings, epoch, calls } = props;
  const [revenue, setRevenue] = useState(() => revenueParts(settings, domain.highest_royalty));
  const [emission, setEmission] = useState(() => emissionParts(settings));
  const [texts, setTexts] = useState(() => ({
    owner: percentText(settings.emission_split.owner),
    availability: percentText(settings.emission_split.availability),
    rate: settings.nano_per_gflop,
    fee: unitText(settings.registration_fee),
    collateral: unitText(settings.minimum_collateral),
    target: unitText(settings.target_stake),
    severe: String(settings.severe_percent),
    checks: percentText(settings.verification.check_rate),
    passes: String(settings.verification.newcomer_passes),
    reference: percentText(settings.verification.reference_share),
    level: settings.verification.least_level as string,
    from: String(epoch + 1),
  }));
  const [fault, setFault] = useState<string | null>(null);
  const command = useCommand((body: object, once) =>
    calls.send(domainSchema, "PUT", `/domains/${domain.domain}/settings`, body, once),
  );
  const set = (name: keyof typeof texts) => (text: string) => setTexts((before) => ({ ...before, [name]: text }));
  const submit = () => {
    const broken = splitFault(revenue) ?? splitFault(emission);
    const shares = {
      owner: hundredthsOf(texts.owner),
      availability: hundredthsOf(texts.availability),
      checks: hundredthsOf(texts.checks),
      reference: hundredthsOf(texts.reference),
    };
    const amounts = { fee: nanoOf(texts.fee), collateral: nanoOf(texts.collateral), target: nanoOf(texts.target) };
    const isMissing =
      Object.values({ ...shares, ...amounts }).includes(null) ||
      ![texts.rate, texts.passes].every((text) => /^\d{1,18}$/.test(text));
    setFault(broken ?? (isMissing ? "A field is empty or is no number." : null));
    if (broken || isMissing) return;
    const share = (parts: readonly SplitPart[], id: string) =>
      hundredthsOf(parts.find((part) => part.id === id)?.text ?? "") ?? 0;
    const { burn: _burn, foundation: _foundation, ...rest } = settings;
    const wanted: SettingsInput = {
      ...rest,
      pool: share(revenue, "pool"),
      owner: share(revenue, "owner"),
      emission: share(revenue, "emission"),
      emission_split: {
        owner: shares.owner as number,
        availability: shares.availability as number,
        miners: share(emission, "miners"),
        stakers: share(emission, "stakers"),
        validators: share(emission, "validators"),
      },
      nano_per_gflop: texts.rate,
      registration_fee: amounts.fee as string,
      minimum_collateral: amounts.collateral as string,
      target_stake: amounts.target as string,
      severe_percent: Number(texts.severe),
      verification: {
        check_rate: shares.checks as number,
        newcomer_passes: Number(texts.passes),
        reference_share: shares.reference as number,
        least_level: texts.level as ServiceLevel,
      },
    };
    command.mutate({ from: Number(texts.from), settings: wanted });
  };
  return (
    <CommandForm
      label={`Settings of ${domain.title}`}
      submit={`Set from epoch ${texts.from}`}
      command={command}
      fault={fault}
      done="Planned. It takes effect in that epoch."
      disabled={domain.owner !== null}
      testId={`settings-${domain.domain}`}
      onSubmit={submit}
    >
      <SplitEditor
        title="Who gets what of 1 USDC"
        unit="USDC"
        parts={revenue}
        onChange={(id, text) => setRevenue(changed(revenue, id, text))}
        testId="revenue-split"
      />
      <SplitEditor
        title="The rest of each DN that is minted"
        unit="DN"
        parts={emission}
        onChange={(id, text) => setEmission(changed(emission, id, text))}
        testId="emission-split"
      />
      <Field label="Domain owner's part of emission, %" value={texts.owner} onChange={set("owner")} numeric />
      <Field
        label="Availability, of the miners' part, %"
        value={texts.availability}
        onChange={set("availability")}
        numeric
      />
      <Field label="Rate, nano-USDC per GFLOP" value={texts.rate} onChange={set("rate")} numeric />
      <Field label="Registration fee, USDC" value={texts.fee} onChange={set("fee")} numeric />
      <Field label="Minimum collateral, DN" value={texts.collateral} onChange={set("collateral")} numeric />
      <Field label="Stake that is paid for, DN" value={texts.target} onChange={set("target")} numeric />
      <Field label="Slashed in a severe case (e), %" value={texts.severe} onChange={set("severe")} numeric />
      <Field
        label="Least share of fast answers checked, %"
        value={texts.checks}
        onChange={set("checks")}
        description="5 or more; the pool (v) must pay for them"
        numeric
      />
      <Field
        label="All checked until so many passes"
        value={texts.passes}
        onChange={set("passes")}
        description="20 to 1,000"
        numeric
      />
      <Field
        label="Checks by reference node or known answer, %"
        value={texts.reference}
        onChange={set("reference")}
        description="20 to 50"
        numeric
      />
      <Choice
        label="Least service level"
        value={texts.level}
        options={serviceLevels.map((level) => ({ value: level, label: level }))}
        onChange={set("level")}
      />
      <Field label="From epoch" value={texts.from} onChange={set("from")} numeric />
    </CommandForm>
  );
}

function NewDomain({ calls }: { calls: HubCalls }) {
  const [domain, setDomain] = useState("");
  const [title, setTitle] = useState("");
  const [owner, setOwner] = useState("");
  const command = useCommand(
    (body: object, once) => calls.send(domainSchema, "POST", "/domains", body, once),
    () => {
      setDomain("");
      setTitle("");
    },
  );
  return (
    <Card title="Open a domain">
      <CommandForm
        label="Open a domain"
        submit="Open"
        command={command}
        done="The domain is open."
        onSubmit={() => command.mutate({ domain, title, owner: owner.trim() || null })}
      >
        <Field label="Name" value={domain} onChange={setDomain} description="lower case, digits and -" />
        <Field label="Title" value={title} onChange={setTitle} />
        <Field label="Owner" value={owner} onChange={setOwner} description="a customer, c_…; empty: the operator" />
      </CommandForm>
    </Card>
  );
}
