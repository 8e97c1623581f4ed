import { MIB } from "../../shared/limits.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { logSumExp } from "../../shared/sampling.ts";
import type { EngineFault, LoadRequest } from "./contract.ts";
import { withChosenLogits } from "./decoder-edit.ts";
import { describeDecoder, KEEP_INPUT } from "./decoder-graph.ts";
import type { Cache, DecoderSession } from "./decoder-session.ts";
import { fuseDecoder } from "./fused-decoder.ts";
import { createHeapSession } from "./heap-session.ts";
import { type EditableModel, editModel } from "./onnx-edit.ts";
import { faultOf, type OpenSession, openSession } from "./open-session.ts";
import type { Runnable } from "./tensor-engine.ts";
import { createTensorSession } from "./tensor-session.ts";

/** A decoder, and what the start-up check found that it can do on this device. */
export interface OpenedDecoder {
  decoder: DecoderSession;
  /** For steps of one token a row, on the same caches: the fused graph, or the same again. */
  stepper: DecoderSession;
  opened: OpenSession;
  /** For plain runs of the graph as it was registered. */
  plain: Runnable;
  /** Whether rows of unlike lengths give in one run what they give alone. */
  padded: boolean;
  vocabulary: number;
}

/** A second session has its own copy of the weights. */
const FUSED_BYTES_MAX = 64 * MIB;
/** Largest difference of logits that counts as the same: kernels sum in other orders for other shapes. */
const SAME = 2e-3;

export async function openDecoder(request: LoadRequest): Promise<Result<OpenedDecoder, EngineFault>> {
  const bytes = new Uint8Array(await request.graph.arrayBuffer());
  let model: EditableModel;
  try {
    model = editModel(bytes);
  } catch (error) {
    return err({ fault: "load-failed", message: error instanceof Error ? error.message : String(error), fatal: true });
  }
  // On the GPU the cache stays there; the logits come out.
  const present = model.outputs.map(({ name }) => name).filter((name) => name.startsWith("present"));
  const options =
    request.runtime === "webgpu"
      ? { preferredOutputLocation: Object.fromEntries(present.map((name) => [name, "gpu-buffer" as const])) }
      : {};
  const edited = withChosenLogits(bytes, "logits");
  const first = await openSession(request, edited ?? bytes, options);
  if (!first.ok && !edited) return first;
  if (first.ok) {
    const checked = await check(first.value, model);
    if (checked.ok && edited && request.weights.length === 0) return ok(await withStepper(checked.value, edited));
    if (checked.ok || !edited || checked.error.fault === "device-lost") return checked;
    await first.value.session.release();
  }
  const plain = await openSession(request, bytes, options);
  return plain.ok ? check(plain.value, model) : plain;
}

/** Runs two short texts, each alone and both together, in whole and step by step. */
async function check(opened: OpenSession, registered: EditableModel): Promise<Result<OpenedDecoder, EngineFault>> {
  const { ort, session, health, device, internals } = opened;
  const graph = describeDecoder(session, registered.nodes);
  if (typeof graph === "string") return err({ fault: "load-failed", message: graph, fatal: true });
  const decoder = internals
    ? createHeapSession(internals.module, internals.session, graph)
    : createTensorSession(ort, session, graph, device);
  try {
    const found = await tryOut(decoder);
    if (health.epoch > 0) return err(faultOf(null, health, "load-failed"));
    if (typeof found === "string") return err({ fault: "load-failed", message: found, fatal: true });
    const keepAll = (name: string) => ({ [name]: new ort.Tensor("int64", BigInt64Array.of(2n ** 31n - 1n), [1]) });
    const outputs = registered.outputs.map(({ name }) => name);
    const own = graph.keep?.name === KEEP_INPUT ? { feeds: () => keepAll(KEEP_INPUT), outputs } : undefined;
    return ok({ decoder, stepper: decoder, opened, plain: { ort, session, health, own }, ...found });
  } catch (error) {
    return err(faultOf(error, health, "load-failed"));
  }
}

/**
 * On WASM alone: on the one WebGPU adapter at hand GroupQueryAttention was wrong (docs/decisions/text-engine.md), and a short
 * check is no proof for those that are not.
 */
