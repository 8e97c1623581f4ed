import { expect, it } from "vitest";
import type { MinerId, OwnerId, SessionId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { assert } from "../../shared/result.ts";
import type { HubEffect } from "./events.ts";
import { step } from "./hub.ts";
import { World } from "./test-world.ts";
import { WORDS_PER_PAYMENT } from "./witness.ts";

type Of<Kind extends HubEffect["kind"]> = Extract<HubEffect, { kind: Kind }>;

/** How the miner and the validators behave in one challenge. */
interface Play {
  /** The miner's leg as the hub sees it; null: it does not answer. */
  answerMs: number | null;
  /** What a validator says, given the truth. */
  word?: (session: SessionId, truth: { present: boolean; roundTripMs: number }) => Partial<typeof truth> | null;
}

class Watch {
  readonly world = new World(3);
  asked: Of<"witness-ask">[] = [];
  words: Of<"attested">["fact"][] = [];
  paid: Of<"witness-pay">[] = [];
  play: Play = { answerMs: 40 };

  join(name: string, role: "miner" | "validator", network: string | null): SessionId {
    const session = this.world.join(name, "honest", network, role);
    this.world.drain();
    return session;
  }

  standing(name: string) {
    const standing = this.world.state.roster.standings.get(`own_${name}` as OwnerId);
    assert(standing, `${name} is known`);
    return standing;
  }

  apply(event: Parameters<typeof step>[1][number]): void {
    for (const effect of step(this.world.state, [event], this.world.rng).effects) {
      if (effect.kind === "attested") this.words.push(effect.fact);
      else if (effect.kind === "witness-pay") this.paid.push(effect);
      else if (effect.kind === "witness-ask") {
        this.asked.push(effect);
        this.#answer(effect);
      }
    }
  }

  #answer({ session, witness, subject }: Of<"witness-ask">): void {
    const { answerMs, word = () => ({}) } = this.play;
    const at = () => this.world.now;
    this.apply({ kind: "witness.nonce", at: at(), session, witness, nonce: new Uint8Array(32) });
    if (answerMs !== null) {
      this.world.now += answerMs;
      this.apply({ kind: "witness.signed", at: at(), session: subject, witness, signature: new Uint8Array(64) });
    } else this.world.now += limits.witnessAnswerMs;
    const present = answerMs !== null && answerMs < limits.witnessAnswerMs;
    const truth = { present, roundTripMs: answerMs ?? limits.witnessAnswerMs };
    const said = word(session, truth);
    if (said) this.apply({ kind: "witness.attested", at: at(), session, witness, ...truth, ...said });
  }

  /** Lets time pass in seconds. */
  pass(ms: number): void {
    for (const until = this.world.now + ms; this.world.now < until; ) {
      this.world.now += 1_000;
      this.apply({ kind: "tick", at: this.world.now });
    }
  }
}

const HOUR = 3_600_000;

it("has a miner attested about once in five minutes, and pays a validator by the dozen", () => {
  const watch = new Watch();
  watch.join("ann", "miner", "203.0.1.0/24");
  watch.join("phone", "validator", "203.0.2.0/24");
  watch.pass(10 * HOUR);
  expect(watch.words.length).toBeGreaterThan(100);
  expect(watch.words.length).toBeLessThan(140);
  expect(watch.words[0]).toMatchObject({ by: "own_phone", owner: "own_ann", present: true, roundTripMs: 40 });
  expect(watch.words[0]?.models).toEqual(["double@1"]);
  const [ann] = [...watch.world.state.roster.sessions.values()].filter(({ role }) => role === "miner");
  expect(ann?.seen).toEqual({ present: watch.words.length, absent: 0, at: watch.words.at(-1)?.at });
  expect(watch.paid.map(({ words }) => words)).toEqual(
    Array.from({ length: Math.floor(watch.words.length / WORDS_PER_PAYMENT) }, (_, i) => (i + 1) * WORDS_PER_PAYMENT),
  );
});

it.each([
  ["the same network", "203.0.1.0/24", "phone"],
  ["the same owner", "203.0.2.0/24", "ann"],
])("never draws a validator of %s", (_, network, name) => {
  const watch = new Watch();
  watch.join("ann", "miner", "203.0.1.0/24");
  const session = `s_two_${name}` as SessionId;
  const other = watch.join("other", "validator", network);
  const validator = watch.world.state.roster.sessions.get(other);
  assert(validator, "it is here");
  if (name === "ann") Object.assign(validator, { owner: "own_ann" as OwnerId, miner: `m_${session}` as MinerId });
  watch.pass(HOUR);
  expect(watch.asked).toEqual([]);
});

it("waits while a miner is at paid work, though not for more than another interval", () => {
  const watch = new Watch();
  const ann = watch.join("ann", "miner", null);
  watch.join("phone", "validator", null);
  const session = watch.world.state.roster.sessions.get(ann);
  assert(session, "it is here");
  session.witnessDueAt = watch.world.now;
  session.assignments.set("a_1" as never, { leaseEndsAt: Number.POSITIVE_INFINITY } as never);
  watch.pass(limits.witnessEveryMs - 2_000);
  expect(watch.asked).toEqual([]);
  watch.pass(4_000);
  expect(watch.asked).toHaveLength(1);
});

