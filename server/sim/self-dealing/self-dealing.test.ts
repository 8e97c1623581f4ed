/** Searched, not argued; `npm run sim -- --study self-dealing` searches forty times as long and more. */
import { expect, it } from "vitest";
import { regainedOf, search } from "./search.ts";
import { COORDINATES, settingAt } from "./setting.ts";

const text = (value: unknown): string =>
  JSON.stringify(value, (_, held: unknown) => (typeof held === "bigint" ? String(held) : held));

it("whoever deals with itself loses, in every setting searched that the bounds allow an open domain", () => {
  const { gained, closest } = search({ settings: 600, seed: 7, listed: false });
  expect(gained, text(closest)).toBe(0);
  // The guard leaves 95 %: that the search comes near it shows that it looks where it matters.
  expect(closest && regainedOf(closest)).toBeGreaterThan(0.9);
  expect(closest && regainedOf(closest)).toBeLessThanOrEqual(0.95);
}, 120_000);

it("the search finds a gain where there is one: in a listed domain, without the guard", () => {
  expect(search({ settings: 100, seed: 7, listed: true }).gained).toBeGreaterThan(0);
}, 120_000);

it("both corners of all coordinates are settings within the bounds", () => {
  for (const value of [0, 1]) {
    const setting = settingAt(new Float64Array(COORDINATES).fill(value));
    expect(setting?.deals).toHaveLength(8);
    expect(setting?.settings.revenue.processor).toBe(value * 1_000);
    expect(setting?.kappaPpm).toBe(value * 400_000);
  }
});
