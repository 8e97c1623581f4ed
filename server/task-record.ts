import { limits } from "../shared/limits.ts";
import type { LiveTask } from "./runtime.ts";
import type { TaskRecord } from "./store/store.ts";

/** What outlives a task. */
export function recordOf(task: LiveTask): TaskRecord {
  const { spec, state, basis, submittedAt, endedAt, error, timeline } = task;
  return {
    task: spec.task,
    customer: spec.customer,
    model: spec.model,
    level: spec.level,
    state,
    basis,
    price: spec.price,
    work: spec.work,
    submittedAt,
    endedAt,
    error,
    timeline: timeline.slice(0, TIMELINE_MAX),
  };
}

/** A task that is given back again and again must not grow its record without end. */
const TIMELINE_MAX = 4 * limits.slotsMax;
