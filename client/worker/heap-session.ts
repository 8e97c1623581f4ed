import { byteCount, type Dtype, dtypes, elementCount, fromFloat16 } from "../../shared/tensor.ts";
import type { DecoderGraph, IntegerInput } from "./decoder-graph.ts";
import { arrangement, type Cache, cacheShape, type DecoderSession, type DecoderStep } from "./decoder-session.ts";
import type { OrtModule } from "./ort-build.ts";

/**
 * A decoder on WASM whose caches stay in the runtime's own heap: what a run gives out goes into the next one as it is.
 * Through ONNX Runtime's interface each step would copy the whole cache out and in again, a third of the time of a small
 * model (docs/benchmarks.md).
 */
interface HeapCache extends Cache {
  /** Handles of ONNX Runtime's tensors, in the graph's order. */
  tensors: number[];
  /** Memory of tensors that were made here; those that a run made own theirs. */
  memory: number[];
}

/** A piece of the heap that grows. */
interface Room {
  pointer: number;
  bytes: number;
}

/** TensorProto.DataType. */
const types: Partial<Record<Dtype, number>> = { float32: 1, int32: 6, int64: 7, float16: 10 };
const CPU = 1;

export function createHeapSession(module: OrtModule, session: number, graph: DecoderGraph): DecoderSession {
  const integers = [graph.ids, graph.mask, graph.positions, graph.keep].filter((input) => input !== null);
  const inputNames = [...integers.map(({ name }) => name), ...graph.cache.map(({ input }) => input)].map(text);
  const outputNames = [graph.logits, ...(graph.sums ? [graph.sums] : []), ...graph.cache.map(({ output }) => output)];
  const names = words([...inputNames, ...outputNames.map(text)]);
  const values = words([...inputNames, ...outputNames].map(() => 0));
  const options = checked(module._OrtCreateRunOptions(3, 0, false, 0), "run options");
  const rooms = new Map(integers.map(({ name }) => [name, { pointer: 0, bytes: 0 }]));
  /** Four words for a tensor's type, data, dims and rank; a few more for dims that are handed in. */
  const scratch = checked(module._malloc(64), "memory");

  function text(value: string): number {
    const bytes = new TextEncoder().encode(`${value}\0`);
    const pointer = checked(module._malloc(bytes.length), "memory");
    module.HEAPU8.set(bytes, pointer);
    return pointer;
  }

  function heap32(): Int32Array {
    return new Int32Array(module.HEAPU8.buffer);
  }

  function words(list: readonly number[]): number {
    const pointer = checked(module._malloc(4 * Math.max(1, list.length)), "memory");
    heap32().set(list, pointer >> 2);
    return pointer;
  }

  function checked(pointer: number, what: string): number {
    if (pointer !== 0) return pointer;
    throw new Error(`out of memory: could not allocate ${what} in the runtime's heap`);
  }

  function tensor(dtype: Dtype, pointer: number, shape: readonly number[]): number {
    heap32().set(shape, (scratch >> 2) + 4);
    const bytes = byteCount({ dtype, shape: [...shape] });
    return module._OrtCreateTensor(types[dtype] as number, pointer, bytes, scratch + 16, shape.length, CPU) || fail();
  }

  function dataOf(handle: number): { pointer: number; shape: number[]; type: number } {
    if (module._OrtGetTensorData(handle, scratch, scratch + 4, scratch + 8, scratch + 12) !== 0) fail();
    const heap = heap32();
    const [type, pointer, dims, rank] = heap.subarray(scratch >> 2, (scratch >> 2) + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    const shape = [...heap.subarray(dims >> 2, (dims >> 2) + rank)];
    module._OrtFree(dims);
    return { pointer: pointer >>> 0, shape, type };
  }

  function fail(): never {
    module._OrtGetLastError(scratch, scratch + 4);
    const start = (heap32()[(scratch >> 2) + 1] as number) >>> 0;
    const end = module.HEAPU8.indexOf(0, start);
    throw new Error(start ? new TextDecoder().decode(module.HEAPU8.slice(start, end)) : "ONNX Runtime failed");
  }

  /** Writes integers into this input's own piece of the heap. */
  function feed({ name, dtype }: IntegerInput, list: Int32Array, shape: readonly number[]): number {
    const room = rooms.get(name) as Room;
    const wide = dtype === "int64";
    const bytes = list.length * dtypes[dtype];
    if (room.bytes < bytes) {
      if (room.pointer) module._free(room.pointer);
      room.bytes = 2 * bytes;
      room.pointer = checked(module._malloc(room.bytes), "memory");
    }
    const to = new Int32Array(module.HEAPU8.buffer, room.pointer, bytes / 4);
    if (!wide) to.set(list);
    else {
      for (let at = 0; at < list.length; at++) {
        to[2 * at] = list[at] as number;
        to[2 * at + 1] = (list[at] as number) >> 31;
      }
    }
    return tensor(dtype, room.pointer, shape);
  }

  function empty(rows: number): HeapCache {
    const memory: number[] = [];
    const tensors = graph.cache.map((one) => {
      const pointer = checked(module._malloc(8), "memory");
      memory.push(pointer);
      return tensor(one.dtype, pointer, cacheShape(one, rows, 0));
    });
    return { rows, width: 0, tensors, memory };
  }

  function release(cache: Cache): void {
    const { tensors, memory } = cache as HeapCache;
    for (const handle of tensors) module._OrtReleaseTensor(handle);
    for (const pointer of memory) module._free(pointer);
  }

  /** A view into the heap, except of float16. */
  function floats(handle: number): { data: Float32Array; shape: number[] } {
    const { pointer, shape, type } = dataOf(handle);
    const count = elementCount(shape);
    const { buffer } = module.HEAPU8;
    if (type === types.float32) return { data: new Float32Array(buffer, pointer, count), shape };
    return { data: Float32Array.from(new Uint16Array(buffer, pointer, count), fromFloat16), shape };
  }
  let shown: number[] = [];

  return {
    graph,
    release,

    async run({ rows, columns, ids, mask, positions, past, keep }: DecoderStep) {
      for (const handle of shown) module._OrtReleaseTensor(handle);
      shown = [];
      const before = (past as HeapCache | null) ?? empty(rows);
      const width = before.width + columns;
      const fed: number[] = [feed(graph.ids, ids, [rows, columns])];
      if (graph.mask) fed.push(feed(graph.mask, mask, [rows, width]));
      if (graph.positions) fed.push(feed(graph.positions, positions, [rows, columns]));
      if (graph.keep) fed.push(feed(graph.keep, Int32Array.of(keep), [1]));
      const inputs = [...fed, ...before.tensors];
      const from = values >> 2;
      const heap = heap32();
      heap.set(inputs, from);
      heap.fill(0, from + inputs.length, from + inputs.length + outputNames.length);
      const code = await module._OrtRun(
        session,
        names,
        values,
        inputs.length,
        names + 4 * inputs.length,
        outputNames.length,
        values + 4 * inputs.length,
        options,
      );
      for (const handle of fed) module._OrtReleaseTensor(handle);
      if (!past) release(before);
      if (code !== 0) fail();
      const outputs = [...heap32().subarray(from + inputs.length, from + inputs.length + outputNames.length)];
      const tensors = outputs.splice(graph.sums ? 2 : 1);
      shown = outputs;
      const { data: logits, shape } = floats(outputs[0] as number);
      const sums = graph.sums ? floats(outputs[1] as number).data : null;
      return { logits, kept: shape[1] as number, sums, present: { rows, width, tensors, memory: [] } as HeapCache };
    },

    arrange(parts, width) {
      const memory: number[] = [];
      const tensors = graph.cache.map((one, index) => {
        const shape = cacheShape(one, parts.length, width);
        const bytes = byteCount({ dtype: one.dtype, shape });
        const pointer = checked(module._malloc(Math.max(8, bytes)), "a cache");
        memory.push(pointer);
        module.HEAPU8.fill(0, pointer, pointer + bytes);
        const size = dtypes[one.dtype];
        const sources = new Map<Cache, number>();
        for (const { source, from, to, count } of arrangement(one, parts, width)) {
          const start = sources.get(source) ?? dataOf((source as HeapCache).tensors[index] as number).pointer;
          sources.set(source, start);
          const begin = start + from * size;
          module.HEAPU8.copyWithin(pointer + to * size, begin, begin + count * size);
        }
        return tensor(one.dtype, pointer, shape);
      });
      return { rows: parts.length, width, tensors, memory } as HeapCache;
    },
  };
}
