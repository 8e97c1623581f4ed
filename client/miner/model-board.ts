import type { TabgridError } from "../../shared/errors.ts";
import type { ModelView } from "./contract.ts";

/** Weight of the newest measurement in the means of speed. */
const NEWEST = 0.2;
const RATE_WINDOW_MS = 500;

/** Keeps the page's picture of each model: how far its download is, whether it was admitted, how long a run takes. */
export class ModelBoard {
  readonly #views: Map<string, ModelView>;
  readonly #marks = new Map<string, { at: number; bytes: number }>();
  readonly #constant = new Set<string>();
  #lastReported: string | null = null;

  constructor(views: Map<string, ModelView>) {
    this.#views = views;
  }

  downloading(key: string, title: string, bytesDone: number, bytesTotal: number, now: number): void {
    const view = this.#view(key, title);
    Object.assign(view, { state: "downloading", problem: null, bytesDone, bytesTotal });
    const mark = this.#marks.get(key);
    if (!mark || bytesDone < mark.bytes) return void this.#marks.set(key, { at: now, bytes: bytesDone });
    if (now - mark.at < RATE_WINDOW_MS) return;
    const rate = ((bytesDone - mark.bytes) * 1000) / (now - mark.at);
    view.bytesPerSecond = view.bytesPerSecond === null ? rate : view.bytesPerSecond * (1 - NEWEST) + rate * NEWEST;
    view.etaMs = view.bytesPerSecond > 0 ? ((bytesTotal - bytesDone) * 1000) / view.bytesPerSecond : null;
    this.#marks.set(key, { at: now, bytes: bytesDone });
  }

  running(key: string, title: string): void {
    this.#marks.delete(key);
    Object.assign(this.#view(key, title), { state: "preparing", problem: null, bytesPerSecond: null, etaMs: null });
  }

  prepared(key: string, runMs: number): void {
    this.#view(key, key).serviceMs = runMs;
  }

  /** The hub has the outputs; it says so only if it refuses them. */
  reported(key: string): void {
    this.#lastReported = key;
    Object.assign(this.#view(key, key), { state: "admitted", problem: null });
  }

  refused(key: string, problem: string): void {
    Object.assign(this.#view(key, key), { state: "refused", problem, bytesPerSecond: null, etaMs: null });
  }

  /** The refusal names no model: its text may, else it is the one reported last. */
  refusedByHub(error: TabgridError): void {
    const told = [error.message, error.field, error.got].join(" ");
    const key = [...this.#views.keys()].find((each) => told.includes(each)) ?? this.#lastReported;
    if (key !== null) this.refused(key, error.message);
  }

  served(key: string, computeMs: number): void {
    const view = this.#view(key, key);
    view.serviceMs = view.serviceMs === null ? computeMs : view.serviceMs * (1 - NEWEST) + computeMs * NEWEST;
  }

  /** Constant outputs are said once a model: rare ones are honest, many are a sick device. */
  isFirstConstant(key: string): boolean {
    const first = !this.#constant.has(key);
    this.#constant.add(key);
    return first;
  }

  clear(): void {
    this.#views.clear();
    this.#marks.clear();
    this.#constant.clear();
    this.#lastReported = null;
  }

  #view(key: string, title: string): ModelView {
    let view = this.#views.get(key);
    if (!view) {
      view = {
        key,
        title,
        state: "preparing",
        bytesDone: 0,
        bytesTotal: 0,
        bytesPerSecond: null,
        etaMs: null,
        serviceMs: null,
        problem: null,
      };
      this.#views.set(key, view);
    }
    return view;
  }
}
