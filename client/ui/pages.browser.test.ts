import { createReadStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { AxePuppeteer } from "@axe-core/puppeteer";
import react from "@vitejs/plugin-react";
import puppeteer, { type Browser, type Page } from "puppeteer";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromiumFlags, findChromium } from "../../server/cli/chromium.mjs";

/**
 * Both pages in a real browser, in every state that a person can meet. The story pages render the product's components
 * from values instead of from a hub; the last part measures the product build itself.
 *
 * `TABGRID_SHOTS=folder` keeps a picture of each state.
 */
const client = join(import.meta.dirname, "..");
const root = join(client, "..");
const shots = process.env.TABGRID_SHOTS;
const contents: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

let folder: string;
let server: Server;
let browser: Browser;
let page: Page;
let problems: string[];

beforeAll(async () => {
  // Vite takes React's development build where this says "test", and the sizes below would be of that.
  process.env.NODE_ENV = "production";
  folder = mkdtempSync(join(tmpdir(), "tabgrid-pages-"));
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
  server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    response.setHeader("content-type", contents[extname(path)] ?? "application/octet-stream");
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    createReadStream(join(folder, path))
      .on("error", () => response.writeHead(404).end())
      .pipe(response);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const executablePath = findChromium() ?? undefined;
  browser = await puppeteer.launch({ executablePath, args: chromiumFlags({ software: false }) });
  page = await browser.newPage();
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  if (shots) mkdirSync(shots, { recursive: true });
});

afterAll(async () => {
  await browser?.close();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

type Scheme = "light" | "dark";

async function open(
  face: "contribute" | "console",
  query: string,
  width = 1280,
  scheme: Scheme = "light",
): Promise<void> {
  problems = [];
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: scheme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  await page.goto("about:blank");
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${face}/story/index.html${query}`);
  await page.waitForSelector("main");
}

async function shoot(name: string): Promise<void> {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

const textOf = (selector: string): Promise<string> => page.$eval(selector, (element) => element.textContent ?? "");

async function expectAccessible(): Promise<void> {
  const { violations } = await new AxePuppeteer(page).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]).analyze();
  expect(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`))).toEqual([]);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, "the page scrolls sideways").toBeLessThanOrEqual(0);
  expect(problems).toEqual([]);
}

const looks = [
  [1280, "light"],
  [1280, "dark"],
  [360, "light"],
  [360, "dark"],
] as const;

/** The states that people see most are looked at large and light, small and dark; every other one in one of the four. */
const looksOf = (common: boolean, index: number) =>
  looks.filter((_, look) => (common ? look % 3 === 0 : look === index % 4));

