import { describe, expect, test } from "vitest";
import { textTensors, tokensIn } from "../../shared/text-generation.ts";
import { commonsChecks } from "./check-policy.ts";
import { floatsIn } from "./text.ts";
import { textPrice } from "./text-terms.ts";
import { int8Edition, type Job, q4Edition, TextWorld } from "./text-world.ts";
import { exactEdition, toyGenerate } from "./toy-text.ts";

const tokensOf = (world: TextWorld, job: Job): number[] => [...tokensIn(world.outputs(job), textTensors.tokens)];

describe("a text", () => {
  test("streams from its miner as it comes, is checked by a score, and settles for its tokens", () => {
    const world = new TextWorld();
    world.join("a");
    world.join("b");
    const task = world.submit("one", "fast", { stopTokens: [] });
    const job = world.job("generate");
    const tokens = tokensOf(world, job);
    world.stream(job, 0, 10);
    expect(world.parts.get(task)).toEqual(tokens.slice(0, 10));
    world.stream(job, 10, 25);
    world.finish(job);
    expect(world.parts.get(task)).toEqual(tokens);
    expect(world.answered(task)).toMatchObject({ basis: "pending", text: { finish: "length", tokens: 40 } });
    // A newcomer's text is always checked.
    world.drain();
    const [fact] = world.done;
    expect(fact?.basis).toMatch(/checked|reference/);
    expect(fact?.text).toMatchObject({ promptTokens: 12, outputTokens: 40, finish: "length" });
    expect(fact?.executions.map(({ role, accepted, signed }) => ({ role, accepted, signed }))).toEqual([
      { role: "primary", accepted: true, signed: true },
      { role: "check", accepted: true, signed: true },
    ]);
    expect(world.state.tasks.size).toBe(0);
  });

  test("ends where a stop token comes, and then costs less than was held", () => {
    const world = new TextWorld();
    world.join("a");
    const first = world.submit("probe");
    const tokens = tokensOf(world, world.job("generate"));
    world.finish(world.job("generate"));
    world.drain();
    expect(world.replies.get(first)).toMatchObject({ ok: true });
    const again = new TextWorld();
    again.join("a");
    const task = again.submit("one", "fast", { stopTokens: [tokens[6] as number] });
    again.finish(again.job("generate"));
    again.drain();
    const reply = again.answered(task);
    expect(reply.text).toMatchObject({ finish: "stop", tokens: tokens.indexOf(tokens[6] as number) + 1 });
    const [fact] = again.done;
    expect(fact?.price).toBeLessThan(fact?.text?.held ?? 0n);
    expect(fact?.price).toBe(reply.text?.price);
  });

  test("is served by the reference node where there is no miner, piece by piece", () => {
    const world = new TextWorld();
    const task = world.submit("one", "verified");
    expect(world.reference).toMatchObject([{ mode: "generate" }]);
    world.runReference(16);
    expect(world.parts.get(task)).toHaveLength(40);
    expect(world.answered(task)).toMatchObject({ basis: "reference", text: { tokens: 40 } });
    expect(world.done).toMatchObject([{ basis: "reference", text: { outputTokens: 40 } }]);
  });

  test("needs someone: without a reference node and miners it is refused", () => {
    const world = new TextWorld({ referenceServes: false });
    const task = world.submit("one");
    expect(world.replies.get(task)).toMatchObject({ ok: false, error: { code: "no-capable-miner" } });
    expect(world.voided).toEqual([task]);
  });
});

