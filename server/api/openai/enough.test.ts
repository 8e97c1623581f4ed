import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ModelText } from "../../text/model-text.ts";
import { enoughFinder } from "./enough.ts";
import { StopText } from "./stop-text.ts";

/** A token is a letter; 26 ends the text and is no letter. */
const END = 26;
const text = {
  decoder: () => ({
    push: (tokens: number[]) => tokens.map((token) => String.fromCharCode(97 + token)).join(""),
    end: () => "",
  }),
} as unknown as ModelText;
const request = { settings: { stopTokens: [END] } } as never;
const finder = (stops: string[]) => enoughFinder({ request, text, stops, tools: null });
const tokensOf = (letters: string): number[] => [...letters].map((letter) => letter.charCodeAt(0) - 97);

describe("where a caller has enough", () => {
  it("is nowhere without stop strings and tools", () => {
    expect(finder([])).toBeNull();
  });

  it("is behind the token that completes a stop string", () => {
    const enough = finder(["cd"]);
    expect([enough?.(tokensOf("abc")), enough?.(tokensOf("abcd")), enough?.(tokensOf("abcdef"))]).toEqual([null, 4, 4]);
    expect(finder(["cd"])?.(tokensOf("abcdef"))).toBe(4);
    expect(finder(["cd"])?.([...tokensOf("abc"), END, 3])).toBe(5);
  });

  it("is found anew where another goes on from before", () => {
    const enough = finder(["xx"]);
    expect(enough?.(tokensOf("abxc"))).toBeNull();
    expect(enough?.(tokensOf("ab"))).toBeNull();
    expect(enough?.(tokensOf("abaxx"))).toBe(5);
    expect(enough?.(tokensOf("abaxa"))).toBeNull();
  });

  it("is the same however the tokens come, and where the text ends that is told", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 30 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(letters, stops, fc.array(fc.nat(30), { maxLength: 6 }), (written, stops, cuts) => {
        const tokens = tokensOf(written);
        const whole = finder(stops)?.(tokens) ?? null;
        const inPieces = finder(stops);
        for (const cut of [...cuts].sort((a, b) => a - b)) inPieces?.(tokens.slice(0, cut));
        expect(inPieces?.(tokens) ?? null).toBe(whole);
        const told = new StopText(stops);
        const shown = told.push(written.slice(0, whole ?? written.length));
        expect(told.stopped).toBe(whole !== null);
        const all = new StopText(stops);
        expect(all.push(written).startsWith(shown)).toBe(true);
      }),
    );
  });
});
