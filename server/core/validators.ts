import { failure, type TabgridError } from "../../shared/errors.ts";
import type { ModelKey } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { CoreModel } from "./events.ts";
import type { MinerSession, ModelOnMiner } from "./roster.ts";

/**
 * What a validator, a session that only checks, is asked to do: models that fit a phone, by their memory and by how long
 * one run takes, first on the reference node and then, as the hub sees it, on the validator itself.
 */

/** A model that the reference node cannot run within the bound is too slow for a phone as well. */
export const fitsValidator = ({ memoryBytes, referenceMs }: CoreModel): boolean =>
  memoryBytes <= limits.validatorModelBytes && referenceMs !== null && referenceMs <= limits.validatorCheckMs;

/** Refuses a validator a model that takes it longer than the bound, by what it measured itself. */
export function tooSlowFor(
  { role }: MinerSession,
  { model, runMs }: { model: ModelKey; runMs: number },
): TabgridError | null {
  if (role === "miner" || runMs <= limits.validatorCheckMs) return null;
  return failure("value-out-of-range", `${model}: a check takes too long on this device`, {
    field: "runMs",
    expected: `at most ${limits.validatorCheckMs} for a validator`,
    got: runMs.toFixed(0),
  });
}

/** A validator that let a check wait (its screen went dark) gets none until it has prepared the model again. */
export const isTooSlow = (session: MinerSession, on: ModelOnMiner): boolean =>
  session.role === "validator" && on.state === "admitted" && on.serviceMs > limits.validatorCheckMs;

/** So many that all of a message are done within the bound of one check. */
export function checksPerMessage(session: MinerSession, model: ModelKey): number {
  if (session.role === "miner") return limits.assignmentsPerMessage;
  const serviceMs = session.models.get(model)?.serviceMs ?? limits.validatorCheckMs;
  return Math.max(1, Math.floor(limits.validatorCheckMs / Math.max(serviceMs, 1)));
}