describe("contribute page", () => {
  const states = [
    "",
    "stopped",
    "elsewhere",
    "connecting",
    "preparing",
    "ready",
    "working",
    "checking",
    "paused",
    "draining",
    "suspended",
    "failed",
  ];
  const cases = states.flatMap((state, index) =>
    looksOf(state === "" || state === "working", index).map((look) => [state, ...look] as const),
  );
  test.each(cases)("'%s' at %d px, %s, is accessible and fits", async (state, width, scheme) => {
    await open("contribute", state ? `?view=${state}` : "", width, scheme);
    await shoot(`contribute-${state || "welcome"}-${width}-${scheme}`);
    await expectAccessible();
  });

  test("does nothing before Start, and says what Start means", async () => {
    await open("contribute", "");
    expect(await page.evaluate(() => globalThis.commands)).toEqual([]);
    expect(await page.evaluate(() => globalThis.tabgridView)).toBeUndefined();
    const described = await page.$eval('[data-testid="start"]', (button) => button.getAttribute("aria-describedby"));
    expect(await textOf(`#${described}`)).toContain("Nothing is computed or downloaded before");
  });

  test("without WebGPU it gives the reason and the remedy", async () => {
    await open("contribute", "?view=blocked");
    expect(await textOf("main")).toMatch(/WebGPU needs https.*You can start anyway/);
  });

  test("checking is suggested to phones and where there is no WebGPU, and Start passes the choice", async () => {
    await open("contribute", "");
    expect(await textOf(".roles")).not.toContain("Suggested here");
    expect(await textOf('[data-testid="start"]')).toBe("Start computing");
    await open("contribute", "?view=blocked");
    expect(await textOf(".roles")).toMatch(/Suggested here.*no GPU/);
    await open("contribute", "", 360);
    expect(await textOf(".roles")).toMatch(/Suggested here.*phone/);
    await page.click('[data-testid="role-validator"]');
    expect(await textOf('[data-testid="start"]')).toBe("Start checking");
    await shoot("contribute-welcome-checking-360");
    await expectAccessible();
    await page.click('[data-testid="start"]');
    await page.waitForSelector('[data-testid="role"]');
    expect(await page.evaluate(() => globalThis.commands[0])).toMatch(/"role":"validator","runtime":"wasm","slots":1/);
    await page.select('[data-testid="role"]', "miner");
    expect(await page.evaluate(() => globalThis.commands.at(-1))).toMatch(/^configure .*"role":"miner"/);
  });

  test("Start passes the limits that were set before it, and the view is there for programs", async () => {
    await open("contribute", "");
    await page.focus('[role="slider"]');
    await page.keyboard.press("ArrowLeft");
    await page.click('[data-testid="start"]');
    await page.waitForSelector('[data-testid="pause"]');
    const [start] = await page.evaluate(() => globalThis.commands);
    expect(start).toMatch(/^start .*"duty":0\.95/);
    expect(await page.evaluate(() => globalThis.tabgridView?.state)).toBe("ready");
    expect(await textOf("main")).toContain("npm run demo");
  });

  test("the keyboard alone pauses, and finishes the task", async () => {
    await open("contribute", "?view=working");
    for (const [testId, command] of [
      ["pause", "pause"],
      ["finish", "finishThenStop"],
    ] as const) {
      await page.focus(`[data-testid="${testId}"]`);
      await page.keyboard.press("Enter");
      expect(await page.evaluate(() => globalThis.commands.at(-1))).toBe(command);
    }
  });

  test("state, reason and exact money are said in words", async () => {
    await open("contribute", "?view=paused");
    expect(await textOf('[role="status"]')).toMatch(/Paused.*On battery/);
    expect(await textOf('[data-testid="pause"]')).toBe("Resume");
    await open("contribute", "?view=working");
    expect(
      await page.$$eval("data[title]", (amounts) => amounts.map((amount) => amount.getAttribute("title"))),
    ).toContain("6.101020335 USDC");
  });
});

