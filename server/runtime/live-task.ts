import type { TabgridError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import type { HubEffect, TaskOutcome, TaskSpec, VerdictBasis } from "../core/events.ts";
import type { TaskState } from "../core/task.ts";
import type { TaskRecord } from "../store/store.ts";

export type TextPart = Extract<HubEffect, { kind: "part" }>["part"];

/** An open task as people see it; the record that outlives it is made from this. */
export interface LiveTask {
  spec: TaskSpec;
  state: TaskState;
  basis: VerdictBasis | null;
  submittedAt: Millis;
  endedAt: Millis | null;
  error: TabgridError | null;
  timeline: { at: Millis; what: string }[];
  /** Of a settled one: what it cost, and its work; a text may come to less than was held. */
  came: { price: Nano; work: bigint } | null;
  reply: (outcome: TaskOutcome["result"]) => void;
  /** Of a text: what its caller is given. */
  onPart: (part: TextPart) => void;
}

export function recordOf(task: LiveTask): TaskRecord {
  const { spec, state, basis, submittedAt, endedAt, error, timeline, came } = task;
  return {
    task: spec.task,
    customer: spec.customer,
    model: spec.model,
    level: spec.level,
    state,
    basis,
    price: came?.price ?? spec.price,
    work: came?.work ?? spec.work,
    submittedAt,
    endedAt,
    error,
    timeline: timeline.slice(0, TIMELINE_MAX),
  };
}

/** A task that is given back again and again must not grow its record without end. */
const TIMELINE_MAX = 4 * limits.slotsMax;
