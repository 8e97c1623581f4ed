import { describe, expect, it } from "vitest";
import { unitText } from "../ui/money-text.ts";
import { hundredthsOf, nanoOf, nanoOfMicro, percentText, plainText } from "./units.ts";

describe("units", () => {
  it.each([
    ["1", "1000000000"],
    ["1.5", "1500000000"],
    ["1,5", "1500000000"],
    ["0,000000001", "1"],
    ["0,125", "125000000"],
    [" 12 ", "12000000000"],
    ["1,234.5", "1234500000000"],
    ["1,000,000", "1000000000000000"],
  ])("%s is %s nano units", (text, nano) => expect(nanoOf(text)).toBe(nano));

  it.each(["", "-1", "1.0000000001", "1e9", "one", "1.", ".5", "1,000", "999,999", "1,00,000", "1,000.", "1.000,5"])(
    "%j is no amount",
    (text) => expect(nanoOf(text)).toBeNull(),
  );

  it("and back, without needless zeros, thousands apart where people read", () => {
    const amounts = ["1500000000", "0", "1", "10000000000", "1234567500000000"];
    expect(amounts.map(plainText)).toEqual(["1.5", "0", "0.000000001", "10", "1234567.5"]);
    expect(amounts.map(unitText)).toEqual(["1.5", "0", "0.000000001", "10", "1,234,567.5"]);
    expect(unitText("-1234000000000")).toBe("−1,234");
    for (const amount of [...amounts, "999999999999999999999"]) expect(nanoOf(plainText(amount))).toBe(amount);
  });

  it("µ units to nano", () => {
    expect(["0.02", "1", "1,5", "0.0001", ""].map(nanoOfMicro)).toEqual(["20", "1000", "1500", null, null]);
  });

  it("per cent to hundredths and back", () => {
    expect([hundredthsOf("20"), hundredthsOf("7.3"), hundredthsOf("0,05"), hundredthsOf("x")]).toEqual([
      2_000,
      730,
      5,
      null,
    ]);
    expect([percentText(2_000), percentText(730), percentText(5)]).toEqual(["20", "7.3", "0.05"]);
  });
});
