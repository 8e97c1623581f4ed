import fc from "fast-check";
import { expect, test } from "vitest";
import { exactText, microText, sumNano } from "./money-text.ts";

test.each([
  ["0", "0"],
  ["1", "0.001"],
  ["1000", "1"],
  ["1234567", "1,234.567"],
  ["1000000000000", "1,000,000,000"],
  ["-2500", "−2.5"],
])("%s nano reads %s µ", (nano, text) => {
  expect(microText(nano)).toBe(text);
});

test("µ text loses nothing, whatever the size", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 29n), max: 10n ** 29n }), (amount) => {
      const [whole, fraction = ""] = microText(amount.toString()).replaceAll(",", "").replace("−", "").split(".");
      const magnitude = BigInt(whole as string) * 1000n + BigInt(fraction.padEnd(3, "0"));
      expect(amount < 0n ? -magnitude : magnitude).toBe(amount);
    }),
  );
});

test("exact amount and sum", () => {
  expect(exactText("1234567", "USDC")).toBe("0.001234567 USDC");
  expect(sumNano(["9007199254740993", "1", "-4"])).toBe("9007199254740990");
  expect(sumNano([])).toBe("0");
});
