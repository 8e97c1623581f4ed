import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Millis } from "../../shared/time.ts";
import type { HubState } from "../core/state.ts";
import type { Change, Observer } from "./change.ts";

/** What the hub counts: the totals of the console and `/api/v1/network`, and the series of `/metrics`. */

const WINDOW_SECONDS = 10;
const LATENCIES_KEPT = 1_024;

export interface Totals {
  queued: number;
  inFlight: number;
  verified: number;
  failed: number;
  refuted: number;
  referenceRuns: number;
  perSecond: number;
  latencyP50Ms: number | null;
  latencyP95Ms: number | null;
}

export class Statistics implements Observer {
  readonly registry = new Registry();
  readonly #state: HubState;
  readonly #now: () => Millis;
  #verified = 0;
  #failed = 0;
  #refuted = 0;
  #referenceRuns = 0;
  #perSecond = new Map<number, number>();
  #latencies: number[] = [];
  #next = 0;
  readonly #tasks = new Counter({
    name: "tabgrid_tasks_total",
    help: "Tasks by how they ended",
    labelNames: ["state", "model"],
    registers: [this.registry],
  });
  readonly #mismatches = new Counter({
    name: "tabgrid_verification_mismatches_total",
    help: "Executions that the reference node refuted",
    registers: [this.registry],
  });
  readonly #references = new Counter({
    name: "tabgrid_reference_runs_total",
    help: "Executions on the hub's reference node",
    registers: [this.registry],
  });
  readonly #duration = new Histogram({
    name: "tabgrid_task_seconds",
    help: "Submission to verdict",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers: [this.registry],
  });
  readonly #imbalance = new Gauge({
    name: "ledger_imbalance",
    help: "Sum of all balances per asset in nano units; anything but 0 is a bug",
    labelNames: ["asset"],
    registers: [this.registry],
  });

  constructor(state: HubState, now: () => Millis) {
    this.#state = state;
    this.#now = now;
    collectDefaultMetrics({ register: this.registry });
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.registry],
        collect() {
          this.set(value());
        },
      });
    gauge("tabgrid_miners", "Connected miners", () => state.roster.sessions.size);
    gauge("tabgrid_queue_depth", "Items that wait for a miner", () => state.queue.size);
    gauge("tabgrid_assignments", "Leases in flight", () => state.assignments.size);
  }

  committed(change: Change): void {
    for (const task of change.tasks) {
      if (task.endedAt === null) continue;
      this.#tasks.inc({ state: task.state, model: task.spec.model });
      if (task.state === "settled") this.#countVerified(task.endedAt);
      else if (task.state === "failed" || task.state === "expired") this.#failed++;
    }
    for (const task of change.tasks) {
      const verdict = task.state === "verified" || task.state === "settled";
      if (verdict && !this.#timed.has(task)) this.#time(task, change.at - task.submittedAt);
    }
    for (const lines of change.pay.values()) {
      for (const line of lines) if (line.outcome === "refuted") this.#countRefuted();
    }
    this.#referenceRuns += change.referenceRuns;
    this.#references.inc(change.referenceRuns);
  }

  /** Tasks whose time to the verdict is counted: settling, which waits for signatures, is no latency of theirs. */
  #timed = new WeakSet<object>();

  #time(task: object, ms: number): void {
    this.#timed.add(task);
    this.#duration.observe(ms / 1_000);
    this.#latencies[this.#next++ % LATENCIES_KEPT] = ms;
  }

  #countVerified(at: Millis): void {
    this.#verified++;
    const second = Math.floor(at / 1_000);
    this.#perSecond.set(second, (this.#perSecond.get(second) ?? 0) + 1);
    for (const old of this.#perSecond.keys()) if (old < second - WINDOW_SECONDS) this.#perSecond.delete(old);
  }

  #countRefuted(): void {
    this.#refuted++;
    this.#mismatches.inc();
  }

  totals(): Totals {
    const second = Math.floor(this.#now() / 1_000);
    let recent = 0;
    for (const [at, count] of this.#perSecond) if (at >= second - WINDOW_SECONDS && at < second) recent += count;
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    const quantile = (q: number) => sorted[Math.floor(q * (sorted.length - 1))] ?? null;
    return {
      queued: this.#state.queue.size,
      inFlight: this.#state.assignments.size,
      verified: this.#verified,
      failed: this.#failed,
      refuted: this.#refuted,
      referenceRuns: this.#referenceRuns,
      perSecond: recent / WINDOW_SECONDS,
      latencyP50Ms: quantile(0.5),
      latencyP95Ms: quantile(0.95),
    };
  }

  async metrics(imbalance: Record<string, bigint>): Promise<string> {
    for (const [asset, sum] of Object.entries(imbalance)) this.#imbalance.set({ asset }, Number(sum));
    return this.registry.metrics();
  }
}
