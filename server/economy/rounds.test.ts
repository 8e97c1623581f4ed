import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TabgridError } from "../../shared/errors.ts";
import type { AccountId, CustomerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import type { Result } from "../../shared/result.ts";
import { accounts } from "./accounts.ts";
import { payBonus, pledge, returnBonus, withdraw } from "./demand-board.ts";
import { changeDomain, commonsSettings, type DomainTimeline, settingsAt } from "./domains.ts";
import { execute, propose, tally, vote } from "./governance.ts";
import { defaultParameters } from "./governance-bounds.ts";
import { legsOf } from "./ledger.ts";
import { PlainBooks } from "./plain-books.ts";
import {
  back,
  ledgerVenue,
  miss,
  openRound,
  payYield,
  type Round,
  type RoundTerms,
  releaseMilestone,
  royaltyOf,
  stop,
  transferShares,
} from "./rounds.ts";
import { checkRoyalty } from "./royalty.ts";
import { openPosition, stake } from "./staking.ts";

const DAY = 86_400_000;
const ties = (id: string) => id;
const backers = ["customer:c_a", "customer:c_b", "customer:c_c"] as AccountId[];
const model = "m@1" as ModelKey;
const must = <T>(result: Result<T, TabgridError>): T => {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
};

function booksWith(accountIds: readonly AccountId[], each: bigint): PlainBooks {
  const books = new PlainBooks();
  const gains = new Map(accountIds.map((account) => [account, each]));
  gains.set(accounts.issuer, -each * BigInt(accountIds.length));
  books.post({ id: "start", kind: "grant", at: 0, task: null, legs: legsOf(gains) });
  return books;
}

const terms: RoundTerms = {
  round: "r",
  creator: "ann",
  target: 1_000n,
  deadlineAt: DAY,
  backers: 4_000,
  yieldVenue: 1_000,
  terms: "SAFE-like",
  milestones: [
    { name: "data", share: 3_333 },
    { name: "trained", share: 6_667 },
  ],
};

describe("a round", () => {
  const filled = (books: PlainBooks): Round => {
    let round = must(openRound(terms, 0));
    for (const [i, party] of backers.entries()) {
      const step = must(back(round, party, 400n, books.balance(party), i + 1));
      if (step.transfer) books.post(step.transfer);
      round = step.round;
    }
    return round;
  };

  it("takes no more than its target, releases by milestone, and pays its holders", () => {
    const books = booksWith(backers, 1_000n);
    let round = filled(books);
    expect([round.state, round.raised]).toEqual(["building", 1_000n]);
    expect(books.balance(backers[2] as AccountId)).toBe(800n);
    round = must(transferShares(round, backers[0] as AccountId, "customer:c_z" as AccountId, 100n));
    const royalty = royaltyOf(round, 2_000, ledgerVenue);
    expect(checkRoyalty(royalty)).toMatchObject({ ok: true, value: { backers: 4_000, own: 5_000, yieldVenue: 1_000 } });
    expect(royalty.holdings.get("customer:c_z" as AccountId)).toBe(100n);
    for (const expected of [333n, 1_000n]) {
      const step = must(releaseMilestone(round, "c_op", 5));
      if (step.transfer) books.post(step.transfer);
      round = step.round;
      expect(books.balance(accounts.creatorMatured("ann"))).toBe(expected);
    }
    expect(round.state).toBe("done");
  });

  it("that is missed gives all back; one that is stopped gives back what is left, by holdings", () => {
    const books = booksWith(backers, 1_000n);
    const open = must(back(must(openRound(terms, 0)), backers[0] as AccountId, 400n, 1_000n, 1));
    if (open.transfer) books.post(open.transfer);
    const missed = must(miss(open.round, DAY, ties));
    if (missed.transfer) books.post(missed.transfer);
    expect(books.balance(backers[0] as AccountId)).toBe(1_000n);
    expect(royaltyOf(missed.round, 2_000, ledgerVenue).own).toBe(10_000);

    const others = booksWith(backers, 1_000n);
    const first = must(releaseMilestone(filled(others), "c_op", 5));
    if (first.transfer) others.post(first.transfer);
    const stopped = must(stop(first.round, 6, ties));
    if (stopped.transfer) others.post(stopped.transfer);
    expect(others.balance(accounts.escrow("r"))).toBe(0n);
    expect(backers.map((party) => others.balance(party))).toEqual([867n, 867n, 933n]);
  });

  it("has its yield venue while it builds; then c is the creator's again", () => {
    const building = filled(booksWith(backers, 1_000n));
    expect(royaltyOf(building, 2_000, ledgerVenue)).toMatchObject({ backers: 4_000, own: 5_000, yieldVenue: 1_000 });
    const done = { ...building, state: "done" as const };
    const stopped = { ...building, state: "stopped" as const };
    for (const round of [done, stopped]) {
      const royalty = royaltyOf(round, 2_000, ledgerVenue);
      expect(royalty).toMatchObject({ backers: 4_000, own: 6_000, yieldVenue: 0, venue: null });
      expect(checkRoyalty(royalty).ok).toBe(true);
    }
  });

  it("pays what lies with the venue to the holders; the ledger as venue adds nothing", () => {
    const round = filled(booksWith(backers, 1_000n));
    expect(ledgerVenue.yieldOn(1_000n, 0, DAY)).toBe(0n);
    const transfer = payYield(round, { usdc: 10n, dn: 5n }, ledgerVenue, 1, 5, ties);
    const amounts = (of: "USDC" | "DN") =>
      transfer?.legs.filter(({ asset }) => asset === of).map(({ amount }) => amount);
    expect(amounts("USDC")).toEqual([4n, 4n, 2n, -10n]);
    expect(amounts("DN")).toEqual([2n, 2n, 1n, -5n]);
    expect(payYield(round, { usdc: 0n, dn: 0n }, ledgerVenue, 2, 5, ties)).toBeNull();
  });

  it("whatever is paid in, traded and released: escrow holds the rest, and nothing is lost", () => {
    const action = fc.record({
      kind: fc.constantFrom("back" as const, "milestone" as const, "stop" as const, "miss" as const, "trade" as const),
      who: fc.constantFrom(...backers),
      amount: fc.bigInt(1n, 700n),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 20 }), (actions) => {
        const books = booksWith(backers, 1_000n);
        let round = must(openRound(terms, 0));
        for (const { kind, who, amount } of actions) {
          const result =
            kind === "back"
              ? back(round, who, amount, books.balance(who), 1)
              : kind === "milestone"
                ? releaseMilestone(round, "c_op", 2)
                : kind === "stop"
                  ? stop(round, 3, ties)
                  : kind === "miss"
                    ? miss(round, DAY, ties)
                    : null;
          if (result?.ok) {
            if (result.value.transfer) books.post(result.value.transfer);
            round = result.value.round;
          }
          if (kind === "trade") {
            const traded = transferShares(round, who, backers[0] as AccountId, amount);
            if (traded.ok) round = traded.value;
          }
          expect(books.balance(accounts.escrow("r"))).toBe(round.escrow);
          const shares = [...round.holdings.values()].reduce((sum, one) => sum + one, 0n);
          expect(shares).toBe(round.raised);
        }
        const parties = [...backers, accounts.escrow("r"), accounts.creatorMatured("ann")];
        expect(parties.reduce((sum, party) => sum + books.balance(party), 0n)).toBe(3_000n);
      }),
    );
  });
});

