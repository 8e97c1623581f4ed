/** Everything that the economy refuses by its own error: one test a row. What is refused has changed nothing. */
import { describe, expect, it } from "vitest";
import type { ErrorCode, TabgridError } from "../../shared/errors.ts";
import type { AccountId, CustomerId, ModelKey, OwnerId } from "../../shared/ids.ts";
import type { Result } from "../../shared/result.ts";
import { AMOUNT_MAX, checkAmount, checkCovered } from "./amount.ts";
import { slash } from "./collateral.ts";
import { pledge, withdraw } from "./demand-board.ts";
import { changeDomain, checkDomain, checkMint, commonsSettings, type DomainSettings } from "./domains.ts";
import { execute, type Proposal, propose, tally, vote } from "./governance.ts";
import { defaultParameters } from "./governance-bounds.ts";
import { depositMore, leave, type Registration, register, release } from "./registration.ts";
import {
  back,
  miss,
  openRound,
  type Round,
  type RoundTerms,
  releaseMilestone,
  stop,
  transferShares,
} from "./rounds.ts";
import { changeRoyalty, ownRoyalty } from "./royalty.ts";
import { openPosition, releaseStake, stake, unstake } from "./staking.ts";

const DAY = 86_400_000;
const ann = "own_ann" as OwnerId;
const customer = "c_bea" as CustomerId;
const bea = "customer:c_bea" as AccountId;
const cid = "customer:c_cid" as AccountId;
const ties = (id: string) => id;
const parameters = defaultParameters();
const model = "m@1" as ModelKey;

const must = <T>(result: Result<T, TabgridError>): T => {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
};
const domain = (change: Partial<DomainSettings>) => checkDomain({ ...commonsSettings, ...change }, [2_000]);
const revenue = (change: Partial<DomainSettings["revenue"]>) =>
  domain({ revenue: { ...commonsSettings.revenue, ...change } });
const checks = (change: Partial<DomainSettings["verification"]>) =>
  domain({ verification: { ...commonsSettings.verification, ...change } });
const emission = (change: Partial<DomainSettings["emission"]>) =>
  domain({ emission: { ...commonsSettings.emission, ...change } });

const registered: Registration = {
  domain: "d",
  owner: ann,
  state: "registered",
  deposit: 100n,
  ask: null,
  round: 1,
  leftAt: null,
};
const leaving = must(leave(registered, 0));
const severe = { case: "c_1", owner: ann, at: 1, reviewer: "c_op", ruling: "severe" as const };
const terms: RoundTerms = {
  round: "r",
  creator: "ann",
  target: 100n,
  deadlineAt: DAY,
  backers: 4_000,
  yieldVenue: 0,
  terms: "SAFE-like",
  milestones: [{ name: "trained", share: 10_000 }],
};
const round: Round = must(openRound(terms, 0));
const building = must(back(round, bea, 100n, 100n, 1)).round;
const proposal: Proposal = must(
  propose(
    {
      id: "p",
      by: bea,
      change: { kind: "network", parameter: "emission.kappaPpm", value: 1n },
      from: 9,
    },
    3,
    parameters,
    10,
  ),
).proposal;
const old = must(stake(openPosition("d", null, bea, 0), 50n, 50n, 0)).position;
const voted = must(vote(proposal, bea, [old], 0n, true, 20)).proposal;
const locked = must(tally(voted, () => 50n, 100n, parameters, 10 + 3 * DAY)).proposal;

