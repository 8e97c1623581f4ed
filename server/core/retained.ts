import type { OwnerId, TaskId } from "../../shared/ids.ts";
import { totalBytes } from "../../shared/tensor.ts";
import type { TaskSpec } from "./events.ts";
import type { Run } from "./state.ts";

/** Settled answers that nobody checked, kept so that a fail of their owner can still have them checked. */
export interface UncheckedAnswer {
  spec: TaskSpec;
  run: Run;
}

/** Of all owners together; the oldest go first. A restart forgets them: requests are not written down. */
const BYTES_KEPT = 256 * 1024 * 1024;

export class Retained {
  #byOwner = new Map<OwnerId, Map<TaskId, UncheckedAnswer>>();
  #order = new Map<TaskId, OwnerId>();
  #bytes = 0;

  /** Keeps an answer, and at most `most` of its owner. */
  keep(answer: UncheckedAnswer, owner: OwnerId, most: number): void {
    const own = this.#byOwner.get(owner) ?? new Map<TaskId, UncheckedAnswer>();
    this.#byOwner.set(owner, own);
    own.set(answer.spec.task, answer);
    this.#order.set(answer.spec.task, owner);
    this.#bytes += bytesOf(answer);
    if (own.size > most) this.#drop(own.keys().next().value as TaskId, owner);
    while (this.#bytes > BYTES_KEPT) this.#drop(...(this.#order.entries().next().value as [TaskId, OwnerId]));
  }

  /** Takes out all of an owner, oldest first. */
  takeAll(owner: OwnerId): UncheckedAnswer[] {
    const taken = [...(this.#byOwner.get(owner)?.values() ?? [])];
    for (const { spec } of taken) this.#drop(spec.task, owner);
    return taken;
  }

  #drop(task: TaskId, owner: OwnerId): void {
    const own = this.#byOwner.get(owner);
    const answer = own?.get(task);
    if (!own || !answer) return;
    own.delete(task);
    if (own.size === 0) this.#byOwner.delete(owner);
    this.#order.delete(task);
    this.#bytes -= bytesOf(answer);
  }
}

const bytesOf = ({ spec, run }: UncheckedAnswer): number => totalBytes(spec.inputs) + totalBytes(run.outputs);
