import { useState } from "react";
import { type DomainReply, domainSchema, type SettingsInput, type SettingsReply } from "../../shared/economy-api.ts";
import { type ServiceLevel, serviceLevels } from "../../shared/pricing.ts";
import { amountFault, microFault, shareFault, wholeFault } from "./faults.ts";
import { Choice, CommandForm, Field } from "./form-parts.tsx";
import type { HubCalls } from "./hub-calls.ts";
import { SplitEditor, type SplitPart, splitFault } from "./split-editor.tsx";
import { hundredthsOf, nanoOf, nanoOfMicro, percentText, plainText } from "./units.ts";
import { useCommand } from "./use-command.ts";

const byVote = "a vote changes it";
const fixed = "fixed";

function revenueParts(of: SettingsReply, royalty: number): SplitPart[] {
  const part = (id: string, label: string, share: number, locked?: string): SplitPart => {
    return { id: `settings.${id}`, label, text: percentText(share), ...(locked !== undefined && { locked }) };
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
  { id: "emission_split.miners", label: "Miners", text: percentText(of.miners) },
  { id: "emission_split.stakers", label: "Stakers", text: percentText(of.stakers) },
  { id: "emission_split.validators", label: "Validators", text: percentText(of.validators) },
];

const changed = (parts: readonly SplitPart[], id: string, text: string): SplitPart[] =>
  parts.map((part) => (part.id === id ? { ...part, text } : part));
const shareOf = (parts: readonly SplitPart[], id: string): number =>
  hundredthsOf(parts.find((part) => part.id === id)?.text ?? "") ?? 0;

const PPM = 1_000_000;
const NANO_PER_MICRO = 1_000;

/** What is typed into the fields beside the splits. */
const textsOf = (of: SettingsReply, epoch: number) => ({
  owner: percentText(of.emission_split.owner),
  availability: percentText(of.emission_split.availability),
  rate: String(Number(of.nano_per_gflop) / NANO_PER_MICRO),
  difficulty: String(Number(of.difficulty_ppm) / PPM),
  offset: of.offset ? "yes" : "no",
  fee: plainText(of.registration_fee),
  collateral: plainText(of.minimum_collateral),
  target: plainText(of.target_stake),
  severe: String(of.severe_percent),
  checks: percentText(of.verification.check_rate),
  passes: String(of.verification.newcomer_passes),
  reference: percentText(of.verification.reference_share),
  level: of.verification.least_level as string,
  from: String(epoch + 1),
});
type Texts = ReturnType<typeof textsOf>;

const difficultyOf = (text: string): string | null =>
  /^\d{1,4}(?:\.\d{1,6})?$/.test(text.trim()) ? String(Math.round(Number(text) * PPM)) : null;

function faultsOf(texts: Texts, epoch: number, parts: readonly SplitPart[]) {
  return {
    ...Object.fromEntries(parts.map(({ id, text }) => [id, shareFault(text)])),
    "emission_split.owner": shareFault(texts.owner, 0, 10),
    "emission_split.availability": shareFault(texts.availability, 0, 20),
    nanoPerGflop: microFault(texts.rate),
    difficultyPpm:
      difficultyOf(texts.difficulty) === null ? `Expected a number such as 1.5, got “${texts.difficulty}”.` : null,
    registrationFee: amountFault(texts.fee, "0 or more"),
    minimumCollateral: amountFault(texts.collateral, "0 or more"),
    targetStake: amountFault(texts.target, "0 or more"),
    severePercent: wholeFault(texts.severe, 0, 100),
    "verification.checkRate": shareFault(texts.checks, 5),
    "verification.newcomerPasses": wholeFault(texts.passes, 20, 1_000),
    "verification.referenceShare": shareFault(texts.reference, 20, 50),
    from: wholeFault(texts.from, epoch + 1, Number.MAX_SAFE_INTEGER),
  };
}

/** What is asked for; every text is known to be right. */
function settingsOf(
  before: SettingsReply,
  texts: Texts,
  revenue: readonly SplitPart[],
  emission: readonly SplitPart[],
): SettingsInput {
  const { burn: _burn, foundation: _foundation, ...rest } = before;
  return {
    ...rest,
    pool: shareOf(revenue, "settings.pool"),
    owner: shareOf(revenue, "settings.owner"),
    emission: shareOf(revenue, "settings.emission"),
    emission_split: {
      owner: hundredthsOf(texts.owner) as number,
      availability: hundredthsOf(texts.availability) as number,
      miners: shareOf(emission, "emission_split.miners"),
      stakers: shareOf(emission, "emission_split.stakers"),
      validators: shareOf(emission, "emission_split.validators"),
    },
    nano_per_gflop: nanoOfMicro(texts.rate) as string,
    difficulty_ppm: difficultyOf(texts.difficulty) as string,
    offset: texts.offset === "yes",
    registration_fee: nanoOf(texts.fee) as string,
    minimum_collateral: nanoOf(texts.collateral) as string,
    target_stake: nanoOf(texts.target) as string,
    severe_percent: Number(texts.severe),
    verification: {
      check_rate: hundredthsOf(texts.checks) as number,
      newcomer_passes: Number(texts.passes),
      reference_share: hundredthsOf(texts.reference) as number,
      least_level: texts.level as ServiceLevel,
    },
  };
}

/** What holds in a domain, and for whom may change it, from a later epoch on. */
export function DomainSettings(props: {
  domain: DomainReply;
  settings: SettingsReply;
  epoch: number;
  calls: HubCalls;
  isReadOnly: boolean;
}) {
  const { domain, settings, epoch, calls, isReadOnly } = props;
  const [revenue, setRevenue] = useState(() => revenueParts(settings, domain.highest_royalty));
  const [emission, setEmission] = useState(() => emissionParts(settings));
  const [texts, setTexts] = useState(() => textsOf(settings, epoch));
  const command = useCommand((body: object, once) =>
    calls.send(domainSchema, "PUT", `/domains/${domain.domain}/settings`, body, once),
  );
  const of = (key: keyof Texts) => ({
    value: texts[key],
    onChange: (text: string) => setTexts((before) => ({ ...before, [key]: text })),
  });
  return (
    <CommandForm
      label={`Settings of ${domain.title}`}
      submit={`Set from epoch ${texts.from}`}
      command={command}
      faults={faultsOf(texts, epoch, [...revenue, ...emission])}
      fault={splitFault(revenue) ?? splitFault(emission)}
      done="Planned. It takes effect in that epoch."
      isReadOnly={isReadOnly}
      testId={`settings-${domain.domain}`}
      onSubmit={() =>
        command.mutate({ from: Number(texts.from), settings: settingsOf(settings, texts, revenue, emission) })
      }
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
      <Field
        label="Domain owner's part of emission, %"
        name="emission_split.owner"
        unit="share"
        {...of("owner")}
        numeric
      />
      <Field
        label="Availability, of the miners' part, %"
        name="emission_split.availability"
        unit="share"
        {...of("availability")}
        numeric
      />
      <Field label="Rate, µUSDC per GFLOP" name="nanoPerGflop" {...of("rate")} numeric />
      <Field label="Difficulty, times the rate" name="difficultyPpm" {...of("difficulty")} numeric />
      <Choice
        label="Emission pool (z) lowers what is minted"
        options={[
          { value: "no", label: "no" },
          { value: "yes", label: "yes" },
        ]}
        {...of("offset")}
      />
      <Field label="Registration fee, USDC" name="registrationFee" unit="amount" {...of("fee")} numeric />
      <Field label="Minimum collateral, DN" name="minimumCollateral" unit="amount" {...of("collateral")} numeric />
      <Field label="Stake that is paid for, DN" name="targetStake" unit="amount" {...of("target")} numeric />
      <Field label="Slashed in a severe case (e), %" name="severePercent" {...of("severe")} numeric />
      <Field
        label="Least share of fast answers checked, %"
        name="verification.checkRate"
        unit="share"
        description="5 or more; the pool (v) must pay for them"
        {...of("checks")}
        numeric
      />
      <Field
        label="All checked until so many passes"
        name="verification.newcomerPasses"
        description="20 to 1,000"
        {...of("passes")}
        numeric
      />
      <Field
        label="Checks by reference node or known answer, %"
        name="verification.referenceShare"
        unit="share"
        description="20 to 50"
        {...of("reference")}
        numeric
      />
      <Choice
        label="Least service level"
        options={serviceLevels.map((level) => ({ value: level, label: level }))}
        {...of("level")}
      />
      <Field label="From epoch" name="from" {...of("from")} numeric />
    </CommandForm>
  );
}
