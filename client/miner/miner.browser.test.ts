import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser, type BrowserContext, type Page } from "puppeteer";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { chromiumFlags, findChromium } from "../../server/cli/chromium.mjs";
import {
  type Connection,
  digits,
  expectedLogits,
  KEY,
  logitsOf,
  manifestOf,
  oneNodeModel,
  openReference,
  picture,
  root,
  ScriptedHub,
  sha256,
  wire,
} from "../../server/e2e/scripted-hub.ts";
import { limits } from "../../shared/limits.ts";
import type { Hello } from "../../shared/protocol.ts";
import { tensorOf } from "../../shared/tensor.ts";
import type { MinerSettings, MinerView } from "./contract.ts";
import { defaultSettings, roleDefaults } from "./contract.ts";

async function until<T>(
  what: string,
  look: () => T | undefined | null | false | Promise<T | undefined | null | false>,
): Promise<T> {
  const giveUpAt = Date.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > giveUpAt) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

let folder = "";
let browser: Browser;
let hub: ScriptedHub;
let context: BrowserContext;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tabgrid-page-"));
  const output = { outDir: folder, emptyOutDir: true, reportCompressedSize: false, chunkSizeWarningLimit: 1000 };
  await build({ configFile: join(root, "vite.config.ts"), logLevel: "warn", build: output });
  await openReference();
  const executablePath = findChromium();
  browser = await puppeteer.launch({
    ...(executablePath ? { executablePath } : {}),
    args: chromiumFlags({ software: true }),
  });
});

afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  hub = new ScriptedHub(folder);
  await hub.listen();
  context = await browser.createBrowserContext();
});

afterEach(async () => {
  await context.close();
  await hub.close();
  expect(hub.faults).toEqual([]);
});

async function openPage(): Promise<Page> {
  const page = await context.newPage();
  page.on("pageerror", (error) => hub.faults.push(String(error)));
  await page.goto(hub.origin);
  await page.waitForSelector("[data-testid=start]");
  return page;
}

const viewOf = (page: Page): Promise<MinerView | null> => page.evaluate(() => globalThis.tabgridView ?? null);

async function start(page: Page, settings: Partial<MinerSettings> = {}): Promise<Connection> {
  const before = hub.connections.length;
  await page.evaluate(
    (all) =>
      globalThis.tabgridMiner
        ?.subscribe((view) => {
          globalThis.tabgridView = view;
        })
        .then(() => globalThis.tabgridMiner?.start(all)),
    { ...defaultSettings, runtime: "wasm" as const, ...settings },
  );
  return until("a hello", () => hub.connections.slice(before).find(({ hello }) => hello));
}

