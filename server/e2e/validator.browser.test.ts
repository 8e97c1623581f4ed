import { join } from "node:path";
import process from "node:process";
import type { Browser } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchChromium, Tab } from "./tabs.ts";
import { digitImages, inferDigits, pooled, startTestHub, type TestHub } from "./test-hub.ts";

/**
 * A phone without WebGPU chooses to check: it is admitted, repeats answers of another person's tab, is paid for that, and
 * goes on as a validator after a reload. `TABGRID_SHOTS=folder` keeps pictures of its page.
 */

const model = "digits@1";
const REQUESTS = 80;
let test: TestHub;
let browser: Browser;

beforeAll(async () => {
  test = await startTestHub();
  browser = await launchChromium({ software: false });
});
afterAll(async () => {
  await browser?.close();
  await test?.close();
});

async function shoot(tab: Tab, name: string): Promise<void> {
  const folder = process.env.TABGRID_SHOTS;
  if (folder) await tab.page.screenshot({ path: join(folder, `phone-${name}.png`), fullPage: true });
}

const fits = (tab: Tab) => tab.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

it("validates a WASM tab's answers from a phone-sized page without WebGPU, and is paid", {
  timeout: 240_000,
}, async () => {
  const { hub } = test;
  const miner = await Tab.open(browser, hub.url, "wasm");
  const phone = await Tab.onPhone(browser, hub.url);
  expect(
    await phone.page.evaluate(async () => ({
      width: innerWidth,
      adapter: ((await navigator.gpu?.requestAdapter()) ?? null) as null,
    })),
  ).toEqual({ width: 360, adapter: null });
  const suggestion = await phone.page.$eval("fieldset.roles", (element) => element.textContent);
  expect(suggestion).toContain("Suggested here");
  await phone.page.tap("[data-testid=role-validator]");
  expect(await phone.page.$eval("[data-testid=start]", (element) => element.textContent)).toBe("Start checking");
  expect(await fits(phone), "the page before Start does not scroll sideways").toBe(true);
  const start = await (await phone.page.$("[data-testid=start]"))?.boundingBox();
  expect((start?.y ?? 1e4) + (start?.height ?? 0), "Start is seen without scrolling").toBeLessThanOrEqual(740);
  await shoot(phone, "welcome");
  await phone.page.tap("[data-testid=start]");

  await miner.admitted(model);
  expect(await phone.admitted(model)).toMatchObject({ role: "validator", device: { runtime: "wasm" } });
  const sessionOf = async (tab: Tab) => {
    const id = (await tab.view())?.miner;
    return [...hub.state.roster.sessions.values()].find(
      (session) => session.miner === id && session.graceEndsAt === null,
    );
  };
  expect((await sessionOf(phone))?.role).toBe("validator");

  const { images } = digitImages(REQUESTS);
  const answers = await pooled(images, 4, ({ pixels }) => inferDigits(hub, pixels, { service_level: "verified" }));
  for (const answer of answers) expect(answer.status, answer.error ?? "").toBe(200);
  const bases = Object.groupBy(answers, ({ parameters }) => parameters.basis);
  const counts = Object.entries(bases).map(([basis, of]) => `${of?.length} ${basis}`);
  const medianMs = answers.map(({ ms }) => ms).sort((a, b) => a - b)[REQUESTS / 2] ?? 0;
  console.log(`${REQUESTS} verified answers: ${counts.join(", ")}; median ${medianMs.toFixed(0)} ms`);
  expect(bases.checked?.length ?? 0).toBeGreaterThan(0);

  // Paid in the ledger, and told so on the page: for checks alone.
  await expect.poll(() => hub.runtime.live.size, { timeout: 40_000 }).toBe(0);
  const owner = (await sessionOf(phone))?.owner;
  const account = await hub.store.account(`miner:${owner}:held` as never);
  expect(account?.balance ?? 0n).toBeGreaterThan(0n);
  await expect
    .poll(async () => BigInt((await phone.view())?.held ?? 0), { timeout: 10_000 })
    .toBe((await hub.store.account(`miner:${owner}:held` as never))?.balance);
  const view = await phone.view();
  expect(view?.work.length).toBeGreaterThan(0);
  expect(view?.work.every(({ role }) => role === "check")).toBe(true);
  const passed = Number(await phone.page.$eval("[data-testid=passed]", (element) => element.textContent));
  console.log(`the phone passed ${passed} checks and holds ${view?.held} nano-USDC`);
  expect(passed).toBeGreaterThan(0);
  expect(await fits(phone), "the page at work does not scroll sideways").toBe(true);
  await shoot(phone, "paid");

  // A reload resumes by itself, in the same role and as the same person.
  await phone.page.reload();
  await phone.admitted(model);
  expect(await sessionOf(phone)).toMatchObject({ role: "validator", owner });
  expect(await phone.view()).toMatchObject({ role: "validator", miner: view?.miner });

  expect(await hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  expect(test.faults).toEqual([]);
  expect(phone.complaints).toEqual([]);
  await Promise.all([miner, phone].map((tab) => tab.close()));
});
