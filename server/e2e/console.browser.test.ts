import type { Browser, Page } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchChromium, Tab } from "./tabs.ts";
import { digitImages, inferDigits, pooled, startTestHub, type TestHub } from "./test-hub.ts";

/** The operator's console against a living hub: snapshot, then deltas; and a wrong token. */

let test: TestHub;
let browser: Browser;

beforeAll(async () => {
  test = await startTestHub();
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await test?.close();
});

const text = (page: Page) => page.evaluate(() => document.body.innerText);
const shows = (page: Page, what: RegExp, timeout = 20_000) => expect.poll(() => text(page), { timeout }).toMatch(what);

it("shows miners, tasks with their timeline and the ledger as they change", { timeout: 120_000 }, async () => {
  const { hub } = test;
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(`${hub.url}/console#token=${hub.adminToken.value}`);
  await shows(page, /Ledger balances/);
  expect(page.url()).not.toContain(hub.adminToken.value);

  const tab = await Tab.open(browser, hub.url, "wasm");
  await tab.admitted("digits@1");
  const { images } = digitImages(12);
  await pooled(images, 4, ({ pixels }) => inferDigits(hub, pixels));
  const miner = (await tab.view())?.miner as string;

  const view = async (name: string) => {
    await page.goto(`${hub.url}/console#${name}`);
  };
  await view("miners");
  await shows(page, new RegExp(miner.slice(0, 6)));
  await shows(page, /wasm/i);
  await view("tasks");
  await shows(page, /settled/);
  const [link] = await page.$$("xpath/.//*[starts-with(normalize-space(text()), 't_')]");
  await link?.click();
  await shows(page, /primary to m_[\s\S]*executions agree/);
  await view("ledger");
  await shows(page, /creator:tabgrid/i);
  await shows(page, /pool:commons/);
  await tab.close();
});

it("refuses a wrong token in words and asks again", { timeout: 60_000 }, async () => {
  const page = await (await browser.createBrowserContext()).newPage();
  await page.goto(`${test.hub.url}/console#token=this-is-not-the-token`);
  await shows(page, /token/i);
  await expect
    .poll(() => page.$("[data-testid=token]").then((found) => found !== null), { timeout: 10_000 })
    .toBe(true);
  expect(await text(page)).toMatch(/wrong|refused|not/i);
});
