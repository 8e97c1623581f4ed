import { afterEach, expect, test, vi } from "vitest";
import { isPhoneSized, probeDevice, suggestsChecking } from "./device-probe.ts";

afterEach(() => vi.unstubAllGlobals());

function browser(secure: boolean, gpu: Pick<GPU, "requestAdapter"> | undefined): void {
  vi.stubGlobal("isSecureContext", secure);
  vi.stubGlobal("navigator", { gpu });
}
const adapter = (info: Partial<GPUAdapterInfo>) => ({
  requestAdapter: async () =>
    ({
      info: { vendor: "", architecture: "", description: "", isFallbackAdapter: false, ...info },
      limits: { maxBufferSize: 4, maxStorageBufferBindingSize: 2, maxComputeWorkgroupStorageSize: 1 },
    }) as GPUAdapter,
});

test("an insecure page, no WebGPU, no adapter and a software adapter each have their own reason", async () => {
  const problems: string[] = [];
  for (const [secure, gpu] of [
    [false, adapter({ vendor: "intel" })],
    [true, undefined],
    [true, { requestAdapter: async () => null }],
    [true, adapter({ vendor: "google", architecture: "swiftshader", isFallbackAdapter: true })],
  ] as const) {
    browser(secure, gpu);
    const probe = await probeDevice();
    if (probe.webgpu) throw new Error("WebGPU where there is none");
    problems.push(probe.problem);
  }
  expect(new Set(problems).size).toBe(4);
  expect(problems[0]).toContain("https://");
});

test.each([
  [{ description: "NVIDIA H200", vendor: "nvidia" }, "NVIDIA H200"],
  [{ vendor: "intel", architecture: "gen-12lp" }, "intel gen-12lp"],
  [{}, "unnamed"],
])("%j is named %s, with its limits in bytes", async (info, name) => {
  browser(true, adapter(info));
  expect(await probeDevice()).toMatchObject({
    webgpu: true,
    adapter: name,
    limits: [{ bytes: 4 }, { bytes: 2 }, { bytes: 1 }],
  });
});

test("checking is suggested to a phone, held either way, and to a browser without WebGPU", () => {
  const gpu = { webgpu: true as const, adapter: "", limits: [] };
  expect(isPhoneSized({ width: 740, height: 360 })).toBe(true);
  expect(isPhoneSized({ width: 1366, height: 768 })).toBe(false);
  expect(suggestsChecking(gpu, false)).toBeNull();
  expect(suggestsChecking(null, false)).toBeNull();
  expect(suggestsChecking({ webgpu: false, problem: "" }, false)).toContain("no GPU");
  expect(suggestsChecking(gpu, true)).toContain("phone");
});
