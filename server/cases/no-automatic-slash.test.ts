import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { live } from "../sim/life.ts";

/**
 * "Only a person slashes" (../shared/policy.md). Slashes are made in one place per asset, out of a ruling; rulings are made in one
 * place, out of an event; and no code of the hub reports that event by itself.
 */
const root = fileURLToPath(new URL("..", import.meta.url));
const sources = globSync("**/*.ts", { cwd: root })
  .filter((path) => !/\.(test|suite)\.ts$|^sim\//.test(path))
  .map((path) => ({ path, text: readFileSync(`${root}/${path}`, "utf8") }));
const holding = (pattern: RegExp) => sources.flatMap(({ path, text }) => (pattern.test(text) ? [path] : []));

it("has one maker of slashes per asset, which asks for a decision", () => {
  expect(sources.length).toBeGreaterThan(50);
  expect(holding(/"slash"/).sort()).toEqual(["economy/case-postings.ts", "economy/collateral.ts", "economy/ledger.ts"]);
  expect(holding(/\bpostCase\(/).sort()).toEqual(["cases/revisions.ts", "economy/case-postings.ts"]);
  const maker = sources.find(({ path }) => path === "economy/case-postings.ts")?.text ?? "";
  expect(maker.match(/export function/g)).toHaveLength(1);
  expect(maker).toMatch(/export function postCase\(\s*decision: CaseDecided,/);
  const ofCollateral = sources.find(({ path }) => path === "economy/collateral.ts")?.text ?? "";
  expect(ofCollateral).toMatch(/export function slash\(\s*decision: CaseRuling \| null,/);
  expect(holding(/\bslash\(/).sort()).toEqual(["cases/case-collateral.ts", "economy/collateral.ts"]);
  expect(holding(/\bslashCollateral\(/).sort()).toEqual(["cases/case-collateral.ts", "cases/revisions.ts"]);
});

it("has one maker of decisions, which needs a reviewer's ruling", () => {
  expect(holding(/kind: "case-closed", decision/)).toEqual(["core/consequences.ts"]);
  const maker = sources.find(({ path }) => path === "core/consequences.ts")?.text ?? "";
  expect(maker).toMatch(
    /export function decideCase\(step: Step, event: Extract<HubEvent, { kind: "case\.decided" }>\)/,
  );
  expect(maker.split('kind: "case-closed"')).toHaveLength(2);
  // Only the operator's route makes the event; whoever adds a way to rule adds it to this list.
  expect(holding(/kind: "case\.decided",/)).toEqual(["cases/cases.ts"]);
  expect(sources.find(({ path }) => path === "cases/cases.ts")?.text).toMatch(/rule\(record: CaseRecord, decision: /);
  expect(holding(/\.decideCase\(/)).toEqual(["api/cases.ts"]);
});

it("takes no held pay in twelve lives in which nobody rules", () => {
  for (let seed = 1; seed <= 12; seed++) {
    const { faults, kinds, counts } = live(seed, { isReviewed: false });
    expect(faults, `seed ${seed}`).toEqual([]);
    expect(kinds.has("slash"), `seed ${seed}`).toBe(false);
    if (seed === 1) expect(counts.suspended).toBeGreaterThan(0);
  }
}, 60_000);
