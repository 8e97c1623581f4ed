import type { Browser } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type HubProxy, hubProxy } from "./hub-proxy.ts";
import { launchChromium, Tab } from "./tabs.ts";
import { digitImages, inferDigits, pooled, startTestHub, type TestHub } from "./test-hub.ts";

/** Tabs come and go while requests are under way: a killed one and a cut connection cost nobody an answer. */

const model = "digits@1";
const CUT_MS = 4_000;
let test: TestHub;
let browser: Browser;
let proxy: HubProxy;

beforeAll(async () => {
  test = await startTestHub();
  proxy = await hubProxy(test.hub.url);
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await proxy?.close();
  await test?.close();
});

it("a tab killed in mid-task and a connection cut for seconds: every request is answered", {
  timeout: 300_000,
}, async () => {
  const { hub } = test;
  const [steady, killed, cut] = [
    await Tab.open(browser, hub.url, "software"),
    await Tab.open(browser, hub.url, "software"),
    await Tab.open(browser, proxy.url, "software"),
  ];
  for (const tab of [steady, killed, cut]) {
    expect((await tab.admitted(model)).device).toMatchObject({ runtime: "webgpu" });
  }
  const sessionOf = async (tab: Tab) => {
    const miner = (await tab.view())?.miner;
    return [...hub.state.roster.sessions.values()].find((session) => session.miner === miner);
  };
  const victim = await sessionOf(killed);
  const cutMiner = (await cut.view())?.miner;
  let [killedHolding, cutHolding] = [0, 0];

  const { images } = digitImages(90);
  let answered = 0;
  const run = pooled(images, 8, async ({ pixels }) => {
    const answer = await inferDigits(hub, pixels);
    answered++;
    return answer;
  });
  await expect
    .poll(() => answered >= 20 && (victim?.assignments.size ?? 0) > 0, { timeout: 120_000, interval: 5 })
    .toBe(true);
  killedHolding = victim?.assignments.size ?? 0;
  const cdp = await killed.page.createCDPSession();
  cdp.send("Page.crash").catch(() => undefined); // the answer never comes: that is the point
  await expect
    .poll(async () => (await sessionOf(cut))?.assignments.size ?? 0, { timeout: 60_000, interval: 5 })
    .toBeGreaterThan(0);
  cutHolding = (await sessionOf(cut))?.assignments.size ?? 0;
  proxy.cut(CUT_MS);

  const answers = await run;
  const wrong = answers.filter(({ status, outputs }, index) => {
    const data = outputs[0]?.data ?? [];
    const { label } = images[index] as (typeof images)[number];
    return status !== 200 || data.indexOf(Math.max(...data)) !== label;
  });
  console.log(
    `held when killed: ${killedHolding}, when cut: ${cutHolding}; ${wrong.length} of ${answers.length} wrong`,
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(wrong.length).toBeLessThanOrEqual(2); // the model's own errors: it reads 99 of 100

  // The cut tab comes back by itself as the same miner; the killed one is gone.
  await expect
    .poll(() => hub.state.roster.able(model as never).map((session) => session.miner), { timeout: 60_000 })
    .toContain(cutMiner);
  expect([...hub.state.roster.sessions.values()].map((session) => session.miner)).not.toContain(victim?.miner);
  await expect.poll(() => hub.runtime.live.size, { timeout: 40_000 }).toBe(0);
  expect(await hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  expect(test.faults).toEqual([]);
});
