import { limits } from "../../shared/limits.ts";
import type { MinerSettings } from "./contract.ts";

const runtimes: readonly string[] = ["webgpu", "wasm", "software"] satisfies MinerSettings["runtime"][];

/**
 * `?runtime=webgpu|wasm|software`, `?slots=1..8` and `?frames=ignore` (for pages that nobody looks at) override the
 * settings; anything else in the address is ignored. No address starts the miner: that takes a person's press of Start.
 */
export function settingsFromUrl(search: string, settings: MinerSettings): MinerSettings {
  const query = new URLSearchParams(search);
  const overridden = { ...settings };
  const runtime = query.get("runtime");
  if (runtime !== null && runtimes.includes(runtime)) {
    overridden.runtime = runtime as MinerSettings["runtime"];
    // Who asks for WebGPU by name wants to know when it is not to be had.
    if (runtime !== "wasm") overridden.wasmFallback = false;
  }
  const slots = Number(query.get("slots"));
  if (Number.isInteger(slots) && slots >= 1 && slots <= limits.slotsMax) overridden.slots = slots;
  if (query.get("frames") === "ignore") overridden.yieldToFrames = false;
  return overridden;
}
