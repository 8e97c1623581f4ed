import type { ModelKey, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import type { CoreModel, TaskSpec } from "./events.ts";
import type { MinerSession } from "./roster.ts";
import type { HubState, Run, Step } from "./state.ts";
import { checkPrice } from "./text-terms.ts";

/** Whose work a known answer stands in for a check of, and what that check would have been worth. */
export interface CanaryOwed {
  subject: OwnerId;
  price: Nano;
}

/** What one execution of a request costs its customer; of a text, one check of all that it may grow to. */
export const executionPrice = ({ text, price, level }: TaskSpec): Nano =>
  text ? checkPrice(text, text.maxTokens) : price / BigInt(executionsPriced(level));

/** In the place of no check: worth what the model last cost, and paid by its own work. */
export const owedByItself = ({ executionPrice }: HubState, { owner }: MinerSession, model: ModelKey): CanaryOwed => ({
  subject: owner,
  price: executionPrice.get(model) ?? 0n,
});

/**
 * Has a known answer sent to the miner of a run in the place of a check of `made`; false where it is gone or the reference
 * node makes none.
 */
export function oweCanary(step: Step, run: Run, model: CoreModel, spec: TaskSpec, made: Run | undefined): boolean {
  const id = run.miner && step.state.roster.byMiner.get(run.miner);
  const session = id ? step.state.roster.sessions.get(id) : undefined;
  const on = session?.models.get(model.key);
  if (!id || !session || !on || model.referenceMs === null || model.golden.length === 0) return false;
  const subject = made && made.by !== "reference" ? made.by : session.owner;
  on.canariesOwed.push({ subject, price: executionPrice(spec) });
  step.state.canarySessions.add(id);
  return true;
}