const rows: [string, ErrorCode, string | undefined, () => Result<unknown, TabgridError>][] = [
  ["an overflow", "amount-overflow", "amount", () => checkAmount(AMOUNT_MAX + 1n, "amount")],
  ["nothing at all", "value-out-of-range", "amount", () => checkAmount(0n, "amount")],
  ["more than there is", "insufficient-balance", "amount", () => checkCovered(2n, 1n, bea, "amount")],

  ["emission shares that miss the whole", "split-not-whole", "emission", () => emission({ miners: 6_999 })],
  ["a miners' share above 99 %", "share-out-of-bounds", "emission.miners", () => emission({ miners: 9_901 })],
  ["a negative stakers' share", "share-out-of-bounds", "emission.stakers", () => emission({ stakers: -1 })],
  ["a fraction of a share", "share-out-of-bounds", "emission.validators", () => emission({ validators: 0.5 })],
  ["an emission owner above 10 %", "share-out-of-bounds", "emission.owner", () => emission({ owner: 1_001 })],
  ["availability above 20 %", "share-out-of-bounds", "emission.availability", () => emission({ availability: 2_001 })],
  ["a pool below the cost of checks", "share-out-of-bounds", "revenue.pool", () => revenue({ pool: 729 })],
  [
    "a check rate below the policy's",
    "share-out-of-bounds",
    "verification.checkRate",
    () => checks({ checkRate: 499 }),
  ],
  ["a check rate above all", "share-out-of-bounds", "verification.checkRate", () => checks({ checkRate: 10_001 })],
  [
    "fewer passes than a newcomer has",
    "share-out-of-bounds",
    "verification.newcomerPasses",
    () => checks({ newcomerPasses: 19 }),
  ],
  [
    "more passes than the cost is averaged over",
    "share-out-of-bounds",
    "verification.newcomerPasses",
    () => checks({ newcomerPasses: 1_001 }),
  ],
  [
    "fewer checks by the reference node than the policy's",
    "share-out-of-bounds",
    "verification.referenceShare",
    () => checks({ referenceShare: 1_999 }),
  ],
  [
    "the reference node for itself",
    "share-out-of-bounds",
    "verification.referenceShare",
    () => checks({ referenceShare: 5_001 }),
  ],
  [
    "a service level that is none",
    "value-out-of-range",
    "verification.leastLevel",
    () => checks({ leastLevel: "quorum-9" as never }),
  ],
  ["more checks than the pool pays", "share-out-of-bounds", "revenue.pool", () => checks({ checkRate: 2_000 })],
  ["e above 100 %", "share-out-of-bounds", "severePercent", () => domain({ severePercent: 101 })],
  ["miners below 30 % of a version", "value-out-of-range", "revenue.miners", () => revenue({ emission: 4_000 })],
  ["y above 10 %", "value-out-of-range", "revenue.processor", () => revenue({ processor: 1_001 })],
  ["a fee that overflows", "amount-overflow", "registrationFee", () => domain({ registrationFee: 2n ** 63n })],
  ["a negative minimum", "value-out-of-range", "minimumCollateral", () => domain({ minimumCollateral: -1n })],
  [
    "a change that reaches back",
    "reaches-back",
    "from",
    () => changeDomain([{ from: 1, settings: commonsSettings }], commonsSettings, 5, 5, []),
  ],
  [
    "a version whose royalty leaves the miners too little",
    "value-out-of-range",
    "revenue.miners",
    () => checkMint([{ from: 1, settings: commonsSettings }], 2, 5_701),
  ],
  [
    "a royalty changed after mint",
    "royalty-fixed",
    "royaltyBasisPoints",
    () => changeRoyalty(ownRoyalty("ann", 2_000), ownRoyalty("ann", 1_999)),
  ],

  ["a slash without a case", "no-upheld-case", "case", () => slash(null, registered, [], 60)],
  ["of a dismissed one", "no-upheld-case", "case", () => slash({ ...severe, ruling: "dismissed" }, registered, [], 60)],
  ["that nobody reviewed", "no-upheld-case", "case", () => slash({ ...severe, reviewer: "" }, registered, [], 60)],
  [
    "of somebody else",
    "no-upheld-case",
    "case",
    () => slash({ ...severe, owner: "own_bob" as OwnerId }, registered, [], 60),
  ],

  [
    "a deposit that is not there",
    "insufficient-balance",
    "deposit",
    () => register("d", ann, commonsSettings, { deposit: 2n, ask: null }, { usdc: 0n, dn: 1n }, null, 1),
  ],
  [
    "a fee that is not there",
    "insufficient-balance",
    "registrationFee",
    () =>
      register(
        "d",
        ann,
        { ...commonsSettings, registrationFee: 5n },
        { deposit: 0n, ask: null },
        { usdc: 4n, dn: 0n },
        null,
        1,
      ),
  ],
  [
    "a second registration",
    "wrong-state",
    "state",
    () => register("d", ann, commonsSettings, { deposit: 0n, ask: null }, { usdc: 0n, dn: 0n }, registered, 1),
  ],
  [
    "an expelled one",
    "wrong-state",
    "state",
    () =>
      register(
        "d",
        ann,
        commonsSettings,
        { deposit: 0n, ask: null },
        { usdc: 0n, dn: 0n },
        { ...registered, state: "expelled" },
        1,
      ),
  ],
  ["a deposit on the way out", "wrong-state", "state", () => depositMore(leaving, 1n, { usdc: 0n, dn: 9n }, 1, 1)],
  ["a release before the delay", "time-locked", "at", () => release(leaving, BigInt(7 * DAY), false, 7 * DAY - 1)],
  ["a release under an open case", "time-locked", "at", () => release(leaving, BigInt(7 * DAY), true, 8 * DAY)],
  ["a release without leaving", "wrong-state", "state", () => release(registered, 0n, false, 1)],

  ["stake that is not there", "insufficient-balance", "amount", () => stake(old, 2n, 1n, 1)],
  ["unstaking more than is staked", "insufficient-balance", "amount", () => unstake(old, 51n, 0n, 1)],
  [
    "stake before its delay",
    "time-locked",
    "at",
    () => releaseStake(must(unstake(old, 50n, BigInt(7 * DAY), 1)).position, false, 7 * DAY),
  ],
  [
    "stake under an open case",
    "time-locked",
    "at",
    () => releaseStake(must(unstake(old, 50n, BigInt(7 * DAY), 1)).position, true, 8 * DAY),
  ],

  [
    "a parameter beyond its ceiling",
    "share-out-of-bounds",
    "emission.kappaPpm",
    () =>
      propose(
        { ...proposal, change: { kind: "network", parameter: "emission.kappaPpm", value: 400_001n } },
        3,
        parameters,
        10,
      ),
  ],
  [
    "a domain's parameter beyond its ceiling",
    "share-out-of-bounds",
    "processor",
    () =>
      propose(
        { ...proposal, change: { kind: "domain", domain: "d", parameter: "processor", value: 1_001n } },
        3,
        parameters,
        10,
      ),
  ],
  ["a proposal that reaches back", "reaches-back", "from", () => propose({ ...proposal, from: 3 }, 3, parameters, 10)],
  [
    "a vote with stake that came in for it",
    "stake-borrowed",
    "stake",
    () => vote(proposal, cid, [must(stake(openPosition("d", null, cid, 0), 5n, 5n, 11)).position], 0n, true, 20),
  ],
  ["a vote with delegated stake", "stake-borrowed", "stake", () => vote(proposal, cid, [], 5n, true, 20)],
  [
    "a vote with unbonding stake",
    "stake-unbonding",
    "stake",
    () => vote(proposal, bea, [must(unstake(old, 50n, BigInt(7 * DAY), 5)).position], 0n, true, 20),
  ],
  ["a vote without stake", "insufficient-balance", "stake", () => vote(proposal, cid, [], 0n, true, 20)],
  ["a second vote", "already-claimed", "party", () => vote(voted, bea, [old], 0n, false, 21)],
  ["a late vote", "wrong-state", "state", () => vote(proposal, bea, [old], 0n, true, 10 + 3 * DAY)],
  ["a count of an open vote", "time-locked", "at", () => tally(voted, () => 50n, 100n, parameters, 20)],
  ["a second count", "wrong-state", "state", () => tally(locked, () => 50n, 100n, parameters, 9 * DAY)],
  ["an execution under time lock", "time-locked", "at", () => execute(locked, 3, 10 + 5 * DAY - 1)],
  ["an execution without a vote", "wrong-state", "state", () => execute(voted, 3, 9 * DAY)],

  [
    "milestones that miss the whole",
    "split-not-whole",
    "milestones",
    () => openRound({ ...terms, milestones: [{ name: "half", share: 5_000 }] }, 0),
  ],
  [
    "a royalty offered twice over",
    "share-out-of-bounds",
    "backers",
    () => openRound({ ...terms, backers: 9_000, yieldVenue: 1_001 }, 0),
  ],
  ["a round without a target", "value-out-of-range", "target", () => openRound({ ...terms, target: 0n }, 0)],
  ["a round past its deadline", "time-locked", "deadlineAt", () => openRound(terms, DAY)],
  ["backing after the deadline", "wrong-state", "state", () => back(round, bea, 1n, 9n, DAY)],
  ["backing with nothing", "insufficient-balance", "amount", () => back(round, bea, 2n, 1n, 1)],
  ["a refund before the deadline", "time-locked", "deadlineAt", () => miss(round, 5, ties)],
  ["a milestone of a round that is not met", "wrong-state", "state", () => releaseMilestone(round, "c_op", 5)],
  ["a stop of a round that is not met", "wrong-state", "state", () => stop(round, 5, ties)],
  ["shares that one does not hold", "insufficient-balance", "shares", () => transferShares(building, cid, bea, 1n)],
  ["shares of an open round", "wrong-state", "state", () => transferShares(round, bea, cid, 1n)],

  [
    "a pledge that is not there",
    "insufficient-balance",
    "amount",
    () => pledge({ pledge: "x", customer, model, raisePercent: 10 }, 2n, 1n, 1),
  ],
  [
    "a raise beyond its bound",
    "share-out-of-bounds",
    "raisePercent",
    () => pledge({ pledge: "x", customer, model, raisePercent: 1_001 }, 1n, 1n, 1),
  ],
  [
    "a pledge withdrawn twice",
    "wrong-state",
    "pledge",
    () => withdraw({ pledge: "x", customer, model, raisePercent: 10, left: 0n, withdrawn: true }, 1),
  ],
];

describe("refuses", () => {
  it.each(rows)("%s: %s", (_, code, field, attempt) => {
    const result = attempt();
    expect(result.ok).toBe(false);
    if (result.ok) return;
    expect(result.error).toMatchObject(field === undefined ? { code } : { code, field });
    expect(result.error.message.length).toBeGreaterThan(0);
  });
});