describe("a miner in a tab, on WASM", () => {
  it("connects and computes only after Start", async () => {
    await openPage();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(hub.connections).toHaveLength(0);
    expect(hub.ranges).toHaveLength(0);
  });

  it("proves its identity, prepares a model, computes as the reference does, and signs", async () => {
    const page = await openPage();
    const connection = await start(page);
    expect(connection.hello?.device).toMatchObject({ runtime: "wasm", fallback: false });
    connection.prepare();
    const [prepared] = await until("prepared", () => connection.said.prepared.length > 0 && connection.said.prepared);
    expect(logitsOf(prepared?.outputs[0] ?? [])).toEqual(await expectedLogits(picture(1)));
    expect(logitsOf(prepared?.outputs[1] ?? [])).toEqual(await expectedLogits(picture(2, 2)));
    await until("its status", () => connection.said.status.some(({ resident }) => resident[0] === KEY));

    connection.assign({ a_1: [wire(picture(3))], a_2: [wire(picture(4, 3))], a_3: [wire(picture(5))] });
    await until("three results", () => connection.results.length === 3);
    expect(logitsOf(connection.result("a_1")?.outputs ?? [])).toEqual(await expectedLogits(picture(3)));
    expect(logitsOf(connection.result("a_2")?.outputs ?? [])).toEqual(await expectedLogits(picture(4, 3)));
    expect(logitsOf(connection.result("a_3")?.outputs ?? [])).toEqual(await expectedLogits(picture(5)));
    await until("the chain's signature", () => connection.signed === 3);
    const view = await until("the view", async () => (await viewOf(page))?.completed === 3 && viewOf(page));
    expect(view).toMatchObject({ state: "ready", completed: 3, failed: 0, hub: { connected: true } });
    expect(view.models).toMatchObject([{ key: KEY, title: "Digits", state: "admitted", bytesDone: digits.byteLength }]);
  });

  it("answers for each item by itself when one of a message is wrong", async () => {
    const page = await openPage();
    const connection = await start(page);
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    const wrong = { ...wire(picture(1)), shape: [1, 1, 14, 56] };
    connection.assign({ a_1: [wire(picture(1))], a_2: [wrong], a_3: [{ ...wire(picture(1)), shape: [2, 1, 28, 28] }] });
    await until("both failures", () => connection.said.failed.length === 2);
    expect(connection.said.failed).toMatchObject([
      { assignments: ["a_3"], fault: "invalid-input" },
      { assignments: ["a_2"], fault: "invalid-input" },
    ]);
    await until("the right one's result", () => connection.results.length > 0);
    expect(connection.results.map(({ assignment }) => assignment)).toEqual(["a_1"]);
  });

  it("carries large tensors as blobs, both ways", async () => {
    hub.file = oneNodeModel("Neg");
    hub.manifest = manifestOf(hub.file);
    const page = await openPage();
    const connection = await start(page);
    connection.prepare([
      [tensorOf("x", "float32", [1, 2], Float32Array.of(1, 2))],
      [tensorOf("x", "float32", [200, 1000], new Float32Array(200_000))],
    ]);
    const [prepared] = await until("prepared", () => connection.said.prepared.length > 0 && connection.said.prepared);
    expect(hub.blobs.get(prepared?.outputs[1]?.[0]?.blob as string)?.byteLength).toBe(800_000);
    hub.blobs.clear();
    const values = Float32Array.from({ length: 500_000 }, (_, i) => i);
    const large = tensorOf("x", "float32", [500, 1000], values);
    const hash = sha256(large.data).toString("hex");
    hub.blobs.set(hash, large.data);
    connection.assign({ a_1: [{ name: "x", dtype: "float32", shape: large.shape, blob: hash }] });
    await until("the result", () => connection.results.length);
    expect(connection.said.result[0]?.items[0]?.outputs[0]?.data).toBeUndefined();
    expect(hub.blobs.size).toBe(2);
    const output = connection.result("a_1")?.outputs[0]?.data as Uint8Array;
    expect(new Float32Array(Uint8Array.from(output).buffer)).toEqual(values.map((value) => -value));
  });

  it("does not take what is not finite for a result", async () => {
    hub.file = oneNodeModel("Log");
    hub.manifest = manifestOf(hub.file);
    const page = await openPage();
    const connection = await start(page);
    connection.prepare([[tensorOf("x", "float32", [1, 2], Float32Array.of(1, 2))]]);
    await until("prepared", () => connection.said.prepared.length);
    connection.assign({
      a_1: [wire(tensorOf("x", "float32", [1, 2], Float32Array.of(-1, 1)))],
      a_2: [wire(tensorOf("x", "float32", [1, 2], Float32Array.of(1, 3)))],
    });
    await until("a failure and a result", () => connection.said.failed.length && connection.results.length);
    expect(connection.said.failed).toMatchObject([{ assignments: ["a_1"], fault: "run-failed" }]);
    expect(connection.said.failed[0]?.message).toContain("not finite: y");
  });

  it("hands work back at pause and takes it again after resume", async () => {
    const page = await openPage();
    const connection = await start(page);
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    await page.evaluate(() => globalThis.tabgridMiner?.pause());
    connection.assign({ a_1: [wire(picture(1))] });
    await until("the refusal", () => connection.said.failed.length);
    expect(connection.said.failed).toMatchObject([{ assignments: ["a_1"], fault: "paused" }]);
    await page.evaluate(() => globalThis.tabgridMiner?.resume());
    connection.assign({ a_2: [wire(picture(1))] });
    await until("the result", () => connection.result("a_2"));
    await page.evaluate(() => globalThis.tabgridMiner?.finishThenStop());
    await until("the end", () => connection.socket.disconnected);
    expect(connection.signed).toBe(1);
    await until("stopped", async () => (await viewOf(page))?.state === "stopped");
  });

  it("comes back by itself after a lost connection, with the results that the hub still waits for", async () => {
    const page = await openPage();
    const first = await start(page);
    first.prepare();
    await until("prepared", () => first.said.prepared.length);
    first.assign({ a_1: [wire(picture(1))] });
    await until("the result", () => first.results.length);
    hub.keep = ["a_1"];
    first.socket.disconnect(true);
    const second = await until("the second hello", () => hub.connections.slice(1).find(({ hello }) => hello));
    expect(second.hello?.publicKey).toEqual(first.hello?.publicKey);
    expect(second.hello?.previous).toMatchObject({ session: first.session, chain: { seq: 1 } });
    await until("the same result again", () => second.result("a_1"));
    expect(second.said.prepared).toHaveLength(0);
    const [status] = await until("its status", () => second.said.status.length > 0 && second.said.status);
    expect(status?.resident).toEqual([KEY]);
  });

  it("resumes after a reload, as the same identity and without a second download", async () => {
    const page = await openPage();
    const first = await start(page);
    first.prepare();
    await until("prepared", () => first.said.prepared.length);
    const before = hub.connections.length;
    await page.reload();
    const second = await until("a hello after the reload", () =>
      hub.connections.slice(before).find(({ hello }) => hello),
    );
    expect(second.hello?.publicKey).toEqual(first.hello?.publicKey);
    expect(second.hello?.device.runtime).toBe("wasm");
    second.prepare();
    await until("prepared again", () => second.said.prepared.length);
    expect(hub.ranges).toHaveLength(1);
  });

  it("does not resume after a reload when it was paused", async () => {
    const page = await openPage();
    await start(page);
    await page.evaluate(() => globalThis.tabgridMiner?.pause());
    const before = hub.connections.length;
    await page.reload();
    await page.waitForSelector("[data-testid=start]");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(hub.connections).toHaveLength(before);
  });

  it("goes on with a download where it was cut", async () => {
    hub.cutAfter = 50_000;
    const page = await openPage();
    const connection = await start(page);
    connection.prepare();
    const [prepared] = await until("prepared", () => connection.said.prepared.length > 0 && connection.said.prepared);
    expect(hub.ranges[0]).toBeUndefined();
    const from = Number(/^bytes=(\d+)-$/.exec(hub.ranges[1] ?? "")?.[1]);
    expect(from).toBeGreaterThan(0);
    expect(from).toBeLessThanOrEqual(50_000);
    expect(logitsOf(prepared?.outputs[0] ?? [])).toEqual(await expectedLogits(picture(1)));
  });

  it("refuses a file of another hash", async () => {
    hub.file = digits.map((byte, i) => (i === 100_000 ? byte ^ 1 : byte));
    const page = await openPage();
    const connection = await start(page);
    connection.prepare();
    await until("the refusal", () => connection.said.prepareFailed.length);
    expect(connection.said.prepareFailed).toMatchObject([{ model: KEY, fault: "load-failed" }]);
    expect(connection.said.prepareFailed[0]?.message).toContain("expected SHA-256");
    // The damaged file is not kept: the next try begins anew and passes.
    hub.file = digits;
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
  });

  it("says what it is here for, takes small models only to check, and connects anew in another role", async () => {
    const page = await openPage();
    const validator = await start(page, roleDefaults.validator);
    expect(validator.hello).toMatchObject({ role: "validator", slots: 1, device: { runtime: "wasm" } });
    hub.manifest = { ...manifestOf(digits), memoryBytes: limits.validatorModelBytes + 1 };
    validator.prepare();
    await until("the refusal", () => validator.said.prepareFailed.length);
    expect(validator.said.prepareFailed).toMatchObject([{ model: KEY, fault: "out-of-memory" }]);
    expect(hub.ranges).toHaveLength(0);
    const idle = await until("an idle view", async () => {
      const view = await viewOf(page);
      return view?.state === "ready" && view;
    });
    expect(idle).toMatchObject({ role: "validator", why: "Waiting for an answer to check." });
    await page.evaluate((settings) => globalThis.tabgridMiner?.configure(settings), {
      ...defaultSettings,
      runtime: "wasm" as const,
    });
    const miner = await until("a new hello", () => hub.connections.slice(1).find(({ hello }) => hello));
    expect(miner.hello).toMatchObject({ role: "miner" });
    miner.prepare();
    await until("prepared", () => miner.said.prepared.length);
  });

  it("runs once per browser profile; the next tab takes over when the first closes", async () => {
    const first = await openPage();
    await start(first);
    const second = await openPage();
    const elsewhere = await until(
      "elsewhere",
      async () => (await viewOf(second))?.state === "elsewhere" && viewOf(second),
    );
    expect(elsewhere.why).toContain("Another tab");
    expect(hub.connections).toHaveLength(1);
    await first.close();
    await until("the second tab's hello", () => hub.connections.slice(1).find(({ hello }) => hello));
  });
});

