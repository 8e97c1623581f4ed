import { expect, test } from "vitest";
import type { MinerState } from "../miner/contract.ts";
import { controlsOf, hubText, isLocalHub, seenText, statusOf, suggestsDemo, textProgress } from "./status-text.ts";
import { views } from "./story/views.ts";

const ready = views.ready as NonNullable<(typeof views)[string]>;
const states: MinerState[] = [
  "stopped",
  "elsewhere",
  "connecting",
  "preparing",
  "ready",
  "working",
  "paused",
  "draining",
  "suspended",
  "failed",
];

test("the miner's own reason replaces the general sentence", () => {
  expect(statusOf(null).label).toBe("Not running");
  expect(statusOf(ready).sentence).toBe("Waiting for a request.");
  expect(statusOf({ ...ready, why: "Outside your hours." }).sentence).toBe("Outside your hours.");
});

test.each(states)("in state %s a person always has a way to stop, to pause or to start", (state) => {
  const controls = controlsOf(state);
  expect(controls.stop || controls.pause || controls.start).toBe(true);
  expect(controls.pause && controls.resume).toBe(false);
});

test("what the hub badge says", () => {
  const said = (state: MinerState, connected: boolean, attempt: number, retryInMs: number | null) =>
    hubText({ state, hub: { connected, attempt, retryInMs } });
  expect(said("ready", true, 7, 10)).toBe("Connected to the hub");
  expect(said("connecting", false, 0, 0)).toBe("Connecting to the hub");
  expect(said("connecting", false, 3, 3200)).toBe("Reconnecting to the hub: attempt 3, next in 4 s");
  expect(said("connecting", false, 3, null)).toBe("Reconnecting to the hub: attempt 3");
  expect(said("elsewhere", false, 0, null)).toBe("Not connected");
});

test.each([
  [0, null, "reading the prompt"],
  [1, null, "1 token"],
  [128, 45.43, "128 tokens, 45 per second"],
  [2048, 1234.5, "2,048 tokens, 1,200 per second"],
  [3, 0.4567, "3 tokens, 0.46 per second"],
])("%s tokens at %s a second: %s", (tokens, tokensPerSecond, said) => {
  expect(textProgress({ tokens, tokensPerSecond })).toBe(said);
});

test.each([
  ["localhost", true],
  ["127.0.0.1", true],
  ["[::1]", true],
  ["localhost.example.org", false],
  ["grid.example.org", false],
  ["10.127.0.0", false],
])("%s is a local hub: %s", (hostname, local) => {
  expect(isLocalHub(hostname)).toBe(local);
});

test("the demo is suggested to a contributor whose own hub has had no request", () => {
  expect(suggestsDemo(ready, true)).toBe(true);
  expect(suggestsDemo(ready, false)).toBe(false);
  expect(suggestsDemo({ ...ready, completed: 1 }, true)).toBe(false);
  expect(suggestsDemo({ ...ready, state: "preparing" }, true)).toBe(false);
  expect(suggestsDemo({ ...ready, hub: { connected: false, attempt: 1, retryInMs: 0 } }, true)).toBe(false);
});

test.each([
  [{ present: 0, absent: 0, at: null }, null],
  [{ present: 1, absent: 0, at: 40_000 }, "Other people's browsers looked 1 time and found it here 1, last 20 s ago."],
  [{ present: 0, absent: 2, at: null }, "Other people's browsers looked 2 times and found it here 0."],
])("what was attested, %j: %s", (seen, text) => {
  expect(seenText(seen, 60_000)).toBe(text);
});
