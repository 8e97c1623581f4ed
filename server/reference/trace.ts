import { z } from "zod";
import type { Kernel } from "../../models/work.ts";

/**
 * Reads the trace that ONNX Runtime prints at the end of a profiled session: a JSON array of Chrome trace events, of which
 * those of category `Node` that end in `_kernel_time` are kernels, in order of execution, bodies of control flow included.
 * The runtime keeps at most a million events; a longer run is cut there.
 */
const shapesSchema = z.array(z.record(z.string(), z.array(z.number().nonnegative())));
const eventSchema = z.object({
  cat: z.string(),
  name: z.string().optional(),
  args: z
    .object({
      op_name: z.string(),
      input_type_shape: shapesSchema.optional(),
      output_type_shape: shapesSchema.optional(),
    })
    .partial()
    .optional(),
});
const SUFFIX = "_kernel_time";

export function readTrace(text: string): Kernel[] {
  return z
    .array(eventSchema)
    .parse(JSON.parse(text))
    .filter((event) => event.cat === "Node" && event.name?.endsWith(SUFFIX) && event.args?.op_name)
    .map(({ name, args }) => ({
      node: (name as string).slice(0, -SUFFIX.length),
      op: args?.op_name as string,
      inputs: shapesOf(args?.input_type_shape),
      outputs: shapesOf(args?.output_type_shape),
    }));
}

/** Each entry is one tensor, `{ "float": [1, 3] }`. */
const shapesOf = (entries: z.infer<typeof shapesSchema> = []): number[][] =>
  entries.flatMap((entry) => Object.values(entry));
