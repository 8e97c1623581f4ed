import type { Namespace } from "socket.io";
import type {
  ConsoleMiner,
  ConsoleTask,
  ConsoleToHub,
  Delta,
  HubToConsole,
  Snapshot,
} from "../../shared/console-protocol.ts";
import type { SessionId, TaskId } from "../../shared/ids.ts";
import type { Clock, Millis } from "../../shared/time.ts";
import type { MinerSession } from "../core/roster.ts";
import type { HubState } from "../core/state.ts";
import { trustOf } from "../core/trust.ts";
import type { Change, Observer } from "../runtime/change.ts";
import type { LiveTask } from "../runtime/live-task.ts";
import type { Totals } from "../runtime/statistics.ts";

/**
 * Namespace `/console`: a snapshot on connecting, then what changed, four times a second and only while someone watches.
 * Rows are compared with what was last sent, so the core need not tell what it touched.
 */

const DELTA_EVERY_MS = 250;
const LEDGER_EVERY_MS = 1_000;
const TASKS_KEPT = 200;

export interface ConsoleOptions {
  namespace: Namespace<ConsoleToHub, HubToConsole>;
  state: HubState;
  clock: Clock;
  version: string;
  isOperator(token: unknown): boolean;
  totals(): Totals;
  ledger(): Promise<Snapshot["ledger"]>;
  openCases(): Promise<number>;
  earned(owner: string): bigint;
  warn(message: string, detail: Record<string, unknown>): void;
}

export class ConsoleFeed implements Observer {
  readonly #options: ConsoleOptions;
  readonly #startedAt: Millis;
  /** Newest last. */
  readonly #tasks = new Map<TaskId, ConsoleTask>();
  readonly #dirty = new Set<TaskId>();
  readonly #sent = new Map<SessionId, string>();
  #ledgerSent = "";
  #ledgerAt = 0;
  #openCases = 0;
  #seq = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    options.namespace.use((socket, next) => {
      const { token } = socket.handshake.auth as { token?: unknown };
      if (options.isOperator(token)) next();
      else next(new Error("the operator token is wrong"));
    });
    options.namespace.on("connection", (socket) => {
      this.#snapshot()
        .then((snapshot) => socket.emit("snapshot", snapshot))
        .catch((error: Error) => {
          options.warn("console snapshot failed", { error: error.message });
          socket.disconnect(true);
        });
      this.#watch();
    });
  }

  committed(change: Change): void {
    for (const task of change.tasks) {
      const id = task.spec.task;
      this.#tasks.delete(id);
      this.#tasks.set(id, rowOf(task));
      this.#dirty.add(id);
    }
    for (const oldest of this.#tasks.keys()) {
      if (this.#tasks.size <= TASKS_KEPT) break;
      this.#tasks.delete(oldest);
      this.#dirty.delete(oldest);
    }
  }

  close(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  #watch(): void {
    if (this.#timer) return;
    this.#timer = setInterval(() => {
      if (this.#options.namespace.sockets.size === 0) return this.close();
      this.#delta().catch((error: Error) => this.#options.warn("console delta failed", { error: error.message }));
    }, DELTA_EVERY_MS);
  }

  async #snapshot(): Promise<Snapshot> {
    const ledger = await this.#options.ledger();
    this.#openCases = await this.#options.openCases();
    const at = this.#options.clock.now();
    return {
      seq: this.#seq,
      at,
      startedAt: this.#startedAt,
      version: this.#options.version,
      miners: [...this.#options.state.roster.sessions.values()].map((session) => this.#miner(session)),
      tasks: [...this.#tasks.values()],
      totals: this.#options.totals(),
      ledger,
      openCases: this.#openCases,
    };
  }

  async #delta(): Promise<void> {
    const at = this.#options.clock.now();
    let ledger: Delta["ledger"] = null;
    if (at - this.#ledgerAt >= LEDGER_EVERY_MS) {
      this.#ledgerAt = at;
      const now = await this.#options.ledger();
      this.#openCases = await this.#options.openCases();
      const text = JSON.stringify(now);
      if (text !== this.#ledgerSent) ledger = now;
      this.#ledgerSent = text;
    }
    const miners: ConsoleMiner[] = [];
    const { sessions } = this.#options.state.roster;
    for (const session of sessions.values()) {
      const row = this.#miner(session);
      const text = JSON.stringify(row);
      if (this.#sent.get(session.id) === text) continue;
      this.#sent.set(session.id, text);
      miners.push(row);
    }
    const gone = [...this.#sent.keys()].filter((id) => !sessions.has(id));
    for (const id of gone) this.#sent.delete(id);
    const tasks = [...this.#dirty].flatMap((id) => this.#tasks.get(id) ?? []);
    this.#dirty.clear();
    this.#seq++;
    const { namespace, totals } = this.#options;
    namespace.emit("delta", {
      seq: this.#seq,
      at,
      miners,
      gone,
      tasks,
      totals: totals(),
      ledger,
      openCases: this.#openCases,
    });
  }

  #miner(session: MinerSession): ConsoleMiner {
    return {
      miner: session.miner,
      session: session.id,
      owner: session.owner,
      network: session.network ?? "local",
      role: session.role,
      runtime: session.device.runtime,
      adapter: session.device.adapter,
      fallback: session.device.fallback,
      state: stateOf(session),
      reason: session.reason,
      trust: trustOf(session.standing),
      inFlight: session.assignments.size,
      slots: session.slots,
      models: [...session.models].map(([model, { state, serviceMs }]) => ({
        model,
        state,
        serviceMs: state === "admitted" ? serviceMs : null,
      })),
      accepted: session.accepted,
      refuted: session.refuted,
      seen: session.seen,
      earned: this.#options.earned(session.owner).toString(),
      connectedAt: session.joinedAt,
    };
  }
}

function stateOf(session: MinerSession): ConsoleMiner["state"] {
  if (session.standing.suspended) return "suspended";
  if (session.graceEndsAt !== null) return "grace";
  if (!session.accepting) return "paused";
  return session.assignments.size > 0 ? "working" : "ready";
}

const rowOf = ({ spec, state, basis, submittedAt, timeline }: LiveTask): ConsoleTask => ({
  task: spec.task,
  model: spec.model,
  customer: spec.customer,
  level: spec.level,
  state,
  basis,
  price: spec.price.toString(),
  submittedAt,
  timeline: [...timeline],
});
