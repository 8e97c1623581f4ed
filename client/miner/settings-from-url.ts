import { limits } from "../../shared/limits.ts";
import { type MinerSettings, roleDefaults } from "./contract.ts";

const runtimes: readonly string[] = ["webgpu", "wasm", "software"] satisfies MinerSettings["runtime"][];

/**
 * `?runtime=webgpu|wasm|software` (with `&fallback=wasm` if that may end on WASM), `?slots=1..8` and `?frames=ignore` (for pages that nobody looks at) override the
 * settings; anything else in the address is ignored. No address starts the miner: that takes a person's press of Start.
 */
export function settingsFromUrl(search: string, settings: MinerSettings): MinerSettings {
  const query = new URLSearchParams(search);
  const overridden = { ...settings };
  const runtime = query.get("runtime");
  if (runtime !== null && runtimes.includes(runtime)) {
    overridden.runtime = runtime as MinerSettings["runtime"];
    // Who asks for WebGPU by name wants to know when it is not to be had.
    if (runtime !== "wasm") overridden.wasmFallback = query.get("fallback") === "wasm";
  }
  const slots = Number(query.get("slots"));
  if (Number.isInteger(slots) && slots >= 1 && slots <= limits.slotsMax) overridden.slots = slots;
  if (overridden.role === "validator") overridden.slots = 1;
  if (query.get("frames") === "ignore") overridden.yieldToFrames = false;
  return overridden;
}

/** `?role=miner|validator` chooses for the person before Start, who may choose otherwise. */
export function withRoleFromUrl(search: string, settings: MinerSettings): MinerSettings {
  const role = new URLSearchParams(search).get("role");
  const chosen = role === "miner" || role === "validator" ? roleDefaults[role] : null;
  return chosen && chosen.role !== settings.role ? { ...settings, ...chosen } : settings;
}
