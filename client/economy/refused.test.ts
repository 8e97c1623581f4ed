import { expect, it } from "vitest";
import { amountFault, ownerFault, shareFault, wholeFault } from "./faults.ts";
import { isAbout, Refused } from "./refused.ts";

it("a refusal says what was expected and what came, times as dates", () => {
  const early = { detail: "the vote is open", field: "at", expected: "1795570039258", got: "1795310840424" };
  expect(new Refused(409, early).message).toMatch(
    /^the vote is open \(at: expected \d+ Nov 2026, .*, got \d+ Nov 2026, /,
  );
  const much = { detail: "too much", field: "amount", expected: "at most 1795570039258", got: "1795570039259" };
  expect(new Refused(402, much).message).toBe("too much (amount: expected at most 1795570039258, got 1795570039259)");
  const told = { detail: "title: expected text, got 5", field: "title", expected: "text", got: "5" };
  expect(new Refused(400, told).message).toBe(told.detail);
  expect(new Refused(404, { detail: "no round" }).message).toBe("no round");
});

it.each([
  ["amount", "amount", true],
  ["settings.pool", "pool", true],
  ["settings.emission_split.miners", "emission_split.miners", true],
  ["settings.owner", "emission_split.owner", false],
  ["raise_percent", "raisePercent", true],
  ["deposit", "posit", false],
])("a refusal of %s is shown at %s: %s", (field, name, is) => expect(isAbout(field, name)).toBe(is));

it("faults name what was expected and what came", () => {
  expect(amountFault("1,000")).toBe("Expected an amount such as 1000 or 12.5, got “1,000”.");
  expect(amountFault(" ")).toBe("Expected an amount such as 1000 or 12.5, got nothing.");
  expect([amountFault("0"), amountFault("0", "0 or more"), amountFault("0.1")]).toEqual([
    "Expected more than 0, got “0”.",
    null,
    null,
  ]);
  expect([shareFault("5"), shareFault("4.99", 5), shareFault("100.01")]).toEqual([
    null,
    "Expected 5 to 100 %, in steps of 0.01, got “4.99”.",
    "Expected 0 to 100 %, in steps of 0.01, got “100.01”.",
  ]);
  expect([wholeFault("20", 20, 1_000), wholeFault("1.5", 20, 1_000)]).toEqual([
    null,
    "Expected a whole number from 20 to 1,000, got “1.5”.",
  ]);
  expect([ownerFault("own_a-b"), ownerFault("m_a")]).toEqual([null, "Expected an owner, own_…, got “m_a”."]);
});