describe("console", () => {
  const cases = [
    ["", ""],
    ["?state=refused", ""],
    ["?state=connecting", ""],
    ["?state=mismatched", ""],
    ["?state=empty", "#overview"],
    ["?state=empty", "#miners"],
    ["?state=empty", "#tasks"],
    ["?state=empty", "#ledger"],
    ["?state=lost", "#overview"],
    ["?state=unbalanced", "#ledger"],
    ["?state=live", "#overview"],
    ["?state=live", "#miners"],
    ["?state=live", "#tasks"],
    ["?state=live", "#ledger"],
    ["?state=live", "#cases"],
    ["?state=empty", "#cases"],
    ["?state=lost&cases=waits", "#cases"],
    ["?state=lost&cases=fails", "#cases"],
  ].flatMap(([state = "", view = ""], index) =>
    looksOf(state === "?state=live", index).map((look) => [state, view, ...look] as const),
  );
  test.each(cases)("'%s%s' at %d px, %s, is accessible and fits", async (state, view, width, scheme) => {
    await open("console", state + view, width, scheme);
    await shoot(`console-${state.replace("?state=", "") || "login"}-${view.slice(1) || "whole"}-${width}-${scheme}`);
    await expectAccessible();
  });

  test("a refused token brings the form back with the hub's reason", async () => {
    await open("console", "?state=refused");
    expect(await textOf('[role="alert"]')).toContain("This is not the operator token.");
    expect(await page.$('[data-testid="token"]')).not.toBeNull();
  });

  test("a lost connection says so and keeps the last data", async () => {
    await open("console", "?state=lost#miners");
    expect(await textOf('main [role="status"]')).toContain("Reconnecting");
    expect(await page.$$("tbody tr")).toHaveLength(14);
  });

  test("an unbalanced ledger is not overlooked", async () => {
    await open("console", "?state=unbalanced#overview");
    expect(await textOf("main")).toContain("Ledger is off by −0.335 µ");
  });

  test("a heading sorts; a row opens its details and Escape closes them", async () => {
    await open("console", "?state=live#miners");
    await page.click("th:nth-child(4) button");
    const trusts = await page.$$eval("tbody td:nth-child(4)", (cells) => cells.map((cell) => Number(cell.textContent)));
    expect(trusts).toEqual(trusts.toSorted((a, b) => b - a));
    await page.click("tbody tr:nth-child(2) button.open");
    await page.waitForSelector('[role="dialog"] .panel-list');
    await shoot("console-miner-panel");
    await expectAccessible();
    await page.keyboard.press("Escape");
    await page.waitForSelector('[role="dialog"]', { hidden: true });
  });

  test("tasks filter by state, and one shows its timeline", async () => {
    await open("console", "?state=live#tasks");
    await page.select('[aria-label="State"]', "overturned");
    const states = await page.$$eval("tbody td:nth-child(3)", (cells) => [
      ...new Set(cells.map((cell) => cell.textContent)),
    ]);
    expect(states).toEqual(["overturned"]);
    await page.click("tbody button.open");
    await page.waitForSelector('[role="dialog"] .timeline li');
    await shoot("console-task-panel");
    await expectAccessible();
  });

  test("an account shows its entries, that it has none, or why they could not be read", async () => {
    const panelOf = async (account: string) => {
      await open("console", "?state=live#ledger");
      await page.click(`[aria-label="Entries of ${account}"]`);
      await page.waitForFunction(() =>
        /settle|No entries|could not be read/.test(document.querySelector(".panel")?.textContent ?? ""),
      );
      return textOf(".panel");
    };
    expect(await panelOf("pool:commons")).toContain("No entries");
    expect(await panelOf("burn:commons")).toContain("The hub answered 500.");
    expect(await panelOf("customer:first-key")).toContain("Show more");
    await shoot("console-account-panel");
    await expectAccessible();
    await page.evaluate(() =>
      [...document.querySelectorAll("button")].find((button) => button.textContent === "Show more")?.click(),
    );
    await page.waitForFunction(() => document.querySelectorAll(".entries > li").length === 16);
  });
});

