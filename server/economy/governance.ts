import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import {
  checkBound,
  type DomainParameter,
  domainBounds,
  type NetworkParameter,
  type NetworkParameters,
  networkBounds,
} from "./governance-bounds.ts";
import type { Position } from "./staking.ts";

/**
 * A proposal changes one bounded parameter, from an epoch that it names.
 *
 *   voting → rejected    the vote closed without quorum or majority
 *          → locked      accepted; the time lock runs
 *          → executed    within floor and ceiling, before the epoch that it names has begun
 *          → lapsed      that epoch had begun
 *
 * Votes count by a party's own stake, held since before the proposal: not by stake on its way out, nor by what others
 * delegated, nor by what came in for the vote.
 */
export type Change =
  | { kind: "network"; parameter: NetworkParameter; value: bigint }
  | { kind: "domain"; domain: string; parameter: DomainParameter; value: bigint };

export interface Proposal {
  id: string;
  by: AccountId;
  change: Change;
  /** Epoch in which it takes effect. */
  from: number;
  openedAt: Millis;
  closesAt: Millis;
  votes: ReadonlyMap<AccountId, { weight: Nano; approve: boolean }>;
  state: "voting" | "rejected" | "locked" | "executed" | "lapsed";
  unlocksAt: Millis | null;
}

/** One line of the audit log. */
export interface GovernanceRecord {
  at: Millis;
  proposal: string;
  action: "proposed" | "voted" | "accepted" | "rejected" | "executed" | "lapsed";
  detail: string;
}

interface Step {
  proposal: Proposal;
  record: GovernanceRecord;
}

export function propose(
  draft: Pick<Proposal, "id" | "by" | "change" | "from">,
  running: number,
  parameters: NetworkParameters,
  at: Millis,
): Result<Step, TabgridError> {
  const { change, from } = draft;
  const bound = change.kind === "network" ? networkBounds[change.parameter] : domainBounds[change.parameter];
  const checked = checkBound(change.value, bound, change.parameter);
  if (!checked.ok) return checked;
  if (!Number.isInteger(from) || from <= running) return err(reachesBack(from, running));
  const closesAt = at + Number(parameters["governance.votingMs"]);
  const proposal: Proposal = {
    ...draft,
    openedAt: at,
    closesAt,
    votes: new Map(),
    state: "voting",
    unlocksAt: null,
  };
  return ok({ proposal, record: recordOf(proposal, "proposed", `${textOf(change)} from epoch ${from}`, at) });
}

/** `own`: the voter's positions; `delegatedToIt`: stake of others that names it as validator. */
export function vote(
  proposal: Proposal,
  party: AccountId,
  own: readonly Position[],
  delegatedToIt: Nano,
  approve: boolean,
  at: Millis,
): Result<Step, TabgridError> {
  if (proposal.state !== "voting" || at >= proposal.closesAt)
    return err(wrongState(proposal, `an open vote, until ${proposal.closesAt}`));
  if (proposal.votes.has(party)) {
    const detail = { field: "party", expected: "one vote a party", got: party };
    return err(failure("already-claimed", "this party has voted", detail));
  }
  const weight = weightOf(own, proposal.openedAt);
  if (weight === 0n) return err(noWeight(own, delegatedToIt, proposal.openedAt));
  const next = { ...proposal, votes: new Map(proposal.votes).set(party, { weight, approve }) };
  return ok({ proposal: next, record: recordOf(proposal, "voted", `${party} ${approve ? "for" : "against"}`, at) });
}

const weightOf = (own: readonly Position[], openedAt: Millis): Nano =>
  own.reduce((sum, { amount, heldSince }) => (heldSince < openedAt ? sum + amount : sum), 0n);

