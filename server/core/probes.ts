import { failure, type TabgridError } from "../../shared/errors.ts";
import type { ModelKey } from "../../shared/ids.ts";
import { matchSpecs, type Tensor } from "../../shared/tensor.ts";
import type { Millis } from "../../shared/time.ts";
import { compareResults } from "../../shared/tolerance.ts";
import { owedByItself } from "./canary-owed.ts";
import type { CoreModel } from "./events.ts";
import type { Step } from "./state.ts";

/**
 * The part of a model's probe set that the hub renews weekly (docs/decisions/renewed-probes.md). A manifest's golden vectors
 * are public and stay the same, so their answers can be recorded; these are known to the hub alone until a miner is asked.
 */
export interface ProbeSet {
  model: ModelKey;
  madeAt: Millis;
  vectors: { inputs: Tensor[]; outputs: Tensor[] }[];
}

export const PROBES_LAST_MS = 7 * 86_400_000;

export interface ProbesRenewed {
  kind: "probes.renewed";
  at: Millis;
  set: ProbeSet;
}

/** Who is admitted already is given an answer that it cannot have recorded, as ordinary work. */
export function renewProbes({ state }: Step, { set }: ProbesRenewed): void {
  const isFirst = !state.probes.has(set.model);
  state.probes.set(set.model, set);
  if (isFirst) return;
  for (const session of state.roster.sessions.values()) {
    const on = session.models.get(set.model);
    if (on?.state !== "admitted") continue;
    if (on.canariesOwed.length === 0) on.canariesOwed.push(owedByItself(state, session, set.model));
    state.canarySessions.add(session.id);
  }
}

/**
 * What speaks against a miner's answers to the renewed vectors, or null. Only a FAIL does: an input that the hub made may lie
 * where honest devices differ, and nobody has measured it.
 */
export function probeMismatch(
  model: CoreModel,
  set: ProbeSet | null,
  outputs: readonly Tensor[][],
): TabgridError | null {
  const wrong = (what: string) => failure("wrong-outputs", `${model.key}: ${what}`, { field: "outputs" });
  for (const [index, { outputs: right }] of (set?.vectors ?? []).entries()) {
    const answer = outputs[model.golden.length + index];
    if (!answer) return wrong(`renewed known answer ${index + 1} is missing`);
    const matched = matchSpecs(answer, model.outputs, `outputs[${model.golden.length + index}]`);
    if (!matched.ok) return wrong(matched.error.message);
    const { agreement, what } = compareResults(model.comparator, answer, right);
    if (agreement === "FAIL") return wrong(`renewed known answer ${index + 1} does not match: ${what}`);
  }
  return null;
}
