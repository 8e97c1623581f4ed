import type { ConsoleMiner, ConsoleTask } from "../../shared/console-protocol.ts";
import type { Tone } from "../ui/badge.tsx";

export const minerTones: Record<ConsoleMiner["state"], Tone> = {
  working: "good",
  ready: "good",
  paused: "idle",
  grace: "busy",
  suspended: "bad",
};

export const modelTones: Record<ConsoleMiner["models"][number]["state"], Tone> = {
  admitted: "good",
  preparing: "busy",
  refused: "bad",
};

export const taskTones: Record<ConsoleTask["state"], Tone> = {
  queued: "busy",
  assigned: "busy",
  answered: "busy",
  checking: "busy",
  verified: "good",
  settled: "good",
  rejected: "bad",
  failed: "bad",
  overturned: "bad",
  cancelled: "idle",
  expired: "idle",
};

/** Both ends of a long id: "m_Zk3vQ1x9aTf0LrW7cYb2Hd" -> "m_Zk3vQ1…b2Hd". */
export const shortId = (id: string): string => (id.length > 16 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id);
