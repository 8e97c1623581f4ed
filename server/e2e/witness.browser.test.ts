import type { Browser } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { preimages } from "../../shared/protocol.ts";
import type { MinerSession } from "../core/roster.ts";
import { WORDS_PER_PAYMENT } from "../core/witness.ts";
import { ed25519PublicKey, verifyEd25519 } from "../sockets/identity.ts";
import { launchChromium, Tab } from "./tabs.ts";
import { digitImages, inferDigits, startTestHub, type TestHub } from "./test-hub.ts";

/**
 * A phone's tab attests that another person's tab is there: both ends in real browsers, word and proof in the store, the
 * validator paid by the dozen, the miner told. The test only brings forward when the miner is looked at.
 */

const model = "digits@1";
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

it("is attested by a phone, told so on its page, and the phone is paid for its words", {
  timeout: 240_000,
}, async () => {
  const { hub } = test;
  const miner = await Tab.open(browser, hub.url, "wasm");
  const phone = await Tab.onPhone(browser, hub.url);
  await phone.page.tap("[data-testid=role-validator]");
  await phone.page.tap("[data-testid=start]");
  await miner.admitted(model);
  await phone.admitted(model);
  const sessionOf = async (tab: Tab): Promise<MinerSession> => {
    const id = (await tab.view())?.miner;
    const found = [...hub.state.roster.sessions.values()].find((one) => one.miner === id);
    if (!found) throw new Error("the tab is connected");
    return found;
  };
  const [subject, validator] = [await sessionOf(miner), await sessionOf(phone)];

  // Something in the verification pool, out of which words are paid.
  for (const { pixels } of digitImages(8).images) {
    const answer = await inferDigits(hub, pixels);
    expect(answer.status, answer.error ?? "").toBe(200);
  }
  await expect.poll(() => hub.runtime.live.size, { timeout: 40_000 }).toBe(0);
  const matured = async () => (await hub.store.account(`miner:${validator.owner}` as never))?.balance ?? 0n;
  expect(await matured()).toBe(0n);

  for (let words = 1; words <= WORDS_PER_PAYMENT; words++) {
    subject.witnessDueAt = 0;
    await expect.poll(() => subject.seen.present, { timeout: 15_000, interval: 50 }).toBe(words);
  }
  expect(subject.seen.absent).toBe(0);
  expect(validator.standing.witness).toMatchObject({ agreed: WORDS_PER_PAYMENT, contradicted: 0 });
  await hub.runtime.settled();
  const day = { from: Date.now() - 86_400_000, to: Date.now(), owner: subject.owner };
  const sums = (await hub.store.availability(day)).filter((sum) => sum.model === model);
  expect(sums.reduce((all, { present, absent }) => all + present - absent, 0)).toBe(WORDS_PER_PAYMENT);
  console.log(`${WORDS_PER_PAYMENT} words, mean round trip ${sums[0]?.roundTripMs?.toFixed(1)} ms`);
  await expect.poll(matured, { timeout: 10_000 }).toBeGreaterThan(0n);

  // The proof says it to anybody: both signatures were made by WebCrypto in the tabs.
  const [word] = await hub.store.attestations({ owner: subject.owner, limit: 1 });
  const proof = word?.proof as Record<string, string> & { present: boolean; roundTripMs: number; at: number };
  const bytes = (name: string) => Buffer.from(proof[name] as string, "base64url");
  const nonce = preimages.witness(proof.session as string, bytes("nonce"));
  expect(verifyEd25519(ed25519PublicKey(bytes("publicKey")), nonce, bytes("testimony"))).toBe(true);
  expect(proof).toMatchObject({ miner: subject.miner, validator: validator.miner, present: true });

  // Told: the miner on its page, everybody at /api/v1/network, the epoch that is running.
  const line = () => miner.page.$eval("[data-testid=seen]", (element) => element.textContent);
  await expect.poll(line, { timeout: 10_000 }).toContain(`looked ${WORDS_PER_PAYMENT} times and found it here`);
  const network = await (await fetch(`${hub.url}/api/v1/network`)).json();
  expect(network).toMatchObject({ miners: 1, attested: 1 });

  expect(await hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  expect(test.faults).toEqual([]);
  expect([...miner.complaints, ...phone.complaints]).toEqual([]);
  await Promise.all([miner, phone].map((tab) => tab.close()));
});