describe("a miner in a tab, on WebGPU", () => {
  it("takes the software adapter only when asked, and then computes on it", async () => {
    const page = await openPage();
    const connection = await start(page, { runtime: "software", wasmFallback: false });
    expect(connection.hello?.device).toMatchObject({ runtime: "webgpu", fallback: true });
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    connection.assign({ a_1: [wire(picture(3))], a_2: [wire(picture(4, 2))] });
    await until("results", () => connection.results.length === 2);
    for (const [assignment, image] of [
      ["a_1", picture(3)],
      ["a_2", picture(4, 2)],
    ] as const) {
      const expected = await expectedLogits(image);
      const got = logitsOf(connection.result(assignment)?.outputs ?? []);
      for (const [i, value] of expected.entries()) expect(Math.abs((got[i] as number) - value)).toBeLessThan(1e-4);
    }
    expect((await viewOf(page))?.deviceNote).toBeNull();
  });

  it("falls back to WASM for a model that WebGPU cannot load, with a note, where the settings allow", async () => {
    hub.missing = /jspi.*wasm/;
    const page = await openPage();
    const connection = await start(page, { runtime: "software" });
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    expect(logitsOf(connection.said.prepared[0]?.outputs[0] ?? [])).toEqual(await expectedLogits(picture(1)));
    const note = await until("the note", async () => (await viewOf(page))?.deviceNote);
    expect(note).toContain("Digits runs on the processor");
    await page.evaluate((settings) => globalThis.tabgridMiner?.configure(settings), {
      ...defaultSettings,
      runtime: "software" as const,
      wasmFallback: false,
    });
    const strict = await until("a new hello", () => hub.connections.slice(1).find(({ hello }) => hello));
    strict.prepare();
    await until("the refusal", () => strict.said.prepareFailed.length);
    expect(strict.said.prepareFailed).toMatchObject([{ model: KEY, fault: "load-failed" }]);
  });

  it("reports a lost device as a failure, and computes again on a new one", async () => {
    const page = await openPage();
    const connection = await start(page, { runtime: "software", wasmFallback: false });
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    const devtools = await browser.target().createCDPSession();
    const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
    process.kill(processInfo.find(({ type }) => type === "GPU")?.id as number);
    connection.assign({ a_1: [wire(picture(3))] });
    await until("the failure", () => connection.said.failed.length);
    expect(connection.said.failed).toMatchObject([{ assignments: ["a_1"], fault: "device-lost" }]);
    connection.assign({ a_2: [wire(picture(3))] });
    await until("a result", () => connection.result("a_2"));
    const expected = await expectedLogits(picture(3));
    const got = logitsOf(connection.result("a_2")?.outputs ?? []);
    for (const [i, value] of expected.entries()) expect(Math.abs((got[i] as number) - value)).toBeLessThan(1e-4);
  });

  it("falls back to WASM with a note where the adapter is software, and fails where that is not allowed", async () => {
    const page = await openPage();
    const connection = await start(page, { runtime: "webgpu" });
    expect(connection.hello?.device.runtime).toBe("wasm");
    const note = await until("a note", async () => (await viewOf(page))?.deviceNote);
    expect(note).toContain("software");
    await page.evaluate((settings) => globalThis.tabgridMiner?.configure(settings), {
      ...defaultSettings,
      runtime: "webgpu" as const,
      wasmFallback: false,
    });
    const failed = await until("failed", async () => (await viewOf(page))?.state === "failed" && viewOf(page));
    expect(failed.why).toContain("software");
  });
});

