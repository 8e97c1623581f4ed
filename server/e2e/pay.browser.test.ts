import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import type { Browser } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { customerSchema, selfSchema } from "../../shared/economy-api.ts";
import { epochSchema, payoutProofSchema, previewSchema } from "../../shared/epoch-api.ts";
import { digestOf } from "../settlement/personal-sign.ts";
import { accessible, click, clickTwice, fill, shows, signInTo, submit, view } from "./forms.ts";
import { launchChromium, Tab } from "./tabs.ts";
import { digitImages, inferDigits, pooled, startTestHub, type TestHub } from "./test-hub.ts";

/** A contributor's pay, in its own tab: the key that signs for it never leaves that browser. */
const DAY = 86_400_000;
let test: TestHub;
let browser: Browser;
let ahead = 0;
/** The owner of the first test's tab. */
let worker = "";

beforeAll(async () => {
  test = await startTestHub({ clock: { now: () => Date.now() + ahead }, payouts: "csv" });
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await test?.close();
});

async function operator(method: string, path: string, body?: unknown) {
  const response = await fetch(`${test.hub.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${test.hub.adminToken.value}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const answer = await response.json();
  expect(response.status, JSON.stringify(answer)).toBeLessThan(300);
  return answer;
}
const self = async () => {
  const headers = { authorization: `Bearer ${test.hub.firstKey.value}` };
  return selfSchema.parse(await (await fetch(`${test.hub.url}/api/v1/self`, { headers })).json());
};

it("matured pay is spent, the rest is paid out to a proved address, and a domain is joined", {
  timeout: 180_000,
}, async () => {
  const tab = await Tab.open(browser, test.hub.url, "wasm");
  const { page } = tab;
  await page.setViewport({ width: 1280, height: 900 });
  await tab.admitted("digits@1");
  const { images } = digitImages(12);
  await pooled(images, 4, ({ pixels }) => inferDigits(test.hub, pixels));
  await expect.poll(async () => (await tab.view())?.passed, { timeout: 20_000 }).toBeGreaterThan(0);
  await page.click('[data-testid="finish"]');
  await expect.poll(async () => (await tab.view())?.state, { timeout: 20_000 }).toBe("stopped");

  // Fifteen days later, on the hub and in the browser.
  ahead += 15 * DAY;
  await page.evaluate((ms) => {
    const before = Date.now;
    Date.now = () => before() + ms;
  }, ahead);
  await operator("POST", "/epochs/1/preview", {});

  await page.click('[data-testid="pay"]');
  await page.waitForSelector('[data-testid="pay-balances"]');
  await shows(page, /No address yet: what matures stays in the hub's ledger/);
  const { customer, usdc } = await self();
  const spending = "Spend matured pay";
  await submit(page, spending);
  await shows(page, /Expected a customer, such as c_…, got nothing\./);
  await fill(page, spending, "Customer", customer);
  await fill(page, spending, "Amount, µUSDC", "1000000000");
  await submit(page, spending);
  await shows(page, /Expected at most [\d.]+, got 1,000,000,000\./);
  expect(
    await page.$eval(`form[aria-label="${spending}"] [data-field="amount"]`, (one) => (one as HTMLInputElement).value),
  ).toBe("1000000000");
  await fill(page, spending, "Amount, µUSDC", "0.001");
  const button = await page.waitForSelector(`form[aria-label="${spending}"] button[type="submit"]`);
  await clickTwice(button);
  await shows(page, /It is API balance now\./);
  expect((await self()).usdc).toBe(String(BigInt(usdc) + 1n));

  const wallet = secp256k1.utils.randomSecretKey();
  const publicKey = secp256k1.getPublicKey(wallet, false).subarray(1);
  const address = `0x${Buffer.from(keccak_256(publicKey)).subarray(12).toString("hex")}`;
  const form = "Set the payout address";
  await fill(page, form, "Address", address);
  const message = await page.waitForSelector('[data-testid="payout-message"]');
  const text = await message?.evaluate((one) => one.textContent ?? "");
  const recovered = secp256k1.sign(digestOf(text ?? ""), wallet, { prehash: false, format: "recovered" });
  await fill(page, form, "Its signature", "0x12");
  await submit(page, form);
  await shows(page, /Expected 0x and 130 hexadecimal digits, got “0x12” \(4 characters\)\./);
  const proof = Buffer.from([...recovered.subarray(1), 27 + (recovered[0] as number)]).toString("hex");
  await fill(page, form, "Its signature", `0x${proof}`);
  await submit(page, form);
  await shows(page, new RegExp(`Paid out to\\s+${address}`));
  await accessible(page);

  const preview = previewSchema.parse(await operator("POST", "/epochs/1/preview", {}));
  await operator("POST", "/epochs/1/approve", { digest: preview.epoch.digest });
  const { payouts } = epochSchema.parse(await operator("POST", "/epochs/1/close", {}));
  expect(payouts.map(({ asset }) => asset)).toContain("USDC");
  await page.waitForSelector('[data-testid="proof"]', { timeout: 30_000 });
  await shows(page, new RegExp(`0\\.\\d+ USDC to\\s+${address}`));
  worker = `own_${(await tab.view())?.miner?.slice(2)}`;
  const [proved] = payoutProofSchema.parse(await operator("GET", `/epochs/1/proof/miner:${worker}`)).data;
  expect(await page.$eval('[data-testid="proof"]', (one) => one.textContent)).toContain(proved?.root);

  await fill(page, "Register in The commons", "Deposit, DN", "3");
  await submit(page, "Register in The commons");
  await shows(page, /Expected at most [\d.]+, got 3\./);
  await fill(page, "Register in The commons", "Deposit, DN", "0");
  await fill(page, "Register in The commons", "Least rate, µUSDC per GFLOP", "0.02");
  await submit(page, "Register in The commons");
  await shows(page, /Works for 0\.02 µUSDC per GFLOP or more/);
  await click(page, "Leave");
  await shows(page, /the deposit is back after the unbonding delay\. Leave it\?/);
  await click(page, "Yes: Leave");
  await shows(page, /DN come back after the unbonding delay/);
  await page.setViewport({ width: 360, height: 800 });
  await accessible(page);
  expect(tab.complaints.filter((line) => !/status of 40[024]/.test(line))).toEqual([]);
  expect(await test.hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  expect(test.faults).toEqual([]);
});

it("a staker delegates to who has worked, unbonds a part, and takes it back when it is free", {
  timeout: 120_000,
}, async () => {
  const { customer, key } = customerSchema.parse(await operator("POST", "/customers", { name: "Ann" }));
  await operator("POST", `/customers/${customer}/grants`, { dn: "100000000000" });
  const page = await signInTo(browser, test.hub.url, key);
  await view(page, "stake");
  await fill(page, "Stake", "Amount, DN", "60");
  await fill(page, "Stake", "Delegate to", "m_somebody");
  await submit(page, "Stake");
  await shows(page, /Expected an owner, own_…, got “m_somebody”\./);
  await fill(page, "Stake", "Delegate to", "own_nobody");
  await submit(page, "Stake");
  await shows(page, /Expected an owner who has worked here, got own_nobody\./);
  await fill(page, "Stake", "Delegate to", worker);
  await submit(page, "Stake");
  await shows(page, new RegExp(`commons, with ${worker}\\s+60 DN`));
  const form = `Unstake from commons, with ${worker}`;
  await fill(page, form, "Amount, DN", "61");
  await submit(page, form);
  await shows(page, /Expected at most 60, got 61\./);
  await fill(page, form, "Amount, DN", "25");
  await submit(page, form);
  await shows(page, /25 DN on its way out, free \d+ \w+ \d+, \d\d:\d\d \w+/);
  await page.setViewport({ width: 360, height: 800 });
  await accessible(page);
  expect(await page.$$('::-p-xpath(//button[contains(., "Take back what is free")])')).toEqual([]);

  ahead += 8 * DAY;
  await page.evaluate((ms) => {
    const before = Date.now;
    Date.now = () => before() + ms;
  }, ahead);
  await click(page, "Take back what is free");
  await view(page, "balances");
  await shows(page, /DN\n65\nDN staked\n35\nDN on its way out\n0/);
  expect(test.faults).toEqual([]);
});
