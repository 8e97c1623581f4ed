import type { Given, Watched } from "./auditor.ts";

/**
 * After a fail of its owner, the last answers that went unchecked are computed again (../shared/policy.md): what was settled
 * since the fail before, and what is on its way to be settled so. A crash forgets them, and so does this.
 */
const RECHECKED = 20;

export class RecheckAuditor {
  readonly #tasks: ReadonlyMap<string, Watched>;
  readonly #due = new Set<string>();
  /** Given since the owner's last fail, oldest first; and what was settled unchecked of it. */
  readonly #answered = new Map<string, Given[]>();
  readonly #unchecked = new Map<string, string[]>();

  constructor(tasks: ReadonlyMap<string, Watched>) {
    this.#tasks = tasks;
  }

  delivered(given: Given): void {
    this.#answered.set(given.owner, [...(this.#answered.get(given.owner) ?? []), given]);
  }

  refuted(owner: string, isUndecided: (given: Given) => boolean): void {
    const unsettled = (this.#answered.get(owner) ?? []).filter(isUndecided);
    for (const one of unsettled.slice(-RECHECKED)) one.doubted = true;
    const settled = this.#unchecked.get(owner) ?? [];
    const tooOld = Math.max(0, settled.length + unsettled.length - RECHECKED);
    for (const task of settled.slice(tooOld)) this.#expect(task);
    this.#answered.delete(owner);
    this.#unchecked.delete(owner);
  }

  settledUnchecked(task: string, run: Given): void {
    if (run.doubted) this.#expect(task);
    else if (this.#answered.get(run.owner)?.includes(run)) {
      this.#unchecked.set(run.owner, [...(this.#unchecked.get(run.owner) ?? []), task]);
    }
  }

  ranAgain(task: string): void {
    this.#due.delete(task);
    const watched = this.#tasks.get(task);
    if (watched?.basis) watched.rechecked = true;
  }

  crashed(): void {
    this.#due.clear();
    this.#answered.clear();
    this.#unchecked.clear();
  }

  /** Tasks that nobody has computed again yet. */
  get due(): Iterable<string> {
    return this.#due;
  }

  #expect(task: string): void {
    const watched = this.#tasks.get(task);
    if (watched && !watched.crashedSince && !watched.rechecked) this.#due.add(task);
  }
}
