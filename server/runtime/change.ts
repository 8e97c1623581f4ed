import type { OwnerId } from "../../shared/ids.ts";
import type { WorkLine } from "../../shared/protocol.ts";
import type { Millis } from "../../shared/time.ts";
import type { CheckDone, ReceiptRevised, Standing } from "../core/events.ts";
import type { Transfer } from "../economy/ledger.ts";
import type { AttestationRecord } from "../store/attestation-records.ts";
import type { LiveTask } from "./live-task.ts";

/** What people watch: called after each commit with what it changed. */
export interface Observer {
  committed(change: Change): void;
}

export interface Change {
  at: Millis;
  tasks: ReadonlySet<LiveTask>;
  settled: readonly CheckDone[];
  /** Delivered answers that turned out wrong. */
  revised: readonly ReceiptRevised[];
  transfers: readonly Transfer[];
  pay: ReadonlyMap<OwnerId, readonly WorkLine[]>;
  standings: readonly Standing[];
  /** Words on the presence of miners. */
  attested: readonly AttestationRecord[];
  referenceRuns: number;
}
