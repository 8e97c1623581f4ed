import type { MinerState, MinerView } from "../miner/contract.ts";
import type { Tone } from "../ui/badge.tsx";
import { agoText, countText } from "../ui/quantity-text.ts";

interface Status {
  /** One or two words, the headline of the page. */
  label: string;
  tone: Tone;
  /** Said where the view gives no reason of its own. */
  sentence: string;
}

const statuses: Record<MinerState, Status> = {
  stopped: { label: "Not running", tone: "idle", sentence: "Nothing computes in this tab." },
  elsewhere: {
    label: "Running in another tab",
    tone: "idle",
    sentence: "One tab per browser computes. This one takes over when the other closes.",
  },
  connecting: { label: "Connecting", tone: "busy", sentence: "Reaching the hub." },
  preparing: {
    label: "Preparing",
    tone: "busy",
    sentence: "Downloading models and proving that they compute correctly here.",
  },
  ready: { label: "Ready", tone: "good", sentence: "Waiting for a request." },
  working: { label: "Working", tone: "good", sentence: "Computing somebody's request." },
  paused: { label: "Paused", tone: "idle", sentence: "Nothing computes until you resume." },
  draining: { label: "Finishing", tone: "busy", sentence: "Finishing the current task, then stopping." },
  suspended: { label: "Suspended", tone: "bad", sentence: "The hub gives this identity no work for now." },
  failed: { label: "Stopped by a fault", tone: "bad", sentence: "The miner could not go on." },
};

/** What a validator is told otherwise. */
const checking: Partial<Record<MinerState, Partial<Status>>> = {
  ready: { sentence: "Waiting for an answer to check." },
  working: { label: "Checking", sentence: "Checking somebody's answer." },
};

export function statusOf(view: MinerView | null): Status {
  const state = view?.state ?? "stopped";
  const status = { ...statuses[state], ...(view?.role === "validator" && checking[state]) };
  // Who stopped it knows why: the general sentence says the rest.
  return view?.why && view.state !== "stopped" ? { ...status, sentence: view.why } : status;
}

export interface Controls {
  start: boolean;
  pause: boolean;
  resume: boolean;
  /** Let the current task finish, then stop. */
  finish: boolean;
  /** Stop at once; the hub gives the task to somebody else. */
  stop: boolean;
}

/** Which buttons make sense in a state. */
export function controlsOf(state: MinerState): Controls {
  const none: Controls = { start: false, pause: false, resume: false, finish: false, stop: false };
  switch (state) {
    case "stopped":
      return { ...none, start: true };
    case "failed":
      return { ...none, start: true, stop: true };
    case "connecting":
    case "preparing":
    case "ready":
    case "working":
      return { ...none, pause: true, finish: true };
    case "paused":
      return { ...none, resume: true, stop: true };
    case "draining":
    case "elsewhere":
    case "suspended":
      return { ...none, stop: true };
  }
}

/** States in which the miner looks for no hub. */
const offline: ReadonlySet<MinerState> = new Set(["stopped", "elsewhere", "suspended", "failed"]);

export function hubText({ state, hub }: Pick<MinerView, "state" | "hub">): string {
  if (hub.connected) return "Connected to the hub";
  if (offline.has(state)) return "Not connected";
  if (hub.attempt === 0) return "Connecting to the hub";
  const retry = hub.retryInMs === null ? "" : `, next in ${Math.ceil(hub.retryInMs / 1000)} s`;
  return `Reconnecting to the hub: attempt ${hub.attempt}${retry}`;
}

/** A text in the making: "128 tokens, 45 per second". */
export function textProgress({ tokens, tokensPerSecond }: NonNullable<MinerView["current"][number]["text"]>): string {
  if (tokens === 0) return "reading the prompt";
  const rate = tokensPerSecond === null ? "" : `, ${countText(Number(tokensPerSecond.toPrecision(2)))} per second`;
  return `${countText(tokens)} ${tokens === 1 ? "token" : "tokens"}${rate}`;
}

/** What other people's browsers attested, which availability is paid by. */
export function seenText({ present, absent, at }: NonNullable<MinerView["seen"]>, now: number): string | null {
  const all = present + absent;
  if (all === 0) return null;
  const last = at === null ? "" : `, last ${agoText(at, now)}`;
  return `Other people's browsers looked ${countText(all)} ${all === 1 ? "time" : "times"} and found it here ${countText(present)}${last}.`;
}

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export const isLocalHub = (hostname: string): boolean => loopback.test(hostname);

/** A first contributor on their own machine has nobody who asks: say how to make requests. */
export const suggestsDemo = (view: MinerView, localHub: boolean): boolean =>
  localHub && view.hub.connected && view.state === "ready" && view.completed === 0 && view.work.length === 0;