it("counts a miner that does not answer as absent, and looks again soon", () => {
  const watch = new Watch();
  watch.join("ann", "miner", null);
  watch.join("phone", "validator", null);
  watch.play = { answerMs: null };
  watch.pass(2 * limits.witnessEveryMs);
  expect(watch.words.length).toBeGreaterThan(3);
  expect(watch.words.every(({ present }) => !present)).toBe(true);
  expect(watch.standing("phone").witness).toMatchObject({ contradicted: 0 });
});

it.each<[string, Play]>([
  ["that nobody answered, although the hub passed the answer on", { answerMs: 40, word: () => ({ present: false }) }],
  ["that an answer came which the hub never saw", { answerMs: null, word: () => ({ present: true }) }],
  ["a round trip shorter than the hub's own part of it", { answerMs: 400, word: () => ({ roundTripMs: 20 }) }],
])("bars a validator that claims %s, from this role alone", (_, play) => {
  const watch = new Watch();
  watch.join("ann", "miner", null);
  watch.join("liar", "validator", null);
  watch.play = play;
  watch.pass(HOUR);
  expect(watch.words).toEqual([]);
  const { witness, strikes, suspended, beta, openCase } = watch.standing("liar");
  expect(witness).toMatchObject({ agreed: 0, contradicted: 3 });
  expect({ strikes, suspended, beta, openCase }).toEqual({ strikes: 0, suspended: false, beta: 1, openCase: null });
  expect(watch.asked).toHaveLength(3);
  watch.play = { answerMs: 40 };
  watch.pass(24 * HOUR);
  expect(watch.words.length, "a day later it may try again").toBeGreaterThan(0);
});

it("takes two other validators' word against one that says a slow miner is gone", () => {
  const watch = new Watch();
  watch.join("ann", "miner", null);
  for (const name of ["liar", "two", "three"]) watch.join(name, "validator", null);
  const saysGone = (session: SessionId) => (session.includes("liar") ? { present: false } : {});
  watch.play = { answerMs: limits.witnessAnswerMs - 100, word: saysGone };
  watch.pass(24 * HOUR);
  expect(watch.standing("liar").witness?.contradicted).toBeGreaterThanOrEqual(3);
  for (const name of ["two", "three"]) expect(watch.standing(name).witness).toMatchObject({ contradicted: 0 });
});

it("forgets a challenge that its validator lets lapse, and leaves that one alone for a while", () => {
  const watch = new Watch();
  watch.join("ann", "miner", null);
  watch.join("dark", "validator", null);
  watch.play = { answerMs: 40, word: () => null };
  watch.pass(HOUR);
  expect(watch.words).toEqual([]);
  expect(watch.asked.length).toBeLessThan(12);
  expect(watch.world.state.witnesses.open.size).toBeLessThan(2);
});

it("hears of a challenge only from those whom it is about", () => {
  const watch = new Watch();
  const ann = watch.join("ann", "miner", null);
  const phone = watch.join("phone", "validator", null);
  const { state, rng } = watch.world;
  let ask: Of<"witness-ask"> | undefined;
  for (let i = 0; i < 500 && !ask; i++) {
    watch.world.now += 1_000;
    const { effects } = step(state, [{ kind: "tick", at: watch.world.now }], rng);
    ask = effects.find((effect) => effect.kind === "witness-ask");
  }
  assert(ask, "asked within eight minutes");
  const { witness } = ask;
  const at = watch.world.now;
  const say = (event: Parameters<typeof step>[1][number]) => step(state, [event], rng).effects.map(({ kind }) => kind);
  const bytes = new Uint8Array(64);
  expect(say({ kind: "witness.signed", at, session: ann, witness, signature: bytes })).toEqual([]); // before the nonce
  expect(say({ kind: "witness.nonce", at, session: ann, witness, nonce: bytes })).toEqual([]);
  expect(say({ kind: "witness.nonce", at, session: phone, witness, nonce: bytes })).toEqual(["witness-relay"]);
  expect(say({ kind: "witness.nonce", at, session: phone, witness, nonce: bytes })).toEqual([]);
  expect(say({ kind: "witness.signed", at, session: phone, witness, signature: bytes })).toEqual([]);
  expect(say({ kind: "witness.signed", at, session: ann, witness, signature: bytes })).toEqual(["witness-answer"]);
  const word = { present: true, roundTripMs: 10 };
  expect(say({ kind: "witness.attested", at, session: ann, witness, ...word })).toEqual([]);
  expect(say({ kind: "witness.attested", at, session: phone, witness, ...word })).toEqual(["attested", "standing"]);
  expect(say({ kind: "witness.attested", at, session: phone, witness, ...word })).toEqual([]);
});
