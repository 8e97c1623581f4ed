import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../shared/limits.ts";
import { preimages } from "../../shared/protocol.ts";
import { type TokenChunk, TokenStream } from "./token-stream.ts";

const part = (position: number, count: number) => ({
  position,
  tokens: Int32Array.from({ length: count }, (_, i) => 100 + position + i),
  logProbabilities: Float32Array.from({ length: count }, (_, i) => -(position + i) / 8),
});
const tokensOf = (chunks: readonly TokenChunk[]) =>
  chunks.flatMap(({ tokens }) => [...new Int32Array(Uint8Array.from(tokens).buffer)]);

describe("a stream of tokens", () => {
  it("has something to send when tokens came, until they are taken", () => {
    const stream = new TokenStream("a_1");
    expect(stream.push(part(0, 1))).toBe(true);
    expect(stream.take(false)).toMatchObject([{ assignment: "a_1", position: 0 }]);
    expect(stream.push(part(0, 1))).toBe(false);
    expect(stream.take(false)).toEqual([]);
    stream.push(part(1, 16));
    stream.push(part(17, 2));
    const [chunk, ...more] = stream.take(false);
    expect([chunk?.position, tokensOf([chunk as TokenChunk]), more]).toEqual([1, [...part(1, 18).tokens], []]);
  });

  it("brings at its end what the parts did not, and nothing twice", () => {
    const stream = new TokenStream("a_1");
    stream.push(part(0, 2));
    stream.push(part(5, 2)); // its forerunner is late
    stream.push(part(0, 9));
    stream.push(part(2, 3));
    expect(tokensOf(stream.take(false))).toEqual([...part(0, 9).tokens]);
    expect(stream.count).toBe(9);
  });

  it("keeps everything for a hub that must be told again, in the same chunks", () => {
    const stream = new TokenStream("a_1");
    stream.push(part(0, 3));
    const taken = stream.take(false);
    stream.push(part(3, 20));
    taken.push(...stream.take(false));
    expect(stream.take(true)).toEqual(taken);
    expect(stream.take(false)).toEqual([]);
  });

  it("never makes an item larger than the wire takes", () => {
    const stream = new TokenStream("a_1");
    stream.push(part(0, 2 * limits.tokensPerItem + 7));
    expect(stream.take(false).map(({ position, tokens }) => [position, tokens.length / 4])).toEqual([
      [0, 256],
      [256, 256],
      [512, 7],
    ]);
  });

  it("chains what it sends, whatever the parts and the pauses", () => {
    const step = fc.record({ count: fc.integer({ min: 0, max: 40 }), isTaken: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const stream = new TokenStream("a_1");
        const taken: TokenChunk[] = [];
        let total = 0;
        for (const { count, isTaken } of steps) {
          stream.push(part(total, count));
          total += count;
          if (isTaken) taken.push(...stream.take(false));
        }
        stream.push(part(0, total));
        taken.push(...stream.take(false));
        const chunks = stream.take(true);
        expect(chunks).toEqual(taken);
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
    const stream = new TokenStream("a_1", () => now);
    expect(stream.tokensPerSecond).toBeNull();
    now = 3_000; // the prompt
    stream.push(part(0, 1));
    expect(stream.tokensPerSecond).toBeNull();
    now = 3_100;
    stream.push(part(1, 5));
    expect(stream.tokensPerSecond).toBeCloseTo(50);
  });
});
