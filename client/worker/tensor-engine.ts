import { type Pooling, poolEmbedding } from "../../shared/pooling.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { type Dtype, dtypes, type Tensor, toNumbers, viewOf } from "../../shared/tensor.ts";
import type { EngineFault, Loaded, LoadRequest, Ran } from "./contract.ts";
import { faultOf, type OpenSession, openSession } from "./open-session.ts";
import type { Ort } from "./ort-build.ts";
import { joinRows, planStacks, splitRows } from "./stacking.ts";

/** Runs any ONNX graph on named tensors. */
export interface TensorEngine {
  loaded: Loaded;
  run(items: Tensor[][], rowsTogether: number): Promise<Result<Ran, EngineFault>[]>;
}

export async function loadTensorEngine(request: LoadRequest): Promise<Result<TensorEngine, EngineFault>> {
  const startedAt = performance.now();
  const opened = await openSession(request, new Uint8Array(await request.graph.arrayBuffer()));
  if (!opened.ok) return opened;
  const { embedding } = request;
  return ok({
    loaded: { loadMs: performance.now() - startedAt },
    async run(items, rowsTogether) {
      const results = await runAll(opened.value, items, rowsTogether);
      return embedding ? results.map((result, at) => pool(items[at] as Tensor[], result, embedding)) : results;
    },
  });
}

/** Of an embedding model's outputs only the vectors leave the worker. */
function pool(inputs: Tensor[], ran: Result<Ran, EngineFault>, facts: Pooling): Result<Ran, EngineFault> {
  if (!ran.ok) return ran;
  const pooled = poolEmbedding(inputs, ran.value.outputs, facts);
  return pooled.ok
    ? ok(describe([pooled.value], ran.value.computeMs))
    : err({ fault: "run-failed", message: pooled.error, fatal: false });
}

/** What stacking and running need of a session. */
export type Runnable = Pick<OpenSession, "ort" | "session" | "health"> & {
  /** Inputs that the caller does not know of, and the outputs that he is to see; all where absent. */
  own?: { feeds(): Record<string, InstanceType<Ort["Tensor"]>>; outputs: readonly string[] };
};

export async function runAll(
  opened: Runnable,
  items: Tensor[][],
  rowsTogether: number,
): Promise<Result<Ran, EngineFault>[]> {
  const results = new Array<Result<Ran, EngineFault>>(items.length);
  for (const { items: members, rows } of planStacks(items, rowsTogether)) {
    const inputs = members.map((index) => items[index] as Tensor[]);
    const stacked = members.length > 1 ? await runStacked(opened, inputs, rows) : null;
    for (const [i, index] of members.entries()) {
      results[index] = stacked?.[i] ?? (await runOne(opened, inputs[i] as Tensor[]));
    }
  }
  return results;
}

/** Null where the items must run one by one: a stack fails as a whole, although only one of its items may be at fault. */
async function runStacked(
  opened: Runnable,
  inputs: Tensor[][],
  rows: number[],
): Promise<Result<Ran, EngineFault>[] | null> {
  const ran = await runOne(opened, joinRows(inputs));
  if (!ran.ok) return ran.error.fatal ? inputs.map(() => ran) : null;
  const total = rows.reduce((acc, count) => acc + count, 0);
  const split = splitRows(ran.value.outputs, rows);
  return split?.map((outputs, i) => ok(describe(outputs, (ran.value.computeMs * (rows[i] as number)) / total))) ?? null;
}

async function runOne({ ort, session, health, own }: Runnable, inputs: Tensor[]): Promise<Result<Ran, EngineFault>> {
  if (health.lost) return err(faultOf(null, health, "run-failed"));
  const { epoch } = health;
  const startedAt = performance.now();
  const feeds: Record<string, InstanceType<Ort["Tensor"]>> = {};
  const fetched: InstanceType<Ort["Tensor"]>[] = [];
  try {
    for (const { name, dtype, shape, data } of inputs) {
      feeds[name] = new ort.Tensor(dtype, viewOf({ dtype, data }) as never, shape);
    }
    Object.assign(feeds, own?.feeds());
    const names = own?.outputs ?? session.outputNames;
    const results = await session.run(feeds, names);
    const outputs: Tensor[] = [];
    for (const name of names) {
      const value = results[name];
      if (!value) continue; // an optional output that the graph left out
      fetched.push(value);
      outputs.push(await fromOrt(name, value));
    }
    const computeMs = performance.now() - startedAt;
    if (health.epoch !== epoch) return err(faultOf(null, health, "run-failed"));
    return ok(describe(outputs, computeMs));
  } catch (error) {
    return err(faultOf(error, health, "run-failed"));
  } finally {
    for (const tensor of [...Object.values(feeds), ...fetched]) tensor.dispose();
  }
}

async function fromOrt(name: string, value: InstanceType<Ort["Tensor"]>): Promise<Tensor> {
  const dtype = value.type as string;
  if (!(dtype in dtypes)) throw new Error(`output ${name} is of type ${dtype}, which is not served`);
  const { buffer, byteOffset, byteLength } = (await value.getData()) as Uint8Array;
  return { name, dtype: dtype as Dtype, shape: [...value.dims], data: new Uint8Array(buffer, byteOffset, byteLength) };
}

function describe(outputs: Tensor[], computeMs: number): Ran {
  const ran: Ran = { outputs, computeMs, nonFinite: [], constant: [] };
  for (const output of outputs) {
    const values = output.dtype === "float16" ? toNumbers(output) : viewOf(output);
    let finite = true;
    let constant = values.length > 1;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number | bigint;
      if (typeof value === "number" && !Number.isFinite(value)) finite = false;
      if (value !== values[0]) constant = false;
    }
    if (!finite) ran.nonFinite.push(output.name);
    else if (constant) ran.constant.push(output.name);
  }
  return ran;
}