describe("tokens of a stream", () => {
  function begun() {
    const world = new TextWorld();
    const writer = world.join("a");
    world.submit("one");
    return { world, writer, job: world.job("generate") };
  }

  test("come from the assignment's own session alone", () => {
    const { world, job } = begun();
    const other = world.join("thief");
    world.stream({ ...job, session: other.session }, 0, 4, world.outputs(job));
    expect(world.refused).toMatchObject([{ event: "tokens", error: { code: "not-your-assignment" } }]);
    expect(world.parts.size).toBe(0);
  });

  test.each([
    ["leave a gap", (world: TextWorld, job: Job) => world.stream(job, 4, 8), "out-of-sequence"],
    [
      "are not in the vocabulary",
      (world: TextWorld, job: Job) =>
        world.apply({ ...message(job, world.now), tokens: Int32Array.of(64), logProbabilities: Float32Array.of(-1) }),
      "wrong-outputs",
    ],
    [
      "have no finite log-probability",
      (world: TextWorld, job: Job) =>
        world.apply({ ...message(job, world.now), tokens: Int32Array.of(1), logProbabilities: Float32Array.of(NaN) }),
      "wrong-outputs",
    ],
    [
      "claim a probability above 1",
      (world: TextWorld, job: Job) =>
        world.apply({ ...message(job, world.now), tokens: Int32Array.of(1), logProbabilities: Float32Array.of(0.5) }),
      "wrong-outputs",
    ],
    [
      "are more than were asked for",
      (world: TextWorld, job: Job) =>
        world.apply({
          ...message(job, world.now),
          tokens: new Int32Array(41),
          logProbabilities: new Float32Array(41).fill(-1),
        }),
      "wrong-outputs",
    ],
  ])("that %s are refused and change nothing", (_, send, code) => {
    const { world, job } = begun();
    send(world, job);
    expect(world.refused).toMatchObject([{ event: "tokens", error: { code } }]);
    world.stream(job, 0, 40);
    world.finish(job);
    world.drain();
    expect(world.done).toHaveLength(1);
  });

  test("may be told again from the first after a dropped connection", () => {
    const { world, job } = begun();
    world.stream(job, 0, 10);
    world.stream(job, 0, 20);
    expect(world.refused).toEqual([]);
    expect(world.parts.get(job.task)).toHaveLength(20);
  });

  test("keep the lease alive; a stream that stalls goes on elsewhere", () => {
    const { world, job } = begun();
    for (let at = 0; at < 10; at++) {
      world.stream(job, at, at + 1);
      world.tick(8_000);
    }
    expect(world.parts.get(job.task)).toHaveLength(10);
    expect(world.cancelled).toEqual([]);
    world.tick(3_000);
    expect(world.cancelled).toEqual([job.assignment]);
    expect(tokensIn(world.job("generate").inputs, textTensors.prefix)).toHaveLength(10);
  });

  test("that the result contradicts refute it, and nobody pays", () => {
    const { world, job } = begun();
    const honest = world.outputs(job);
    world.stream(job, 0, 8, honest);
    const forged = honest.map((tensor) => ({ ...tensor, data: tensor.data.slice() }));
    floatsIn(forged, textTensors.logProbabilities).fill(-2, 0, 4);
    world.finish(job, forged);
    world.drain();
    expect(world.done).toEqual([]);
    expect(world.voided).toEqual([job.task]);
    expect(world.mismatches).toMatchObject([{ assignment: job.assignment }]);
  });
});

const message = ({ session, assignment }: Job, at: number) => ({
  kind: "tokens" as const,
  at,
  session,
  assignment,
  position: 0,
});

describe("a maker that leaves in the middle", () => {
  test("is followed by another, and the caller sees one stream", () => {
    const world = new TextWorld();
    const writers = [world.join("a"), world.join("b"), world.join("c")];
    const task = world.submit("one", "fast", { maxTokens: 60 });
    for (let round = 0; round < 2; round++) {
      const job = world.job("generate");
      world.stream(job, 0, 20);
      world.leave(writers.find(({ session }) => session === job.session) as (typeof writers)[0]);
    }
    const last = world.job("generate");
    expect(tokensIn(last.inputs, textTensors.prefix)).toHaveLength(40);
    world.finish(last);
    world.drain();
    expect(world.parts.get(task)).toHaveLength(60);
    // The same seed at the same place: the stream is what one miner would have written.
    const alone = new TextWorld();
    alone.join("a");
    alone.submit("one", "fast", { maxTokens: 60 });
    expect(world.parts.get(task)).toEqual(tokensOf(alone, alone.job("generate")));
    const [fact] = world.done;
    const makers = fact?.executions.filter(({ role }) => role === "primary") ?? [];
    expect(makers.map(({ span, signed, accepted }) => ({ span, signed, accepted }))).toEqual([
      { span: { from: 0, to: 20 }, signed: true, accepted: true },
      { span: { from: 20, to: 40 }, signed: true, accepted: true },
      { span: { from: 40, to: 60 }, signed: true, accepted: true },
    ]);
    expect(makers.map(({ repeated }) => repeated !== 0n)).toEqual([false, true, true]);
    expect(fact?.price).toBe(world.answered(task).text?.price);
  });

  test("is followed twice at most; what was delivered is charged, and the caller is told", () => {
    const world = new TextWorld();
    const writers = ["a", "b", "c", "d"].map((name) => world.join(name));
    const task = world.submit("one", "fast", { maxTokens: 60 });
    for (let round = 0; round < 3; round++) {
      const job = world.job("generate");
      world.stream(job, 0, 10);
      world.leave(writers.find(({ session }) => session === job.session) as (typeof writers)[0]);
    }
    expect(world.parts.get(task)).toHaveLength(30);
    expect(world.replies.get(task)).toMatchObject({ ok: false, error: { code: "execution-failed" } });
    world.drain();
    expect(world.done).toMatchObject([{ text: { outputTokens: 30 } }]);
    expect(world.state.tasks.size).toBe(0);
  });

  test("before its first token only gives the work back", () => {
    const world = new TextWorld();
    const a = world.join("a");
    const task = world.submit("one");
    world.join("b");
    world.leave(a);
    expect(world.job("generate").inputs).toHaveLength(2);
    world.drain();
    expect(world.answered(task)).toMatchObject({ text: { tokens: 40 } });
  });
});

