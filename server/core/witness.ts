import type { MinerId, ModelKey, OwnerId, SessionId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { nextInt } from "../../shared/random.ts";
import type { Millis } from "../../shared/time.ts";
import type { Standing } from "./events.ts";
import type { MinerSession } from "./roster.ts";
import type { Step } from "./state.ts";

/**
 * Attested availability (docs/protocol.md): about once in five minutes a validator of another owner and network makes a
 * nonce, the miner signs it, and the validator gives its word. The hub relays, and sees enough to know a false word:
 *
 *   asked      the validator was asked for a nonce
 *   relayed    the miner was sent it
 *   answered   the miner's signature, right under its key, was sent to the validator
 *
 * and then `attested`, or forgotten 15 s after it was asked. A word that the hub's own view contradicts, or that two other
 * validators contradict, costs its giver trust in this role alone: nothing else of its standing changes, nothing is slashed.
 */
export interface Witness {
  validator: SessionId;
  by: OwnerId;
  subject: SessionId;
  miner: MinerId;
  owner: OwnerId;
  /** That the miner is admitted to: what it is available for. */
  models: ModelKey[];
  askedAt: Millis;
  relayedAt: Millis | null;
  answeredAt: Millis | null;
}

export type WitnessEvent =
  | { kind: "witness.nonce"; at: Millis; session: SessionId; witness: string; nonce: Uint8Array }
  /** The miner's signature, verified. */
  | { kind: "witness.signed"; at: Millis; session: SessionId; witness: string; signature: Uint8Array }
  /** A validator's word, verified to be its own. */
  | {
      kind: "witness.attested";
      at: Millis;
      session: SessionId;
      witness: string;
      present: boolean;
      roundTripMs: number;
    };

/** What the books keep of a word that stands. */
export interface AttestationFact {
  witness: string;
  at: Millis;
  by: OwnerId;
  miner: MinerId;
  owner: OwnerId;
  models: ModelKey[];
  present: boolean;
  roundTripMs: number;
}

/** What an owner's words as a validator were worth. */
export interface WitnessRecord {
  agreed: number;
  contradicted: number;
  /** Asked for no word until then. */
  barredUntil: Millis;
}

/** A validator is paid for so many words at once: one posting an hour for each miner that it looks after. */
export const WORDS_PER_PAYMENT = 12;
/** Contradictions that anyone is forgiven, and one more for so many words that agreed. */
const FORGIVEN = 2;
const AGREED_PER_CONTRADICTION = 20;
const BARRED_MS = 86_400_000;
/** Words of others that outweigh one that says a miner is gone. */
const CONFIRMATIONS = 2;
const DRAW_EVERY_MS = 1_000;
/** Challenges begun in one draw: what a burst of reconnections costs at most. */
const DRAWN_AT_ONCE = 32;
/** Clocks of browsers are coarse. */
const CLOCK_MS = 5;
/** A miner that is said to be gone is looked at again so soon. */
const AGAIN_MS = 20_000;

export class Witnesses {
  readonly open = new Map<string, Witness>();
  /** Validators with an open challenge, and those that let one lapse, until when they are left alone. */
  readonly resting = new Map<SessionId, Millis>();
  /** Who said that a miner is gone, and who has seen it since. */
  readonly doubts = new Map<MinerId, { by: OwnerId; at: Millis; seenBy: Set<OwnerId> }>();
  drawnAt: Millis = 0;
  #counter = 0;

  next(prefix: string): string {
    return `w_${prefix}${(this.#counter++).toString(36)}`;
  }
}

/** Part of the sweep: forgets what lapsed, and has those looked at whose time has come. */
export function drawWitnesses(step: Step): void {
  const { state, now, rng } = step;
  const { witnesses, roster } = state;
  if (now - witnesses.drawnAt < DRAW_EVERY_MS) return;
  witnesses.drawnAt = now;
  forgetLapsed(step);
  const validators: MinerSession[] = [];
  for (const session of roster.sessions.values()) if (mayAttest(step, session)) validators.push(session);
  if (validators.length === 0) return;
  let begun = 0;
  for (const session of roster.sessions.values()) {
    if (session.role !== "miner") continue;
    session.witnessDueAt ??= nextDue(step);
    if (session.witnessDueAt > now || begun >= DRAWN_AT_ONCE || !isHere(session)) continue;
    // Work that pays comes first, as long as it leaves a pause within another interval.
    if (session.assignments.size > 0 && now - session.witnessDueAt < limits.witnessEveryMs) continue;
    const first = nextInt(rng, validators.length);
    const at = validators.findIndex((_, i) => mayLookAt(validators[(first + i) % validators.length], session));
    if (at < 0) continue;
    const [validator] = validators.splice((first + at) % validators.length, 1) as [MinerSession];
    ask(step, validator, session);
    begun++;
    if (validators.length === 0) return;
  }
}

const isHere = (session: MinerSession): boolean =>
  session.accepting && session.graceEndsAt === null && !session.standing.suspended && isAdmitted(session);

function isAdmitted({ models }: MinerSession): boolean {
  for (const { state } of models.values()) if (state === "admitted") return true;
  return false;
}

const admittedTo = (session: MinerSession): ModelKey[] =>
  [...session.models].flatMap(([key, on]) => (on.state === "admitted" ? [key] : []));

function mayAttest({ state, now }: Step, session: MinerSession): boolean {
  if (session.role !== "validator" || !isHere(session) || session.assignments.size > 0) return false;
  return (state.witnesses.resting.get(session.id) ?? 0) <= now && (session.standing.witness?.barredUntil ?? 0) <= now;
}

const mayLookAt = (validator: MinerSession | undefined, subject: MinerSession): boolean =>
  validator !== undefined &&
  validator.owner !== subject.owner &&
  (validator.network === null || validator.network !== subject.network);

/** Half to one and a half intervals: nobody can be there just when it is asked for. */
const nextDue = ({ now, rng }: Step): Millis => now + limits.witnessEveryMs * (0.5 + rng.next());

function ask(step: Step, validator: MinerSession, subject: MinerSession): void {
  const { state, now } = step;
  const id = state.witnesses.next(state.options.idPrefix);
  subject.witnessDueAt = nextDue(step);
  state.witnesses.resting.set(validator.id, now + limits.witnessOpenMs);
  state.witnesses.open.set(id, {
    validator: validator.id,
    by: validator.owner,
    subject: subject.id,
    miner: subject.miner,
    owner: subject.owner,
    models: admittedTo(subject),
    askedAt: now,
    relayedAt: null,
    answeredAt: null,
  });
  step.out.push({ kind: "witness-ask", session: validator.id, witness: id, subject: subject.id });
}

function forgetLapsed({ state: { witnesses }, now }: Step): void {
  for (const [id, { askedAt, validator }] of witnesses.open) {
    if (askedAt + limits.witnessOpenMs > now) continue;
    witnesses.open.delete(id);
    witnesses.resting.set(validator, now + limits.witnessEveryMs);
  }
  for (const [session, until] of witnesses.resting) if (until <= now) witnesses.resting.delete(session);
  for (const [miner, { at }] of witnesses.doubts) {
    if (at + 2 * limits.witnessEveryMs <= now) witnesses.doubts.delete(miner);
  }
}

type EventOf<Kind extends WitnessEvent["kind"]> = Extract<WitnessEvent, { kind: Kind }>;

export function advanceWitness(step: Step, event: WitnessEvent): void {
  if (event.kind === "witness.nonce") relayNonce(step, event);
  else if (event.kind === "witness.signed") relayTestimony(step, event);
  else attested(step, event);
}

function relayNonce(step: Step, { session, witness: id, nonce }: EventOf<"witness.nonce">): void {
  const witness = step.state.witnesses.open.get(id);
  if (witness?.validator !== session || witness.relayedAt !== null) return;
  witness.relayedAt = step.now;
  step.out.push({ kind: "witness-relay", session: witness.subject, witness: id, nonce });
}

/** Only a signature that is right comes this far. */
function relayTestimony(step: Step, { session, witness: id, signature }: EventOf<"witness.signed">): void {
  const witness = step.state.witnesses.open.get(id);
  if (witness?.subject !== session || witness.relayedAt === null || witness.answeredAt !== null) return;
  witness.answeredAt = step.now;
  step.out.push({ kind: "witness-answer", session: witness.validator, witness: id, signature });
}

function attested(step: Step, event: EventOf<"witness.attested">): void {
  const { witnesses, roster } = step.state;
  const { witness: id, present, roundTripMs } = event;
  const witness = witnesses.open.get(id);
  if (!witness || witness.validator !== event.session || witness.relayedAt === null) return;
  witnesses.open.delete(id);
  witnesses.resting.delete(witness.validator);
  if (isFalse(witness, present, roundTripMs)) return contradict(step, witness.by);
  const now = roster.byMiner.get(witness.miner);
  const subject = now && roster.sessions.get(now);
  if (subject) count(subject, present, step.now);
  if (present) confirm(step, witness);
  else {
    witnesses.doubts.set(witness.miner, { by: witness.by, at: step.now, seenBy: new Set() });
    if (subject) subject.witnessDueAt = step.now + AGAIN_MS;
  }
  const { by, miner, owner, models } = witness;
  const fact: AttestationFact = { witness: id, at: step.now, by, miner, owner, models, present, roundTripMs };
  step.out.push({ kind: "attested", fact });
  agree(step, by);
}

function count({ seen }: MinerSession, present: boolean, at: Millis): void {
  seen[present ? "present" : "absent"]++;
  if (present) seen.at = at;
}

/** What the hub itself saw says otherwise. */
function isFalse({ relayedAt, answeredAt }: Witness, present: boolean, roundTripMs: number): boolean {
  if (answeredAt === null || relayedAt === null) return present; // no right signature was ever passed on
  const ownMs = answeredAt - relayedAt;
  return present ? roundTripMs + CLOCK_MS < ownMs : ownMs < limits.witnessAnswerMs / 2;
}

/** Another word on a miner that one said is gone; two of other owners outweigh it. */
function confirm(step: Step, { miner, by }: Witness): void {
  const { doubts } = step.state.witnesses;
  const doubt = doubts.get(miner);
  const subject = step.state.roster.byMiner.get(miner);
  if (!doubt || doubt.by === by) return;
  doubt.seenBy.add(by);
  const session = subject && step.state.roster.sessions.get(subject);
  if (doubt.seenBy.size < CONFIRMATIONS) {
    if (session) session.witnessDueAt = step.now + AGAIN_MS;
    return;
  }
  doubts.delete(miner);
  contradict(step, doubt.by);
}

function agree(step: Step, owner: OwnerId): void {
  const standing = step.state.roster.standings.get(owner);
  if (!standing) return;
  const record = recordOf(standing);
  record.agreed++;
  step.out.push({ kind: "standing", standing });
  if (record.agreed % WORDS_PER_PAYMENT !== 0) return;
  step.out.push({ kind: "witness-pay", owner, words: record.agreed, at: step.now });
}

function contradict(step: Step, owner: OwnerId): void {
  const standing = step.state.roster.standings.get(owner);
  if (!standing) return;
  const record = recordOf(standing);
  record.contradicted++;
  if (record.contradicted > FORGIVEN + record.agreed / AGREED_PER_CONTRADICTION) {
    record.barredUntil = step.now + BARRED_MS;
  }
  step.out.push({ kind: "standing", standing });
}

function recordOf(standing: Standing): WitnessRecord {
  standing.witness ??= { agreed: 0, contradicted: 0, barredUntil: 0 };
  return standing.witness;
}
