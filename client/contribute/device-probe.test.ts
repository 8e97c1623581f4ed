import { expect, test } from "vitest";
import { probeDevice } from "./device-probe.ts";

const origin = "http://192.168.1.20:8787";
const adapter = (info: Partial<GPUAdapterInfo>) =>
  ({
    info: { vendor: "", architecture: "", description: "", isFallbackAdapter: false, ...info },
    limits: { maxBufferSize: 4, maxStorageBufferBindingSize: 2, maxComputeWorkgroupStorageSize: 1 },
  }) as GPUAdapter;
const gpu = (answer: () => Promise<GPUAdapter | null>) => ({ requestAdapter: answer });

test("an insecure page is told so by its address, and is not asked further", async () => {
  const probe = await probeDevice({ secure: false, gpu: gpu(() => Promise.reject(new Error("asked"))), origin });
  expect(probe).toMatchObject({ webgpu: false, remedy: expect.stringContaining("https://") });
  expect(!probe.webgpu && probe.reason).toContain(origin);
});

test("no WebGPU, no adapter, a refused adapter and a software adapter each have a reason and a remedy", async () => {
  const reasons = new Set<string>();
  for (const given of [
    undefined,
    gpu(async () => null),
    gpu(async () => adapter({ vendor: "google", architecture: "swiftshader", isFallbackAdapter: true })),
  ]) {
    const probe = await probeDevice({ secure: true, gpu: given, origin });
    if (probe.webgpu) throw new Error("WebGPU where there is none");
    expect(probe.remedy).not.toBe("");
    reasons.add(probe.reason);
  }
  expect(reasons.size).toBe(3);
  const refused = await probeDevice({ secure: true, gpu: gpu(() => Promise.reject(new Error("blocked"))), origin });
  expect(refused.webgpu).toBe(false);
});

test("an adapter is named as well as the browser allows", async () => {
  const named = async (info: Partial<GPUAdapterInfo>) => {
    const probe = await probeDevice({ secure: true, gpu: gpu(async () => adapter(info)), origin });
    return probe.webgpu && probe.adapter;
  };
  expect(await named({ description: "NVIDIA H200" })).toBe("NVIDIA H200");
  expect(await named({ vendor: "intel", architecture: "gen-12lp" })).toBe("intel gen-12lp");
  expect(await named({})).toBe("an adapter that keeps its name private");
});
