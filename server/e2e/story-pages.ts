import { createReadStream, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import process from "node:process";
import { AxePuppeteer } from "@axe-core/puppeteer";
import react from "@vitejs/plugin-react";
import puppeteer, { type Page } from "puppeteer";
import { build } from "vite";
import { expect } from "vitest";
import { chromiumFlags, findChromium } from "../cli/chromium.mjs";
import { root } from "../cli/ensure.mjs";

/**
 * The story pages in a real browser: the product's components rendered from values instead of from a hub.
 * `TABGRID_SHOTS=folder` keeps a picture of each state.
 */
const client = join(root, "client");
const shots = process.env.TABGRID_SHOTS;
const contents: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

export type Scheme = "light" | "dark";

export type Stories = Awaited<ReturnType<typeof openStories>>;

export async function openStories() {
  // Vite takes React's development build where this says "test", and sizes would be of that.
  process.env.NODE_ENV = "production";
  const folder = mkdtempSync(join(tmpdir(), "tabgrid-pages-"));
  await build({
    configFile: false,
    root: client,
    plugins: [react()],
    logLevel: "error",
    build: {
      outDir: folder,
      emptyOutDir: true,
      target: "es2022",
      chunkSizeWarningLimit: 1000,
      rolldownOptions: {
        input: [join(client, "contribute/story/index.html"), join(client, "console/story/index.html")],
      },
    },
  });
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    response.setHeader("content-type", contents[extname(path)] ?? "application/octet-stream");
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    createReadStream(join(folder, path))
      .on("error", () => response.writeHead(404).end())
      .pipe(response);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const executablePath = findChromium() ?? undefined;
  const browser = await puppeteer.launch({ executablePath, args: chromiumFlags({ software: false }) });
  const page: Page = await browser.newPage();
  /** What the page complained of since it was opened. */
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  if (shots) mkdirSync(shots, { recursive: true });

  return {
    page,
    url,
    folder,
    problems,

    async open(face: "contribute" | "console", query: string, width = 1280, scheme: Scheme = "light"): Promise<void> {
      problems.length = 0;
      await page.setViewport({ width, height: 900 });
      await page.emulateMediaFeatures([
        { name: "prefers-color-scheme", value: scheme },
        { name: "prefers-reduced-motion", value: "reduce" },
      ]);
      await page.goto("about:blank");
      await page.goto(`${url}/${face}/story/index.html${query}`);
      await page.waitForSelector("main");
    },

    async shoot(name: string): Promise<void> {
      if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
    },

    textOf: (selector: string): Promise<string> => page.$eval(selector, (element) => element.textContent ?? ""),

    async expectAccessible(): Promise<void> {
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];
      const { violations } = await new AxePuppeteer(page).withTags(tags).analyze();
      expect(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`))).toEqual([]);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, "the page scrolls sideways").toBeLessThanOrEqual(0);
      expect(problems).toEqual([]);
    },

    async close(): Promise<void> {
      await browser.close();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
