import { findAdapter } from "../worker/gpu.ts";

/**
 * What this browser offers, asked before Start so that a person knows what would run. It only asks for the adapter's
 * description: no device is made, nothing is computed or downloaded.
 */
export type DeviceProbe =
  | { webgpu: true; adapter: string; limits: { label: string; bytes: number }[] }
  /** Why not, with the remedy. */
  | { webgpu: false; problem: string };

export async function probeDevice(): Promise<DeviceProbe> {
  const found = await findAdapter(false);
  if (!found.ok) return { webgpu: false, problem: found.error };
  const { info, limits } = found.value;
  return {
    webgpu: true,
    adapter: info.description || [info.vendor, info.architecture].filter(Boolean).join(" ") || "unnamed",
    limits: [
      { label: "Largest buffer", bytes: limits.maxBufferSize },
      { label: "Largest binding", bytes: limits.maxStorageBufferBindingSize },
      { label: "Workgroup memory", bytes: limits.maxComputeWorkgroupStorageSize },
    ],
  };
}

/** A phone's shorter side in CSS pixels is at most this. */
const PHONE_SIDE = 480;

export const isPhoneSized = ({ width, height }: Pick<Screen, "width" | "height">): boolean =>
  Math.min(width, height) <= PHONE_SIDE;

/** Why checking suits this device better than computing; null where it does not. */
export function suggestsChecking(probe: DeviceProbe | null, phone: boolean): string | null {
  if (phone) return "Small checks go easy on a phone's battery.";
  return probe && !probe.webgpu ? "This browser offers no GPU, and checks need none." : null;
}
