import type { WorkLine } from "../../../shared/protocol.ts";
import type { MinerView } from "../../miner/contract.ts";

/** The page's states as values, for the browser test; no product page imports this. */
const now = Date.now();
const mib = 1024 ** 2;

const base: MinerView = {
  role: "miner",
  state: "ready",
  why: null,
  hub: { connected: true, attempt: 0, retryInMs: null },
  miner: "m_Zk3vQ1x9aTf0LrW7cYb2Hd",
  device: {
    runtime: "webgpu",
    adapter: "Intel Iris Xe (gen-12lp)",
    fallback: false,
    features: ["shader-f16", "timestamp-query"],
    memoryBytes: 2048 * mib,
    agent: "Chrome 156",
    ortVersion: "1.30.0",
  },
  deviceNote: null,
  models: [],
  current: [],
  completed: 0,
  failed: 0,
  passed: 0,
  held: "0",
  available: "0",
  trust: 0.5,
  seen: null,
  work: [],
  dutyNow: 1,
  cacheBytes: 0,
  notices: [],
};

const digits: MinerView["models"][number] = {
  key: "digits@1.0.0",
  title: "Handwritten digits",
  state: "admitted",
  bytesDone: 410_000,
  bytesTotal: 410_000,
  bytesPerSecond: null,
  etaMs: null,
  serviceMs: 2.4,
  problem: null,
};
const langid: MinerView["models"][number] = {
  ...digits,
  key: "langid@1.0.0",
  title: "Language of a text",
  state: "downloading",
  bytesDone: 3.1 * mib,
  bytesTotal: 8.4 * mib,
  bytesPerSecond: 1.7 * mib,
  etaMs: 3100,
  serviceMs: null,
};
const shakespeare: MinerView["models"][number] = {
  ...langid,
  key: "shakespeare@1.0.0",
  title: "Shakespeare",
  state: "preparing",
};

const work: WorkLine[] = Array.from({ length: 52 }, (_, index) => {
  const outcome = index === 17 ? "refuted" : index % 19 === 4 ? "unpaid" : "paid";
  return {
    assignment: `a_${String(index).padStart(22, "x")}`,
    model: index % 4 === 1 ? "langid@1.0.0" : "digits@1.0.0",
    role: index % 3 === 1 ? "check" : "primary",
    at: now - 4000 - index * 7300,
    outcome,
    amount: outcome === "paid" ? "335" : "0",
    reason: {
      paid: "agreed with the check of another machine",
      unpaid: "the caller cancelled before the check was done",
      refuted: "two other machines and the reference agreed on a different label",
    }[outcome],
  };
});

export const views: Record<string, MinerView> = {
  stopped: { ...base, state: "stopped", completed: 212, held: "71355", work },
  elsewhere: { ...base, state: "elsewhere", device: null },
  connecting: { ...base, state: "connecting", hub: { connected: false, attempt: 4, retryInMs: 3800 } },
  preparing: { ...base, state: "preparing", models: [digits, langid, shakespeare], cacheBytes: 3.5 * mib },
  ready: { ...base, models: [digits], cacheBytes: 0.4 * mib },
  working: {
    ...base,
    state: "working",
    models: [
      digits,
      langid,
      { ...shakespeare, state: "refused", problem: "needs 3 GiB of memory, this machine's budget is 2 GiB" },
    ],
    current: [{ assignment: "a_7Qk1mZt5v0RrT2yWcE9uLd", model: "digits@1.0.0", sinceMs: now - 400, text: null }],
    completed: 18_212,
    failed: 3,
    held: "6101020335",
    available: "1254075000",
    trust: 0.83,
    seen: { present: 57, absent: 1, at: now - 140_000 },
    work,
    dutyNow: 0.6,
    cacheBytes: 412 * mib,
    notices: [
      { at: now - 61_000, kind: "info", text: "A new model is served: langid 1.0.0." },
      {
        at: now - 9000,
        kind: "warning",
        text: "This browser did not promise to keep the model cache; it may be deleted when the disk is full.",
      },
    ],
  },
  checking: {
    ...base,
    role: "validator",
    state: "working",
    device: { ...(base.device as NonNullable<MinerView["device"]>), runtime: "wasm", adapter: "cpu/8", features: [] },
    models: [digits],
    current: [{ assignment: "a_7Qk1mZt5v0RrT2yWcE9uLd", model: "digits@1.0.0", sinceMs: now - 400, text: null }],
    completed: 41,
    passed: 40,
    held: "13400",
    trust: 0.71,
    work: work.map((line) => ({ ...line, role: "check" as const })),
  },
  paused: {
    ...base,
    state: "paused",
    why: "On battery: computing would drain it. Plug in, or allow it under Limits.",
    models: [digits],
    work,
    completed: 52,
    held: "16750",
  },
  draining: {
    ...base,
    state: "draining",
    models: [digits],
    current: [{ assignment: "a_7Qk1mZt5v0RrT2yWcE9uLd", model: "digits@1.0.0", sinceMs: now - 2400, text: null }],
  },
  suspended: {
    ...base,
    state: "suspended",
    why: "Five answers in a row were refuted. Appeal to the hub's operator.",
    trust: 0.08,
    models: [digits],
    work,
  },
  failed: {
    ...base,
    state: "failed",
    why: "The graphics device was lost three times in a minute.",
    device: { ...(base.device as NonNullable<MinerView["device"]>), runtime: "wasm", adapter: "8 processor threads" },
    deviceNote:
      "WebGPU is not used: the browser found no graphics adapter. Switch on hardware acceleration and update the graphics driver.",
  },
};
