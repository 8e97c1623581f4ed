import { err, ok, type Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { EngineFault, InferenceRemote, LoadRequest, Ran } from "../worker/contract.ts";
import { type SupervisedWorker, superviseWorker, type WorkerLoss } from "./supervised-worker.ts";

/** A model as the pool loads it, as often as it is needed. */
export interface PooledModel {
  key: string;
  request: LoadRequest;
  memoryBytes: number;
  rowsTogether: number;
}

interface Member {
  model: PooledModel;
  worker: SupervisedWorker<InferenceRemote>;
  /** The run it is at; null while it rests. */
  run: number | null;
  usedAt: number;
}

const LOAD_MS = 300_000;
/** What a worker takes before it has loaded a model: ONNX Runtime's code, its heap and the worker's own. */
const RUNTIME_BYTES = 96 * 1024 * 1024;
/** Leases end runs long before; this is for a worker that hangs where nobody waits for it. */
const RUN_MS = 600_000;

/**
 * The inference workers: one model each, as many of a model as run at once. A worker that died, hung or reported a fatal
 * fault is ended, and the next run starts another. Workers that rest are ended, longest unused first, when memory is needed.
 */
export class Pool {
  readonly #members = new Set<Member>();
  readonly #memoryBytes: number;

  constructor(memoryBytes: number) {
    this.#memoryBytes = memoryBytes;
  }

  /**
   * Each item's outputs or fault, in order; the error of the whole is that no worker could hold the model or it was lost.
   * With no items it only loads. `run` names it for `abort`.
   */
  async run(
    model: PooledModel,
    items: Tensor[][],
    run: number,
  ): Promise<Result<Result<Ran, EngineFault>[], EngineFault>> {
    const acquired = await this.#acquire(model, run);
    if (!acquired.ok) return acquired;
    const member = acquired.value;
    const answer = await member.worker.call(RUN_MS, async (remote) => remote.run(items, model.rowsTogether));
    member.run = null;
    member.usedAt = performance.now();
    if (!answer.ok) return err(faultOfLoss(answer.error));
    if (answer.value.some((result) => !result.ok && result.error.fatal)) this.#end(member);
    return ok(answer.value);
  }

  abort(run: number): void {
    for (const member of this.#members) if (member.run === run) this.#end(member);
  }

  /** Ends the model's workers, for instance to load it differently. */
  unload(key: string): void {
    for (const member of this.#members) if (member.model.key === key) this.#end(member);
  }

  release(): void {
    for (const member of this.#members) this.#end(member);
  }

  async #acquire(model: PooledModel, run: number): Promise<Result<Member, EngineFault>> {
    for (const member of this.#members) {
      if (member.model.key !== model.key || member.run !== null) continue;
      if (member.model.request.runtime !== model.request.runtime) continue;
      member.run = run;
      return ok(member);
    }
    this.#makeRoom(model.memoryBytes);
    const script = new Worker(new URL("../worker/inference.worker.ts", import.meta.url), {
      type: "module",
      name: `tabgrid-inference ${model.key}`,
    });
    const member: Member = { model, worker: superviseWorker(script), run, usedAt: performance.now() };
    this.#members.add(member);
    void member.worker.lost.then(() => this.#members.delete(member));
    const loaded = await member.worker.call(LOAD_MS, async (remote) => remote.load(model.request));
    if (!loaded.ok) return err(faultOfLoss(loaded.error));
    if (!loaded.value.ok) {
      this.#end(member);
      return loaded.value;
    }
    return ok(member);
  }

  /** Every worker brings the runtime itself, beside what its model needs. */
  #makeRoom(modelBytes: number): void {
    const bytes = modelBytes + RUNTIME_BYTES;
    const resting = [...this.#members].filter(({ run }) => run === null).sort((a, b) => a.usedAt - b.usedAt);
    let used = [...this.#members].reduce((acc, { model }) => acc + model.memoryBytes + RUNTIME_BYTES, 0);
    for (const member of resting) {
      if (used + bytes <= this.#memoryBytes) return;
      this.#end(member);
      used -= member.model.memoryBytes + RUNTIME_BYTES;
    }
  }

  #end(member: Member): void {
    this.#members.delete(member);
    member.worker.terminate();
  }
}

const faultOfLoss = (loss: WorkerLoss): EngineFault => ({
  fault: "run-failed",
  message: `the inference worker is gone (${loss.kind}): ${loss.message}`.slice(0, 500),
  fatal: true,
});
