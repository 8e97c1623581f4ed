import type { Browser } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { assert } from "../../shared/result.ts";
import { tensorOf } from "../../shared/tensor.ts";
import { compareResults } from "../../shared/tolerance.ts";
import { root } from "../cli/ensure.mjs";
import { createReferenceNode } from "../reference/node.ts";
import { hubProxy, tampering } from "./hub-proxy.ts";
import { launchChromium, Tab } from "./tabs.ts";
import { digitImages, imageTensor, inferDigits, pooled, startTestHub, type TestHub } from "./test-hub.ts";

/**
 * The network as people meet it: three tabs of three people compute on WebGPU (the software adapter where there is no
 * GPU), one of them lies, and a customer sends 200 pictures over HTTP.
 */

const model = "digits@1";
let test: TestHub;
let browser: Browser;
const reference = createReferenceNode();

beforeAll(async () => {
  test = await startTestHub();
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await test?.close();
  await reference.close();
});

it("three WebGPU tabs, one of them tampering: right answers only, and only right work is paid", {
  timeout: 300_000,
}, async () => {
  const { hub } = test;
  const proxy = await hubProxy(hub.url, tampering);
  const honest = [await Tab.open(browser, hub.url, "software"), await Tab.open(browser, hub.url, "software")];
  const cheat = await Tab.open(browser, proxy.url, "software");
  for (const tab of [...honest, cheat]) {
    const view = await tab.admitted(model);
    expect(view.device, "no silent fall back to WASM").toMatchObject({ runtime: "webgpu", fallback: true });
  }
  const cheatOwner = `own_${(await cheat.view())?.miner?.slice(2)}`;
  const trustBefore = hub.state.roster.standings.get(cheatOwner as never);
  assert(trustBefore, "the hub knows the tamperer");
  const before = trustBefore.alpha / (trustBefore.alpha + trustBefore.beta);

  const { source, images } = digitImages(200);
  const answers = await pooled(images, 12, ({ pixels }) => inferDigits(hub, pixels));
  let right = 0;
  const bases: Record<string, number> = {};
  for (const [index, answer] of answers.entries()) {
    const { pixels, label } = images[index] as (typeof images)[number];
    expect(answer.status, answer.error ?? "").toBe(200);
    const logits = tensorOf("logits", "float32", [1, 10], Float32Array.from(answer.outputs[0]?.data ?? []));
    const truth = await reference.run(
      { key: model, graphPath: `${root}/models/digits/model.onnx` },
      [imageTensor(pixels)],
      10_000,
    );
    assert(truth.ok, "the reference runs");
    const comparison = compareResults({ kind: "label", output: "logits", tau: 1e-3 }, [logits], truth.value.outputs);
    expect(comparison.agreement, `image ${index}: ${comparison.what} ${comparison.distance}`).toBe("PASS");
    const data = answer.outputs[0]?.data ?? [];
    if (data.indexOf(Math.max(...data)) === label) right++;
    bases[answer.parameters.basis] = (bases[answer.parameters.basis] ?? 0) + 1;
  }
  console.log(`${source}: ${right} of ${answers.length} right; ${JSON.stringify(bases)}`);
  expect(right / answers.length).toBeGreaterThanOrEqual(0.98);

  // The tamperer was caught by comparison, lost trust, and earned nothing; the others were paid.
  const standing = hub.state.roster.standings.get(cheatOwner as never);
  assert(standing, "the hub knows the tamperer");
  expect(standing.alpha / (standing.alpha + standing.beta)).toBeLessThan(before);
  expect((await hub.store.account(`miner:${cheatOwner}:held` as never))?.balance ?? 0n).toBe(0n);
  await expect.poll(() => hub.runtime.live.size, { timeout: 40_000 }).toBe(0);
  for (const tab of honest)
    await expect.poll(async () => BigInt((await tab.view())?.held ?? 0), { timeout: 10_000 }).toBeGreaterThan(0n);
  expect(await hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  expect(test.faults).toEqual([]);
  await Promise.all([...honest, cheat].map((tab) => tab.close()));
  await proxy.close();
});
