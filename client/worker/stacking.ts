import { dtypes, elementCount, type Tensor } from "../../shared/tensor.ts";

/**
 * Joins items along axis 0 for one run and splits its outputs again. Only for models whose rows are shown to be
 * independent, where axis 0 of every input and output counts rows.
 */
export interface Stack {
  /** Indices into the list of items. */
  items: number[];
  rows: number[];
}

/** Greedy, in order: items of equal names, types and trailing shapes together, up to `limit` rows. */
export function planStacks(items: readonly (readonly Tensor[])[], limit: number): Stack[] {
  const stacks: Stack[] = [];
  const open = new Map<string, Stack>();
  for (const [index, tensors] of items.entries()) {
    const rows = rowsOf(tensors);
    if (rows === null || limit <= 1) {
      stacks.push({ items: [index], rows: [rows ?? 1] });
      continue;
    }
    const key = stackKey(tensors);
    const stack = open.get(key);
    if (stack && sum(stack.rows) + rows <= limit) {
      stack.items.push(index);
      stack.rows.push(rows);
    } else {
      const fresh = { items: [index], rows: [rows] };
      open.set(key, fresh);
      stacks.push(fresh);
    }
  }
  return stacks;
}

/** Tensors of the same name are joined; every item has the same names (planStacks saw to it). */
export function joinRows(items: readonly (readonly Tensor[])[]): Tensor[] {
  const [first = []] = items;
  return first.map((model) => {
    const parts = items.map((tensors) => tensors.find((tensor) => tensor.name === model.name) as Tensor);
    const data = new Uint8Array(sum(parts.map((part) => part.data.byteLength)));
    let at = 0;
    for (const part of parts) {
      data.set(part.data, at);
      at += part.data.byteLength;
    }
    const rows = sum(parts.map((part) => part.shape[0] as number));
    return { ...model, shape: [rows, ...model.shape.slice(1)], data };
  });
}

/** The inverse for outputs; null where an output's axis 0 does not count these rows. */
export function splitRows(outputs: readonly Tensor[], rows: readonly number[]): Tensor[][] | null {
  const total = sum(rows);
  if (outputs.some((output) => output.shape[0] !== total)) return null;
  let start = 0;
  return rows.map((count) => {
    const from = start;
    start += count;
    return outputs.map((output) => {
      const shape = [count, ...output.shape.slice(1)];
      const rowBytes = elementCount(output.shape.slice(1)) * dtypes[output.dtype];
      return { ...output, shape, data: output.data.slice(from * rowBytes, (from + count) * rowBytes) };
    });
  });
}

function rowsOf(tensors: readonly Tensor[]): number | null {
  const rows = tensors[0]?.shape[0];
  if (rows === undefined || rows === 0) return null;
  return tensors.every((tensor) => tensor.shape[0] === rows) ? rows : null;
}

function stackKey(tensors: readonly Tensor[]): string {
  return tensors
    .map((tensor) => `${tensor.name} ${tensor.dtype} ${tensor.shape.slice(1).join()}`)
    .sort()
    .join("\n");
}

const sum = (values: readonly number[]): number => values.reduce((acc, value) => acc + value, 0);
