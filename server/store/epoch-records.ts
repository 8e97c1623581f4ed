import type { AccountId } from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import type { Emission } from "../economy/emission.ts";
import type { EpochState } from "../economy/epoch.ts";
import { type EpochMemory, type EpochPlan, firstMemory } from "../economy/epoch-plan.ts";
import type { Transfer } from "../economy/ledger.ts";
import type { Market } from "../economy/market.ts";
import { canonicalJson } from "../economy/receipts.ts";
import type { Tables } from "./tables.ts";

/** An epoch as people see it, and what its closing left behind. */
export interface EpochRecord {
  epoch: number;
  state: EpochState["phase"];
  openedAt: Millis;
  fencedAt: Millis | null;
  digest: string | null;
  approvedBy: string | null;
  approvedAt: Millis | null;
  /** Somebody asked to close it: the rest is posted at the next start. */
  closingAt: Millis | null;
  closedAt: Millis | null;
  plan: PlanSummary | null;
  receipts: { root: string; size: number; signature: string } | null;
}

/** Of a plan: all but its transfers, which have a table of their own. */
export interface PlanSummary {
  transfers: number;
  minted: Nano;
  burned: Nano;
  level: Nano | null;
  /** Matured revenue of the epoch, nano-USDC. */
  revenue: Nano;
  domains: (Emission & { domain: string })[];
  /** After the buyback. */
  market: Pick<Market, "usdc" | "dn">;
}

export const summaryOf = (plan: EpochPlan): PlanSummary => ({
  transfers: plan.transfers.length,
  minted: plan.minted,
  burned: plan.burned,
  level: plan.memory.level,
  revenue: plan.revenue,
  domains: [...plan.domains].map(([domain, emission]) => ({ domain, ...emission })),
  market: { usdc: plan.market.usdc, dn: plan.market.dn },
});

export function epochRecord(row: Tables["epochs"]): EpochRecord {
  const millis = (at: bigint | null): Millis | null => (at === null ? null : Number(at));
  const { receipts_root: root, receipts_size: size, receipts_signature: signature } = row;
  return {
    epoch: Number(row.epoch),
    state: row.state as EpochRecord["state"],
    openedAt: Number(row.opened_at),
    fencedAt: millis(row.fenced_at),
    digest: row.digest,
    approvedBy: row.approved_by,
    approvedAt: millis(row.approved_at),
    closingAt: millis(row.closing_at),
    closedAt: millis(row.closed_at),
    plan: row.plan === null ? null : readSummary(row.plan),
    receipts: root !== null && size !== null && signature !== null ? { root, size: Number(size), signature } : null,
  };
}

/** The state machine's view of it. */
export function epochState({ epoch, state, digest, approvedBy, approvedAt }: EpochRecord): EpochState {
  if (state === "open") return { phase: state, epoch };
  if (state === "previewed") return { phase: state, epoch, digest: digest ?? "" };
  return { phase: state, epoch, digest: digest ?? "", by: approvedBy ?? "", at: approvedAt ?? 0 };
}

export const summaryText = (summary: PlanSummary): string => canonicalJson(summary);

function readSummary(text: string): PlanSummary {
  const read = JSON.parse(text);
  const nano = (value: string | null): Nano | null => (value === null ? null : BigInt(value));
  return {
    transfers: read.transfers,
    minted: BigInt(read.minted),
    burned: BigInt(read.burned),
    level: nano(read.level),
    revenue: BigInt(read.revenue),
    domains: read.domains.map((one: Record<string, string>) => ({
      domain: one.domain,
      share: nano(one.share as string),
      guard: nano(one.guard as string),
      offset: nano(one.offset as string),
      minted: nano(one.minted as string),
    })),
    market: { usdc: BigInt(read.market.usdc), dn: BigInt(read.market.dn) },
  };
}

export const memoryText = ({ level, revenue, burn }: EpochMemory): string =>
  canonicalJson({ level, revenue, burn: [...burn] });

export function readMemory(text: string | null): EpochMemory {
  if (text === null) return firstMemory;
  const { level, revenue, burn } = JSON.parse(text) as {
    level: string | null;
    revenue: string[];
    burn: [string, string][];
  };
  return {
    level: level === null ? null : BigInt(level),
    revenue: revenue.map(BigInt),
    burn: new Map(burn.map(([domain, amount]) => [domain, BigInt(amount)])),
  };
}

export const transferText = (transfer: Transfer): string => canonicalJson(transfer);

export function readTransfer(text: string): Transfer {
  const read = JSON.parse(text) as Omit<Transfer, "legs"> & {
    legs: { account: AccountId; asset: Asset; amount: string }[];
  };
  return { ...read, legs: read.legs.map((leg) => ({ ...leg, amount: BigInt(leg.amount) })) };
}
