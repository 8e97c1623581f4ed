import type { MinerView } from "./contract.ts";

/** Between two views: nobody reads faster, and drawing takes time that the models could have. */
const VIEW_MS = 250;
/** What changes together is told together. */
const TOGETHER_MS = 100;
const HIDDEN_MS = 5_000;

/** Tells the page what of the view has changed. The page keeps the rest, with its identity, and draws none of it again. */
export class ViewPush {
  readonly #look: () => MinerView;
  readonly #said = new Map<string, string>();
  #listener: ((changed: Partial<MinerView>) => void) | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #visible = true;
  #pushedAt = Number.NEGATIVE_INFINITY;

  constructor(look: () => MinerView) {
    this.#look = look;
  }

  /** The first push is whole. */
  subscribe(listener: (changed: Partial<MinerView>) => void): void {
    this.#listener = listener;
    this.#said.clear();
    this.soon();
  }

  /** A hidden page is told hardly ever, and at once what it missed when it is shown. */
  watched(visible: boolean): void {
    const isShownAgain = visible && !this.#visible;
    this.#visible = visible;
    if (isShownAgain) this.#push();
  }

  /** Something may have changed. */
  soon(): void {
    const at = this.#pushedAt + (this.#visible ? VIEW_MS : HIDDEN_MS);
    this.#timer ??= setTimeout(() => this.#push(), Math.max(TOGETHER_MS, at - performance.now()));
  }

  #push(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pushedAt = performance.now();
    const changed = Object.entries(this.#look()).filter(([field, value]) => {
      const said = JSON.stringify(value);
      if (this.#said.get(field) === said) return false;
      this.#said.set(field, said);
      return true;
    });
    if (changed.length > 0) this.#listener?.(Object.fromEntries(changed));
  }
}
