import { z } from "zod";

/**
 * The wire between hub and operator console: Socket.IO namespace `/console`, same parser. The client authenticates in the
 * handshake (`auth: { token }`), gets one `snapshot` and then `delta`s (upserts by id, at most four a second).
 * A gap in `seq` means: reconnect for a new snapshot.
 */
const nano = z.string();

export const taskStates = [
  "queued",
  "assigned",
  "answered",
  "checking",
  "verified",
  "rejected",
  "failed",
  "cancelled",
  "expired",
  "settled",
  "overturned",
] as const;

export const consoleMinerSchema = z.object({
  miner: z.string(),
  session: z.string(),
  owner: z.string(),
  network: z.string(),
  role: z.enum(["miner", "validator"]),
  runtime: z.string(),
  adapter: z.string(),
  fallback: z.boolean(),
  state: z.enum(["ready", "working", "paused", "grace", "suspended"]),
  reason: z.string().nullable(),
  trust: z.number(),
  inFlight: z.number(),
  slots: z.number(),
  models: z.array(
    z.object({
      model: z.string(),
      state: z.enum(["preparing", "admitted", "refused"]),
      serviceMs: z.number().nullable(),
    }),
  ),
  accepted: z.number(),
  refuted: z.number(),
  /** What validators attested since it connected. */
  seen: z.object({ present: z.number(), absent: z.number(), at: z.number().nullable() }),
  /** held + available, nano-USDC. */
  earned: nano,
  connectedAt: z.number(),
});
export type ConsoleMiner = z.infer<typeof consoleMinerSchema>;

export const timelineEntrySchema = z.object({ at: z.number(), what: z.string() });

export const consoleTaskSchema = z.object({
  task: z.string(),
  model: z.string(),
  customer: z.string(),
  level: z.string(),
  state: z.enum(taskStates),
  basis: z.string().nullable(),
  price: nano,
  submittedAt: z.number(),
  timeline: z.array(timelineEntrySchema),
});
export type ConsoleTask = z.infer<typeof consoleTaskSchema>;

export const consoleTotalsSchema = z.object({
  queued: z.number(),
  inFlight: z.number(),
  verified: z.number(),
  failed: z.number(),
  refuted: z.number(),
  referenceRuns: z.number(),
  /** Tasks verified in the last second, ten seconds' mean. */
  perSecond: z.number(),
  latencyP50Ms: z.number().nullable(),
  latencyP95Ms: z.number().nullable(),
});

export const consoleLedgerSchema = z.object({
  /** Σ over all accounts per asset; anything but 0 is a bug. */
  imbalance: nano,
  accounts: z.array(z.object({ account: z.string(), asset: z.string(), balance: nano })),
  transfers: z.number(),
});

export const snapshotSchema = z.object({
  seq: z.number(),
  at: z.number(),
  startedAt: z.number(),
  version: z.string(),
  miners: z.array(consoleMinerSchema),
  tasks: z.array(consoleTaskSchema),
  totals: consoleTotalsSchema,
  ledger: consoleLedgerSchema,
  /** Waiting for a person's ruling. */
  openCases: z.number(),
});
export type Snapshot = z.infer<typeof snapshotSchema>;

export const deltaSchema = z.object({
  seq: z.number(),
  at: z.number(),
  miners: z.array(consoleMinerSchema),
  gone: z.array(z.string()).describe("sessions that left"),
  tasks: z.array(consoleTaskSchema),
  totals: consoleTotalsSchema,
  ledger: consoleLedgerSchema.nullable(),
  openCases: z.number(),
});
export type Delta = z.infer<typeof deltaSchema>;

export interface HubToConsole {
  snapshot(message: Snapshot): void;
  delta(message: Delta): void;
}
// biome-ignore lint/complexity/noBannedTypes: the console sends nothing over the socket; its actions are HTTP calls
export type ConsoleToHub = {};
