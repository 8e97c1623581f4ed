import type { Browser, Page } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { caseSchema, casesSchema } from "../../shared/case-api.ts";
import { assert } from "../../shared/result.ts";
import { hubProxy, type Patch, tampering } from "./hub-proxy.ts";
import { launchChromium, Tab } from "./tabs.ts";
import { digitImages, inferDigits, startTestHub, type TestHub } from "./test-hub.ts";

/** Only a person slashes: a tab earns, then lies and is suspended; its case is decided in the console. */

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

const shows = (page: Page, what: RegExp, timeout = 20_000) =>
  expect.poll(() => page.evaluate(() => document.body.innerText), { timeout }).toMatch(what);

/** The tab of the other tests that lies, but of `digits` alone (ten logits), and after its known answers it first earns. */
const HONEST_RUNS = 60;
const laterTampering: Patch = {
  ...tampering,
  prefix: tampering.prefix
    .replace("honest = 9", `honest = ${HONEST_RUNS}`)
    .replace("value.data instanceof Uint8Array", "value.data instanceof Uint8Array && value.data.byteLength === 40"),
};

it("a tampering tab is suspended, and loses nothing until a reviewer rules severe in the console", {
  timeout: 240_000,
}, async () => {
  const { hub } = test;
  const proxy = await hubProxy(hub.url, laterTampering);
  const cheat = await Tab.open(browser, proxy.url, "wasm");
  await cheat.admitted("digits@1");
  const owner = `own_${(await cheat.view())?.miner?.slice(2)}`;
  const balance = async (account: string) => (await hub.store.account(account as never))?.balance ?? 0n;
  const slashes = async () => {
    const { data } = await hub.store.entries({}, { limit: 1_000, after: null });
    return data.filter(({ kind }) => kind === "slash");
  };
  const get = async (path: string) =>
    (await fetch(`${hub.url}${path}`, { headers: { authorization: `Bearer ${hub.adminToken.value}` } })).json();

  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(`${hub.url}/console#cases&token=${hub.adminToken.value}`);
  await shows(page, /No case is open/);

  const { images } = digitImages(40);
  let sent = 0;
  const ask = async () => {
    const image = images[sent++ % images.length];
    assert(image, "there are pictures");
    expect((await inferDigits(hub, image.pixels)).status).toBe(200);
  };
  const isPaid = async () => {
    await ask();
    return (await balance(`miner:${owner}:held`)) > 0n;
  };
  await expect.poll(isPaid, { timeout: 30_000, interval: 200 }).toBe(true);
  const isOut = async () => {
    await ask();
    return casesSchema.parse(await get("/api/v1/cases?state=open")).data.length === 1;
  };
  await expect.poll(isOut, { timeout: 90_000, interval: 20 }).toBe(true);
  await expect.poll(() => hub.runtime.live.size, { timeout: 40_000 }).toBe(0);
  const held = await balance(`miner:${owner}:held`);
  expect(held).toBeGreaterThan(0n);
  expect(await slashes()).toEqual([]);

  // The console tells by itself, and names nobody.
  await expect
    .poll(() => page.$eval(".waiting-cases", (badge) => badge.textContent).catch(() => null), { timeout: 10_000 })
    .toBe("1");
  await page.waitForSelector("tbody button.open");
  await page.click("tbody button.open");
  await page.waitForSelector(".exhibit");
  const text = await page.$eval(".panel", (panel) => panel.textContent ?? "");
  expect(text).toMatch(/digits@1.*verified.*Fails above/s);
  expect(text).not.toContain(owner.slice(4, 12));
  await page.click('[data-testid="rule-severe"]');
  await page.waitForSelector('[data-testid="reason"]');
  await shows(page, /60 % of held pay is slashed: [\d.,]*[1-9]/);
  await page.type('[data-testid="reason"]', "Outputs back to front.");
  expect(await slashes()).toEqual([]);
  await page.click('[data-testid="confirm"]');
  await page.waitForSelector('[data-testid="outcome"]');
  await shows(page, /severe by operator: Outputs back to front\.[\s\S]*case-decided by operator/);

  const [closed] = casesSchema.parse(await get("/api/v1/cases?state=decided")).data;
  assert(closed, "the case is decided");
  const { audit } = caseSchema.parse(await get(`/api/v1/cases/${closed.case}`));
  expect(audit.map(({ action }) => action)).toEqual(["case-decided", "case-opened"]);
  expect(await slashes()).toHaveLength(1);
  expect(await balance(`miner:${owner}:held`)).toBe(0n);
  expect(await balance(`miner:${owner}`)).toBe(held - (held * 60n) / 100n);
  expect(await hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  await expect.poll(() => page.$(".waiting-cases"), { timeout: 10_000 }).toBeNull();
  expect(test.faults).toEqual([]);
  await cheat.close();
  await proxy.close();
});
