import { describe, expect, test } from "vitest";
import type { ServiceLevel } from "../../shared/pricing.ts";
import { type Job, TextWorld } from "./text-world.ts";

/** A text ends, and is charged, where its caller has enough: not where its maker had come when the hub heard of it. */

const ENOUGH = 13;
const enough = (tokens: readonly number[]): number | null => (tokens.length >= ENOUGH ? ENOUGH : null);

/** One text, made by `make`, and what it came to. */
function told(level: ServiceLevel, make: (world: TextWorld, job: Job) => void, miners = ["a", "b", "c"]) {
  const world = new TextWorld();
  for (const name of miners) world.join(name);
  const task = world.submit("one", level, { enough });
  const job = world.job("generate");
  make(world, job);
  world.drain();
  const [fact] = world.done;
  expect(world.answered(task).text).toMatchObject({ finish: "stop", tokens: ENOUGH });
  expect(world.parts.get(task)).toHaveLength(ENOUGH);
  expect(fact?.text).toMatchObject({ outputTokens: ENOUGH, finish: "stop" });
  expect(world.answered(task).text?.price).toBe(fact?.price);
  expect(fact?.executions.every(({ accepted }) => accepted)).toBe(true);
  expect([world.state.tasks.size, world.state.assignments.size, world.state.scoringDue.size]).toEqual([0, 0, 0]);
  return { world, job, price: fact?.price };
}

describe("a text of which its caller has enough", () => {
  test("ends in mid-stream, and its maker is told", () => {
    const { world, job } = told("fast", (at, making) => {
      at.stream(making, 0, 8);
      at.stream(making, 8, 30);
    });
    expect(world.cancelled).toContain(job.assignment);
    expect(world.refused).toEqual([]);
  });

  test.each(["fast", "verified", "quorum-3"] as const)("costs the same (%s) where all of it comes at once", (level) => {
    const streamed = told(level, (world, job) => world.stream(job, 0, 20));
    const atOnce = told(level, (world, job) => world.finish(job));
    expect(atOnce.price).toBe(streamed.price);
    const late = told(level, (world, job) => {
      world.stream(job, 0, 12);
      world.finish(job);
    });
    expect(late.price).toBe(streamed.price);
  });

  test("is paid for its tokens, and the rest of what was held goes back", () => {
    const world = new TextWorld();
    world.join("a");
    world.submit("one", "fast", { enough });
    world.finish(world.job("generate"));
    world.drain();
    const [fact] = world.done;
    expect(fact?.price).toBeLessThan(fact?.text?.held ?? 0n);
    expect(fact?.executions[0]?.span).toEqual({ from: 0, to: ENOUGH });
  });

  test("ends with its alternatives, which come with the whole of it", () => {
    const world = new TextWorld();
    world.join("a");
    const task = world.submit("one", "fast", { enough, topLogProbabilities: 2 });
    const job = world.job("generate");
    world.stream(job, 0, 30);
    expect(world.replies.size).toBe(0);
    world.finish(job);
    world.drain();
    expect(world.answered(task).text).toMatchObject({ finish: "stop", tokens: ENOUGH });
    expect(world.done[0]?.text?.outputTokens).toBe(ENOUGH);
  });

  test("ends so where the reference node makes it", () => {
    const world = new TextWorld();
    const task = world.submit("one", "fast", { enough });
    world.runReference(8);
    world.drain();
    expect(world.answered(task).text).toMatchObject({ finish: "stop", tokens: ENOUGH });
    expect(world.done).toMatchObject([{ basis: "reference", text: { outputTokens: ENOUGH } }]);
    expect(world.state.referenceInFlight).toBe(0);
  });

  test("ends where the second of two makers comes to it", () => {
    const world = new TextWorld();
    const first = world.join("a");
    const task = world.submit("one", "fast", { enough });
    const before = world.job("generate");
    world.stream(before, 0, 9);
    world.join("b");
    world.leave(first);
    world.finish(world.job("generate"));
    world.drain();
    expect(world.answered(task).text).toMatchObject({ finish: "stop", tokens: ENOUGH });
    expect(world.done[0]?.executions.filter(({ role }) => role === "primary").map(({ span }) => span)).toEqual([
      { from: 0, to: 9 },
      { from: 9, to: ENOUGH },
    ]);
  });
});