function noWeight(own: readonly Position[], delegatedToIt: Nano, openedAt: Millis): TabgridError {
  const expected = `stake of one's own, held since before ${openedAt}`;
  const fresh = own.reduce((sum, { amount }) => sum + amount, 0n);
  if (fresh > 0n)
    return failure("stake-borrowed", "this stake came in after the proposal", {
      field: "stake",
      expected,
      got: `${fresh}`,
    });
  if (delegatedToIt > 0n)
    return failure("stake-borrowed", "delegated stake is its owner's to vote with", {
      field: "stake",
      expected,
      got: `${delegatedToIt}`,
    });
  const leaving = own.reduce((sum, { unbonding }) => unbonding.reduce((all, one) => all + one.amount, sum), 0n);
  if (leaving > 0n)
    return failure("stake-unbonding", "stake on its way out does not vote", {
      field: "stake",
      expected,
      got: `${leaving}`,
    });
  return failure("insufficient-balance", "nothing is staked", { field: "stake", expected, got: "0" });
}

/**
 * Counts, once the vote has closed. A vote counts at most what its party still has staked: `stakeNow`. `staked`: all stake
 * of the network.
 */
export function tally(
  proposal: Proposal,
  stakeNow: (party: AccountId) => Nano,
  staked: Nano,
  parameters: NetworkParameters,
  at: Millis,
): Result<Step, TabgridError> {
  if (proposal.state !== "voting") return err(wrongState(proposal, "voting"));
  if (at < proposal.closesAt) return err(timeLocked("the vote is open", proposal.closesAt, at));
  let yes = 0n;
  let no = 0n;
  for (const [party, { weight, approve }] of proposal.votes) {
    const now = stakeNow(party);
    const counted = weight < now ? weight : now;
    if (approve) yes += counted;
    else no += counted;
  }
  const isAccepted = (yes + no) * 1_000_000n >= staked * parameters["governance.quorumPpm"] && yes > no;
  const detail = `${yes} for, ${no} against, of ${staked}`;
  if (!isAccepted)
    return ok({ proposal: { ...proposal, state: "rejected" }, record: recordOf(proposal, "rejected", detail, at) });
  const unlocksAt = at + Number(parameters["governance.timeLockMs"]);
  return ok({
    proposal: { ...proposal, state: "locked", unlocksAt },
    record: recordOf(proposal, "accepted", detail, at),
  });
}

/** The caller applies `change` from the epoch that the proposal names, unless it lapsed. */
export function execute(proposal: Proposal, running: number, at: Millis): Result<Step, TabgridError> {
  const { state, unlocksAt, from, change } = proposal;
  if (state !== "locked" || unlocksAt === null) return err(wrongState(proposal, "locked"));
  if (at < unlocksAt) return err(timeLocked("the time lock runs", unlocksAt, at));
  if (from <= running) {
    const detail = `epoch ${from} had begun`;
    return ok({ proposal: { ...proposal, state: "lapsed" }, record: recordOf(proposal, "lapsed", detail, at) });
  }
  const detail = `${textOf(change)} from epoch ${from}`;
  return ok({ proposal: { ...proposal, state: "executed" }, record: recordOf(proposal, "executed", detail, at) });
}

const textOf = (change: Change): string =>
  `${change.kind === "domain" ? `${change.domain}: ` : ""}${change.parameter} = ${change.value}`;

const recordOf = (
  { id }: Proposal,
  action: GovernanceRecord["action"],
  detail: string,
  at: Millis,
): GovernanceRecord => ({ at, proposal: id, action, detail });

const reachesBack = (from: number, running: number): TabgridError =>
  failure("reaches-back", "a change takes effect in a later epoch", {
    field: "from",
    expected: `an epoch after ${running}`,
    got: String(from),
  });

const timeLocked = (message: string, until: Millis, at: Millis): TabgridError =>
  failure("time-locked", message, { field: "at", expected: `${until}`, got: String(at) });

const wrongState = ({ id, state }: Proposal, expected: string): TabgridError =>
  failure("wrong-state", `proposal ${id} is ${state}`, { field: "state", expected, got: state });
