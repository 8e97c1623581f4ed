import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../shared/limits.ts";
import { preimages } from "../../shared/protocol.ts";
import { type TokenChunk, TokenStream } from "./token-stream.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const part = (position: number, count: number) => ({
  position,
  tokens: Int32Array.from({ length: count }, (_, i) => 100 + position + i),
  logProbabilities: Float32Array.from({ length: count }, (_, i) => -(position + i) / 8),
});
const tokensOf = (chunks: readonly TokenChunk[]) =>
  chunks.flatMap(({ tokens }) => [...new Int32Array(Uint8Array.from(tokens).buffer)]);

/** A stream whose owner takes whatever is ready, as an open link does. */
function open(taking = true) {
  const taken: TokenChunk[][] = [];
  const stream: TokenStream = new TokenStream("a_1", () => {
    if (taking) taken.push(stream.take(false));
  });
  return { stream, taken };
}

describe("a stream of tokens", () => {
  it("sends the first at once, then what came in 50 ms, few or many", () => {
    const { stream, taken } = open();
    stream.push(part(0, 1));
    expect(taken.map((chunks) => tokensOf(chunks).length)).toEqual([1]);
    for (let at = 1; at < 17; at++) stream.push(part(at, 1));
    expect(taken).toHaveLength(1);
    vi.advanceTimersByTime(50);
    expect(taken.map((chunks) => tokensOf(chunks).length)).toEqual([1, 16]);
    stream.push(part(17, 2));
    vi.advanceTimersByTime(49);
    expect(taken).toHaveLength(2);
    stream.push(part(19, 1));
    vi.advanceTimersByTime(1);
    expect(taken.map((chunks) => tokensOf(chunks).length)).toEqual([1, 16, 3]);
    expect(taken[2]?.[0]?.position).toBe(17);
    vi.advanceTimersByTime(1_000);
    expect(taken).toHaveLength(3);
  });

  it("brings at its end what the parts did not, and nothing twice", () => {
    const { stream, taken } = open();
    stream.push(part(0, 2));
    stream.push(part(5, 2)); // its forerunner is late
    stream.finish(part(0, 9));
    stream.push(part(2, 3));
    expect(tokensOf(taken.flat())).toEqual([...part(0, 9).tokens]);
    expect(stream.count).toBe(9);
  });

  it("keeps everything for a hub that must be told again, in the same chunks", () => {
    const { stream, taken } = open();
    stream.push(part(0, 3));
    stream.push(part(3, 20));
    vi.advanceTimersByTime(50);
    const again = stream.take(true);
    expect(again).toEqual(taken.flat());
    expect(stream.take(false)).toEqual([]);
  });

  it("never makes a message larger than the wire takes", () => {
    const { stream, taken } = open();
    stream.finish(part(0, 2 * limits.tokensPerMessage + 7));
    expect(taken.flat().map(({ position, tokens }) => [position, tokens.length / 4])).toEqual([
      [0, 256],
      [256, 256],
      [512, 7],
    ]);
  });

  it("chains what it sends, whatever the parts and the pauses", () => {
    const step = fc.record({ count: fc.integer({ min: 0, max: 40 }), waitMs: fc.constantFrom(0, 10, 60) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, linked) => {
        const { stream, taken } = open(linked);
        let total = 0;
        for (const { count, waitMs } of steps) {
          stream.push(part(total, count));
          total += count;
          vi.advanceTimersByTime(waitMs);
        }
        stream.finish(part(0, total));
        const chunks = stream.take(true);
        if (linked) expect(chunks).toEqual(taken.flat());
        expect(tokensOf(chunks)).toEqual([...part(0, total).tokens]);
        let hash: Uint8Array = sha256(preimages.tokensStart("a_1"));
        let position = 0;
        for (const chunk of chunks) {
          expect(chunk.position).toBe(position);
          expect(chunk.logProbabilities).toHaveLength(chunk.tokens.length);
          hash = sha256(preimages.tokensLink(hash, chunk.tokens, chunk.logProbabilities));
          expect(chunk.hash).toEqual(hash);
          position += chunk.tokens.length / 4;
        }
      }),
    );
  });

  it("tells how fast the tokens come, once there are two", () => {
    let now = 0;
    const stream = new TokenStream(
      "a_1",
      () => undefined,
      () => now,
    );
    expect(stream.tokensPerSecond).toBeNull();
    now = 3_000; // the prompt
    stream.push(part(0, 1));
    expect(stream.tokensPerSecond).toBeNull();
    now = 3_100;
    stream.push(part(1, 5));
    expect(stream.tokensPerSecond).toBeCloseTo(50);
    stream.close();
  });
});
