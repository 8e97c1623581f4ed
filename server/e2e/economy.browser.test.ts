import type { Browser, Page } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { customerSchema, domainSchema, selfSchema } from "../../shared/economy-api.ts";
import { accessible, click, clickTwice, fill, fillAt, shows, signInTo, submit, view } from "./forms.ts";
import { launchChromium } from "./tabs.ts";
import { startTestHub, type TestHub } from "./test-hub.ts";

/** People and the economy, in real pages on a real hub whose clock the test moves. */
const DAY = 86_400_000;
const UNIT = 1_000_000_000n;
let test: TestHub;
let browser: Browser;
let ahead = 0;

beforeAll(async () => {
  test = await startTestHub({ referenceServes: false, clock: { now: () => Date.now() + ahead } });
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await test?.close();
});

async function api(method: string, path: string, token: string, body?: unknown) {
  const response = await fetch(`${test.hub.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const answer = await response.json();
  expect(response.status, JSON.stringify(answer)).toBeLessThan(300);
  return answer;
}
const operator = () => test.hub.adminToken.value;

/** A customer with 100 USDC and 100 DN, signed in to the portal in a browser of its own. */
async function signedIn(name: string) {
  const { customer, key } = customerSchema.parse(await api("POST", "/customers", operator(), { name }));
  await api("POST", `/customers/${customer}/grants`, operator(), {
    usdc: String(100n * UNIT),
    dn: String(100n * UNIT),
  });
  return { customer, key, page: await signIn(key) };
}
const signIn = (key: string) => signInTo(browser, test.hub.url, key);

async function openConsole(place: string): Promise<Page> {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(`${test.hub.url}/console#${place}&token=${operator()}`);
  await page.waitForSelector("nav");
  return page;
}

it("a creator opens a round, backers meet it, a milestone is released and shares change hands", {
  timeout: 240_000,
}, async () => {
  const [vic, dora] = [await signedIn("Vic"), await signedIn("Dora")];
  await api("POST", "/creators", operator(), { name: "Tabgrid contributors", customer: vic.customer });

  await view(vic.page, "create");
  await submit(vic.page, "Open a round");
  await shows(vic.page, /Expected what the round is for, got nothing\./);
  expect(await vic.page.evaluate(() => document.activeElement?.getAttribute("data-field"))).toBe("title");
  await fill(vic.page, "Open a round", "Title", "Digits 2");
  await fill(vic.page, "Open a round", "Target, USDC", "1,000");
  await shows(vic.page, /Expected an amount such as 1000 or 12\.5, got “1,000”\./);
  await fill(vic.page, "Open a round", "Target, USDC", "40");
  await fill(vic.page, "Open a round", "Terms that a backer agrees to", "a share of the royalty, nothing else");
  await submit(vic.page, "Open a round");
  await shows(vic.page, /The round is open\./);
  await accessible(vic.page);

  await view(dora.page, "back");
  await shows(dora.page, /Digits 2/);
  await fill(dora.page, "Back Digits 2", "Amount, USDC", "x");
  await shows(dora.page, /Expected an amount such as 1000 or 12\.5, got “x”\./);
  await fill(dora.page, "Back Digits 2", "Amount, USDC", "5000");
  await submit(dora.page, "Back Digits 2");
  await shows(dora.page, /Expected at most 100, got 5,000\./);
  await fill(dora.page, "Back Digits 2", "Amount, USDC", "55.5");
  await submit(dora.page, "Back Digits 2");
  await shows(dora.page, /40 of 40 USDC from 1 backer; 40 in escrow/);
  expect(selfSchema.parse(await api("GET", "/self", dora.key)).usdc).toBe(String(60n * UNIT));
  await dora.page.setViewport({ width: 360, height: 800 });
  await accessible(dora.page);
  await dora.page.setViewport({ width: 1280, height: 900 });

  const office = await openConsole("governance");
  await office.waitForSelector('[data-testid="building"]');
  await accessible(office);
  const release = await office.waitForSelector('::-p-xpath(//button[contains(., "is reached")])');
  await clickTwice(release);
  await shows(office, /20 of 40 USDC in escrow\. Next: Published/);
  await office.waitForNetworkIdle({ idleTime: 700 });
  await shows(office, /20 of 40 USDC in escrow/);

  await fill(dora.page, "Give shares of Digits 2", "Shares", "50");
  await fill(dora.page, "Give shares of Digits 2", "To customer", vic.customer);
  await submit(dora.page, "Give shares of Digits 2");
  await shows(dora.page, /Expected at most 40, got 50\./);
  await fill(dora.page, "Give shares of Digits 2", "Shares", "15");
  await fill(dora.page, "Give shares of Digits 2", "To customer", vic.customer);
  await submit(dora.page, "Give shares of Digits 2");
  await shows(dora.page, /You hold 25 of 40 shares/);

  await view(vic.page, "balances");
  await view(vic.page, "create");
  await shows(vic.page, /20 USDC and 0 DN/);
  await click(vic.page, "Collect");
  await expect
    .poll(async () => selfSchema.parse(await api("GET", "/self", vic.key)).usdc, { timeout: 10_000 })
    .toBe(String(120n * UNIT));
  expect(await test.hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  expect(test.faults).toEqual([]);
});

it("a staker stakes, proposes and votes; after its time lock the proposal takes effect", {
  timeout: 240_000,
}, async () => {
  const ann = await signedIn("Ann");
  await view(ann.page, "stake");
  await fill(ann.page, "Stake", "Amount, DN", "60");
  await submit(ann.page, "Stake");
  await ann.page.waitForSelector('[data-testid="position"]');
  await shows(ann.page, /60 DN/);
  await accessible(ann.page);

  await view(ann.page, "votes");
  await ann.page.waitForSelector('form[aria-label="Propose a change"]');
  await ann.page.select('form[aria-label="Propose a change"] select', "processor");
  await fill(ann.page, "Propose a change", "Title", "Lower fees");
  await fill(ann.page, "Propose a change", "New value, %", "20");
  await submit(ann.page, "Propose a change");
  await shows(ann.page, /Expected 0 to 10 %, got “20”\./);
  await fill(ann.page, "Propose a change", "New value, %", "2");
  await submit(ann.page, "Propose a change");
  await ann.page.waitForSelector('[data-testid="proposal"]');
  await click(ann.page, "Vote for");
  await shows(ann.page, /You voted for it\./);
  await click(ann.page, "Count");
  await shows(ann.page, /commons: processor = 2 % from epoch \d+/);
  await shows(ann.page, /the vote is open \(at: expected \d+ \w+ \d+, \d\d:\d\d \w+, got/);
  await accessible(ann.page);
  await ann.page.setViewport({ width: 360, height: 800 });
  await accessible(ann.page);

  ahead += 3 * DAY;
  await click(ann.page, "Count");
  await shows(ann.page, /Locked until/);
  ahead += 2 * DAY;
  await click(ann.page, "Execute");
  await shows(ann.page, /executed/);
  const commons = domainSchema.parse(await api("GET", "/domains/commons", operator()));
  expect(commons.settings?.processor).toBe(300);
  expect(commons.planned.at(-1)?.settings.processor).toBe(200);
});

it("the console's split editor shows who gets what, and refuses 101 %", { timeout: 240_000 }, async () => {
  const page = await openConsole("domains");
  const form = "Settings of The commons";
  await page.waitForSelector("details summary");
  await page.click("details summary");
  await page.waitForSelector('[data-testid="revenue-split"]');
  const planned = async () => domainSchema.parse(await api("GET", "/domains/commons", operator())).planned.length;
  const before = await planned();
  await fill(page, form, "Verification pool (v), %", "9");
  const sum = () => page.$eval('[data-testid="revenue-split"] .split-sum', (one) => one.textContent ?? "");
  expect(await sum()).toMatch(/Sum: 101 %.*1 % too much/);
  await submit(page, form);
  await shows(page, /The parts sum to 101 %, not to 100 %/);
  expect(await planned()).toBe(before);
  await accessible(page);
  const miners = await page.$eval('[data-testid="revenue-split"] .split-part:last-of-type input', (one) => one.value);
  await fill(page, form, "Miners, %", String(Number(miners) - 1));
  expect(await sum()).toMatch(/Sum: 100 % – the whole/);
  expect(await page.$eval('[data-testid="revenue-split"]', (one) => one.textContent)).toContain("0.0900 USDC");
  await fill(page, form, "Least share of fast answers checked, %", "50");
  await submit(page, form);
  await shows(page, /490\.0 checks of a miner's first 1000 tasks cost more than the verification pool gets/);
  expect(await planned()).toBe(before);
  await fill(page, form, "Least share of fast answers checked, %", "6");
  await submit(page, form);
  await shows(page, /A change by foundation takes effect in epoch/);
  const changed = domainSchema.parse(await api("GET", "/domains/commons", operator()));
  expect(changed.planned.at(-1)?.settings).toMatchObject({ pool: 900, verification: { check_rate: 600 } });
  await page.setViewport({ width: 360, height: 800 });
  await accessible(page);

  await page.setViewport({ width: 1280, height: 900 });
  await view(page, "market");
  await fill(page, "Seed the market", "Test USDC", "50000");
  await fill(page, "Seed the market", "DN of the treasury", "1000000");
  await submit(page, "Seed the market");
  await shows(page, /0\.05 USDC for one DN/);
  await accessible(page);
  expect(test.faults).toEqual([]);
});

it("the operator makes a customer and gives it a domain, whose split and demand are then the customer's", {
  timeout: 120_000,
}, async () => {
  const office = await openConsole("parties");
  await submit(office, "A new customer");
  await shows(office, /Expected a name, got nothing\./);
  await fill(office, "A new customer", "Name", "Olga");
  await submit(office, "A new customer");
  const [customer = "", key = ""] = await office
    .waitForSelector('[data-testid="new-customer"]')
    .then(() => office.$$eval('[data-testid="new-customer"] dd', (both) => both.map((one) => one.textContent ?? "")));
  await fill(office, "Grant", "Customer", customer);
  await submit(office, "Grant");
  await shows(office, /Expected an amount of USDC, of DN or of both, got neither\./);
  await fill(office, "Grant", "Test USDC", "20");
  await submit(office, "Grant");
  await shows(office, /Given\./);
  await accessible(office);
  await view(office, "domains");
  await fill(office, "Open a domain", "Name", "Vision");
  await fill(office, "Open a domain", "Title", "Vision");
  await fill(office, "Open a domain", "Owner", customer);
  await submit(office, "Open a domain");
  await shows(office, /all lower case, got “Vision”\./);
  await fill(office, "Open a domain", "Name", "vision");
  await submit(office, "Open a domain");
  await shows(office, /The domain is open\./);

  const page = await signIn(key);
  await view(page, "domains");
  await shows(page, /owned by you/);
  await click(page, "Settings, to change", "summary");
  const form = "Settings of Vision";
  await fill(page, form, "Verification pool (v), %", "7");
  await submit(page, form);
  await shows(page, /The parts sum to 99 %, not to 100 %: 1 % too little/);
  const miners = `form[aria-label="${form}"] [data-field="settings.miners"]`;
  const before = Number(await page.$eval(miners, (one) => (one as HTMLInputElement).value));
  await fillAt(page, miners, String(before + 1));
  await submit(page, form);
  await shows(page, /Expected 7\.3 % to 100 %, got 7 %\./);
  await fill(page, form, "Verification pool (v), %", "8");
  await fillAt(page, miners, String(before));
  await fill(page, form, "Rate, µUSDC per GFLOP", "0.05");
  await submit(page, form);
  await shows(page, /Planned\. It takes effect in that epoch\./);
  const vision = domainSchema.parse(await api("GET", "/domains/vision", operator()));
  expect(vision.planned.at(-1)?.settings).toMatchObject({ pool: 800, nano_per_gflop: "50" });

  await view(page, "demand");
  await fill(page, "Pledge", "Amount, USDC", "12.5");
  await submit(page, "Pledge");
  await shows(page, /12\.5 USDC left/);
  await click(page, "Take back what is left");
  await shows(page, /Withdrawn\./);
  await page.setViewport({ width: 360, height: 800 });
  await accessible(page);
  expect(selfSchema.parse(await api("GET", "/self", key)).usdc).toBe(String(20n * UNIT));
  expect(test.faults).toEqual([]);
});

it("the console closes an epoch: preview, approve what was shown, close", { timeout: 240_000 }, async () => {
  const page = await openConsole("epochs");
  await shows(page, /Epoch 1\b/);
  await click(page, "Preview");
  await shows(page, /It would post nothing\.|Transfers of the plan|Account/);
  await accessible(page);
  await click(page, "Approve what is shown");
  await shows(page, /epoch 1 is not over/);
  ahead += 8 * DAY;
  await click(page, "Preview");
  await page.waitForNetworkIdle({ idleTime: 1_000 });
  await click(page, "Approve what is shown");
  await shows(page, /approved/);
  await page.waitForSelector('::-p-xpath(//button[contains(., "Close") and not(@disabled)])');
  await click(page, "Close");
  await shows(page, /Epoch 2\b[\s\S]*Epoch 1\b[\s\S]*Approved by operator/);
  expect(test.faults).toEqual([]);
});
