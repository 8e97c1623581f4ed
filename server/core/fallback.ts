import type { ModelKey } from "../../shared/ids.ts";
import type { MinerSession, ModelOnMiner } from "./roster.ts";
import type { Step } from "./state.ts";

/**
 * After a quarantine the same device goes on with WASM (../shared/policy.md, "Fault of a device, fault of a person"): its
 * GPU is at fault for this model, its person is not, and its processor is of another class that proves itself anew. The
 * known answer that shows whose fault a strike was comes first: it needs the GPU.
 */
export function mayFallBack(session: MinerSession, model: ModelKey, on: ModelOnMiner): boolean {
  if (!on.quarantined || on.canariesOwed.length > 0 || (on.runtime ?? session.device.runtime) === "wasm") return false;
  for (const assignment of session.assignments.values()) if (assignment.model === model) return false;
  return true;
}

/** The next preparation of the model is on WASM. */
export function fallBack(step: Step, session: MinerSession, model: ModelKey): void {
  session.onWasm.add(model);
  step.state.roster.forget(session, model);
}