describe("the demand board", () => {
  const customer = "c_a" as CustomerId;
  const pay = [
    {
      owner: "own_ann" as OwnerId,
      assignment: "a_1" as never,
      role: "primary" as const,
      outcome: "paid" as const,
      amount: 670n,
      reason: "",
    },
  ];
  const settlement = (task: string) => ({
    pay,
    poolGain: 0n,
    transfer: { id: `settle:${task}`, kind: "settle" as const, at: 5, task: task as TaskId, legs: [] },
  });

  it("raises the miners' pay until the pledge is spent, and gives back what an overturn or a withdrawal leaves", () => {
    const books = booksWith(backers, 1_000n);
    const made = must(pledge({ pledge: "p", customer, model, raisePercent: 50 }, 500n, 1_000n, 1));
    books.post(made.transfer);
    const held = accounts.minerHeld("own_ann" as OwnerId);
    let board = [made.pledge];
    let last = null;
    for (const task of ["t_1", "t_2"]) {
      const bonus = payBonus(board, model, settlement(task));
      if (bonus.transfer) books.post(bonus.transfer);
      board = bonus.board;
      last = bonus.transfer;
    }
    expect(books.balance(held)).toBe(500n);
    expect(board[0]?.left).toBe(0n);
    expect(payBonus(board, model, settlement("t_3")).transfer).toBeNull();
    expect(payBonus(board, "other@1" as ModelKey, settlement("t_4")).transfer).toBeNull();
    if (!last) throw new Error("no bonus");
    const returned = returnBonus(board, model, last, (account) => books.balance(account), 6);
    if (returned.transfer) books.post(returned.transfer);
    expect(returned.board[0]?.left).toBe(165n);
    const gone = must(withdraw(returned.board[0] as typeof made.pledge, 7));
    if (gone.transfer) books.post(gone.transfer);
    expect(books.balance(accounts.customer(customer))).toBe(665n);
    expect(books.balance(accounts.pledge(model))).toBe(0n);
  });
});

