import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chromiumFlags, findChromium } from "./chromium.mjs";

describe("findChromium", () => {
  let folder = "";
  const executable = (name: string) => {
    const path = join(folder, name);
    writeFileSync(path, "");
    chmodSync(path, 0o755);
    return path;
  };
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "tabgrid-chromium-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("takes the browser that the environment names, then one on the path", () => {
    const named = executable("my-browser");
    const onPath = executable("chromium");
    expect(findChromium({ CHROME_PATH: named, PATH: folder })).toBe(named);
    expect(findChromium({ PUPPETEER_EXECUTABLE_PATH: onPath, CHROME_PATH: named })).toBe(onPath);
    expect(findChromium({ CHROME_PATH: join(folder, "gone"), PATH: folder })).toBe(onPath);
  });

  it("looks where Windows puts it, and then at what puppeteer installed", () => {
    const env = { PROGRAMFILES: folder, PUPPETEER_CACHE_DIR: folder };
    expect(findChromium(env, "win32")).toBeNull();
    for (const version of ["99.0.1", "156.0.2"]) {
      mkdirSync(join(folder, "chrome", `linux-${version}`, "chrome-linux64"), { recursive: true });
      executable(`chrome/linux-${version}/chrome-linux64/chrome`);
    }
    expect(findChromium(env, "win32")).toContain("linux-156.0.2");
    mkdirSync(join(folder, "Google", "Chrome", "Application"), { recursive: true });
    const installed = executable("Google/Chrome/Application/chrome.exe");
    expect(findChromium(env, "win32")).toBe(installed);
  });
});

describe("chromiumFlags", () => {
  it("offers the software adapter only when asked", () => {
    expect(chromiumFlags({ software: true })).toContain("--enable-unsafe-webgpu");
    expect(chromiumFlags({ software: false })).not.toContain("--enable-unsafe-webgpu");
  });
});
