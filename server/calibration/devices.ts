import type { Tensor } from "../../shared/tensor.ts";
import type { ModelFiles } from "../reference/messages.ts";
import { createReferenceNode } from "../reference/node.ts";
import { rowOf, stackRows } from "../registry/inputs.ts";

/** Something that runs models, as the calibration sees it. */
export interface Device {
  /** `reference`, or the runtime of a tab. */
  name: DeviceName;
  /** Runtime, version and adapter: who merges measurements tells devices apart by it. */
  what: string;
  /** A GPU that is one. */
  hardware: boolean;
  load(files: ModelFiles): Promise<LoadedModel>;
}
export interface OpenDevices {
  devices: Device[];
  close(): Promise<void>;
}
export const deviceNames = ["reference", "wasm", "software", "webgpu"] as const;
export type DeviceName = (typeof deviceNames)[number];

export interface LoadedModel {
  /** Runs each item, up to `rows` of equal shapes together. */
  run(items: Tensor[][], rows: number): Promise<Tensor[][]>;
  /**
   * One step of a text model on a batch: the outputs `present.*` stay on the device and are the inputs `past_key_values.*`
   * of the next step, which `inputs` therefore names only to begin anew. Gives the other outputs.
   */
  step(inputs: Tensor[]): Promise<Tensor[]>;
  release(): Promise<void>;
}

const RUN_MS = 120_000;

export function openReference(): OpenDevices {
  const node = createReferenceNode();
  const device: Device = {
    name: "reference",
    what: `reference node, ${node.runtime}`,
    hardware: false,
    async load(files) {
      const runOne = async (inputs: Tensor[]) => {
        const result = await node.run(files, inputs, RUN_MS);
        if (!result.ok) throw new Error(`the reference node: ${result.error.message}`);
        return result.value.outputs;
      };
      let cache: Tensor[] = [];
      return {
        async run(items, rows) {
          const results: Tensor[][] = [];
          for (let at = 0; at < items.length; at += rows) {
            const stack = items.slice(at, at + rows);
            const outputs = await runOne(stack.length === 1 ? (stack[0] as Tensor[]) : stackRows(stack));
            results.push(...(stack.length === 1 ? [outputs] : stack.map((_, row) => rowOf(outputs, row))));
          }
          return results;
        },
        async step(inputs) {
          const begins = inputs.some(({ name }) => name.startsWith("past_key_values."));
          const outputs = await runOne(begins ? inputs : [...inputs, ...cache]);
          cache = outputs
            .filter(({ name }) => name.startsWith("present."))
            .map((tensor) => ({ ...tensor, name: tensor.name.replace("present.", "past_key_values.") }));
          return outputs.filter(({ name }) => !name.startsWith("present."));
        },
        async release() {
          cache = [];
        },
      };
    },
  };
  return { devices: [device], close: () => node.close() };
}
