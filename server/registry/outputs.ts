import type { OutputDeclaration } from "../../models/onnx.ts";
import type { Tensor, TensorSpec } from "../../shared/tensor.ts";

/** One reference run as far as shapes go: the sizes of the inputs' free dimensions, and what came out. */
export interface ShapeRun {
  dims: ReadonlyMap<string, number>;
  outputs: readonly Tensor[];
}

/**
 * Output specs that hold: exporters leave out types and shapes, give the batch of an output another name than the inputs',
 * write 1 where a size is free, or one name for sizes that differ. So every declared size must stand in all runs, else it
 * gets a name of its own; a size that follows the batch gets the batch's name.
 *
 * @param runs at least one, where there is a batch with two of different batch sizes
 */
export function settleOutputs(
  declared: readonly OutputDeclaration[],
  runs: readonly ShapeRun[],
  batch: string | null,
): TensorSpec[] {
  const inputNames = new Set(runs.flatMap(({ dims }) => [...dims.keys()]));
  const taken = new Set(inputNames);
  const fresh = (wanted: string): string => {
    let name = wanted;
    for (let n = 1; taken.has(name); n++) name = `${wanted}_${n}`;
    taken.add(name);
    return name;
  };
  return declared.map(({ name, dtype, shape }, at) => {
    const actual = runs.map(({ outputs }) => outputs[at] as Tensor);
    const first = actual[0] as Tensor;
    const settled = first.shape.map((_, axis) => {
      const sizes = actual.map((tensor) => tensor.shape[axis]);
      const stated = shape?.length === first.shape.length ? shape[axis] : undefined;
      const follows = (dim: string) => runs.every(({ dims }, run) => dims.get(dim) === sizes[run]);
      if (axis === 0 && batch !== null && follows(batch)) return batch;
      if (typeof stated === "number") return sizes.every((size) => size === stated) ? stated : fresh(`${name}_${axis}`);
      if (stated === undefined) return fresh(`${name}_${axis}`);
      return inputNames.has(stated) && follows(stated) ? stated : fresh(stated);
    });
    return { name, dtype: dtype ?? first.dtype, shape: settled };
  });
}