describe("a caller that has enough", () => {
  test("pays for what it took, at once", () => {
    const world = new TextWorld();
    world.join("a");
    const task = world.submit("one");
    const job = world.job("generate");
    world.stream(job, 0, 20);
    world.stop(task, 12);
    expect(world.cancelled).toEqual([job.assignment]);
    expect(world.answered(task)).toMatchObject({ text: { finish: "stop", tokens: 12 } });
    world.drain();
    const [fact] = world.done;
    expect(fact?.text).toMatchObject({ outputTokens: 12, finish: "stop" });
    expect(fact?.executions[0]).toMatchObject({ span: { from: 0, to: 12 }, accepted: true, signed: true });
  });

  test("before the first token pays nothing", () => {
    const world = new TextWorld();
    world.join("a");
    const task = world.submit("one");
    world.stop(task, 0, "cancelled");
    expect(world.voided).toEqual([task]);
    expect(world.state.tasks.size).toBe(0);
  });
});

describe("a verified text", () => {
  test("is released as a checker that follows it finds it right", () => {
    const world = new TextWorld({ referenceMs: null, referenceServes: false });
    world.join("a");
    world.join("b");
    const task = world.submit("one", "verified", { maxTokens: 200 });
    const job = world.job("generate");
    world.stream(job, 0, 63);
    expect(world.jobs.filter(({ mode }) => mode === "score")).toEqual([]);
    world.stream(job, 63, 70);
    const first = world.job("score");
    expect(first.session).not.toBe(job.session);
    expect(world.parts.size).toBe(0);
    world.stream(job, 70, 140);
    world.finish(first);
    expect(world.parts.get(task)).toHaveLength(70);
    const second = world.job("score");
    expect(second.session).toBe(first.session);
    expect([...tokensIn(second.inputs, textTensors.from)]).toEqual([70]);
    world.finish(second);
    expect(world.parts.get(task)).toHaveLength(140);
    world.finish(job);
    expect(world.replies.size).toBe(0);
    world.finish(world.job("score"));
    expect(world.answered(task)).toMatchObject({ basis: "checked", text: { tokens: 200 } });
    expect(world.parts.get(task)).toHaveLength(200);
    expect(world.done).toMatchObject([{ basis: "checked" }]);
  });

  test("of a cheat is held back and never paid", () => {
    for (const edition of [q4Edition, int8Edition]) {
      const world = new TextWorld();
      world.join("cheat", edition);
      const task = world.submit("one", "verified", { maxTokens: 200 });
      const job = world.job("generate");
      world.stream(job, 0, 100);
      world.drain();
      expect(world.parts.size).toBe(0);
      expect(world.replies.get(task)).toMatchObject({ ok: false, error: { code: "execution-failed" } });
      expect(world.done).toEqual([]);
      expect(world.mismatches).toHaveLength(1);
    }
  });
});

describe("a miner that swaps in a smaller copy", () => {
  test.each([
    ["q4", q4Edition],
    ["int8", int8Edition],
  ])("%s is found at its first text, and never paid", (_, edition) => {
    const world = new TextWorld();
    world.join("cheat", edition);
    for (let text = 0; text < 4; text++) {
      world.submit(`n${text}`, "fast", { maxTokens: 64 });
      world.drain();
    }
    expect(world.done.filter(({ executions }) => executions.some(({ by }) => by === "own_cheat"))).toEqual([]);
    expect(world.state.roster.standings.get("own_cheat" as never)?.suspended).toBe(true);
  });

  test("and asks the full model for the log-probabilities is found by its draws, in the pool of its texts", () => {
    const world = new TextWorld();
    world.join("cheat");
    world.join("b");
    let texts = 0;
    while (world.mismatches.length === 0) {
      const task = world.submit(`n${texts++}`, "fast", { maxTokens: 24 });
      const job = world.job("generate", task);
      const other = [...world.writers.values()].find(({ session }) => session === job.session);
      const honest = other?.session !== [...world.writers.keys()][0];
      world.finish(job, honest ? world.outputs(job) : prefillAttack(world, job));
      world.drain();
      expect(texts).toBeLessThan(200);
    }
    expect(world.mismatches[0]?.spec.text).toBeDefined();
    const cheat = world.state.roster.standings.get("own_cheat" as never);
    expect(cheat?.history.filter(({ kind }) => kind === "mismatch")).toHaveLength(1);
    expect(world.state.roster.standings.get("own_b" as never)?.strikes ?? 0).toBeLessThanOrEqual(0);
  });
});

