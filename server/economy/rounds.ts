import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert, err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { checkAmount, checkCovered } from "./amount.ts";
import { apportion } from "./apportion.ts";
import { legsOf, type Transfer } from "./ledger.ts";
import { ownRoyalty, type Royalty } from "./royalty.ts";

/**
 * A creator sells a share of a model's future royalties to backers.
 *
 *   open → building   the target was met: escrow is released milestone by milestone
 *        → missed     the deadline passed: every backer has all back
 *   building → done      the last milestone was released
 *            → stopped   a milestone was given up: what is left goes back by holdings; holdings stay
 *
 * Holdings are shares of a, one per nano-USDC paid in, and change hands freely once the target is met.
 */
export interface Round {
  round: string;
  creator: string;
  target: Nano;
  deadlineAt: Millis;
  /** a, b and c of the royalty, hundredths of a per cent; c > 0 enables the yield venue. */
  backers: number;
  yieldVenue: number;
  /** What a backer agrees to, SAFE-like. */
  terms: string;
  /** Shares of the escrow that each milestone releases, hundredths of a per cent, in order. */
  milestones: readonly { name: string; share: number }[];
  released: number;
  state: "open" | "building" | "missed" | "done" | "stopped";
  raised: Nano;
  escrow: Nano;
  holdings: ReadonlyMap<AccountId, bigint>;
  /** Counts contributions: names their transfers. */
  moves: number;
}

/** Where c of the royalty goes while a round builds, and what it brings its backers. */
export interface YieldVenue {
  account(round: string): AccountId;
  /** What the venue adds to `balance` between two times. */
  yieldOn(balance: Nano, from: Millis, to: Millis): Nano;
}

/** The ledger itself: keeps c safe and adds nothing. */
export const ledgerVenue: YieldVenue = {
  account: (round) => accounts.escrow(`${round}:yield`),
  yieldOn: () => 0n,
};

interface Step {
  round: Round;
  transfer: Transfer | null;
}

const WHOLE = 10_000;
/** Until its deadline nobody can give up an open round. */
const OPEN_MOST_MS = 366 * 86_400_000;

export type RoundTerms = Pick<
  Round,
  "round" | "creator" | "target" | "deadlineAt" | "backers" | "yieldVenue" | "terms" | "milestones"
>;

export function openRound(terms: RoundTerms, at: Millis): Result<Round, TabgridError> {
  const target = checkAmount(terms.target, "target");
  if (!target.ok) return target;
  const shares = terms.milestones.map(({ share }) => share);
  if (shares.some((share) => !Number.isInteger(share) || share <= 0) || sumOf(shares) !== WHOLE) {
    const detail = { field: "milestones", expected: `shares > 0 that sum to ${WHOLE}`, got: shares.join(" + ") };
    return err(failure("split-not-whole", "milestones must release the whole", detail));
  }
  const { backers, yieldVenue } = terms;
  const isShare = (share: number) => Number.isInteger(share) && share >= 0;
  if (!isShare(backers) || !isShare(yieldVenue) || backers === 0 || backers + yieldVenue > WHOLE) {
    const detail = {
      field: "backers",
      expected: `backers > 0, with the venue's at most ${WHOLE}`,
      got: `${backers} + ${yieldVenue}`,
    };
    return err(failure("share-out-of-bounds", "the royalty does not have these parts", detail));
  }
  if (terms.deadlineAt <= at) return err(timeLocked("the deadline has passed", `after ${at}`, terms.deadlineAt));
  const latest = at + OPEN_MOST_MS;
  if (terms.deadlineAt > latest) {
    const detail = { field: "deadlineAt", expected: `at most ${latest}`, got: String(terms.deadlineAt) };
    return err(failure("value-out-of-range", "backers' money is not kept in an open round for so long", detail));
  }
  return ok({ ...terms, released: 0, state: "open", raised: 0n, escrow: 0n, holdings: new Map(), moves: 0 });
}

/** Takes at most what is missing to the target. */
export function back(
  round: Round,
  party: AccountId,
  amount: Nano,
  balance: Nano,
  at: Millis,
): Result<Step, TabgridError> {
  if (round.state !== "open" || at >= round.deadlineAt) return err(wrongState(round, "open, before its deadline"));
  const covered = checkCovered(amount, balance, party, "amount");
  if (!covered.ok) return covered;
  const missing = round.target - round.raised;
  const taken = amount < missing ? amount : missing;
  const raised = round.raised + taken;
  const next: Round = {
    ...round,
    raised,
    escrow: round.escrow + taken,
    state: raised === round.target ? "building" : "open",
    holdings: new Map(round.holdings).set(party, (round.holdings.get(party) ?? 0n) + taken),
    moves: round.moves + 1,
  };
  const gains = new Map([
    [party, -taken],
    [accounts.escrow(round.round), taken],
  ]);
  const id = `back:${round.round}:${next.moves}`;
  return ok({ round: next, transfer: { id, kind: "back", at, task: null, legs: legsOf(gains) } });
}

