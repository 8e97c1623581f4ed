import { describe, expect, it } from "vitest";
import type { OwnerId } from "../../shared/ids.ts";
import { CheckCredits } from "./check-credit.ts";

const ann = "own_ann" as OwnerId;
const bob = "own_bob" as OwnerId;

describe("what the pool pays for looking at an owner's work", () => {
  it("is what that work brought in, in that domain", () => {
    const credits = new CheckCredits([{ domain: "commons", owner: ann, gain: 80n }]);
    credits.add({ domain: "commons", owner: ann, gain: 20n });
    credits.add({ domain: "physics", owner: bob, gain: 50n });
    expect(credits.forHub("commons", ann, 1_000n)).toBe(100n);
    expect(credits.forHub("physics", ann, 1_000n)).toBe(0n);
    expect(credits.forHub("commons", bob, 1_000n)).toBe(0n);
    expect(credits.forHub("commons", null, 1_000n)).toBe(0n);
    expect(new CheckCredits(credits.all()).of("physics", bob)).toBe(50n);
  });

  it("is no more than the pool has, and leaves one execution for a known answer", () => {
    const credits = new CheckCredits([{ domain: "commons", owner: ann, gain: 100n }]);
    expect(credits.forHub("commons", ann, 30n)).toBe(30n);
    expect(credits.forChecks("commons", ann, 1_000n, 40n)).toBe(60n);
    expect(credits.forChecks("commons", ann, 1_000n, 101n)).toBe(0n);
  });

  it("is nothing where overturned answers took back more than there was", () => {
    const credits = new CheckCredits([{ domain: "commons", owner: ann, gain: 5n }]);
    credits.add({ domain: "commons", owner: ann, gain: -8n });
    expect(credits.of("commons", ann)).toBe(-3n);
    expect(credits.forHub("commons", ann, 1_000n)).toBe(0n);
  });
});
