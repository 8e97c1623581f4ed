import { generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { problemSchema } from "../../shared/api.ts";
import { domainSchema, proposalSchema, roundSchema } from "../../shared/economy-api.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { DAY, startTestDesk, type TestDesk, UNIT } from "./test-desk.ts";

/** What the economy refuses, over HTTP: each with its own error, and nothing has moved. */
let test: TestDesk;
let ann: { customer: string; key: string };
let bob: { customer: string; key: string };
let miner: Awaited<ReturnType<TestDesk["miner"]>>;
/** Of `commons`, as its owner would send them back. */
let settings: Record<string, unknown> & {
  emission_split: Record<string, number>;
  verification: Record<string, unknown>;
};
let round: string;
let building: string;
let proposal: string;
let voted: string;
let locked: string;

const tooMuch = String(2n ** 63n);
const wish = () => ({
  model: "eye@1",
  title: "t",
  target: "100",
  deadline_at: test.clock.now() + DAY,
  backers: 4_000,
  terms: "x",
  milestones: [{ name: "all", share: 10_000 }],
});
const kappa = (value: string) => ({ kind: "network", parameter: "emission.kappaPpm", value });

beforeAll(async () => {
  test = await startTestDesk();
  ann = await test.customer("Ann");
  bob = await test.customer("Bob");
  miner = await test.miner();
  await test.must("/domains", test.operator, { domain: "vision", title: "Vision", owner: ann.customer });
  const shown = domainSchema.parse((await test.get("/domains/commons")).body).settings;
  const { burn: _b, foundation: _f, ...wanted } = shown as NonNullable<typeof shown>;
  settings = wanted;
  await test.must("/creators", test.operator, { name: "Vic", customer: ann.customer });
  await test.publish("eye@1", "Vic");
  await test.publish("eye@2", "Vic");
  round = roundSchema.parse(await test.must("/rounds", ann.key, wish())).round;
  building = roundSchema.parse(await test.must("/rounds", ann.key, { ...wish(), model: "eye@2", target: "9" })).round;
  await test.must(`/rounds/${building}/backings`, ann.key, { amount: "9" });
  await test.must("/stakes", ann.key, { domain: "commons", amount: "100" });
  await test.must("/market", test.operator, { usdc: String(50n * UNIT), dn: String(1_000n * UNIT) });
  test.clock.advance(1);
  const propose = async () =>
    proposalSchema.parse(await test.must("/proposals", ann.key, { title: "t", change: kappa("1"), from: 5 })).proposal;
  [locked, voted, proposal] = [await propose(), await propose(), await propose()];
  await test.must(`/proposals/${locked}/votes`, ann.key, { approve: true });
  test.clock.advance(3 * DAY);
  await test.must(`/proposals/${locked}/count`, bob.key);
  [voted, proposal] = [await propose(), await propose()];
  await test.must(`/proposals/${voted}/votes`, ann.key, { approve: true });
  test.clock.advance(1);
  await test.must("/stakes", bob.key, { domain: "commons", amount: "5" });
});
afterAll(() => test.close());

type Call = [method: string, path: string, key: string | null, body?: unknown];
const change = (more: Record<string, unknown>, from = 2): Call => [
  "PUT",
  "/domains/vision/settings",
  ann.key,
  { from, settings: { ...settings, ...more } },
];
const emission = (more: Record<string, number>): Call =>
  change({ emission_split: { ...settings.emission_split, ...more } });
const checks = (more: Record<string, unknown>): Call => change({ verification: { ...settings.verification, ...more } });
const signed = (request: object, by?: never): Call => [
  "POST",
  "/miners/requests",
  null,
  by ? miner.signed(request, by) : miner.signed(request),
];
/** Where a domain's settings lie in the request. */
const of = (field: string) => `settings.${field}`;
const split = (field: string) => of(`emission_split.${field}`);
const carol = async () => (await test.customer("Carol")).key;

const rows: [what: string, code: ErrorCode, field: string, ask: () => Call | Promise<Call>][] = [
  ["emission shares that miss the whole", "split-not-whole", of("emission_split"), () => emission({ miners: 6_999 })],
  ["a miners' share above 99 %", "share-out-of-bounds", split("miners"), () => emission({ miners: 9_901 })],
  ["a negative stakers' share", "share-out-of-bounds", split("stakers"), () => emission({ stakers: -1 })],
  ["a fraction of a share", "share-out-of-bounds", split("validators"), () => emission({ validators: 0.5 })],
  ["an emission owner above 10 %", "share-out-of-bounds", split("owner"), () => emission({ owner: 1_001 })],
  ["availability above 20 %", "share-out-of-bounds", split("availability"), () => emission({ availability: 2_001 })],
  ["a pool below the cost of checks", "share-out-of-bounds", of("pool"), () => change({ pool: 729 })],
  [
    "a check rate below the policy's",
    "share-out-of-bounds",
    of("verification.check_rate"),
    () => checks({ check_rate: 499 }),
  ],
  [
    "a service level that is none",
    "invalid-request",
    of("verification.least_level"),
    () => checks({ least_level: "quorum-9" }),
  ],
  ["more checks than the pool pays", "share-out-of-bounds", of("pool"), () => checks({ check_rate: 2_000 })],
  ["e above 100 %", "share-out-of-bounds", of("severe_percent"), () => change({ severe_percent: 101 })],
  ["miners below 30 %", "value-out-of-range", "settings", () => change({ emission: 6_000 })],
  ["an owner's share above 10 %", "value-out-of-range", of("owner"), () => change({ owner: 1_001 })],
  ["a fee that overflows", "amount-overflow", of("registration_fee"), () => change({ registration_fee: tooMuch })],
  ["a change that reaches back", "reaches-back", "from", () => change({}, 0)],
  ["y by its owner", "forbidden", of("processor"), () => change({ processor: 0 })],
  ["d by its owner", "forbidden", of("variable_burn"), () => change({ variable_burn: 1 })],
  ["listed by its owner", "forbidden", of("listed"), () => change({ listed: true })],
  [
    "another's domain",
    "forbidden",
    "domain",
    () => ["PUT", "/domains/vision/settings", bob.key, { from: 2, settings }],
  ],
  ["settings without a field", "invalid-request", of("pool"), () => change({ pool: undefined })],
  ["settings with one too many", "invalid-request", of("tax"), () => change({ tax: 1 })],
  ["a domain that is none", "unknown-domain", "domain", () => ["GET", "/domains/none", null]],
  [
    "a domain twice",
    "wrong-state",
    "domain",
    () => ["POST", "/domains", test.operator, { domain: "vision", title: "V" }],
  ],
  [
    "a name that is none",
    "invalid-request",
    "domain",
    () => ["POST", "/domains", test.operator, { domain: "A b", title: "V" }],
  ],
  [
    "a domain of nobody",
    "unknown-account",
    "owner",
    () => ["POST", "/domains", test.operator, { domain: "x", title: "X", owner: "c_x" }],
  ],

  [
    "a bad signature",
    "bad-signature",
    "signature",
    () => signed({ action: "leave", domain: "vision" }, generateKeyPairSync("ed25519").privateKey as never),
  ],
  [
    "one for another hub",
    "bad-signature",
    "request.hub",
    () => signed({ action: "leave", domain: "vision", hub: "x" }),
  ],
  [
    "an old one",
    "stale-nonce",
    "request.at",
    () => signed({ action: "leave", domain: "vision", at: test.clock.now() - 300_001 }),
  ],
  ["one that says nothing", "invalid-request", "action", () => signed({ action: "slash", domain: "vision" })],
  [
    "a deposit that is not there",
    "insufficient-balance",
    "deposit",
    () => signed({ action: "register", domain: "vision", deposit: "1" }),
  ],
  [
    "a deposit that overflows",
    "amount-overflow",
    "deposit",
    () => signed({ action: "register", domain: "vision", deposit: tooMuch }),
  ],
  [
    "a deposit without registration",
    "wrong-state",
    "state",
    () => signed({ action: "deposit", domain: "vision", amount: "1" }),
  ],
  ["a release without registration", "wrong-state", "state", () => signed({ action: "release", domain: "vision" })],
  ["a miner that never came", "unknown-account", "miner", () => ["GET", "/miners/m_none/collateral", null]],
  [
    "a release before the delay",
    "time-locked",
    "at",
    async () => {
      await test.must("/miners/requests", null, miner.signed({ action: "register", domain: "vision" }));
      await test.must("/miners/requests", null, miner.signed({ action: "leave", domain: "vision" }));
      return signed({ action: "release", domain: "vision" });
    },
  ],
  ["a second registration", "wrong-state", "state", () => signed({ action: "register", domain: "vision", ask: "1" })],

  [
    "a name that is another's",
    "already-claimed",
    "name",
    () => ["POST", "/creators", test.operator, { name: "Vic", customer: bob.customer }],
  ],
  [
    "a name of nobody",
    "unknown-account",
    "customer",
    () => ["POST", "/creators", test.operator, { name: "Eve", customer: "c_x" }],
  ],
  ["what another's name earned", "forbidden", "creator", () => ["POST", "/creators/Vic/collect", bob.key, {}]],
  ["nothing to collect", "insufficient-balance", "name", () => ["POST", "/creators/Vic/collect", ann.key, {}]],
  ["a round of another's model", "forbidden", "creator", () => ["POST", "/rounds", bob.key, wish()]],
  ["a round of no model", "unknown-model", "model", () => ["POST", "/rounds", ann.key, { ...wish(), model: "no@1" }]],
  ["a second round", "wrong-state", "model", () => ["POST", "/rounds", ann.key, wish()]],
  [
    "a pledge of nothing",
    "value-out-of-range",
    "amount",
    () => ["POST", "/pledges", ann.key, { model: "eye@1", amount: "0", raise_percent: 1 }],
  ],
  [
    "a backing after the deadline",
    "wrong-state",
    "state",
    () => ["POST", `/rounds/${round}/backings`, ann.key, { amount: "1" }],
  ],
  [
    "a milestone of a round that is not met",
    "wrong-state",
    "state",
    () => ["POST", `/rounds/${round}/milestones`, test.operator, {}],
  ],
  [
    "a milestone by a customer",
    "forbidden",
    "authorization",
    () => ["POST", `/rounds/${building}/milestones`, ann.key, {}],
  ],
  ["a refund of a met round", "wrong-state", "state", () => ["POST", `/rounds/${building}/refund`, ann.key, {}]],
  ["a stop by another", "forbidden", "creator", () => ["POST", `/rounds/${building}/stop`, bob.key, {}]],
  [
    "yield that is not there",
    "insufficient-balance",
    "round",
    () => ["POST", `/rounds/${building}/yield`, ann.key, {}],
  ],
  [
    "shares that one does not hold",
    "insufficient-balance",
    "shares",
    () => ["POST", `/rounds/${building}/transfers`, bob.key, { to: ann.customer, shares: "1" }],
  ],
  [
    "shares to nobody",
    "unknown-account",
    "to",
    () => ["POST", `/rounds/${building}/transfers`, ann.key, { to: "c_x", shares: "1" }],
  ],
  ["a round that is none", "unknown-round", "round", () => ["GET", "/rounds/b_x", ann.key]],

  [
    "a pledge beyond the balance",
    "insufficient-balance",
    "amount",
    () => ["POST", "/pledges", ann.key, { model: "eye@1", amount: String(101n * UNIT), raise_percent: 1 }],
  ],
  [
    "a raise beyond its bound",
    "share-out-of-bounds",
    "raise_percent",
    () => ["POST", "/pledges", ann.key, { model: "eye@1", amount: "1", raise_percent: 1_001 }],
  ],
  [
    "a pledge for no model",
    "unknown-model",
    "model",
    () => ["POST", "/pledges", ann.key, { model: "no@1", amount: "1", raise_percent: 1 }],
  ],
  ["a pledge that is none", "not-found", "pledge", () => ["DELETE", "/pledges/pl_x", ann.key]],
  [
    "a pledge withdrawn twice",
    "wrong-state",
    "pledge",
    async () => {
      const { pledge } = await test.must("/pledges", ann.key, { model: "eye@1", amount: "1", raise_percent: 1 });
      await test.must(`/pledges/${pledge}`, ann.key, undefined, "DELETE");
      return ["DELETE", `/pledges/${pledge}`, ann.key];
    },
  ],

  [
    "stake that overflows",
    "amount-overflow",
    "amount",
    () => ["POST", "/stakes", ann.key, { domain: "commons", amount: tooMuch }],
  ],
  [
    "stake that is not there",
    "insufficient-balance",
    "amount",
    () => ["POST", "/stakes", ann.key, { domain: "commons", amount: String(101n * UNIT) }],
  ],
  [
    "stake on no validator",
    "unknown-account",
    "validator",
    () => ["POST", "/stakes", ann.key, { domain: "commons", validator: "own_x", amount: "1" }],
  ],
  [
    "stake on no domain",
    "unknown-domain",
    "domain",
    () => ["POST", "/stakes", ann.key, { domain: "none", amount: "1" }],
  ],
  [
    "unstaking more than is staked",
    "insufficient-balance",
    "amount",
    () => ["POST", "/stakes/unstake", bob.key, { domain: "commons", amount: "6" }],
  ],
  ["a release of nothing", "wrong-state", "at", () => ["POST", "/stakes/release", ann.key, { domain: "commons" }]],

  [
    "a parameter beyond its ceiling",
    "share-out-of-bounds",
    "emission.kappaPpm",
    () => ["POST", "/proposals", ann.key, { title: "t", change: kappa("400001"), from: 5 }],
  ],
  [
    "a parameter that is none",
    "invalid-request",
    "change.parameter",
    () => ["POST", "/proposals", ann.key, { title: "t", change: { ...kappa("1"), parameter: "toString" }, from: 5 }],
  ],
  [
    "a proposal that reaches back",
    "reaches-back",
    "from",
    () => ["POST", "/proposals", ann.key, { title: "t", change: kappa("1"), from: 0 }],
  ],
  [
    "a proposal without stake",
    "insufficient-stake",
    "stake",
    async () => ["POST", "/proposals", await carol(), { title: "t", change: kappa("1"), from: 5 }],
  ],
  [
    "a vote with stake that came in for it",
    "stake-borrowed",
    "stake",
    () => ["POST", `/proposals/${proposal}/votes`, bob.key, { approve: true }],
  ],
  [
    "a vote without stake",
    "insufficient-balance",
    "stake",
    async () => ["POST", `/proposals/${proposal}/votes`, await carol(), { approve: true }],
  ],
  [
    "a vote with unbonding stake",
    "stake-unbonding",
    "stake",
    async () => {
      await test.must("/stakes/unstake", bob.key, { domain: "commons", amount: "5" });
      return ["POST", `/proposals/${proposal}/votes`, bob.key, { approve: true }];
    },
  ],
  ["stake before its delay", "time-locked", "at", () => ["POST", "/stakes/release", bob.key, { domain: "commons" }]],
  [
    "a second vote",
    "already-claimed",
    "party",
    () => ["POST", `/proposals/${voted}/votes`, ann.key, { approve: false }],
  ],
  ["a count of an open vote", "time-locked", "at", () => ["POST", `/proposals/${voted}/count`, ann.key, {}]],
  ["a second count", "wrong-state", "state", () => ["POST", `/proposals/${locked}/count`, ann.key, {}]],
  ["an execution under time lock", "time-locked", "at", () => ["POST", `/proposals/${locked}/execution`, ann.key, {}]],
  [
    "an execution without a vote",
    "wrong-state",
    "state",
    () => ["POST", `/proposals/${proposal}/execution`, ann.key, {}],
  ],
  ["a proposal that is none", "unknown-proposal", "proposal", () => ["GET", "/proposals/v_x", ann.key]],

  ["a second seeding", "wrong-state", "market", () => ["POST", "/market", test.operator, { usdc: "1", dn: "1" }]],
  [
    "a swap below its bound",
    "slippage-exceeded",
    "least",
    () => ["POST", "/market/swaps", ann.key, { give: "USDC", amount: "1000", least: "20001" }],
  ],
  [
    "a swap of what is not there",
    "insufficient-balance",
    "amount",
    () => ["POST", "/market/swaps", ann.key, { give: "DN", amount: String(101n * UNIT), least: "1" }],
  ],
  ["a seeding by a customer", "forbidden", "authorization", () => ["POST", "/market", ann.key, { usdc: "1", dn: "1" }]],
  [
    "a stake by the operator",
    "forbidden",
    "authorization",
    () => ["POST", "/stakes", test.operator, { domain: "commons", amount: "1" }],
  ],
  ["no key", "unauthenticated", "authorization", () => ["GET", "/self", null]],
  [
    "a grant to nobody",
    "unknown-account",
    "customer",
    () => ["POST", "/customers/c_x/grants", test.operator, { usdc: "1" }],
  ],
  [
    "a grant of more than is issued at once",
    "insufficient-balance",
    "usdc",
    () => ["POST", `/customers/${ann.customer}/grants`, test.operator, { usdc: String(10n ** 16n) }],
  ],
];

const funds = async () => (await test.store.accounts({ limit: 1_000, after: null })).data;

describe("refuses", () => {
  it.each(rows)("%s: %s", async (_, code, field, ask) => {
    const [method, path, key, body] = await ask();
    const before = await funds();
    const answer = await test.call(method, path, key, body);
    const said = { expected: expect.stringMatching(/./), got: expect.any(String) };
    expect(problemSchema.parse(answer.body)).toMatchObject({ code, field, status: answer.status, ...said });
    expect(await funds()).toEqual(before);
  });

  it("a royalty changed after mint, and a version twice", async () => {
    expect(await test.publish("eye@1", "Vic", 1_999)).toMatchObject({
      error: { code: "royalty-fixed", field: "royaltyBasisPoints" },
    });
    expect(await test.publish("eye@1", "Vic", 2_000)).toMatchObject({ error: { code: "model-exists" } });
    expect(await test.publish("eye@3", "Vic", 5_701)).toMatchObject({ error: { field: "revenue.miners" } });
    expect(await test.publish("eye@3", "Vic", 0, "none")).toMatchObject({ error: { code: "unknown-domain" } });
  });

  it("an idempotency key that is none", async () => {
    const answer = await test.post(
      "/stakes",
      ann.key,
      { domain: "commons", amount: "1" },
      { "idempotency-key": "a b" },
    );
    expect(answer.body).toMatchObject({ code: "invalid-request", field: "idempotency-key" });
  });
});