describe("npm run miner", () => {
  it("mines or checks without a screen, keeps its identity, and finishes on Ctrl-C", async () => {
    const profile = mkdtempSync(join(tmpdir(), "tabgrid-profile-"));
    const run = (more: string[]) => {
      const script = join(root, "server/cli/miner.ts");
      const args = [script, "--hub", hub.origin, "--profile", profile, "--runtime", "wasm", ...more];
      const child = spawn(join(root, "node_modules/.bin/node"), args, { cwd: root });
      const output = { text: "" };
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk) => {
          output.text += chunk;
        });
      }
      const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
      return { child, output, ended };
    };
    const keys: Uint8Array[] = [];
    for (const round of [1, 2]) {
      const before = hub.connections.length;
      const { child, output, ended } = run(round === 1 ? ["--slots", "2"] : ["--role", "validator"]);
      const connection = await until("a hello", () => hub.connections.slice(before).find(({ hello }) => hello));
      keys.push((connection.hello as Hello).publicKey);
      const [role, slots, doing, things] =
        round === 1 ? ["miner", 2, "mining", "tasks"] : ["validator", 1, "checking", "checks"];
      expect(connection.hello).toMatchObject({ role, slots, device: { runtime: "wasm" } });
      connection.prepare();
      await until("prepared", () => connection.said.prepared.length);
      connection.assign({ [`a_${round}`]: [wire(picture(round))] });
      await until("the result", () => connection.results.length);
      await until("its report", () => output.text.includes("digits@1: admitted."));
      child.kill("SIGINT");
      expect(await ended).toBe(0);
      expect(output.text).toContain(`State: ${doing}.`);
      expect(output.text).toContain(`1 ${things} done; 0.000000000 USDC available`);
      expect(output.text.trimEnd()).toMatch(/Stopped\.$/);
      expect(connection.signed).toBe(1);
    }
    expect(keys[1]).toEqual(keys[0]);
    expect(hub.ranges).toHaveLength(1);
    rmSync(profile, { recursive: true, force: true });
  });
});
