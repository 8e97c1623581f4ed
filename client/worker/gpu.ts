import { err, ok, type Result } from "../../shared/result.ts";

/** An adapter that may be computed on, or why there is none and what a person can do about it. */
export async function findAdapter(acceptSoftware: boolean): Promise<Result<GPUAdapter, string>> {
  if (!isSecureContext) return err("WebGPU needs https:// or localhost; this page is neither.");
  if (!navigator.gpu) return err("This browser has no WebGPU: use a current Chrome, Edge, Firefox or Safari.");
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) return err("No graphics adapter: switch on hardware acceleration in the browser's settings.");
  if (adapter.info.isFallbackAdapter && !acceptSoftware) {
    return err("The only adapter is software, slower than the processor: switch on hardware acceleration.");
  }
  return ok(adapter);
}

const features = ["shader-f16", "subgroups"] as const satisfies GPUFeatureName[];
const limits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const satisfies (keyof GPUSupportedLimits)[];

/** The most that ONNX Runtime's kernels can use of the adapter; the default device has the least. */
export function openDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  return adapter.requestDevice({
    requiredFeatures: features.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(limits.map((limit) => [limit, adapter.limits[limit]])),
  });
}
