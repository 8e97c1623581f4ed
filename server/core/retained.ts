import type { OwnerId } from "../../shared/ids.ts";
import { totalBytes } from "../../shared/tensor.ts";
import type { TaskSpec } from "./events.ts";
import type { Run } from "./state.ts";
import type { TextProgress } from "./text.ts";

/** Settled answers that nobody checked, kept so that a fail of their owner can still have them checked. */
export interface UncheckedAnswer {
  spec: TaskSpec;
  run: Run;
  /** The whole of it, where it is a text. */
  text: TextProgress | null;
}

/** Of all owners together; whoever came first loses its own first. A restart forgets them: requests are not written down. */
const BYTES_KEPT = 256 * 1024 * 1024;

export class Retained {
  #byOwner = new Map<OwnerId, UncheckedAnswer[]>();
  #bytes = 0;

  /** Keeps an answer, and at most `most` of its owner. */
  keep(answer: UncheckedAnswer, owner: OwnerId, most: number): void {
    let own = this.#byOwner.get(owner);
    if (!own) {
      own = [];
      this.#byOwner.set(owner, own);
    }
    own.push(answer);
    this.#bytes += bytesOf(answer);
    if (own.length > most) this.#bytes -= bytesOf(own.shift() as UncheckedAnswer);
    while (this.#bytes > BYTES_KEPT) this.takeAll(this.#byOwner.keys().next().value as OwnerId);
  }

  /** Takes out all of an owner, oldest first. */
  takeAll(owner: OwnerId): UncheckedAnswer[] {
    const taken = this.#byOwner.get(owner) ?? [];
    this.#byOwner.delete(owner);
    for (const answer of taken) this.#bytes -= bytesOf(answer);
    return taken;
  }
}

const bytesOf = ({ spec, run }: UncheckedAnswer): number => totalBytes(spec.inputs) + totalBytes(run.outputs);
