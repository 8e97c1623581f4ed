import { expect, it } from "vitest";
import { changes, earnings, type MinerReport } from "./miner-report.ts";

const view: MinerReport = {
  role: "miner",
  state: "connecting",
  why: "Connecting to the hub.",
  device: { runtime: "wasm", adapter: "cpu/8" },
  deviceNote: null,
  models: [],
  completed: 0,
  failed: 0,
  held: "0",
  available: "0",
  notices: [],
};

it("tells device and state first, then only what is new", () => {
  expect(changes(null, view)).toEqual(["Computes on wasm: cpu/8.", "State: connecting. Connecting to the hub."]);
  expect(changes(view, view)).toEqual([]);
});

it("does not tell every task", () => {
  const ready = { ...view, state: "ready", why: "Waiting for work." };
  expect(changes(view, ready)).toEqual(["State: mining."]);
  expect(changes(ready, { ...view, state: "working", why: null })).toEqual([]);
});

it("tells models and notices once", () => {
  const models = [{ key: "digits@1", state: "refused", problem: "other outputs" }];
  const told = { ...view, models, notices: [{ at: 1, text: "The hub restarts." }] };
  expect(changes(view, told)).toEqual(["digits@1: refused (other outputs).", "The hub restarts."]);
  expect(changes(told, told)).toEqual([]);
});

it("tells earnings when they changed", () => {
  expect(earnings(null, view)).toBeNull();
  const paid = { ...view, completed: 3, failed: 1, held: "1500000000", available: "1" };
  expect(earnings(view, paid)).toBe("3 tasks done, 1 failed; 0.000000001 USDC available, 1.500000000 USDC held.");
  expect(earnings(paid, paid)).toBeNull();
});

it("speaks of checks where it only checks", () => {
  const checking = { ...view, role: "validator", state: "ready", why: "Waiting for an answer to check." } as const;
  expect(changes(view, checking)).toEqual(["State: checking."]);
  expect(earnings(null, { ...checking, completed: 3 })).toMatch(/^3 checks done;/);
});
