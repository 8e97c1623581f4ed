import { type MinerSession, minerStateOf } from "../../shared/miner-state.ts";
import type { AccountUpdate, Device, SessionRole, WorkLine } from "../../shared/protocol.ts";
import type { MinerView, ModelView } from "./contract.ts";

const WORK_LINES = 50;
const NOTICES = 20;

/** What the page is shown beyond the session's own state. */
export interface Showing {
  role: SessionRole;
  miner: string | null;
  device: Device | null;
  deviceNote: string | null;
  models: Map<string, ModelView>;
  completed: number;
  failed: number;
  passed: number;
  held: string;
  available: string;
  trust: number | null;
  seen: MinerView["seen"];
  /** Newest first. */
  work: WorkLine[];
  cacheBytes: number;
  notices: MinerView["notices"];
}

export const createShowing = (): Showing => ({
  role: "miner",
  miner: null,
  device: null,
  deviceNote: null,
  models: new Map(),
  completed: 0,
  failed: 0,
  passed: 0,
  held: "0",
  available: "0",
  trust: null,
  seen: null,
  work: [],
  cacheBytes: 0,
  notices: [],
});

export function addNotice(showing: Showing, at: number, kind: "info" | "warning", text: string): void {
  showing.notices = [...showing.notices, { at, kind, text }].slice(-NOTICES);
}

export function addAccount(showing: Showing, account: AccountUpdate): void {
  const { held, available, trust, seen = showing.seen } = account;
  Object.assign(showing, { held, available, trust, seen });
  const byAssignment = new Map(showing.work.map((line) => [line.assignment, line]));
  for (const line of account.work) {
    if (line.outcome === "paid" && !byAssignment.has(line.assignment)) showing.passed++;
    byAssignment.set(line.assignment, line);
  }
  showing.work = [...byAssignment.values()].sort((a, b) => b.at - a.at).slice(0, WORK_LINES);
}

export function viewOf(
  session: MinerSession,
  showing: Showing,
  textOf: (assignment: string) => MinerView["current"][number]["text"],
  now: number,
): MinerView {
  const { link, governor, runs } = session;
  return {
    role: showing.role,
    state: minerStateOf(session),
    why: whyOf(session, showing.role),
    hub: {
      connected: link.at === "up",
      attempt: session.attempt,
      retryInMs: session.phase === "running" && link.at === "down" ? Math.max(0, link.retryAt - now) : null,
    },
    miner: showing.miner,
    device: showing.device,
    deviceNote: showing.deviceNote,
    models: [...showing.models.values()],
    current: [...runs.values()].flatMap((run) =>
      run.jobs
        .filter(({ assignment }) => !run.voided.has(assignment))
        .map(({ assignment, model }) => ({ assignment, model, sinceMs: run.startedAt, text: textOf(assignment) })),
    ),
    completed: showing.completed,
    failed: showing.failed,
    passed: showing.passed,
    held: showing.held,
    available: showing.available,
    trust: showing.trust,
    seen: showing.seen,
    work: showing.work,
    dutyNow: governor.duty,
    cacheBytes: showing.cacheBytes,
    notices: showing.notices,
  };
}

function whyOf(session: MinerSession, role: SessionRole): string | null {
  switch (minerStateOf(session)) {
    case "stopped":
      return "It has not been started.";
    case "elsewhere":
      return "Another tab of this browser is running; this one takes over when that one closes.";
    case "connecting":
      return session.attempt === 0 ? "Connecting to the hub." : "The hub cannot be reached; trying again.";
    case "preparing":
      return "Getting its models ready.";
    case "ready":
      return role === "validator" ? "Waiting for an answer to check." : "Waiting for work.";
    case "paused":
      return session.paused ? "You paused it." : `Held back: ${session.governor.why}.`;
    case "suspended":
    case "failed":
      return session.why;
    case "working":
    case "draining":
      return null;
  }
}
