/**
 * What this browser offers, asked before Start so that a person knows what would run. It only asks for the adapter's
 * description: no device is made, nothing is computed or downloaded.
 */
export type DeviceProbe =
  | { webgpu: true; adapter: string; limits: { label: string; bytes: number }[] }
  | { webgpu: false; reason: string; remedy: string };

interface Surroundings {
  secure: boolean;
  gpu: Pick<GPU, "requestAdapter"> | undefined;
  origin: string;
}

export async function probeDevice(around: Surroundings): Promise<DeviceProbe> {
  if (!around.secure) {
    return {
      webgpu: false,
      reason: `Browsers give WebGPU to secure pages only, and ${around.origin} is not one.`,
      remedy: "Open this page over https:// or on localhost.",
    };
  }
  if (!around.gpu) {
    return {
      webgpu: false,
      reason: "This browser has no WebGPU, or it is blocked by a setting or policy.",
      remedy: "Use a current Chrome, Edge, Firefox or Safari with hardware acceleration switched on.",
    };
  }
  const adapter = await around.gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) {
    return {
      webgpu: false,
      reason: "The browser found no graphics adapter that it trusts.",
      remedy: "Switch on hardware acceleration in the browser's settings and update the graphics driver.",
    };
  }
  const name = adapterName(adapter.info);
  if (adapter.info.isFallbackAdapter) {
    return {
      webgpu: false,
      reason: `The only adapter, ${name}, is software: slower than running on the processor directly.`,
      remedy: "Switch on hardware acceleration in the browser's settings.",
    };
  }
  return {
    webgpu: true,
    adapter: name,
    limits: [
      { label: "Largest buffer", bytes: adapter.limits.maxBufferSize },
      { label: "Largest binding", bytes: adapter.limits.maxStorageBufferBindingSize },
      { label: "Workgroup memory", bytes: adapter.limits.maxComputeWorkgroupStorageSize },
    ],
  };
}

function adapterName(info: GPUAdapterInfo): string {
  if (info.description) return info.description;
  const parts = [info.vendor, info.architecture].filter(Boolean);
  return parts.length > 0 ? parts.join(" ") : "an adapter that keeps its name private";
}
