/** The worked example of docs/economy.md, played on the code: every number of its tables is compared. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { AccountId, CustomerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { formatNano } from "../../shared/money.ts";
import { priceOf as taskPrice } from "../../shared/pricing.ts";
import { sha256 } from "../../shared/test-sha256.ts";
import { accounts } from "./accounts.ts";
import { commonsSettings } from "./domains.ts";
import { defaultEmissionRule } from "./emission.ts";
import { planEpoch } from "./epoch-plan.ts";
import { emptyTally } from "./epoch-tally.ts";
import { heldTask } from "./held-task.ts";
import { grant, hold } from "./holds.ts";
import { legsOf } from "./ledger.ts";
import { seedMarket, WINDOW_MS } from "./market.ts";
import { CLEAN_MS, Maturation } from "./maturation.ts";
import { PlainBooks } from "./plain-books.ts";
import { settle } from "./revenue.ts";
import { ownRoyalty, type Royalty } from "./royalty.ts";
import type { VerifiedTask } from "./verified-task.ts";

const UNIT = 1_000_000_000n;
const DAY = 86_400_000;
const SUPPLY = 100_000_000n * UNIT;
const ann = "own_ann" as OwnerId;
const bob = "own_bob" as OwnerId;
const zoe = "c_zoe" as CustomerId;
const cid = "customer:c_cid" as AccountId;
const model = "example@1" as ModelKey;

const execution = { commitment: "", accepted: true, signed: true, newcomer: false, miner: null };
/** 25,000,000 GFLOP at 0.02 µUSDC, two executions priced: 1 USDC. */
const work = 25_000_000n * UNIT;
const fact: VerifiedTask = {
  task: "t_example" as TaskId,
  at: WINDOW_MS,
  customer: zoe,
  model,
  creator: "vic",
  royaltyBasisPoints: 2_000,
  level: "verified",
  price: taskPrice(work, "verified", commonsSettings.tariff),
  work,
  basis: "checked",
  inputHash: "",
  commitment: "",
  executions: [
    { ...execution, by: ann, assignment: "a_1" as never, role: "primary" },
    { ...execution, by: bob, assignment: "a_2" as never, role: "check" },
  ],
};
const royalty: Royalty = {
  ...ownRoyalty("vic", 2_000),
  backers: 4_000,
  own: 6_000,
  holdings: new Map([
    ["customer:c_dora" as AccountId, 3n],
    ["customer:c_eve" as AccountId, 1n],
  ]),
};

function play() {
  const books = new PlainBooks();
  const market = seedMarket(50_000n * UNIT, 1_000_000n * UNIT, 0);
  const start = new Map([
    [accounts.dnIssuer, -SUPPLY],
    [accounts.dnTreasury, SUPPLY - market.dn],
    [accounts.dn(accounts.market), market.dn],
    [accounts.issuer, -market.usdc],
    [accounts.market, market.usdc],
  ]);
  books.post({ id: "genesis", kind: "genesis", at: 0, task: null, legs: legsOf(start) });
  books.post(grant(zoe, 100n * UNIT, "first-key", 0));
  books.post(hold({ task: fact.task, customer: zoe, amount: fact.price }, 1));
  const settlement = settle(fact, commonsSettings.revenue, 0n, sha256);
  if (!settlement.ok) throw new Error(settlement.error.message);
  books.post(settlement.value.transfer);

  const maturation = new Maturation();
  maturation.settled(heldTask(fact, settlement.value, null, commonsSettings.revenue, 0));
  const tally = emptyTally();
  const at = WINDOW_MS + CLEAN_MS;
  for (const transfer of maturation.mature(at, () => 0n, tally)) books.post(transfer);
  const plan = planEpoch(
    {
      epoch: 1,
      at,
      epochMs: 7 * DAY,
      tally,
      periods: new Map([
        [
          "commons@0",
          {
            shares: commonsSettings.emission,
            listed: false,
            offset: false,
            stakes: new Map([[cid, 6n * UNIT * BigInt(7 * DAY)]]),
            targetStake: commonsSettings.targetStake,
            availability: new Map([
              [
                model,
                new Map([
                  [accounts.miner(ann), 3_600_000n],
                  [accounts.miner(bob), 10_800_000n],
                ]),
              ],
            ]),
          },
        ],
      ]),
      royalties: new Map([[model, royalty]]),
      market,
      slippagePpm: 10_000n,
      rule: defaultEmissionRule,
      supply: SUPPLY,
      previous: { level: null, revenue: [], burn: new Map() },
    },
    sha256,
  );
  for (const transfer of plan.transfers) books.post(transfer);
  return { books, plan, settlement: settlement.value.transfer };
}

/** Rows of the table below a heading: account or name in code, then an amount. */
function tableBelow(heading: string): Record<string, string> {
  const text = readFileSync(`${import.meta.dirname}/../../docs/economy.md`, "utf8");
  const from = text.indexOf(heading);
  expect(from, heading).toBeGreaterThan(0);
  const rows = text
    .slice(from)
    .split(/\n#+ /)[0]
    ?.matchAll(/^\| `([^`]+)` \|.*\| (-?[\d.]+) \|$/gm);
  return Object.fromEntries([...(rows ?? [])].map(([, name, amount]) => [name, amount]));
}

describe("docs/economy.md", () => {
  const { books, plan, settlement } = play();

  it("the task", () => {
    const gained = settlement.legs.filter(({ amount }) => amount > 0n);
    expect(tableBelow("### The task")).toEqual(
      Object.fromEntries(gained.map(({ account, amount }) => [account, formatNano(amount)])),
    );
  });

  it("the level of emission", () => {
    const commons = plan.domains.get("commons");
    expect(tableBelow("### What the epoch may mint")).toEqual({
      level: formatNano(plan.memory.level ?? 0n),
      burned: formatNano(plan.burned),
      guard: formatNano(commons?.guard ?? 0n),
      allowed: formatNano(commons?.minted ?? 0n),
      minted: formatNano(plan.minted),
    });
  });

  it("who has what in the end, USDC and DN", () => {
    const told = { ...tableBelow("### Who has what, USDC"), ...tableBelow("### Who has what, DN") };
    expect(Object.keys(told).length).toBeGreaterThan(15);
    for (const [account, amount] of Object.entries(told))
      expect(formatNano(books.balance(account as AccountId)), account).toBe(amount);
    expect([books.total("USDC"), books.total("DN")]).toEqual([0n, 0n]);
  });

  it("and nobody else has anything", () => {
    const told = { ...tableBelow("### Who has what, USDC"), ...tableBelow("### Who has what, DN") };
    const touched = new Set(plan.transfers.flatMap(({ legs }) => legs.map(({ account }) => account)));
    for (const { account } of settlement.legs) touched.add(account);
    for (const account of touched) if (books.balance(account) !== 0n) expect(told).toHaveProperty([account]);
  });
});
