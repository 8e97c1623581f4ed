import { describe, expect, it } from "vitest";
import { defaultSettings, roleDefaults } from "./contract.ts";
import { settingsFromUrl, withRoleFromUrl } from "./settings-from-url.ts";

describe("settings from the page's address", () => {
  it("overrides runtime, slots and the regard for frames", () => {
    const settings = settingsFromUrl("?runtime=wasm&slots=3&frames=ignore", defaultSettings);
    expect(settings).toEqual({ ...defaultSettings, runtime: "wasm", slots: 3, yieldToFrames: false });
  });

  it("forbids the fallback where WebGPU is asked for by name", () => {
    expect(settingsFromUrl("?runtime=software", defaultSettings).wasmFallback).toBe(false);
    expect(settingsFromUrl("?runtime=webgpu", defaultSettings).wasmFallback).toBe(false);
  });

  it("permits it where that is said too", () => {
    expect(settingsFromUrl("?runtime=software&fallback=wasm", defaultSettings).wasmFallback).toBe(true);
  });

  it("lets a validator have one slot, on the processor unless another runtime is named", () => {
    const validator = withRoleFromUrl("?role=validator", defaultSettings);
    expect(validator).toMatchObject({ role: "validator", runtime: "wasm", slots: 1 });
    expect(settingsFromUrl("?slots=4", validator).slots).toBe(1);
    expect(settingsFromUrl("?runtime=software", validator).runtime).toBe("software");
  });

  it("chooses no role but a known one, and changes nothing for who has it already", () => {
    const chosen = { ...defaultSettings, ...roleDefaults.validator, runtime: "webgpu" } as const;
    expect(withRoleFromUrl("?role=king", defaultSettings)).toEqual(defaultSettings);
    expect(withRoleFromUrl("", chosen)).toEqual(chosen);
    expect(withRoleFromUrl("?role=validator", chosen)).toEqual(chosen);
    expect(withRoleFromUrl("?role=miner", chosen)).toMatchObject({ role: "miner", runtime: "webgpu" });
  });

  it.each(["", "?runtime=quantum", "?slots=0", "?slots=9", "?slots=1.5", "?slots=x", "?autostart=1"])(
    "leaves the settings alone for %j",
    (search) => expect(settingsFromUrl(search, defaultSettings)).toEqual(defaultSettings),
  );
});
