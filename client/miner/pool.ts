import { proxy, type Remote } from "comlink";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { EngineFault, GeneratedPart, InferenceRemote, LoadRequest, Ran } from "../worker/contract.ts";
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
  loading: Promise<Result<null, EngineFault>>;
  /** The runs it is at: one, or the texts that a text model makes side by side. */
  runs: Set<number>;
  usedAt: number;
}

const LOAD_MS = 300_000;
/** What a worker takes before it has loaded a model: ONNX Runtime's code, its heap and the worker's own. */
const RUNTIME_BYTES = 96 * 1024 * 1024;
/** Leases end runs long before; this is for a worker that hangs where nobody waits for it. */
const RUN_MS = 600_000;

/**
 * The inference workers: one model each, as many of a model as run at once. A text model has one worker, which makes several
 * texts together. A worker that died, hung or reported a fatal fault is ended, and the next run starts another. Workers that
 * rest are ended, longest unused first, when memory is needed. Each run has a number, which names it for `abort`.
 */
export class Pool {
  readonly #members = new Set<Member>();
  readonly #memoryBytes: number;
  readonly #onParts: (parts: GeneratedPart[]) => void;
  /** Runs that were interrupted before they reached their worker. */
  readonly #interrupted = new Set<number>();

  /** `onParts` hears the tokens of generations as they come; the job of one is its run's number. */
  constructor(memoryBytes: number, onParts: (parts: GeneratedPart[]) => void) {
    this.#memoryBytes = memoryBytes;
    this.#onParts = onParts;
  }

  /**
   * Each item's outputs or fault, in order; the error of the whole is that no worker could hold the model or it was lost.
   * With no items it only loads.
   */
  run(model: PooledModel, items: Tensor[][], run: number): Promise<Result<Result<Ran, EngineFault>[], EngineFault>> {
    return this.#at(model, run, (remote) => remote.run(items, model.rowsTogether));
  }

  /** shared/text-generation.ts. */
  async text(
    model: PooledModel,
    mode: "generate" | "score",
    inputs: Tensor[],
    run: number,
  ): Promise<Result<Ran, EngineFault>> {
    const answer = await this.#at(model, run, async (remote) => {
      const job = String(run);
      return [await (mode === "generate" ? remote.generate(job, inputs) : remote.score(job, inputs))];
    });
    return answer.ok ? (answer.value[0] as Result<Ran, EngineFault>) : answer;
  }

  /** Ends a text between two of its tokens: it resolves with what it has. Its worker goes on with the others. */
  interrupt(run: number): void {
    this.#interrupted.add(run);
    for (const { worker, runs } of this.#members) {
      if (runs.has(run)) void worker.call(RUN_MS, (remote) => remote.cancel(String(run)));
    }
  }

  abort(run: number): void {
    for (const member of this.#members) if (member.runs.has(run)) this.#end(member);
  }

  /** Ends the model's workers, for instance to load it differently. */
  unload(key: string): void {
    for (const member of this.#members) if (member.model.key === key) this.#end(member);
  }

  release(): void {
    for (const member of this.#members) this.#end(member);
  }

  async #at(
    model: PooledModel,
    run: number,
    work: (remote: Remote<InferenceRemote>) => Promise<Result<Ran, EngineFault>[]>,
  ): Promise<Result<Result<Ran, EngineFault>[], EngineFault>> {
    const member = this.#take(model, run);
    const loaded = await member.loading;
    if (!loaded.ok) return loaded;
    if (this.#interrupted.has(run)) {
      this.#leave(member, run);
      return err({ fault: "run-failed", message: "interrupted before it began", fatal: false });
    }
    const answer = await member.worker.call(RUN_MS, work);
    this.#leave(member, run);
    if (!answer.ok) return err(faultOfLoss(answer.error));
    if (answer.value.some((result) => !result.ok && result.error.fatal)) this.#end(member);
    return ok(answer.value);
  }

  #leave(member: Member, run: number): void {
    member.runs.delete(run);
    member.usedAt = performance.now();
    this.#interrupted.delete(run);
  }

  #take(model: PooledModel, run: number): Member {
    for (const member of this.#members) {
      const isFree = member.runs.size === 0 || model.request.text !== undefined;
      if (member.model.key !== model.key || !isFree) continue;
      if (member.model.request.runtime !== model.request.runtime) continue;
      member.runs.add(run);
      return member;
    }
    this.#makeRoom(model.memoryBytes);
    const script = new Worker(new URL("../worker/inference.worker.ts", import.meta.url), {
      type: "module",
      name: `tabgrid-inference ${model.key}`,
    });
    const worker = superviseWorker<InferenceRemote>(script);
    const member: Member = {
      model,
      worker,
      loading: this.#load(worker, model),
      runs: new Set([run]),
      usedAt: performance.now(),
    };
    this.#members.add(member);
    void member.worker.lost.then(() => this.#members.delete(member));
    void member.loading.then((loaded) => {
      if (!loaded.ok) this.#end(member);
    });
    return member;
  }

  async #load(worker: SupervisedWorker<InferenceRemote>, { request }: PooledModel): Promise<Result<null, EngineFault>> {
    const loaded = await worker.call(LOAD_MS, async (remote) => {
      if (request.text) await remote.listen(proxy(this.#onParts));
      return remote.load(request);
    });
    if (!loaded.ok) return err(faultOfLoss(loaded.error));
    return loaded.value.ok ? ok(null) : loaded.value;
  }

  /** Every worker brings the runtime itself, beside what its model needs. */
  #makeRoom(modelBytes: number): void {
    const bytes = modelBytes + RUNTIME_BYTES;
    const resting = [...this.#members].filter(({ runs }) => runs.size === 0).sort((a, b) => a.usedAt - b.usedAt);
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
