import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import puppeteer, { type Browser, type Page } from "puppeteer";
import { build, defaultClientConditions, preview } from "vite";
import { chromiumFlags, findChromium } from "../server/cli/chromium.mjs";
import { assert } from "../shared/result.ts";
import type { PageModel, TextPage } from "./text-page/main.ts";

/** A page of bench/text-page in a real Chromium, served as the hub serves its own. */
export interface OpenTextPage {
  browser: Browser;
  page: Page;
  /** Calls one function of the page. */
  call<K extends keyof TextPage>(name: K, ...given: Parameters<TextPage[K]>): ReturnType<TextPage[K]>;
  close(): Promise<void>;
}

/** Isolated, as the hub serves its own pages: that also gives a clock of 5 µs. */
const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

/** @param add what else is to be served, into the folder that is */
export async function openTextPage(
  root = join(import.meta.dirname, "text-page"),
  add: (outDir: string) => void = () => undefined,
): Promise<OpenTextPage> {
  const outDir = mkdtempSync(join(tmpdir(), "tabgrid-text-"));
  const shared = { configFile: false as const, root, logLevel: "error" as const };
  await build({
    ...shared,
    resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
    build: { outDir, emptyOutDir: true, target: "es2022", assetsInlineLimit: 0 },
    worker: { format: "es" },
  });
  add(outDir);
  const server = await preview({ ...shared, build: { outDir }, preview: { host: "127.0.0.1", port: 0, headers } });
  const executablePath = findChromium();
  assert(executablePath, "a Chrome or Chromium is installed");
  const browser = await puppeteer.launch({
    executablePath,
    headless: true,
    args: chromiumFlags({ software: true }),
    protocolTimeout: 3_600_000,
  });
  const page = await browser.newPage();
  page.on("pageerror", (error) => process.stderr.write(`${error}\n`));
  page.on("console", (message) => process.env.TEXT_PAGE_LOG && process.stderr.write(`${message.text()}\n`));
  await page.goto(server.resolvedUrls?.local[0] as string);
  await page.waitForFunction(() => "page" in globalThis, { timeout: 60_000 });
  return {
    browser,
    page,
    call: (name, ...given) =>
      page.evaluate(
        (key, all) =>
          (globalThis as unknown as { page: Record<string, (...g: unknown[]) => unknown> }).page[key]?.(...all),
        name as string,
        given as unknown[],
      ) as never,
    async close() {
      await browser.close();
      await server.close();
      rmSync(outDir, { recursive: true });
    },
  };
}

const shakespeareFacts: PageModel["text"] = {
  contextLength: 1024,
  vocabulary: 1024,
  bos: null,
  eos: [],
  work: { token: 1, pair: 0, alpha: 0.1 },
};

export const shakespeare = (runtime: PageModel["runtime"], file = "model.onnx"): PageModel => ({
  runtime,
  graph: readFileSync(join(import.meta.dirname, "../models/shakespeare", file)).toString("base64"),
  text: shakespeareFacts,
});
