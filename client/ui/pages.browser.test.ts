import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Page } from "puppeteer";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root } from "../../server/cli/ensure.mjs";
import { openStories, type Stories } from "../../server/e2e/story-pages.ts";

/** Both pages in a real browser, in every state that a person can meet; the last part measures the product build itself. */

let stories: Stories;
let page: Page;
const open: Stories["open"] = (...view) => stories.open(...view);
const shoot: Stories["shoot"] = (name) => stories.shoot(name);
const textOf: Stories["textOf"] = (selector) => stories.textOf(selector);
const expectAccessible: Stories["expectAccessible"] = () => stories.expectAccessible();

beforeAll(async () => {
  stories = await openStories();
  page = stories.page;
});
afterAll(() => stories?.close());

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

describe("the product build", () => {
  let scripts: string[];

  beforeAll(async () => {
    const outDir = join(stories.folder, "product");
    const options = { outDir, emptyOutDir: true };
    await build({
      configFile: join(root, "vite.config.ts"),
      root: join(root, "client"),
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
    stories.problems.length = 0;
    await page.goto(`${stories.url}/product/contribute/index.html`);
    await page.waitForSelector('[data-testid="start"]');
    await page.waitForNetworkIdle();
    expect(page.workers()).toEqual([]);
    expect(asked.filter((url) => !/\.(html|js|css|svg)$/.test(url))).toEqual([]);
    expect(await page.evaluate(async () => (await indexedDB.databases()).length)).toBe(0);
    expect(stories.problems).toEqual([]);
  });

  test("the console takes its token out of the address", async () => {
    await page.goto(`${stories.url}/product/console/index.html#miners&token=secret`);
    await page.waitForSelector("main");
    expect(await page.evaluate(() => location.hash)).toBe("#miners");
    expect(await page.evaluate(() => Object.values(sessionStorage))).toContain("secret");
  });
});
