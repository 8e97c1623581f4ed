import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import puppeteer, { type Browser, type Page } from "puppeteer";
import { transformWithOxc } from "vite";
import { assert } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { chromiumFlags, findChromium } from "../cli/chromium.mjs";
import { ensureClient, root } from "../cli/ensure.mjs";
import { toText } from "../registry/files.ts";
import type { Device, DeviceName, OpenDevices } from "./devices.ts";
import type { calibration } from "./tab-page.ts";

/**
 * A real browser tab as a device: the built inference worker, driven through a small page, without a hub between. The page
 * reaches nothing but this machine.
 */
const client = join(root, "dist/client");
const contentTypes: Record<string, string> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
const page = `<!doctype html><title>Calibration</title>
<script type="importmap">{"imports": {"comlink": "/comlink.mjs"}}</script>
<script type="module" src="/tab-page.js"></script>`;

/** The page, the worker and its runtime, and the model files that were announced. */
interface TabServer {
  url: string;
  /** Path of the worker's script. */
  worker: string;
  announce(file: string): string;
  close(): void;
}

async function serveTab(): Promise<TabServer> {
  await ensureClient();
  const source = fileURLToPath(new URL("tab-page.ts", import.meta.url));
  const { code } = await transformWithOxc(readFileSync(source, "utf8"), source);
  const own: Record<string, () => string | Buffer> = {
    "/": () => page,
    "/tab-page.js": () => code,
    "/comlink.mjs": () => readFileSync(join(root, "node_modules/comlink/dist/esm/comlink.mjs")),
  };
  for (const folder of ["assets", "ort"])
    for (const name of readdirSync(join(client, folder))) {
      own[`/${folder}/${name}`] = () => readFileSync(join(client, folder, name));
    }
  const worker = Object.keys(own).find((path) => /^\/assets\/inference\.worker-[^/]*\.js$/.test(path));
  assert(worker, "the built client has an inference worker");
  const server: Server = createServer((request, response) => {
    const read = own[request.url ?? ""];
    if (!read) return void response.writeHead(404).end();
    response.writeHead(200, {
      "content-type":
        contentTypes[extname(request.url as string)] ??
        (request.url === "/" ? "text/html" : "application/octet-stream"),
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
    });
    response.end(read());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  let files = 0;
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    worker,
    announce(file) {
      const path = `/files/${files++}`;
      own[path] = () => readFileSync(file);
      return path;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

type TextTensor = ReturnType<typeof toText>;
const fromText = ({ data, ...tensor }: TextTensor): Tensor => ({
  ...tensor,
  data: new Uint8Array(Buffer.from(data, "base64")),
});

type PageApi = typeof calibration;
/** In the page. */
declare const tabgridCalibration: PageApi;

/**
 * Tabs of one browser: `wasm`, `software` (Chromium's software WebGPU adapter), `webgpu` (a real one).
 *
 * @throws Error, in a sentence for the operator, where the browser has no such runtime
 */
export async function openTabs(names: readonly Exclude<DeviceName, "reference">[]): Promise<OpenDevices> {
  const executablePath = findChromium();
  if (!executablePath) throw new Error("No Chrome or Chromium was found; PUPPETEER_EXECUTABLE_PATH may name one.");
  const server = await serveTab();
  const args = chromiumFlags({ software: names.includes("software") });
  const browser = await puppeteer.launch({ executablePath, headless: true, args, protocolTimeout: 600_000 });
  const close = async () => {
    await browser.close();
    server.close();
  };
  try {
    const devices: Device[] = [];
    for (const name of names) {
      const tab = await browser.newPage();
      await tab.goto(server.url);
      await tab.waitForFunction(() => "tabgridCalibration" in globalThis);
      const described = await describe(browser, tab, name);
      devices.push({ name, ...described, load: (files) => load(tab, server, name, files) });
    }
    return { devices, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function describe(browser: Browser, tab: Page, name: DeviceName): Promise<{ what: string; hardware: boolean }> {
  const ort = JSON.parse(readFileSync(join(root, "node_modules/onnxruntime-web/package.json"), "utf8")) as {
    version: string;
  };
  const runtime = `${await browser.version()}, onnxruntime-web ${ort.version}`;
  if (name === "wasm") return { what: `${runtime} wasm, 1 thread`, hardware: false };
  const adapter = await tab.evaluate(() => tabgridCalibration.adapter());
  if (!adapter) throw new Error("This browser offers no WebGPU adapter here: leave `webgpu` and `software` out.");
  if (name === "webgpu" && adapter.software) {
    throw new Error(
      "The only WebGPU adapter here is software: ask for `software`, or switch hardware acceleration on.",
    );
  }
  if (name === "software" && !adapter.software) {
    throw new Error("This browser has a real WebGPU adapter: ask for `webgpu`.");
  }
  return { what: `${runtime} webgpu, ${adapter.text}`, hardware: !adapter.software };
}

let next = 0;

async function load(tab: Page, server: TabServer, name: DeviceName, files: Parameters<Device["load"]>[0]) {
  const id = next++;
  const graph = server.announce(files.graphPath);
  const weights = (files.externalData ?? []).map(({ path, file }) => ({ path, url: server.announce(file) }));
  await tab.evaluate(
    (...given: Parameters<PageApi["load"]>) => tabgridCalibration.load(...given),
    ...([id, server.worker, name === "wasm" ? "wasm" : "webgpu", name === "software", graph, weights] as const),
    files.embedding ?? null,
  );
  return {
    async run(items: Tensor[][], rows: number) {
      const texts = items.map((tensors) => tensors.map(toText));
      const results = await tab.evaluate((...given) => tabgridCalibration.run(...given), id, texts, rows);
      return results.map((tensors) => tensors.map((tensor) => fromText(tensor as TextTensor)));
    },
    async step(inputs: Tensor[]) {
      const results = await tab.evaluate((...given) => tabgridCalibration.step(...given), id, inputs.map(toText));
      return results.map((tensor) => fromText(tensor as TextTensor));
    },
    release: () => tab.evaluate((given) => tabgridCalibration.release(given), id),
  };
}
