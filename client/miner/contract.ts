import type { AccountUpdate, Device, SessionRole, WorkLine } from "../../shared/protocol.ts";

/**
 * What the contribute page and the session worker say to each other over Comlink. The worker owns the socket, Dexie and
 * the inference workers, so a hidden tab keeps working; the page owns what workers cannot see: visibility, frame time,
 * battery, network and the person.
 */
export interface MinerSettings {
  /** Compute answers, or only check those of others. */
  role: SessionRole;
  /** Share of time that may be computed, 0.1–1. */
  duty: number;
  pauseOnBattery: boolean;
  pauseOnMetered: boolean;
  /** Pause while the person uses this page's machine, where idle detection was granted. */
  pauseWhenActive: boolean;
  /** Local hours in which work is allowed, [from, to); equal means always. */
  hours: [from: number, to: number];
  /** Compute less while this page draws slowly or, hidden, the processor is pressed; off where nobody else works here. */
  yieldToFrames: boolean;
  /** Disk the model cache may use. */
  diskBytes: number;
  /** Ask WebGPU first; `wasm` never touches the GPU. `software` also accepts the software adapter (for tests). */
  runtime: "webgpu" | "wasm" | "software";
  /** Compute on the processor (WASM) what WebGPU cannot: no adapter, an operator it lacks, too little memory. */
  wasmFallback: boolean;
  slots: number;
}

/**
 * What choosing a role sets: a checker does one small thing at a time, on the processor unless a person says otherwise, so
 * that it works on every phone and its word comes from another kind of device than a GPU's.
 */
export const roleDefaults: Record<SessionRole, Pick<MinerSettings, "role" | "runtime" | "slots" | "diskBytes">> = {
  miner: { role: "miner", runtime: "webgpu", slots: 1, diskBytes: 4 * 1024 ** 3 },
  validator: { role: "validator", runtime: "wasm", slots: 1, diskBytes: 512 * 1024 ** 2 },
};

export const defaultSettings: MinerSettings = {
  ...roleDefaults.miner,
  duty: 1,
  pauseOnBattery: true,
  pauseOnMetered: true,
  pauseWhenActive: false,
  hours: [0, 0],
  yieldToFrames: true,
  wasmFallback: true,
};

/** IndexedDB of the miner; named here so that the page can ask whether it exists without loading Dexie. */
export const DATABASE_NAME = "tabgrid";

/** What only the page can see; null where the browser does not tell. */
export interface PageSignals {
  visible: boolean;
  /** Median of the last frames. */
  frameMs: number | null;
  onBattery: boolean | null;
  metered: boolean | null;
  personActive: boolean | null;
  storagePersisted: boolean | null;
}

/** Head of the state machine in shared/miner-session.ts. */
export type MinerState =
  | "stopped"
  | "elsewhere" // another tab of this browser profile holds the lock
  | "connecting"
  | "preparing" // downloads, known-answer vectors
  | "ready" // waiting for work
  | "working"
  | "paused"
  | "draining" // finish this task, then stop
  | "suspended"
  | "failed";

export interface ModelView {
  key: string;
  title: string;
  state: "downloading" | "preparing" | "admitted" | "refused";
  bytesDone: number;
  bytesTotal: number;
  bytesPerSecond: number | null;
  etaMs: number | null;
  serviceMs: number | null;
  problem: string | null;
}

export interface MinerView {
  role: SessionRole;
  state: MinerState;
  /** Why it is not computing, in words for a person; null while it is. */
  why: string | null;
  hub: { connected: boolean; attempt: number; retryInMs: number | null };
  miner: string | null;
  device: Device | null;
  /** Why WebGPU is not used, with the remedy; null where it is. */
  deviceNote: string | null;
  models: ModelView[];
  current: {
    assignment: string;
    model: string;
    sinceMs: number;
    /** Of a text in the making: its tokens so far, and how fast they come (null until there are two). */
    text: { tokens: number; tokensPerSecond: number | null } | null;
  }[];
  completed: number;
  failed: number;
  /** Paid, of those told since the page was opened. */
  passed: number;
  /** nano-USDC as decimal strings. */
  held: string;
  available: string;
  trust: number | null;
  /** What validators attested since it connected; null until they have. */
  seen: NonNullable<AccountUpdate["seen"]> | null;
  work: WorkLine[];
  /** Duty cycle now in force after the governor's own steering. */
  dutyNow: number;
  cacheBytes: number;
  notices: { at: number; kind: "info" | "warning"; text: string }[];
}

/** What the session worker offers. */
export interface MinerRemote {
  /** Consent was given: connect and work. Resolves when the state machine has left `stopped`. */
  start(settings: MinerSettings): Promise<void>;
  /** Stops computing at once; assignments are handed back. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  finishThenStop(): Promise<void>;
  stop(): Promise<void>;
  configure(settings: MinerSettings): Promise<void>;
  signals(signals: PageSignals): Promise<void>;
  /** Pushes the whole view soon, then what of it has changed: at most four times a second, to a hidden page hardly ever. */
  subscribe(listener: (changed: Partial<MinerView>) => void): Promise<void>;
  /** Deletes cached models. */
  clearCache(): Promise<void>;
}

/** The same at the page's end, which puts the views together again. */
export interface MinerPageRemote extends Omit<MinerRemote, "subscribe"> {
  /** What has not changed is the very same object as in the view before. */
  subscribe(listener: (view: MinerView) => void): Promise<void>;
}
