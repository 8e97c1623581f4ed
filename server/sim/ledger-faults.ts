import { type Kysely, sql } from "kysely";
import type { AccountId } from "../../shared/ids.ts";
import { accounts } from "../economy/accounts.ts";
import { ledgerVenue } from "../economy/rounds.ts";
import { stakeAccounts } from "../economy/staking.ts";
import type { TestBooks } from "../settlement/test-books.ts";
import { decimalsOf } from "../store/payout-store.ts";
import type { Tables } from "../store/tables.ts";
import { ruleFaults } from "./ledger-rule-faults.ts";

/**
 * The invariants of ../shared/design.md section 14 that apply to books, each looked for in what is stored:
 *
 *   Σ debits = Σ credits per asset; balances and chains are what was written     the store's own audit (store/books.ts)
 *   every hold ends in exactly one of post, void, expire                          the same
 *   no balance below zero but the issuers'                                        `balances`
 *   issued − burned = Σ balances                                                  `supply`
 *   paid work ⇔ one accepting verdict; no task leaves `settled` but to `overturned` `tasks`
 *   slashed ≤ collateral + held pay, and only by an upheld case                   `cases`
 *   every epoch's parts sum to the whole                                          `epochs`, `revenue`
 *   what leaves the ledger: Σ of the epochs' deltas = payouts, cumulative amounts only grow   `payouts`
 *   what parties' records say lies in their accounts lies there                   `records`
 *   pay only for accepted, signed answers; settings within their bounds; what is kept of a party is in the state it is in;
 *   usdc · dn of the market never falls below the seed; every closing is in the audit log   `ruleFaults`
 *
 * Replay twice = once is played by the fuzz itself: what it aborts after the commit, it does again.
 */
type Db = Kysely<Tables>;
type Rows = Record<string, string | bigint | null>[];

export const faultsOf = async (db: Db, books: TestBooks): Promise<string[]> => [
  ...(await books.store.integrityCheck()),
  ...(await recordFaults(books)),
  ...(await ruleFaults(db, books)),
  ...(await allOf(db, books)),
];

/** What parties' records say, against their accounts: cheap, since records are few. */
export async function recordFaults({ store }: TestBooks): Promise<string[]> {
  const faults: string[] = [];
  const { parties, settlement } = store;
  const all = {
    registrations: await parties.all("registration"),
    positions: await parties.all("position"),
    rounds: await parties.all("round"),
    pledges: await parties.all("pledge"),
  };
  const said = new Map<AccountId, bigint>();
  const say = (account: AccountId, amount: bigint) => said.set(account, (said.get(account) ?? 0n) + amount);
  for (const { body } of all.registrations) say(accounts.collateral(body.domain, body.owner), body.deposit);
  for (const { body } of all.positions) {
    const of = stakeAccounts(body);
    say(of.stake, body.amount);
    for (const { amount } of body.unbonding) say(of.unbonding, amount);
  }
  for (const { body } of all.pledges) say(accounts.pledge(body.model), body.left);
  const venues: AccountId[] = [];
  for (const { body } of all.rounds) {
    const { round, state, escrow, raised, holdings, target, released, milestones } = body.round;
    say(accounts.escrow(round), escrow);
    venues.push(ledgerVenue.account(round));
    const held = [...holdings.values()].reduce((sum, shares) => sum + shares, 0n);
    if (held !== raised) faults.push(`round ${round} raised ${raised}, its holdings are ${held}`);
    if (raised > target) faults.push(`round ${round} raised ${raised} of ${target}`);
    if ((state === "building" || state === "done" || state === "stopped") && raised !== target)
      faults.push(`round ${round} is ${state} with ${raised} of ${target}`);
    const paid = milestones.slice(0, released).reduce((sum, { share }) => sum + (raised * BigInt(share)) / 10_000n, 0n);
    const due = state === "open" ? raised : state === "building" ? raised - paid : 0n;
    if (escrow !== due) faults.push(`round ${round} is ${state} with ${escrow} in escrow instead of ${due}`);
  }
  const market = (await parties.one("market", "market"))?.body;
  if (market) {
    say(accounts.market, market.usdc);
    say(accounts.dn(accounts.market), market.dn);
  }
  const names = [...said.keys(), ...venues] as AccountId[];
  const balances = await settlement.balances(names);
  for (const [account, amount] of said) {
    const balance = balances.get(account) ?? 0n;
    if (balance !== amount) faults.push(`${account} holds ${balance}, records say ${amount}`);
  }
  let yields = 0n;
  for (const venue of venues) yields += balances.get(venue) ?? 0n;
  const sums: [string, bigint][] = [
    ["collateral:", sumOf(said, "collateral:")],
    ["stake:", sumOf(said, "stake:")],
    ["unbonding:", sumOf(said, "unbonding:")],
    ["pledge:", sumOf(said, "pledge:")],
    ["escrow:", sumOf(said, "escrow:") + yields],
  ];
  for (const [prefix, sum] of sums) {
    const balance = await parties.sum(prefix);
    if (balance !== sum) faults.push(`all of ${prefix} hold ${balance}, records say ${sum}`);
  }
  return faults;
}

