import { type ConsoleMiner, type ConsoleTask, type Snapshot, taskStates } from "../../../shared/console-protocol.ts";

/** Values for the tests of the console; no product page imports this. */
const minerStates = ["working", "ready", "working", "paused", "grace", "suspended"] as const;
const adapters = ["nvidia ada", "intel gen-12lp", "apple m3", "8 processor threads", "google swiftshader"];
const pad = (label: string, index: number) => `${label}${String(index * 7919).padStart(22 - label.length, "Qx7aK2mT")}`;

export function storyMiner(index: number, now: number): ConsoleMiner {
  const state = minerStates[index % minerStates.length] ?? "ready";
  return {
    miner: `m_${pad("Zk3v", index)}`,
    session: `s_${pad("Hd2b", index)}`,
    owner: `own_${pad("Zk3v", index)}`,
    network: `203.0.113.${index}/32`,
    runtime: index % 5 === 3 ? "wasm" : "webgpu",
    adapter: adapters[index % adapters.length] ?? "",
    role: index % 5 === 3 ? "validator" : "miner",
    fallback: index % 5 === 4,
    state,
    reason: state === "paused" ? "on battery" : state === "suspended" ? "five refuted answers in a row" : null,
    trust: state === "suspended" ? 0.06 : 0.5 + ((index * 37) % 50) / 100,
    seen: { present: index * 5, absent: index % 3, at: index > 0 ? Date.now() - index * 61_000 : null },
    inFlight: state === "working" ? 1 + (index % 2) : 0,
    slots: 1,
    models: [
      { model: "digits@1.0.0", state: "admitted", serviceMs: 2.1 + index },
      {
        model: "langid@1.0.0",
        state: index % 3 === 0 ? "preparing" : "admitted",
        serviceMs: index % 3 === 0 ? null : 6.3,
      },
      ...(index % 4 === 2 ? [{ model: "shakespeare@1.0.0", state: "refused" as const, serviceMs: null }] : []),
    ],
    accepted: 900 - index * 31,
    refuted: state === "suspended" ? 11 : index % 3,
    earned: String(300_000_000 - index * 10_385_000),
    connectedAt: now - 60_000 * (index + 1) * 7,
  };
}

export function storyTask(index: number, now: number): ConsoleTask {
  const submittedAt = now - index * 820 - 40;
  const state =
    index < 3
      ? (["queued", "assigned", "checking"] as const)[index]
      : index % 23 === 9
        ? taskStates[6]
        : index % 31 === 11
          ? "overturned"
          : "settled";
  const done = state === "settled" || state === "overturned";
  return {
    task: `t_${pad("Ab9c", index)}`,
    model: index % 3 === 1 ? "langid@1.0.0" : "digits@1.0.0",
    customer: "first-key",
    level: index % 5 === 0 ? "quorum-3" : index % 7 === 0 ? "fast" : "verified",
    state: state ?? "settled",
    basis: done ? (index % 4 === 0 ? "reference" : "checked") : null,
    price: index % 5 === 0 ? "3000" : "2000",
    submittedAt,
    timeline: [
      { at: submittedAt, what: "submitted by first-key at verified, price 2 µUSDC" },
      ...(state === "queued" ? [] : [{ at: submittedAt + 1, what: "assigned to m_Zk3vQx7aK2mT7919" }]),
      ...(done
        ? [
            { at: submittedAt + 9, what: "answered in 7.8 ms" },
            { at: submittedAt + 10, what: "check drawn: m_Zk3vQx7aK2mT15838, another owner and network" },
            { at: submittedAt + 21, what: "check agreed: same label, margin 0.93" },
            { at: submittedAt + 22, what: "verified" },
            { at: submittedAt + 24, what: "settled in transfer 8213" },
          ]
        : []),
    ],
  };
}

export const storySnapshot = (now: number): Snapshot => ({
  seq: 41,
  at: now,
  startedAt: now - 5 * 3_600_000,
  version: "0.1.0",
  miners: Array.from({ length: 14 }, (_, index) => storyMiner(index, now)),
  tasks: Array.from({ length: 160 }, (_, index) => storyTask(index, now)),
  totals: {
    queued: 3,
    inFlight: 21,
    verified: 48_112,
    failed: 12,
    refuted: 31,
    referenceRuns: 1204,
    perSecond: 41.7,
    latencyP50Ms: 18.4,
    latencyP95Ms: 61,
  },
  openCases: 2,
  ledger: {
    imbalance: "0",
    transfers: 48_112,
    accounts: [
      { account: "issuer:test", asset: "USDC", balance: "-100000000000" },
      { account: "customer:first-key", asset: "USDC", balance: "99903776000" },
      { account: "customer:first-key:held", asset: "USDC", balance: "6000" },
      { account: "miner:own_Zk3v0:held", asset: "USDC", balance: "31218000" },
      { account: "miner:own_Zk3v1:held", asset: "USDC", balance: "33220110" },
      { account: "creator:tabgrid:held", asset: "USDC", balance: "19244800" },
      { account: "pool:commons", asset: "USDC", balance: "7697920" },
      { account: "foundation:held", asset: "USDC", balance: "962240" },
      { account: "processor:held", asset: "USDC", balance: "2886720" },
      { account: "burn:commons", asset: "USDC", balance: "988210" },
    ],
  },
});
