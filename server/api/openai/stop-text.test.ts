import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StopText } from "./stop-text.ts";

/** What is let go of a text that comes in these pieces. */
function released(stops: string[], pieces: string[]): { text: string; stopped: boolean } {
  const stop = new StopText(stops);
  let text = "";
  for (const piece of pieces) text += stop.push(piece);
  return { text: text + stop.end(), stopped: stop.stopped };
}

describe("stop strings", () => {
  it.each([
    [["END"], ["to be END or not"], "to be "],
    [["END"], ["to be E", "N", "D or not"], "to be "],
    [["\n\n"], ["one\n", "two\n", "\nthree"], "one\ntwo"],
    [["aab"], ["aa", "ab"], "a"],
    [["abcd", "bc"], ["ab", "cd"], "a"],
    [["x"], ["no end"], "no end"],
    [["ENDE"], ["to be END"], "to be END"],
    [[], ["all"], "all"],
  ])("%j in %j lets go %j", (stops, pieces, expected) => {
    expect(released(stops, pieces).text).toBe(expected);
  });

  it("are found alike wherever the pieces' borders lie, and nothing of them is let go", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(letters, stops, fc.array(fc.nat(30), { maxLength: 6 }), (text, stops, cuts) => {
        const places = [...new Set([0, ...cuts.filter((cut) => cut < text.length), text.length])].sort((a, b) => a - b);
        const pieces = places.slice(1).map((end, index) => text.slice(places[index], end));
        const whole = released(stops, [text]);
        expect(released(stops, pieces)).toEqual(whole);
        expect(stops.some((stop) => whole.text.includes(stop))).toBe(false);
        expect(text.startsWith(whole.text)).toBe(true);
        expect(whole.stopped).toBe(stops.some((stop) => text.includes(stop)));
      }),
    );
  });
});