describe("governance", () => {
  const parameters = defaultParameters();
  const bea = backers[0] as AccountId;
  const own = [must(stake(openPosition("d", null, bea, 0), 50n, 50n, 0)).position];
  const change = { kind: "domain" as const, domain: "d", parameter: "listed" as const, value: 1n };
  const opened = must(propose({ id: "p", by: bea, change, from: 9 }, 3, parameters, 10));
  const voted = must(vote(opened.proposal, bea, own, 0n, true, 20)).proposal;
  const end = 10 + 3 * DAY;

  it("goes from vote to time lock to effect, and writes each step to the audit log", () => {
    const counted = must(tally(voted, () => 50n, 100n, parameters, end));
    expect(counted.record).toMatchObject({ action: "accepted", detail: "50 for, 0 against, of 100" });
    const done = must(execute(counted.proposal, 8, end + 2 * DAY));
    expect(done).toMatchObject({
      proposal: { state: "executed" },
      record: { action: "executed", detail: "d: listed = 1 from epoch 9" },
    });
  });

  it("lapses when its epoch has begun", () => {
    const counted = must(tally(voted, () => 50n, 100n, parameters, end)).proposal;
    expect(must(execute(counted, 9, end + 2 * DAY)).proposal.state).toBe("lapsed");
  });

  it.each([
    ["without quorum", 50n, 251n],
    ["where the voter has unstaked since", 0n, 100n],
  ])("rejects %s", (_, now, staked) => {
    expect(must(tally(voted, () => now, staked, parameters, end)).proposal.state).toBe("rejected");
  });
});

describe("a domain's timeline", () => {
  const start: DomainTimeline = [{ from: 1, settings: commonsSettings }];

  it("holds each epoch to what was decided for it", () => {
    const later = { ...commonsSettings, registrationFee: 5n };
    const changed = must(changeDomain(start, later, 7, 5, [2_000]));
    expect(settingsAt(changed, 6)).toBe(commonsSettings);
    expect(settingsAt(changed, 7)).toBe(later);
    expect(settingsAt(changed, 0)).toBeNull();
    expect(must(changeDomain(changed, commonsSettings, 6, 5, []))).toHaveLength(2);
  });
});
