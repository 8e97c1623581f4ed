import { describe, expect, it } from "vitest";
import { hundredthsOf, nanoOf, percentText, unitText } from "./units.ts";

describe("units", () => {
  it.each([
    ["1", "1000000000"],
    ["1.5", "1500000000"],
    ["0,000000001", "1"],
    [" 12 ", "12000000000"],
  ])("%s is %s nano units", (text, nano) => expect(nanoOf(text)).toBe(nano));

  it.each(["", "-1", "1.0000000001", "1e9", "one", "1.", ".5"])("%j is no amount", (text) =>
    expect(nanoOf(text)).toBeNull(),
  );

  it("and back, without needless zeros", () => {
    expect([unitText("1500000000"), unitText("0"), unitText("1"), unitText("10000000000")]).toEqual([
      "1.5",
      "0",
      "0.000000001",
      "10",
    ]);
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
