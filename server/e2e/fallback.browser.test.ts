import type { Browser } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { groundOn } from "../core/checkers.ts";
import { launchChromium, Tab } from "./tabs.ts";
import { digitImages, inferDigits, startTestHub, type TestHub } from "./test-hub.ts";

/** A tab whose GPU computes a model wrongly goes on with WASM in the same browser, without anyone's doing. */

const model = "digits@1";
let test: TestHub;
let browser: Browser;

beforeAll(async () => {
  test = await startTestHub({ referenceServes: false });
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await test?.close();
});

it("is asked for WASM when its class is quarantined, and earns on", { timeout: 240_000 }, async () => {
  const { hub } = test;
  const tab = await Tab.open(browser, hub.url, "software&fallback=wasm");
  expect((await tab.admitted(model, 150_000)).device?.runtime).toBe("webgpu");
  const session = [...hub.state.roster.sessions.values()][0];
  if (!session) throw new Error("the tab is connected");
  const ground = groundOn(session, model as never);
  expect(ground.runtime).toBe("webgpu");

  hub.runtime.report({ kind: "class.ruled", at: Date.now(), ground, quarantined: true });
  await expect.poll(() => hub.state.roster.able(model as never).length, { timeout: 10_000, interval: 5 }).toBe(0);
  await expect.poll(() => hub.state.roster.able(model as never).length, { timeout: 90_000 }).toBe(1);
  const after = groundOn(session, model as never);
  expect(after.runtime).toBe("wasm");
  expect(after.deviceClass).not.toBe(ground.deviceClass);

  const { images } = digitImages(3);
  for (const { pixels } of images) {
    const answer = await inferDigits(hub, pixels, { service_level: "verified" });
    expect(answer.status, answer.error ?? "").toBe(200);
  }
  const held = async () => (await hub.store.account(`miner:${session.owner}:held` as never))?.balance ?? 0n;
  await expect.poll(held, { timeout: 40_000 }).toBeGreaterThan(0n);
  expect(await tab.page.evaluate(() => document.body.textContent)).toContain("runs on the processor");
  expect(tab.complaints).toEqual([]);
  await tab.close();
});
