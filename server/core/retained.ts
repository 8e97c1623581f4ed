import type { OwnerId } from "../../shared/ids.ts";
import { totalBytes } from "../../shared/tensor.ts";
import type { OpenTask, Run } from "./state.ts";

/** An accepted answer that nobody checked, kept so that a fail of its owner can still have it checked. */
export interface UncheckedAnswer {
  /** Verified, or settled since. */
  task: OpenTask;
  run: Run;
}

/** Of all owners together; whoever came first loses its own first. A restart forgets them: requests are not written down. */
const BYTES_KEPT = 256 * 1024 * 1024;

export class Retained {
  #byOwner = new Map<OwnerId, (UncheckedAnswer & { bytes: number })[]>();
  #bytes = 0;

  /** Keeps an answer, and at most `most` of its owner. */
  keep({ task, run }: UncheckedAnswer, owner: OwnerId, most: number): void {
    let own = this.#byOwner.get(owner);
    if (!own) {
      own = [];
      this.#byOwner.set(owner, own);
    }
    const bytes = totalBytes(task.spec.inputs) + totalBytes(run.outputs);
    own.push({ task, run, bytes });
    this.#bytes += bytes;
    if (own.length > most) this.#bytes -= own.shift()?.bytes ?? 0;
    while (this.#bytes > BYTES_KEPT) this.takeAll(this.#byOwner.keys().next().value as OwnerId);
  }

  /** Takes out all of an owner, oldest first. */
  takeAll(owner: OwnerId): UncheckedAnswer[] {
    const taken = this.#byOwner.get(owner) ?? [];
    this.#byOwner.delete(owner);
    for (const { bytes } of taken) this.#bytes -= bytes;
    return taken;
  }
}
