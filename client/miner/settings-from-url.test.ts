import { describe, expect, it } from "vitest";
import { defaultSettings } from "./contract.ts";
import { settingsFromUrl } from "./settings-from-url.ts";

describe("settings from the page's address", () => {
  it("overrides runtime, slots and the regard for frames", () => {
    const settings = settingsFromUrl("?runtime=wasm&slots=3&frames=ignore", defaultSettings);
    expect(settings).toEqual({ ...defaultSettings, runtime: "wasm", slots: 3, yieldToFrames: false });
  });

  it("forbids the fallback where WebGPU is asked for by name", () => {
    expect(settingsFromUrl("?runtime=software", defaultSettings).wasmFallback).toBe(false);
    expect(settingsFromUrl("?runtime=webgpu", defaultSettings).wasmFallback).toBe(false);
  });

  it.each(["", "?runtime=quantum", "?slots=0", "?slots=9", "?slots=1.5", "?slots=x", "?autostart=1"])(
    "leaves the settings alone for %j",
    (search) => expect(settingsFromUrl(search, defaultSettings)).toEqual(defaultSettings),
  );
});
