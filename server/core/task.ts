import { assert } from "../../shared/result.ts";

/**
 * The life of a task (../shared/design.md section 5).
 *
 *   queued      waits for a miner
 *   assigned    at least one miner holds a lease on it
 *   answered    the first result is in; the checker is drawn only now. A text is answered with its last token, also where
 *               nobody goes on with it
 *   checking    a further execution runs
 *   verified    the verdict accepted an answer; waits for chain signatures
 *   rejected    no answer could be accepted; goes back to the queue
 *   settled     postings and receipt are written
 *   failed, cancelled, expired   ended without an accepted answer; the hold is voided
 *   overturned  a later check or case refuted a settled answer
 */
const legalMoves = {
  queued: ["assigned", "answered", "checking", "cancelled", "expired", "failed"],
  assigned: ["answered", "queued", "cancelled", "expired", "failed"],
  answered: ["checking", "verified", "cancelled", "expired", "failed"],
  checking: ["verified", "rejected", "cancelled", "expired", "failed"],
  rejected: ["queued", "failed", "cancelled", "expired"],
  verified: ["settled"],
  settled: ["overturned"],
  failed: [],
  cancelled: [],
  expired: [],
  overturned: [],
} as const satisfies Record<string, readonly string[]>;

export type TaskState = keyof typeof legalMoves;

export function assertLegalMove(from: TaskState, to: TaskState): void {
  assert((legalMoves[from] as readonly string[]).includes(to), `task may not move from ${from} to ${to}`);
}
