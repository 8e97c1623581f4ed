import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import puppeteer, { type Page } from "puppeteer";
import { build, defaultClientConditions, preview } from "vite";
import manifest from "../models/digits/manifest.json" with { type: "json" };
import { chromiumFlags, findChromium } from "../server/cli/chromium.mjs";
import { assert } from "../shared/result.ts";
import type { Tolerance } from "../shared/tolerance.ts";
import type { WorkerBench } from "./worker-page/main.ts";

/**
 * Milliseconds per inference of `digits` through the miner's worker and by a bare ONNX Runtime call, on one page of a real
 * Chromium, in turns (../shared/design.md, section 13). On the software WebGPU adapter only the answers are compared.
 */
const { values } = parseArgs({
  options: { rounds: { type: "string", default: "15" }, inferences: { type: "string", default: "200" } },
});
const rounds = Number(values.rounds);
const inferences = Number(values.inferences);
assert(Number.isInteger(rounds) && rounds > 0, "--rounds is a positive integer");
assert(Number.isInteger(inferences) && inferences > 0, "--inferences is a positive integer");

const PER_MESSAGE = 16;
type OnPage = typeof globalThis & { bench: WorkerBench };

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}
const rounded = (value: number, digits = 3): number => Number(value.toFixed(digits));

/** Isolated, as the hub serves its own pages: that also gives a clock of 5 µs. */
const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

async function servePage(outDir: string) {
  const root = join(import.meta.dirname, "worker-page");
  const shared = { configFile: false as const, root, logLevel: "error" as const };
  await build({
    ...shared,
    resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
    build: { outDir, emptyOutDir: true, target: "es2022", assetsInlineLimit: 0 },
    worker: { format: "es" },
  });
  return preview({ ...shared, build: { outDir }, preview: { host: "127.0.0.1", port: 0, headers } });
}

async function measure(page: Page) {
  const bare = (count: number) => page.evaluate((n) => (globalThis as OnPage).bench.bare(n), count);
  const pooled = (count: number, perMessage: number) =>
    page.evaluate((n, per) => (globalThis as OnPage).bench.pooled(n, per), count, perMessage);
  const compare = (runtime: "webgpu" | "wasm") =>
    page.evaluate(
      (on, tolerance) => (globalThis as OnPage).bench.compare(on, tolerance),
      runtime,
      manifest.comparator as Tolerance,
    );
  const queued = (count: number) => page.evaluate((n) => (globalThis as OnPage).bench.queued(n), count);
  const ways = {
    bare: () => bare(inferences),
    worker: () => pooled(inferences, 1),
    queued: () => queued(inferences),
    together: () => pooled(Math.ceil(inferences / PER_MESSAGE) * PER_MESSAGE, PER_MESSAGE),
  };
  const ms: Record<keyof typeof ways, number[]> = { bare: [], worker: [], queued: [], together: [] };
  for (let round = -1; round < rounds; round++) {
    for (const way of Object.keys(ways) as (keyof typeof ways)[]) {
      const took = await ways[way]();
      if (round >= 0) ms[way].push(took); // the first warms up
    }
  }
  return { ms, compare };
}

const outDir = mkdtempSync(join(tmpdir(), "tabgrid-bench-"));
const server = await servePage(outDir);
const executablePath = findChromium();
assert(executablePath, "a Chrome or Chromium is installed");
const browser = await puppeteer.launch({ executablePath, headless: true, args: chromiumFlags({ software: true }) });
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => process.stderr.write(`${error}\n`));
  await page.goto(server.resolvedUrls?.local[0] as string);
  await page.waitForFunction(() => "bench" in globalThis, { timeout: 60_000 });
  const { ms, compare } = await measure(page);
  const beside = (list: readonly number[]) => ({
    ms: rounded(median(list)),
    ratio: rounded(median(list.map((one, round) => one / (ms.bare[round] as number)))),
  });
  const outcomes = [];
  for (const runtime of ["wasm", "webgpu"] as const) {
    const { comparisons, ms: meanMs } = await compare(runtime);
    outcomes.push({
      runtime,
      pictures: comparisons.length,
      passed: comparisons.filter(({ agreement }) => agreement === "PASS").length,
      largestDistance: rounded(Math.max(...comparisons.map(({ distance }) => distance)), 6),
      msPerInference: rounded(meanMs),
    });
  }
  const result = {
    bench: "worker",
    browser: await browser.version(),
    cpus: cpus().length,
    model: "digits, batch 1, WASM, 1 thread",
    rounds,
    inferencesPerRound: inferences,
    bareMs: rounded(median(ms.bare)),
    worker: beside(ms.worker),
    workerWithTheNextOneWaiting: beside(ms.queued),
    workerWithSixteenToAMessage: beside(ms.together),
    answersAgainstBareWasm: outcomes,
  };
  console.log(JSON.stringify(result, null, 2));
} finally {
  await browser.close();
  await server.close();
  rmSync(outDir, { recursive: true });
}