/** After the deadline of a round that was not met. */
export function miss(round: Round, at: Millis, tieBreak: (id: string) => string): Result<Step, TabgridError> {
  if (round.state !== "open") return err(wrongState(round, "open"));
  if (at < round.deadlineAt) return err(timeLocked("the round is open", `${round.deadlineAt}`, at));
  return ok(payBack({ ...round, state: "missed" }, at, tieBreak));
}

/** Releases the next milestone to the creator. `approvedBy`: the person who saw that it was reached. */
export function releaseMilestone(round: Round, approvedBy: string, at: Millis): Result<Step, TabgridError> {
  const milestone = round.milestones[round.released];
  if (round.state !== "building" || !milestone) return err(wrongState(round, "building"));
  assert(approvedBy.length > 0, `milestone of ${round.round} released by nobody`);
  const isLast = round.released + 1 === round.milestones.length;
  const amount = isLast ? round.escrow : (round.raised * BigInt(milestone.share)) / BigInt(WHOLE);
  const gains = new Map([
    [accounts.escrow(round.round), -amount],
    [accounts.creatorMatured(round.creator), amount],
  ]);
  const released = round.released + 1;
  const next: Round = { ...round, released, escrow: round.escrow - amount, state: isLast ? "done" : "building" };
  const id = `milestone:${round.round}:${released}`;
  const legs = legsOf(gains);
  return ok({ round: next, transfer: legs.length > 0 ? { id, kind: "milestone", at, task: null, legs } : null });
}

/** Gives up the milestones that are left. */
export function stop(round: Round, at: Millis, tieBreak: (id: string) => string): Result<Step, TabgridError> {
  if (round.state !== "building") return err(wrongState(round, "building"));
  return ok(payBack({ ...round, state: "stopped" }, at, tieBreak));
}

function payBack(round: Round, at: Millis, tieBreak: (id: string) => string): Step {
  const gains = apportion(round.escrow, round.holdings, tieBreak);
  if (!gains) return { round, transfer: null };
  gains.set(accounts.escrow(round.round), -round.escrow);
  const legs = legsOf(gains);
  const id = `refund:${round.round}`;
  return {
    round: { ...round, escrow: 0n },
    transfer: legs.length > 0 ? { id, kind: "refund", at, task: null, legs } : null,
  };
}

export function transferShares(
  round: Round,
  from: AccountId,
  to: AccountId,
  shares: bigint,
): Result<Round, TabgridError> {
  if (round.state === "open" || round.state === "missed") return err(wrongState(round, "building, done or stopped"));
  const covered = checkCovered(shares, round.holdings.get(from) ?? 0n, from, "shares");
  if (!covered.ok) return covered;
  const holdings = new Map(round.holdings);
  holdings.set(from, (holdings.get(from) ?? 0n) - shares);
  holdings.set(to, (holdings.get(to) ?? 0n) + shares);
  return ok({ ...round, holdings });
}

/**
 * Of the model version that the round paid for, as holdings stand; a missed round leaves the creator alone. Once nothing is
 * built any more, c is the creator's again.
 */
export function royaltyOf(round: Round, basisPoints: number, venue: YieldVenue): Royalty {
  const whole = ownRoyalty(round.creator, basisPoints);
  if (round.state === "open" || round.state === "missed") return whole;
  const { backers, holdings } = round;
  const yieldVenue = round.state === "building" ? round.yieldVenue : 0;
  const account = yieldVenue > 0 ? venue.account(round.round) : null;
  return { ...whole, backers, yieldVenue, own: WHOLE - backers - yieldVenue, holdings, venue: account };
}

/** Pays what lies with the venue to the holders: of revenue, and of emissions. `n` counts the payments of the round. */
export function payYield(
  round: Round,
  { usdc, dn }: { usdc: Nano; dn: Nano },
  venue: YieldVenue,
  n: number,
  at: Millis,
  tieBreak: (id: string) => string,
): Transfer | null {
  const account = venue.account(round.round);
  const [inUsdc, inDn] = [usdc, dn].map((amount) => apportion(amount, round.holdings, tieBreak));
  if (!inUsdc || !inDn) return null;
  const gains = new Map<AccountId, Nano>([
    [account, -usdc],
    [accounts.dn(account), -dn],
  ]);
  for (const [party, part] of inUsdc) gains.set(party, part);
  for (const [party, part] of inDn) gains.set(accounts.dn(party), part);
  const legs = legsOf(gains);
  return legs.length > 0 ? { id: `yield:${round.round}:${n}`, kind: "royalty", at, task: null, legs } : null;
}

const sumOf = (shares: readonly number[]): number => shares.reduce((sum, share) => sum + share, 0);

const timeLocked = (message: string, expected: string, got: Millis): TabgridError =>
  failure("time-locked", message, { field: "deadlineAt", expected, got: String(got) });

const wrongState = ({ round, state }: Round, expected: string): TabgridError =>
  failure("wrong-state", `round ${round} is ${state}`, { field: "state", expected, got: state });
