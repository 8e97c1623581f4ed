import puppeteer, { type Browser, type Page } from "puppeteer";
import { assert } from "../../shared/result.ts";
import { chromiumFlags, findChromium } from "../cli/chromium.mjs";

/** Real tabs for the end-to-end tests: one Chromium, and a browser context (so an identity of its own) per miner. */

/** `software`: with the software WebGPU adapter; without it a headless browser has none. */
export async function launchChromium({ software } = { software: true }): Promise<Browser> {
  const executablePath = findChromium();
  assert(executablePath, "a Chrome or Chromium is installed: npm test sees to it");
  return puppeteer.launch({ executablePath, headless: true, args: chromiumFlags({ software }) });
}

/** What of the page's own view the tests read; the page keeps it in `globalThis.tabgridView`. */
interface View {
  role: string;
  state: string;
  why: string | null;
  miner: string | null;
  device: { runtime: string; adapter: string; fallback: boolean } | null;
  models: { key: string; state: string; problem: string | null }[];
  completed: number;
  passed: number;
  held: string;
  work: { role: string; outcome: string; amount: string }[];
  trust: number | null;
}

const phone = {
  viewport: { width: 360, height: 740, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  userAgent:
    "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
};

export class Tab {
  readonly page: Page;
  /** What the page or its workers complained of. */
  readonly complaints: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(message.text());
    });
  }

  /** Opens the contribute page as another person and presses Start. */
  static async open(
    browser: Browser,
    url: string,
    runtime: "software" | "wasm" | "software&fallback=wasm",
  ): Promise<Tab> {
    const context = await browser.createBrowserContext();
    const tab = new Tab(await context.newPage());
    // Frames of a busy test machine would make the governor yield: here they say nothing about a person.
    await tab.page.goto(`${url}/?runtime=${runtime}&frames=ignore`);
    await (await tab.page.waitForSelector("[data-testid=start]", { timeout: 30_000 }))?.click();
    return tab;
  }

  /** Opens the contribute page on a phone of another person, as it is before Start. */
  static async onPhone(browser: Browser, url: string): Promise<Tab> {
    const context = await browser.createBrowserContext();
    const tab = new Tab(await context.newPage());
    await tab.page.emulate(phone);
    await tab.page.goto(`${url}/?frames=ignore`);
    await tab.page.waitForSelector("[data-testid=start]", { timeout: 30_000 });
    return tab;
  }

  async view(): Promise<View | null> {
    return this.page.evaluate(() => (globalThis as { tabgridView?: View }).tabgridView ?? null);
  }

  /** Resolves when the hub has admitted this tab for the model; rejects with what the page says where it will not be. */
  async admitted(model: string, timeoutMs = 90_000): Promise<View> {
    const until = Date.now() + timeoutMs;
    for (;;) {
      const view = await this.view();
      const found = view?.models.find(({ key }) => key === model);
      if (view && found?.state === "admitted") return view;
      assert(found?.state !== "refused", `${model} was refused: ${found?.problem}`);
      assert(
        Date.now() < until,
        `${model} not admitted in time: ${JSON.stringify(view)} ${this.complaints.join("; ")}`,
      );
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  close(): Promise<void> {
    return this.page.browserContext().close();
  }
}
