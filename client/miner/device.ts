import type { Device } from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { findAdapter } from "../worker/gpu.ts";
import type { MinerSettings } from "./contract.ts";

declare const __ORT_VERSION__: string;

const GIB = 1024 ** 3;

/** What this browser will compute on; `note` says why it is not WebGPU, where that was asked for. */
export async function probeDevice(
  settings: Pick<MinerSettings, "runtime" | "wasmFallback">,
): Promise<Result<{ device: Device; note: string | null }, string>> {
  const { deviceMemory = 4, hardwareConcurrency } = navigator as Navigator & { deviceMemory?: number };
  const common = {
    memoryBytes: deviceMemory * GIB,
    agent: navigator.userAgent.slice(0, 200),
    ortVersion: __ORT_VERSION__,
  };
  const cpu: Device = {
    ...common,
    runtime: "wasm",
    adapter: `cpu/${hardwareConcurrency}`,
    fallback: false,
    features: [],
  };
  if (settings.runtime === "wasm") return ok({ device: cpu, note: null });
  const adapter = await findAdapter(settings.runtime === "software");
  if (!adapter.ok) return settings.wasmFallback ? ok({ device: cpu, note: adapter.error }) : err(adapter.error);
  const { info, features } = adapter.value;
  const device: Device = {
    ...common,
    runtime: "webgpu",
    adapter: [info.vendor, info.architecture, info.description].filter(Boolean).join("/").slice(0, 200) || "unnamed",
    fallback: info.isFallbackAdapter,
    features: [...features].sort().slice(0, 64),
  };
  return ok({ device, note: null });
}
