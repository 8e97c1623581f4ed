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
  /** Of a text, whose price and work are those of the tokens that were delivered and accepted. */
  text?: {
    promptTokens: number;
    outputTokens: number;
    finish: string;
    seed: string;
    /** Set aside for it; what the price leaves of it goes back. */
    held: Nano;
    /** FLOP of one check. */
    checkWork: bigint;
  };
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
  /** Of the owner when the verdict was settled: trust 0 to 1, passed checks, held pay and deposits in nano-USDC. */
  standing?: { trust: number; passed: number; atRisk: Nano };
  /** FLOP of what it did itself; the task's own where it is left out. */
  work?: bigint;
  /** FLOP of reading what the makers of a text before it had written: none of the price pays that. */
  repeated?: bigint;
  /** The maker before it was sent away by the hub, and owes nothing for that. */
  preempted?: boolean;
  /** The tokens of a text that it made. */
  span?: { from: number; to: number };
}