const sumOf = (said: ReadonlyMap<string, bigint>, prefix: string): bigint =>
  [...said].reduce((sum, [account, amount]) => (account.startsWith(prefix) ? sum + amount : sum), 0n);

async function allOf(db: Db, { store }: TestBooks): Promise<string[]> {
  const faults: string[] = [];
  const rows = async (query: ReturnType<typeof sql>): Promise<Rows> => (await query.execute(db)).rows as Rows;
  const none = async (what: string, query: ReturnType<typeof sql>) => {
    for (const row of (await rows(query)).slice(0, 5)) faults.push(`${what}: ${Object.values(row).join(" ")}`);
  };
  const number = async (query: ReturnType<typeof sql>): Promise<bigint> =>
    BigInt((Object.values((await rows(query))[0] ?? {})[0] as bigint | null) ?? 0n);
  const same = (what: string, a: bigint, b: bigint) => a === b || faults.push(`${what}: ${a} is not ${b}`);

  await none(
    "below zero",
    sql`select account, balance from accounts where balance < 0 and account not in ('issuer', 'dn-issuer')`,
  );

  // Supply: what was ever minted is genesis and what closed epochs said; what is burned, bought or slashed, lies in one account.
  const minted = sql`select cast(coalesce(sum(-amount), 0) as bigint) from legs join transfers
    on transfers.hub = legs.hub and transfers.seq = legs.seq where account = 'dn-issuer' and kind = `;
  const emitted = await number(sql`${minted} 'emission'`);
  const genesis = await number(sql`${minted} 'genesis'`);
  same("DN issued", -((await store.account(accounts.dnIssuer))?.balance ?? 0n), emitted + genesis);

  await none(
    "a task and its settlement",
    sql`select tasks.task, tasks.state, count(transfers.id) as settlements from tasks
      left join transfers on transfers.task = tasks.task and transfers.kind = 'settle'
      group by tasks.task, tasks.state having count(transfers.id) <> 1 or tasks.state not in ('settled', 'overturned')`,
  );
  await none(
    "paid without a receipt",
    sql`select task from transfers where kind = 'settle' and not exists
      (select 1 from receipts where receipts.receipt = 'r_' || substr(transfers.task, 3))`,
  );
  await none(
    "overturned and still held, or reversed twice",
    sql`select tasks.task from tasks where state = 'overturned' and (exists
      (select 1 from held_tasks where held_tasks.task = tasks.task) or
      (select count(*) from transfers where transfers.task = tasks.task and kind = 'overturn') > 1)`,
  );
  await none(
    "reversed and not overturned",
    sql`select tasks.task from transfers join tasks on tasks.task = transfers.task
      where transfers.kind = 'overturn' and tasks.state <> 'overturned'`,
  );
  // What a settled task was charged is counted in exactly one epoch or is still held; what was overturned, at most once.
  const revenue = async (state: string) =>
    number(sql`select cast(coalesce(sum(price), 0) as bigint) from tasks where state = ${state}`);
  const counted = await number(
    sql`select cast(coalesce(sum(billions * 1000000000 + units), 0) as bigint) from tallies where kind = 'revenue' and model = ''`,
  );
  const held = await number(sql`select cast(coalesce(sum(revenue), 0) as bigint) from held_tasks`);
  const [settled, overturned] = [await revenue("settled"), await revenue("overturned")];
  if (counted + held < settled || counted + held > settled + overturned)
    faults.push(`revenue: ${counted} counted, ${held} held, of ${settled} settled and ${overturned} overturned`);
  await none(
    "models do not sum to their domain",
    sql`select epoch, domain, sum(case when model = '' then billions * 1000000000 + units else 0 end) as whole,
      sum(case when model <> '' then billions * 1000000000 + units else 0 end) as parts
      from tallies where kind = 'revenue' group by epoch, domain
      having sum(case when model = '' then billions * 1000000000 + units else -(billions * 1000000000 + units) end) <> 0`,
  );

  await none(
    "slashed without an upheld case",
    sql`select transfers.id from transfers where kind = 'slash' and not exists (select 1 from cases
      where (transfers.id = 'case:' || cases.id or transfers.id like 'case:' || cases.id || ':collateral:%')
        and cases.state = 'decided' and cases.ruling in ('minor', 'severe'))`,
  );
  for (const { detail } of await rows(sql`select detail from audit where action = 'case-decided'`)) {
    const { case: id, held: had, slashed, returned } = JSON.parse(String(detail));
    if (BigInt(slashed) + BigInt(returned) > BigInt(had)) faults.push(`case ${id} took ${slashed} of ${had}`);
  }

  await none(
    "closed and not posted",
    sql`select epoch_transfers.epoch, epoch_transfers.id from epoch_transfers join epochs on epochs.epoch = epoch_transfers.epoch
      where epochs.state = 'closed' and not exists (select 1 from transfers where transfers.id = epoch_transfers.id)`,
  );
  let planned = 0n;
  for (const { epoch } of await rows(sql`select epoch from epochs where state = 'closed'`)) {
    const plan = (await store.settlement.epoch(Number(epoch)))?.plan;
    const parts = (plan?.domains ?? []).reduce((sum, one) => sum + one.minted, 0n);
    planned += plan?.minted ?? 0n;
    if (plan && parts < plan.minted)
      faults.push(`epoch ${epoch} mints ${plan.minted}, its domains' parts are ${parts}`);
  }
  const open = await number(
    sql`select cast(coalesce(sum(-amount), 0) as bigint) from legs join transfers
      on transfers.hub = legs.hub and transfers.seq = legs.seq join epoch_transfers on epoch_transfers.id = transfers.id
      join epochs on epochs.epoch = epoch_transfers.epoch where account = 'dn-issuer' and epochs.state <> 'closed'`,
  );
  same("DN that closed epochs mint", planned, emitted - open);

  for (const asset of ["USDC", "DN"] as const) faults.push(...(await payoutFaults(rows, asset)));
  return faults;
}

