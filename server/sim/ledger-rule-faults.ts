import { type Kysely, sql } from "kysely";
import { checkDomain } from "../economy/domains.ts";
import { checkBound, networkBounds, networkParameters } from "../economy/governance-bounds.ts";
import { pledgeRecord } from "../economy-desk/backing-desk.ts";
import { positionRecord } from "../economy-desk/staking-desk.ts";
import { MARKET_SEED, type TestBooks } from "../settlement/test-books.ts";
import type { PartyRecord } from "../store/party-records.ts";
import type { Tables } from "../store/tables.ts";

/**
 * What money depends on besides sums: settings within their bounds, records found in the state that their bodies say, receipts
 * that say what was posted, an audit log that has every closing.
 */
export async function ruleFaults(db: Kysely<Tables>, { store, domains }: TestBooks): Promise<string[]> {
  const faults: string[] = [];
  const { parties } = store;
  for (const one of await parties.all("registration")) compare(one, one.body.state, faults);
  for (const one of await parties.all("round")) compare(one, one.body.round.state, faults);
  for (const one of await parties.all("proposal")) compare(one, one.body.state, faults);
  for (const one of await parties.all("pledge")) compare(one, pledgeRecord(one.body).state, faults);
  for (const one of await parties.all("position")) compare(one, positionRecord(one.body).state, faults);

  const rounds = new Map((await parties.all("round")).map(({ id, body }) => [id, body.model]));
  for (const { id, body } of await parties.all("version"))
    if (body.round !== null && rounds.get(body.round) !== id) faults.push(`${id} has no round ${body.round}`);

  for (const { body } of await parties.all("network"))
    for (const { from, parameters } of body.timeline)
      for (const name of networkParameters) {
        const checked = checkBound(parameters[name], networkBounds[name], name);
        if (!checked.ok) faults.push(`from epoch ${from}: ${checked.error.message}`);
      }
  for (const { id, body } of await parties.all("domain")) {
    const royalties = (await parties.all("version", { subject: id })).map((one) => one.body.royaltyBasisPoints);
    for (const [i, { from, settings }] of body.timeline.entries()) {
      const next = body.timeline[i + 1];
      if (next && next.from <= from) faults.push(`${id} has settings from epoch ${next.from} after those from ${from}`);
      // What is over need not suit versions that were published later.
      if (next && next.from <= domains.epoch) continue;
      const checked = checkDomain(settings, royalties);
      if (!checked.ok) faults.push(`${id} from epoch ${from}: ${checked.error.message}`);
    }
  }
  for (const { body } of await parties.all("market"))
    if (body.usdc * body.dn < MARKET_SEED.usdc * MARKET_SEED.dn)
      faults.push(`the market has ${body.usdc} USDC and ${body.dn} DN, less than it was seeded with`);

  const closed = await sql<{ epoch: bigint; lines: bigint }>`select epochs.epoch, count(audit.seq) as lines from epochs
    left join audit on audit.action = 'epoch-closed' and audit.subject = 'epoch:' || epochs.epoch
    where epochs.state = 'closed' group by epochs.epoch having count(audit.seq) <> 1`.execute(db);
  for (const { epoch, lines } of closed.rows)
    faults.push(`epoch ${epoch} is closed, the audit log says so ${lines} times`);
  faults.push(...(await receiptFaults(db)));
  return faults;
}

function compare({ kind, id, state }: PartyRecord, said: string, faults: string[]): void {
  if (state !== said) faults.push(`${kind} ${id} is kept as ${state}, its body says ${said}`);
}

const RECEIPTS_READ = 2_000n;

interface Leaf {
  task: string;
  price: string;
  split: Record<string, string>;
  executions: { by: string; accepted: boolean; signed: boolean }[];
}

/** Of the newest: their parts sum to the price, and pay went to whoever gave an accepted, signed answer, to nobody else. */
async function receiptFaults(db: Kysely<Tables>): Promise<string[]> {
  const faults: string[] = [];
  const { rows } = await sql<{ leaf: string }>`select leaf from receipts where receipt in
    (select 'r_' || substr(task, 3) from transfers where kind = 'settle' order by seq desc limit ${RECEIPTS_READ})`.execute(
    db,
  );
  for (const { task, price, split, executions } of rows.map(({ leaf }) => JSON.parse(leaf) as Leaf)) {
    const parts = Object.values(split).reduce((sum, part) => sum + BigInt(part), 0n);
    if (parts !== BigInt(price)) faults.push(`the receipt of ${task} splits ${parts} of ${price}`);
    const earned = new Set(executions.filter((one) => one.accepted && one.signed).map(({ by }) => `miner:${by}:held`));
    for (const account of Object.keys(split))
      if (account.startsWith("miner:") && !earned.has(account)) faults.push(`${task} paid ${account} for nothing`);
  }
  return faults.slice(0, 5);
}
