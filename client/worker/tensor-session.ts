import type { InferenceSession } from "onnxruntime-web/webgpu";
import { byteCount, dtypes, fromFloat16 } from "../../shared/tensor.ts";
import type { CacheTensor, DecoderGraph, IntegerInput } from "./decoder-graph.ts";
import { arrangement, type Cache, cacheShape, type DecoderSession, type DecoderStep } from "./decoder-session.ts";
import type { Ort } from "./ort-build.ts";

type OrtTensor = InstanceType<Ort["Tensor"]>;

/** A decoder through ONNX Runtime's public interface: caches as its tensors, on the GPU where there is one. */
interface TensorCache extends Cache {
  tensors: OrtTensor[];
}

export function createTensorSession(
  ort: Ort,
  session: InferenceSession,
  graph: DecoderGraph,
  device: GPUDevice | null,
): DecoderSession {
  const integers = (input: IntegerInput, list: Int32Array, shape: number[]): OrtTensor =>
    input.dtype === "int32"
      ? new ort.Tensor("int32", list.slice(), shape)
      : new ort.Tensor("int64", BigInt64Array.from(list, BigInt), shape);

  const zeros = (tensor: CacheTensor, rows: number, width: number): OrtTensor => {
    const shape = cacheShape(tensor, rows, width);
    const bytes = byteCount({ dtype: tensor.dtype, shape });
    if (device && bytes > 0) {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      const buffer = device.createBuffer({ size: Math.ceil(bytes / 16) * 16, usage });
      const type = tensor.dtype as "float32" | "float16";
      return ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims: shape, dispose: () => buffer.destroy() });
    }
    const data = tensor.dtype === "float16" ? new Uint16Array(bytes / 2) : new Float32Array(bytes / 4);
    return new ort.Tensor(tensor.dtype as "float32", data as Float32Array, shape);
  };

  function release(cache: Cache): void {
    for (const tensor of (cache as TensorCache).tensors) tensor.dispose();
  }

  return {
    graph,
    release,

    async run({ rows, columns, ids, mask, positions, past, keep }: DecoderStep) {
      const width = (past?.width ?? 0) + columns;
      const feeds: Record<string, OrtTensor> = { [graph.ids.name]: integers(graph.ids, ids, [rows, columns]) };
      if (graph.mask) feeds[graph.mask.name] = integers(graph.mask, mask, [rows, width]);
      if (graph.positions) feeds[graph.positions.name] = integers(graph.positions, positions, [rows, columns]);
      if (graph.keep) feeds[graph.keep.name] = integers(graph.keep, Int32Array.of(keep), [1]);
      for (const [index, tensor] of graph.cache.entries())
        feeds[tensor.input] = (past as TensorCache | null)?.tensors[index] ?? zeros(tensor, rows, 0);
      const outputs = await session.run(feeds, [
        graph.logits,
        ...(graph.sums ? [graph.sums] : []),
        ...graph.cache.map(({ output }) => output),
      ]);
      const logits = outputs[graph.logits] as OrtTensor;
      return {
        logits: await floats(logits),
        kept: logits.dims[1] as number,
        sums: graph.sums ? await floats(outputs[graph.sums] as OrtTensor) : null,
        present: { rows, width, tensors: graph.cache.map(({ output }) => outputs[output] as OrtTensor) } as TensorCache,
      };
    },

    arrange(parts, width) {
      const encoder = device?.createCommandEncoder() ?? null;
      const tensors = graph.cache.map((one, index) => {
        const target = zeros(one, parts.length, width);
        const size = dtypes[one.dtype];
        for (const { source, from, to, count } of arrangement(one, parts, width)) {
          const tensor = (source as TensorCache).tensors[index] as OrtTensor;
          if (count === 0) continue;
          if (encoder)
            encoder.copyBufferToBuffer(
              tensor.gpuBuffer as GPUBuffer,
              from * size,
              target.gpuBuffer as GPUBuffer,
              to * size,
              count * size,
            );
          else bytesOf(target).set(bytesOf(tensor).subarray(from * size, (from + count) * size), to * size);
        }
        return target;
      });
      if (encoder) device?.queue.submit([encoder.finish()]);
      return { rows: parts.length, width, tensors } as TensorCache;
    },
  };
}

function bytesOf({ data }: OrtTensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

async function floats(tensor: OrtTensor): Promise<Float32Array> {
  const data = (await tensor.getData(true)) as Float32Array;
  if (tensor.type === "float32") return data;
  return Float32Array.from(new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2), fromFloat16);
}