/** Cumulative amounts only grow; their growth is what the roots say, and what left the ledger. */
async function payoutFaults(rows: (query: ReturnType<typeof sql>) => Promise<Rows>, asset: "USDC" | "DN") {
  const faults: string[] = [];
  const last = new Map<string, bigint>();
  const grown = new Map<string, bigint>();
  for (const row of await rows(
    sql`select epoch, address, cumulative from payout_leaves where asset = ${asset} order by epoch`,
  )) {
    const [epoch, address, cumulative] = [String(row.epoch), String(row.address), BigInt(row.cumulative ?? 0n)];
    const delta = cumulative - (last.get(address) ?? 0n);
    if (delta <= 0n) faults.push(`${address} had more ${asset} before epoch ${epoch}: ${delta}`);
    last.set(address, cumulative);
    grown.set(epoch, (grown.get(epoch) ?? 0n) + delta);
  }
  const decimals = decimalsOf[asset];
  const nano = (units: bigint) =>
    decimals > 9 ? units / 10n ** BigInt(decimals - 9) : units * 10n ** BigInt(9 - decimals);
  const account = asset === "USDC" ? accounts.payout : accounts.dn(accounts.payout);
  const left = await rows(
    sql`select transfers.id, amount from legs join transfers on transfers.hub = legs.hub and transfers.seq = legs.seq
      where account = ${account}`,
  );
  const posted = new Map(left.map(({ id, amount }) => [String(id), BigInt(amount ?? 0n)]));
  for (const row of await rows(sql`select epoch, total from payout_roots where asset = ${asset}`)) {
    const [epoch, total] = [String(row.epoch), BigInt(row.total ?? 0n)];
    const delta = grown.get(epoch) ?? 0n;
    const paid = posted.get(`epoch:${epoch}:payout:${asset}`) ?? 0n;
    if (total !== delta || nano(total) !== paid)
      faults.push(`epoch ${epoch} pays ${total} ${asset}: addresses gain ${delta}, ${paid} left the ledger`);
    posted.delete(`epoch:${epoch}:payout:${asset}`);
  }
  for (const [id, amount] of posted) faults.push(`${id} paid ${amount} under no root`);
  for (const row of await rows(sql`select address, cumulative from payout_claims where asset = ${asset}`)) {
    if (BigInt(row.cumulative ?? 0n) > (last.get(String(row.address)) ?? 0n))
      faults.push(`${row.address} claimed ${row.cumulative} ${asset}, of ${last.get(String(row.address))}`);
  }
  return faults;
}
