import { type Kysely, sql } from "kysely";
import { domainBounds, networkParameters } from "../economy/governance-bounds.ts";
import type { TransferKind } from "../economy/ledger.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";

/**
 * What came of a fuzz's steps, counted in what is stored: a step that is done may still move nothing. Each is named also where
 * it never happened.
 */
type Counts = Record<string, number>;

const transferKinds: Record<TransferKind, true> = {
  grant: true,
  hold: true,
  settle: true,
  void: true,
  expire: true,
  overturn: true,
  "pool-work": true,
  slash: true,
  interest: true,
  genesis: true,
  swap: true,
  buyback: true,
  mature: true,
  royalty: true,
  emission: true,
  registration: true,
  deposit: true,
  release: true,
  stake: true,
  unstake: true,
  unbond: true,
  back: true,
  milestone: true,
  refund: true,
  pledge: true,
  bonus: true,
  spend: true,
  payout: true,
};
/** In which records end. */
const states = {
  registration: ["left", "expelled"],
  round: ["missed", "done", "stopped"],
  pledge: ["spent", "withdrawn"],
  proposal: ["rejected", "executed", "lapsed"],
} as const;
const changes = [...networkParameters, ...Object.keys(domainBounds)];

/** Legs of transfers: what is counted, of which kind, on which accounts, which way. */
const legs: [what: string, kind: TransferKind, account: string, sign: "<" | ">"][] = [
  ["deposits slashed", "slash", "collateral:%", "<"],
  ["delegated stake slashed", "slash", "stake:%", "<"],
  ["stake on its way out slashed", "slash", "unbonding:%", "<"],
  ["held pay slashed", "slash", "miner:%:held", "<"],
  ["pools that paid a check of a task", "settle", "pool:%", "<"],
  ["yield venues that had a royalty", "royalty", "escrow:%", ">"],
  ["backers who had a royalty", "royalty", "customer:%", ">"],
  ["emission pools paid out", "emission", "emission:%", "<"],
  ["stakers or voters who had emission", "emission", "dn:customer:%", ">"],
  ["bonuses taken back", "bonus", "miner:%:held", "<"],
  ["overturns that found pay matured", "overturn", "miner:%", "<"],
  ["overturns that a domain's treasury paid", "overturn", "domain:%", "<"],
];

export async function eventsOf(db: Kysely<Tables>, store: Store): Promise<Counts> {
  const counts: Counts = {};
  const rows = async (query: ReturnType<typeof sql>) => (await query.execute(db)).rows as Record<string, unknown>[];
  const count = async (query: ReturnType<typeof sql>) => Number((await rows(query))[0]?.count);
  for (const kind of Object.keys(transferKinds)) counts[`${kind} transfers`] = 0;
  for (const row of await rows(sql`select kind, count(*) as count from transfers group by kind`))
    counts[`${row.kind} transfers`] = Number(row.count);
  for (const [what, kind, account, sign] of legs) {
    const isHeld = account.endsWith(":held") ? sql`` : sql`and account not like '%:held'`;
    counts[what] = await count(sql`select count(*) as count from legs join transfers
      on transfers.hub = legs.hub and transfers.seq = legs.seq where kind = ${kind} and account like ${account} ${isHeld}
      and ${sign === "<" ? sql`amount < 0` : sql`amount > 0`}`);
  }
  const found = await rows(sql`select kind, state, count(*) as count from party_records group by kind, state`);
  for (const [kind, names] of Object.entries(states))
    for (const state of names) {
      const row = found.find((one) => one.kind === kind && one.state === state);
      counts[`${kind}s ${state}`] = Number(row?.count ?? 0);
    }
  for (const change of changes) counts[`votes that set ${change}`] = 0;
  for (const { body } of await store.parties.all("proposal", { state: "executed" }))
    counts[`votes that set ${body.change.parameter}`] = (counts[`votes that set ${body.change.parameter}`] ?? 0) + 1;
  const lines = await rows(sql`select detail from audit where action = 'answer-overturned'`);
  const isOwed = ({ detail }: Record<string, unknown>) => BigInt(JSON.parse(String(detail)).claim) > 0n;
  counts["overturns that nobody could refund in full"] = lines.filter(isOwed).length;
  counts["payouts claimed"] = await count(sql`select count(*) as count from payout_claims`);
  let [offsets, listed] = [0, 0];
  for (const { epoch } of await rows(sql`select epoch from epochs where state = 'closed'`)) {
    const domains = (await store.settlement.epoch(Number(epoch)))?.plan?.domains ?? [];
    offsets += domains.filter(({ offset }) => offset > 0n).length;
    listed += domains.filter(({ guard, minted }) => guard === null && minted > 0n).length;
  }
  counts["emissions lowered by an offset"] = offsets;
  counts["emissions of a listed domain"] = listed;
  return counts;
}