async function withStepper(found: OpenedDecoder, bytes: Uint8Array): Promise<OpenedDecoder> {
  const { decoder, opened } = found;
  if (!opened.internals || bytes.length > FUSED_BYTES_MAX) return found;
  const fused = fuseDecoder(bytes, decoder.graph);
  if (!fused) return found;
  let another: OpenSession | null = null;
  try {
    another = await opened.another(fused);
    const graph = describeDecoder(another.session, editModel(fused).nodes);
    if (typeof graph !== "string" && another.internals) {
      const stepper = createHeapSession(another.internals.module, another.internals.session, graph);
      if (await stepsAlike(decoder, stepper)) return { ...found, stepper, padded: true };
    }
  } catch {
    // A graph that this version cannot load or run is not used.
  }
  await another?.session.release();
  return found;
}

/** Whether the second gives for two unlike texts, alone and together, what the first gives. */
async function stepsAlike(decoder: DecoderSession, stepper: DecoderSession): Promise<boolean> {
  const long = await begin(decoder, [1, 2, 3, 4, 5], 1);
  const short = await begin(decoder, [6, 7], 1);
  const expected = [await begin(decoder, [8], 1, long.present), await begin(decoder, [9], 1, short.present)];
  const got = [await begin(stepper, [8], 1, long.present), await begin(stepper, [9], 1, short.present)];
  const alike =
    expected.every(({ logits }, at) => same(logits, (got[at] as Tried).logits)) &&
    (await together(stepper, long.present, short.present, expected));
  for (const { present } of [long, short, ...expected, ...got]) decoder.release(present);
  return alike;
}

async function tryOut(decoder: DecoderSession): Promise<{ padded: boolean; vocabulary: number } | string> {
  const { graph } = decoder;
  const long = await begin(decoder, [1, 2, 3, 4, 5], 5);
  const last = await begin(decoder, [1, 2, 3, 4, 5], 1);
  const short = await begin(decoder, [6, 7], 1);
  const vocabulary = last.logits.length / last.kept;
  if (long.kept !== 5 || (graph.keep && last.kept !== 1))
    return "the graph gives logits of other positions than asked for";
  const tail = long.logits.subarray(-vocabulary);
  if (!same(tail, last.logits.subarray(-vocabulary))) return "logits of the last position differ from those of all";
  if (last.sums && !same(last.sums.subarray(-1), Float32Array.of(logSumExp(tail)))) return "log Σ exp differs";
  const alone = [await begin(decoder, [8], 1, long.present), await begin(decoder, [9], 1, short.present)];
  const padded = graph.mask !== null && (await together(decoder, long.present, short.present, alone));
  for (const { present } of [long, last, short, ...alone]) decoder.release(present);
  return { padded, vocabulary };
}

async function together(decoder: DecoderSession, long: Cache, short: Cache, alone: Tried[]): Promise<boolean> {
  const atEnd = decoder.graph.aligned === "end";
  const past = decoder.arrange(
    [
      { cache: long, row: 0, from: 0, length: 5, at: 0 },
      { cache: short, row: 0, from: 0, length: 2, at: atEnd ? 3 : 0 },
    ],
    5,
  );
  const mask = Int32Array.from([1, 1, 1, 1, 1, 1, ...(atEnd ? [0, 0, 0, 1, 1, 1] : [1, 1, 1, 0, 0, 0])]);
  const ids = Int32Array.of(8, 9);
  const both = await decoder.run({ rows: 2, columns: 1, ids, mask, positions: Int32Array.of(5, 2), past, keep: 1 });
  const logits = both.logits.slice();
  decoder.release(past);
  decoder.release(both.present);
  return same(logits, Float32Array.from(alone.flatMap((one) => [...one.logits.subarray(-logits.length / 2)])));
}

type Tried = Awaited<ReturnType<typeof begin>>;

async function begin(decoder: DecoderSession, tokens: number[], keep: number, past: Cache | null = null) {
  const columns = tokens.length;
  const before = past?.width ?? 0;
  const { logits, sums, kept, present } = await decoder.run({
    rows: 1,
    columns,
    ids: Int32Array.from(tokens),
    mask: new Int32Array(before + columns).fill(1),
    positions: Int32Array.from({ length: columns }, (_, at) => before + at),
    past,
    keep,
  });
  return { logits: logits.slice(), sums: sums?.slice() ?? null, kept, present };
}

const same = (a: Float32Array, b: Float32Array): boolean =>
  a.length === b.length && a.every((value, at) => Math.abs(value - (b[at] as number)) <= SAME);