/** Tokens of a copy, log-probabilities of the model itself: one token in some 40 is not the draw. */
function prefillAttack(world: TextWorld, job: Job) {
  const writer = world.writers.get(job.session);
  if (!writer) throw new Error("nobody");
  const copy = { ...writer, edition: { error: 0.04, salt: 5 } };
  world.writers.set(job.session, copy);
  const outputs = world.outputs(job);
  world.writers.set(job.session, writer);
  const tokens = tokensIn(outputs, textTensors.tokens);
  const inputs = [...job.inputs, { ...(outputs[0] as (typeof outputs)[0]) }, from0()];
  const scores = world.outputs({ ...job, mode: "score", inputs });
  return [outputs[0], { ...scores[0], shape: [tokens.length] }] as typeof outputs;
}
const from0 = () => ({ name: "from", dtype: "int32" as const, shape: [1], data: new Uint8Array(4) });

describe("batch work", () => {
  test("waits behind and makes room for who pays more, keeps its tokens, and costs its leaver nothing", () => {
    const world = new TextWorld({ referenceServes: false });
    world.join("a");
    const batch = Array.from({ length: 8 }, (_, at) => world.submit(`b${at}`, "fast", { preemptible: true }));
    const waiting = world.submit("b8", "fast", { preemptible: true });
    expect(world.jobs).toHaveLength(8); // all the room that it has
    const first = world.job("generate", batch[0]);
    world.stream(first, 0, 12);
    const paid = world.submit("paid");
    expect(world.cancelled).toEqual([first.assignment]);
    expect(world.job("generate", paid)).toBeDefined();
    world.drain();
    expect([...world.replies.keys()]).toContain(waiting);
    expect(world.replies.size).toBe(10);
    const fact = world.done.find(({ task }) => task === batch[0]);
    const makers = fact?.executions.filter(({ role }) => role === "primary") ?? [];
    expect(makers.map(({ span, preempted }) => ({ span, preempted }))).toEqual([
      { span: { from: 0, to: 12 }, preempted: undefined },
      { span: { from: 12, to: 40 }, preempted: true },
    ]);
  });
});

test("fifty makers leave in mid-stream, and fifty texts come whole", () => {
  const world = new TextWorld();
  for (const name of ["a", "b", "c"]) world.join(name);
  for (let kill = 0; kill < 50; kill++) {
    const task = world.submit(`n${kill}`, "fast", { maxTokens: 48 });
    const job = world.job("generate", task);
    world.stream(job, 0, 1 + (kill % 40));
    world.leave({ session: job.session, edition: exactEdition, scores: exactEdition, seq: 0 });
    world.join(`again${kill}`);
    world.drain();
    expect(world.answered(task)).toMatchObject({ text: { tokens: 48, finish: "length" } });
    expect(world.parts.get(task)).toEqual([...tokensIn(toyGenerate(job.inputs), textTensors.tokens)]);
  }
  expect(world.done).toHaveLength(50);
});

describe("prices and draws", () => {
  test("verified costs the text and its check, each by its own work; batch work half of it", () => {
    const world = new TextWorld();
    world.submit("one", "verified", { maxTokens: 100 });
    const terms = [...world.state.tasks.values()][0]?.spec.text;
    if (!terms) throw new Error("no terms");
    const [fast, verified] = [textPrice(terms, "fast", 100), textPrice(terms, "verified", 100)];
    expect(verified).toBeGreaterThan(fast);
    expect(verified).toBeLessThan((fast * 3n) / 2n);
    expect(textPrice({ ...terms, preemptible: true }, "fast", 100)).toBe(((fast / 1000n + 1n) / 2n) * 1000n);
  });

  test("of trusted owners three texts in ten are checked, as a check is cheap", () => {
    const world = new TextWorld({ checks: { ...commonsChecks, newcomerPasses: 0, trustedPasses: 0 } });
    const writer = world.join("a");
    const owner = [...world.state.roster.sessions.values()].find(({ id }) => id === writer.session)?.owner;
    world.apply({ kind: "owner.funds", at: world.now, owner: owner as never, atRisk: 10n ** 15n });
    for (let text = 0; text < 200; text++) {
      world.submit(`n${text}`, "fast", { maxTokens: 64 });
      world.drain();
    }
    const checked = world.done.filter(({ basis }) => basis !== "unchecked").length;
    const canaries = 200 - world.done.length;
    expect(canaries).toBe(0);
    expect(checked).toBeGreaterThan(20);
    expect(checked).toBeLessThan(80);
  });
});
