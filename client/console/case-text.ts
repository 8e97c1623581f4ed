import type { CaseReply, CaseSummary, Decision, HistoryLineReply } from "../../shared/case-api.ts";
import type { Tone } from "../ui/badge.tsx";
import { microText } from "../ui/money-text.ts";
import { countText, durationText } from "../ui/quantity-text.ts";

/** What the console says of a case, in words. */
type Ruling = Decision["ruling"];

export function caseLook({ state, ruling }: Pick<CaseSummary, "state" | "ruling">): { tone: Tone; label: string } {
  if (state === "open") return { tone: "busy", label: "open" };
  if (state === "withdrawn") return { tone: "idle", label: "withdrawn" };
  return { tone: ruling === "dismissed" ? "good" : "bad", label: ruling ?? "decided" };
}

export const caseTitle = ({ kind, mismatches }: Pick<CaseSummary, "kind" | "mismatches">): string =>
  kind === "report"
    ? "answer reported as harmful"
    : `suspended, ${countText(mismatches)} refuted ${mismatches === 1 ? "result" : "results"}`;

export const dueText = (dueAt: number, now: number): string =>
  dueAt > now ? `due in ${durationText(dueAt - now)}` : `overdue by ${durationText(now - dueAt)}`;

export const rulings: readonly { ruling: Ruling; label: string }[] = [
  { ruling: "dismissed", label: "Dismiss" },
  { ruling: "minor", label: "Minor" },
  { ruling: "severe", label: "Severe" },
];

const money = (nano: string): string => `${microText(nano)} µUSDC`;

/** The consequence of a ruling, in money first. */
export function consequence(ruling: Ruling, { kind, stakes }: Pick<CaseReply, "kind" | "stakes">): string[] {
  const stake = stakes?.[ruling];
  if (!stake) return [];
  const isReport = kind === "report";
  if (ruling === "dismissed") {
    if (isReport) return ["No money moves, and nothing changes for the party: a report suspends nobody."];
    return [
      `The party works again. Its held pay goes on maturing, with ${money(stake.interest)} of interest for the time that it was frozen, from the verification pool.`,
    ];
  }
  const refund = isReport ? ["The customer has the whole price back first."] : [];
  const slash = `${stake.slash_percent} % of held pay is slashed: ${money(stake.slashed)}, to the verification pool.`;
  const isNothing = BigInt(stake.slashed) === 0n && BigInt(stake.returned) === 0n;
  const nothing = isNothing ? ["The party holds no pay and has no deposit here, so there is nothing to take."] : [];
  if (ruling === "minor") return [...refund, slash, ...nothing, "The party stays, and starts again as a newcomer."];
  const back = `${stake.return_percent} % is returned: ${money(stake.returned)}.`;
  return [...refund, slash, back, ...nothing, "The party is deregistered: it gets no work any more."];
}

export function historyText(line: HistoryLineReply): string {
  switch (line.kind) {
    case "passes":
      return `${countText(line.count ?? 0)} passed`;
    case "mismatch":
      return `mismatch on ${line.model ?? "a model"}, ${distanceText(line.distance ?? 0)}${line.voided ? ", voided" : ""}`;
    case "voided":
      return `${countText(line.count ?? 0)} mismatches voided: the device class was at fault`;
    case "suspended":
      return "suspended";
    case "restored":
      return `restored: ${line.why ?? ""}`;
  }
}

/** Of a measure in units of what passes. */
export const distanceText = (distance: number): string =>
  distance >= 1e15 ? "beyond any measure" : `${numberText(distance)} × what passes`;

/** Five significant digits; large and small ones as powers of ten. */
export function numberText(value: number | string): string {
  if (typeof value === "string") return value;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(3);
  return String(Number(value.toPrecision(5)));
}
