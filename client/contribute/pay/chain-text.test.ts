import { expect, it } from "vitest";
import { chainText } from "./chain-text.ts";

it.each([
  ["1500000", "USDC", "1.5"],
  ["0", "USDC", "0"],
  ["1", "USDC", "0.000001"],
  ["1234000000", "USDC", "1,234"],
  ["204886418000000000", "DN", "0.204886418"],
] as const)("%s units of %s are %s", (units, asset, text) => expect(chainText(units, asset)).toBe(text));
