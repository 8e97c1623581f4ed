import { expect, it } from "vitest";
import { lookOf, valueText } from "./parameter-text.ts";

it.each([
  ["epoch.lengthMs", "604800000", "7 days"],
  ["epoch.lengthMs", "86400000", "1 day"],
  ["emission.kappaPpm", "400000", "40 %"],
  ["emission.floorPpm", "2000", "0.2 %"],
  ["buyback.slippagePpm", "100", "0.01 %"],
  ["processor", "300", "3 %"],
  ["listed", "0", "no"],
  ["listed", "1", "yes"],
])("%s %s reads %s", (parameter, value, text) => expect(valueText(parameter, value)).toBe(text));

it.each([
  ["epoch.lengthMs", "3.5", "302400000"],
  ["emission.floorPpm", "0,25", "2500"],
  ["processor", "2.5", "250"],
  ["listed", "1", "1"],
  ["listed", "2", null],
  ["processor", "2.555", null],
  ["epoch.lengthMs", "a week", null],
  ["emission.kappaPpm", "", null],
])("%s as “%s” is %s", (parameter, text, value) => expect(lookOf(parameter).write(text)).toBe(value));
