import { failure, type TabgridError } from "../../shared/errors.ts";
import { assert, err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import type { EpochPlan } from "./epoch-plan.ts";
import type { Transfer } from "./ledger.ts";

/**
 * Closing an epoch. The digest of its plan (epoch-plan.ts) is what a person approves.
 *
 *   open → previewed    `preview` shows the plan; again after a new fence
 *        → approved     `approve` names the digest that was seen
 *        → closed       every transfer of the plan is posted
 *
 * Transfers carry ids of their own: a closing that was interrupted is run again and posts what is missing.
 */
export type EpochState =
  | { phase: "open"; epoch: number }
  | { phase: "previewed"; epoch: number; digest: string }
  | { phase: "approved"; epoch: number; digest: string; by: string; at: Millis }
  | { phase: "closed"; epoch: number; digest: string; by: string; at: Millis };

/** May it be fenced, again or for the first time? */
export function checkPreview(state: EpochState): Result<null, TabgridError> {
  if (state.phase === "closed") return err(alreadyClosed(state.epoch));
  if (state.phase !== "approved") return ok(null);
  const detail = { field: "epoch", expected: "an open or previewed epoch", got: state.phase };
  return err(failure("wrong-state", `epoch ${state.epoch} is approved; close it`, detail));
}

export function preview(state: EpochState, plan: EpochPlan): Result<EpochState, TabgridError> {
  assert(plan.epoch === state.epoch, `plan of epoch ${plan.epoch} for epoch ${state.epoch}`);
  const checked = checkPreview(state);
  return checked.ok ? ok({ phase: "previewed", epoch: state.epoch, digest: plan.digest }) : checked;
}

/** `digest`: of the plan that the approver saw. */
export function approve(state: EpochState, digest: string, by: string, at: Millis): Result<EpochState, TabgridError> {
  if (state.phase === "closed") return err(alreadyClosed(state.epoch));
  if (state.phase !== "previewed" || state.digest !== digest) {
    const expected = state.phase === "previewed" ? state.digest : "a previewed epoch";
    return err(
      failure("wrong-state", "this is not the plan that was shown", { field: "digest", expected, got: digest }),
    );
  }
  return ok({ ...state, phase: "approved", by, at });
}

/** What is still to be posted; once that is done the epoch is closed. `posted`: is there a transfer of this id? */
export function close(
  state: EpochState,
  plan: EpochPlan,
  posted: (id: string) => boolean,
): Result<{ closed: EpochState; transfers: Transfer[] }, TabgridError> {
  const checked = checkClose(state);
  if (!checked.ok) return checked;
  assert(state.phase === "approved", "only an approved epoch is closed");
  assert(plan.epoch === state.epoch && plan.digest === state.digest, `not the plan that was approved: ${plan.digest}`);
  const transfers = plan.transfers.filter(({ id }) => !posted(id));
  return ok({ closed: { ...state, phase: "closed" }, transfers });
}

/** A closed epoch is closed once, and what nobody approved is not closed. */
export function checkClose(state: EpochState): Result<null, TabgridError> {
  if (state.phase === "closed") return err(alreadyClosed(state.epoch));
  if (state.phase === "approved") return ok(null);
  const detail = { field: "epoch", expected: "approved", got: state.phase };
  return err(failure("epoch-not-approved", `epoch ${state.epoch} was approved by nobody`, detail));
}

const alreadyClosed = (epoch: number): TabgridError =>
  failure("epoch-closed", `epoch ${epoch} is closed; later entries belong to the next`, {
    field: "epoch",
    expected: String(epoch + 1),
    got: String(epoch),
  });
