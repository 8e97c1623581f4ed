import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { drawDigit } from "../../models/digits/draw.ts";
import { seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import type { Clock } from "../../shared/time.ts";
import type { RateLimits } from "../api/rate-limit.ts";
import { ensureClient, root } from "../cli/ensure.mjs";
import { readDigitImages } from "../cli/idx.ts";
import { loadConfig } from "../config.ts";
import { type RunningHub, startHub } from "../start-hub.ts";

/** A hub on a folder of its own that serves the built pages, and the traffic that the tests send to it. */

export interface TestHub {
  hub: RunningHub;
  faults: unknown[];
  close(): Promise<void>;
}

export async function startTestHub(
  options: {
    referenceServes?: boolean;
    port?: number;
    dataDir?: string;
    clock?: Clock;
    rateLimits?: RateLimits;
    toolsOnLoopback?: boolean;
    payouts?: "csv";
  } = {},
): Promise<TestHub> {
  await ensureClient();
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "tabgrid-e2e-")));
  const config = loadConfig({
    TABGRID_DATA: dataDir,
    TABGRID_PORT: String(options.port ?? 0),
    TABGRID_PAYOUTS: options.payouts,
  });
  assert(config.ok, "the settings are valid");
  const faults: unknown[] = [];
  const hub = await startHub({
    config: config.value,
    log: pino({ level: "warn" }),
    version: "test",
    clientDir: join(root, "dist/client"),
    referenceServes: options.referenceServes ?? true,
    ...(options.clock && { clock: options.clock }),
    rateLimits: options.rateLimits,
    toolsOnLoopback: options.toolsOnLoopback ?? false,
    fatal: (error) => faults.push(error),
  });
  const close = async () => {
    await hub.close();
    if (!options.dataDir) await rm(dataDir, { recursive: true, force: true });
  };
  return { hub, faults, close };
}

const mnist = join(root, "../shared/data/sets/mnist/t10k-images-idx3-ubyte.gz");

/** MNIST's test images where they are at hand, else digits drawn by our own pen; said in the test's output. */
export function digitImages(count: number): {
  source: string;
  images: { pixels: Float32Array; label: number | null }[];
} {
  if (existsSync(mnist)) {
    const read = readDigitImages(mnist);
    assert(read.ok, read.ok ? "" : read.error);
    return { source: "MNIST test set", images: read.value.slice(0, count) };
  }
  const rng = seededRng(1);
  const images = Array.from({ length: count }, (_, i) => ({
    pixels: drawDigit(i % 10, () => rng.next()),
    label: i % 10,
  }));
  return { source: "drawn digits (no MNIST at ../shared/data)", images };
}

export const imageTensor = (pixels: Float32Array): Tensor => tensorOf("image", "float32", [1, 1, 28, 28], pixels);

export interface Answer {
  status: number;
  ms: number;
  error: string | null;
  outputs: { name: string; datatype: string; shape: number[]; data: number[] }[];
  parameters: { task: string; receipt: string; basis: string };
}

export async function inferDigits(
  hub: RunningHub,
  pixels: Float32Array,
  parameters: Record<string, unknown> = {},
): Promise<Answer> {
  const started = performance.now();
  const response = await fetch(`${hub.url}/v2/models/digits/infer`, {
    method: "POST",
    headers: { authorization: `Bearer ${hub.firstKey.value}`, "content-type": "application/json" },
    body: JSON.stringify({
      inputs: [{ name: "image", shape: [1, 1, 28, 28], datatype: "FP32", data: [...pixels] }],
      parameters,
    }),
  });
  const body = await response.json();
  return { status: response.status, ms: performance.now() - started, error: null, outputs: [], ...body };
}

/** Runs `work` over items, at most `width` at a time, and keeps the order of the results. */
export async function pooled<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < items.length; index = next++)
      results[index] = await work(items[index] as T, index);
  };
  await Promise.all(Array.from({ length: width }, lane));
  return results;
}
