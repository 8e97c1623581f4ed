import type { AssignmentId, CustomerId, MinerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { ServiceLevel } from "../../shared/pricing.ts";
import type { Millis } from "../../shared/time.ts";

/**
 * What the economy needs to know of a task whose verdict is in: the core's `CheckDone` has it all. Neither knows the
 * other; the runtime hands it over.
 */
export interface VerifiedTask {
  task: TaskId;
  at: Millis;
  customer: CustomerId;
  model: ModelKey;
  creator: string;
  royaltyBasisPoints: number;
  level: ServiceLevel;
  price: Nano;
  /** FLOP. */
  work: bigint;
  basis: string;
  /** Hex. */
  inputHash: string;
  /** Of the accepted answer, hex. */
  commitment: string;
  /** In the order of their results. */
  executions: readonly VerifiedExecution[];
}

export interface VerifiedExecution {
  by: OwnerId | "reference";
  miner: MinerId | null;
  assignment: AssignmentId | null;
  role: "primary" | "check" | "third" | "hedge";
  commitment: string;
  /** Agreed with the accepted answer. */
  accepted: boolean;
  /** Its miner signed for it; only signed executions are paid. */
  signed: boolean;
  newcomer: boolean;
}