describe("cases", () => {
  const openCase = async (query: string, row: number) => {
    await open("console", `${query}#cases`);
    await page.waitForSelector("tbody button.open");
    await page.evaluate((place) => document.querySelectorAll<HTMLElement>("tbody button.open")[place]?.click(), row);
    await page.waitForSelector(".panel .entries li");
  };
  const dialogs = () => page.$$eval('[role="dialog"]', (all) => all.map((one) => one.textContent ?? ""));

  test("the navigation says how many wait, the oldest waits at the top, and nobody is named", async () => {
    await open("console", "?state=live#cases");
    await page.waitForSelector("tbody");
    expect(await textOf(".waiting-cases")).toBe("2");
    const what = await page.$$eval("tbody:first-of-type td:nth-child(3)", (cells) =>
      cells.map((cell) => cell.textContent),
    );
    expect(what.slice(0, 2)).toEqual(["suspended, 4 refuted results", "answer reported as harmful"]);
    expect(await textOf("main")).not.toMatch(/own_|m_Zk3v|203\.0\.113/);
    expect(await textOf("main")).toMatch(/overdue by|due in/);
  });

  test("a suspension lays out what was asked, both answers, the thresholds and the history", async () => {
    await openCase("?state=live", 0);
    const text = await textOf(".panel");
    for (const told of [
      "verified",
      "9f2ac41b07d3e5a1",
      "Fails above",
      "NaN",
      "not retained over a restart",
      "voided",
    ]) {
      expect(text).toContain(told);
    }
    expect(text).not.toMatch(/own_|m_Zk3v/);
    await page.$$eval(".exhibit details", (all) => {
      for (const one of all) one.setAttribute("open", "");
    });
    await shoot("console-case-panel");
    await expectAccessible();
  });

  test("the case fits a phone", async () => {
    await open("console", "?state=live#cases", 360, "dark");
    await page.waitForSelector("tbody button.open");
    await page.click("tbody button.open");
    await page.waitForSelector(".panel .entries li");
    await shoot("console-case-panel-360");
    await expectAccessible();
  });

  test("a ruling says what it costs, wants a reason, and stands beside its audit lines afterwards", async () => {
    await openCase("?state=live", 0);
    await page.focus('[data-testid="rule-severe"]');
    await page.keyboard.press("Enter");
    await page.waitForSelector('[data-testid="reason"]');
    expect((await dialogs()).join()).toMatch(
      /60 % of held pay is slashed: 18,730\.8 µUSDC.*40 % is returned: 12,487\.2 µUSDC.*deregistered/,
    );
    await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
    await page.click('[data-testid="confirm"]');
    await page.waitForFunction(() => document.body.textContent?.includes("A ruling needs a reason."));
    await shoot("console-case-confirm");
    await expectAccessible();
    await page.type('[data-testid="reason"]', "Reversed, every time.");
    await page.click('[data-testid="confirm"]');
    await page.waitForSelector('[data-testid="outcome"]');
    expect(await textOf('[data-testid="outcome"]')).toBe(
      "severe by operator: Reversed, every time.Moved: slashed 18731 µUSDC.",
    );
    expect(await textOf(".panel .entries")).toMatch(/case-decided by operator.*case-opened by hub/);
    await expectAccessible();
  });

  test("a refused ruling says why and loses nothing; Escape leaves without one", async () => {
    await openCase("?state=live", 0);
    await page.click('[data-testid="rule-minor"]');
    await page.waitForSelector('[data-testid="reason"]');
    await page.type('[data-testid="reason"]', "refuse");
    await page.click('[data-testid="confirm"]');
    await page.waitForSelector('form [role="alert"]');
    expect(await textOf('form [role="alert"]')).toContain("case c_story200 is decided");
    await page.keyboard.press("Escape");
    await page.waitForSelector('[data-testid="reason"]', { hidden: true });
    expect(await page.$('[data-testid="rule-minor"]')).not.toBeNull();
  });

  test("a report shows the complaint as it was written", async () => {
    await openCase("?state=live", 1);
    expect(await textOf("blockquote")).toContain("my neighbour,\nand");
    await shoot("console-case-report");
    await expectAccessible();
  });

  test("what runs where is a table of the overview", async () => {
    await open("console", "?state=live#overview");
    await page.waitForFunction(() => document.body.textContent?.includes("9f2ac41b07d3e5a1"));
    expect(await textOf("main")).toContain("What runs where");
  });
});

describe("the product build", () => {
  let scripts: string[];

  beforeAll(async () => {
    const outDir = join(folder, "product");
    const options = { outDir, emptyOutDir: true };
    await build({
      configFile: join(root, "vite.config.ts"),
      root: client,
      base: "/product/",
      logLevel: "error",
      build: options,
    });
    const html = readFileSync(join(outDir, "contribute/index.html"), "utf8");
    scripts = [...html.matchAll(/(?:src|href)="\/product\/([^"]+\.js)"/g)].map((match) =>
      join(outDir, match[1] as string),
    );
  });

  test("loads at most 130 KB of compressed script before Start, and no engine, socket or story", () => {
    expect(scripts.length).toBeGreaterThan(0);
    const sources = scripts.map((script) => readFileSync(script));
    expect(sources.reduce((sum, source) => sum + gzipSync(source).byteLength, 0)).toBeLessThanOrEqual(130_000);
    for (const source of sources) {
      expect(source.toString()).not.toMatch(/InferenceSession|socket\.io|Dexie|m_Zk3vQ1x9aTf0LrW7cYb2Hd/);
    }
  });

  test("starts no worker and asks the hub for nothing before Start", async () => {
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    problems = [];
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/product/contribute/index.html`);
    await page.waitForSelector('[data-testid="start"]');
    await page.waitForNetworkIdle();
    expect(page.workers()).toEqual([]);
    expect(asked.filter((url) => !/\.(html|js|css|svg)$/.test(url))).toEqual([]);
    expect(await page.evaluate(async () => (await indexedDB.databases()).length)).toBe(0);
    expect(problems).toEqual([]);
  });

  test("the console takes its token out of the address", async () => {
    await page.goto(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/product/console/index.html#miners&token=secret`,
    );
    await page.waitForSelector("main");
    expect(await page.evaluate(() => location.hash)).toBe("#miners");
    expect(await page.evaluate(() => Object.values(sessionStorage))).toContain("secret");
  });
});
