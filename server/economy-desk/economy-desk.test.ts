import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  bondsSchema,
  customerSchema,
  domainSchema,
  domainsSchema,
  marketSchema,
  parametersSchema,
  proposalSchema,
  roundSchema,
  selfSchema,
  swappedSchema,
} from "../../shared/economy-api.ts";
import type { CaseId, ModelKey, OwnerId } from "../../shared/ids.ts";
import { ok } from "../../shared/result.ts";
import type { Standing } from "../core/events.ts";
import { accounts } from "../economy/accounts.ts";
import type { CaseRecord } from "../store/case-records.ts";
import { DAY, startTestDesk, type TestDesk, UNIT } from "./test-desk.ts";

/** Parties act over HTTP; what they did stands in the books, also after a restart. */
let test: TestDesk;
beforeEach(async () => {
  test = await startTestDesk();
});
afterEach(() => test.close());

/** Of an owner who has worked here. */
const standing = (owner: OwnerId): Standing => ({
  owner,
  alpha: 1,
  beta: 1,
  updatedAt: 1,
  strikes: 0,
  suspended: false,
  openCase: null,
  passed: {},
  proven: {},
  history: [],
});
const sound = async () => {
  expect(await test.store.integrityCheck()).toEqual([]);
  expect(await test.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
};
const settingsOf = async (domain: string) => {
  const { settings } = domainSchema.parse((await test.get(`/domains/${domain}`)).body);
  const { burn: _b, foundation: _f, ...wanted } = settings as NonNullable<typeof settings>;
  return wanted;
};

describe("a domain", () => {
  it("is opened, changed from a later epoch on by its owner, and decides what its models cost and pay", async () => {
    const olga = await test.customer("Olga");
    await test.must("/domains", test.operator, { domain: "vision", title: "Vision", owner: olga.customer });
    await test.publish("eye@1", "Vic", 2_000, "vision");
    const settings = { ...(await settingsOf("vision")), owner: 500, nano_per_gflop: "50" };
    const changed = await test.must("/domains/vision/settings", olga.key, { from: 2, settings }, "PUT");
    expect(domainSchema.parse(changed)).toMatchObject({
      settings: { owner: 0 },
      planned: [{ from: 2, by: `customer:${olga.customer}`, settings: { owner: 500 } }],
    });
    const eye = "eye@1" as ModelKey;
    expect(test.domains.settingsOf(eye).revenue).toMatchObject({ domain: "vision", owner: 0 });
    await test.restart();
    test.domains.epoch = 2;
    expect(test.domains.settingsOf(eye)).toMatchObject({ revenue: { owner: 500 }, tariff: { nanoPerGflop: 50n } });
    expect(test.domains.domainOf("other@1" as ModelKey)).toBe("commons");
    const list = domainsSchema.parse((await test.get("/domains")).body);
    expect(list.data.map(({ domain, models }) => [domain, models])).toEqual([
      ["commons", []],
      ["vision", ["eye@1"]],
    ]);
  });
});

describe("a round", () => {
  const open = async (more: object = {}) => {
    const vic = await test.customer("Vic");
    const dora = await test.customer("Dora");
    const eve = await test.customer("Eve");
    await test.must("/creators", test.operator, { name: "Vic", customer: vic.customer });
    await test.publish("eye@1", "Vic");
    const wish = {
      model: "eye@1",
      title: "Eye 2",
      target: String(40n * UNIT),
      deadline_at: test.clock.now() + 10 * DAY,
      backers: 4_000,
      terms: "SAFE-like",
      milestones: [
        { name: "trained", share: 2_500 },
        { name: "published", share: 7_500 },
      ],
      ...more,
    };
    const round = roundSchema.parse(await test.must("/rounds", vic.key, wish));
    return { vic, dora, eve, id: round.round };
  };

  it("that is met pays milestone by milestone, and its shares are the backers' royalty", async () => {
    const { vic, dora, eve, id } = await open();
    await test.must(`/rounds/${id}/backings`, dora.key, { amount: String(30n * UNIT) });
    const met = await test.must(`/rounds/${id}/backings`, eve.key, { amount: String(90n * UNIT) });
    expect(roundSchema.parse(met)).toMatchObject({ state: "building", own_shares: String(10n * UNIT), holders: 2 });
    expect(await test.balance(`customer:${eve.customer}`)).toBe(90n * UNIT);
    await test.restart();
    await test.must(`/rounds/${id}/milestones`, test.operator);
    expect(await test.balance("creator:Vic:matured")).toBe(10n * UNIT);
    await test.must(`/rounds/${id}/transfers`, dora.key, { to: eve.customer, shares: String(15n * UNIT) });
    const done = roundSchema.parse(await test.must(`/rounds/${id}/milestones`, test.operator));
    expect(done).toMatchObject({ state: "done", escrow: "0" });
    expect(await test.must("/creators/Vic/collect", vic.key)).toEqual({ usdc: String(40n * UNIT), dn: "0" });
    expect(selfSchema.parse((await test.get("/self", vic.key)).body).usdc).toBe(String(140n * UNIT));
    const royalty = (await test.desk.domains.royalties()).get("eye@1" as ModelKey);
    const holdings = new Map([
      [accounts.customer(dora.customer), 15n * UNIT],
      [accounts.customer(eve.customer), 25n * UNIT],
    ]);
    expect(royalty).toMatchObject({ creator: "Vic", basisPoints: 2_000, backers: 4_000, own: 6_000, holdings });
    await sound();
  });

  it("that is missed or given up pays back; another may follow a missed one", async () => {
    const { vic, dora, id } = await open({ yield: 1_000 });
    await test.must(`/rounds/${id}/backings`, dora.key, { amount: String(30n * UNIT) });
    test.clock.advance(10 * DAY);
    expect(roundSchema.parse(await test.must(`/rounds/${id}/refund`, dora.key)).state).toBe("missed");
    expect(await test.balance(`customer:${dora.customer}`)).toBe(100n * UNIT);
    const next = {
      model: "eye@1",
      title: "again",
      target: "10",
      deadline_at: test.clock.now() + DAY,
      backers: 5_000,
      yield: 2_000,
      terms: "as before",
      milestones: [{ name: "all", share: 10_000 }],
    };
    const second = roundSchema.parse(await test.must("/rounds", vic.key, next)).round;
    await test.must(`/rounds/${second}/backings`, dora.key, { amount: "10" });
    const royalty = (await test.desk.domains.royalties()).get("eye@1" as ModelKey);
    expect(royalty).toMatchObject({ backers: 5_000, yieldVenue: 2_000, venue: `escrow:${second}%3Ayield` });
    // What an epoch would pay to the venue.
    const legs = [
      { account: royalty?.venue as never, asset: "USDC" as const, amount: 7n },
      { account: "issuer" as never, asset: "USDC" as const, amount: -7n },
    ];
    const minted = [
      { account: `dn:${royalty?.venue}` as never, asset: "DN" as const, amount: 5n },
      { account: "dn-issuer" as never, asset: "DN" as const, amount: -5n },
    ].sort((a, b) => (a.account < b.account ? -1 : 1));
    await test.store.commit({
      transfers: [
        { id: "c", kind: "royalty", at: 1, task: null, legs },
        { id: "minted", kind: "emission", at: 1, task: null, legs: minted },
      ],
    });
    await test.must(`/rounds/${second}/yield`, dora.key);
    expect(await test.balance(`dn:customer:${dora.customer}`)).toBe(100n * UNIT + 5n);
    expect((await test.post(`/rounds/${second}/yield`, dora.key)).body.code).toBe("insufficient-balance");
    expect(await test.balance(`customer:${dora.customer}`)).toBe(100n * UNIT - 3n);
    expect(roundSchema.parse(await test.must(`/rounds/${second}/stop`, vic.key)).state).toBe("stopped");
    expect(await test.balance(`customer:${dora.customer}`)).toBe(100n * UNIT + 7n);
    await sound();
  });
});

describe("stake and votes", () => {
  it("a proposal passes by stake held before it, waits for its time lock and takes effect in a later epoch", async () => {
    const [ann, bob] = [await test.customer("Ann"), await test.customer("Bob")];
    await test.must("/stakes", ann.key, { domain: "commons", amount: String(60n * UNIT) });
    await test.must("/stakes", bob.key, { domain: "commons", amount: String(20n * UNIT) });
    test.clock.advance(1);
    const change = { kind: "domain", domain: "commons", parameter: "processor", value: "200" };
    const { proposal } = proposalSchema.parse(
      await test.must("/proposals", ann.key, { title: "Lower fees", change, from: 3 }),
    );
    const network = { kind: "network", parameter: "epoch.lengthMs", value: String(3 * DAY) };
    const other = await test.must("/proposals", ann.key, { title: "Shorter", change: network, from: 4 });
    for (const id of [proposal, other.proposal]) {
      await test.must(`/proposals/${id}/votes`, ann.key, { approve: true });
      await test.must(`/proposals/${id}/votes`, bob.key, { approve: false });
    }
    await test.restart();
    test.clock.advance(3 * DAY);
    for (const id of [proposal, other.proposal]) {
      const counted = proposalSchema.parse(await test.must(`/proposals/${id}/count`, bob.key));
      expect(counted).toMatchObject({ state: "locked", approving: String(60n * UNIT), own_vote: false });
    }
    test.clock.advance(2 * DAY);
    for (const id of [proposal, other.proposal]) {
      expect(proposalSchema.parse(await test.must(`/proposals/${id}/execution`, bob.key)).state).toBe("executed");
    }
    // What the operator plans meanwhile for an earlier epoch leaves the vote as it is.
    const settings = { ...(await settingsOf("commons")), owner: 100 };
    await test.must("/domains/commons/settings", test.operator, { from: 2, settings }, "PUT");
    expect(test.domains.settings("commons")?.revenue.processor).toBe(300);
    test.domains.epoch = 4;
    expect(test.domains.settings("commons")?.revenue).toMatchObject({ processor: 200, owner: 100 });
    const { network: parameters } = parametersSchema.parse((await test.get("/governance")).body);
    expect(parameters.find(({ parameter }) => parameter === "epoch.lengthMs")?.value).toBe(String(3 * DAY));
    const audit = await test.store.auditLog(proposal, { limit: 9, after: null });
    expect(audit.data.map(({ action }) => action)).toEqual(["executed", "counted", "voted", "voted", "proposed"]);
  });

  it("neither a change nor a vote reaches into an epoch that another hub has opened meanwhile", async () => {
    const ann = await test.customer("Ann");
    await test.must("/stakes", ann.key, { domain: "commons", amount: "50" });
    const settings = await settingsOf("commons");
    const plan = () => test.call("PUT", "/domains/commons/settings", test.operator, { from: 2, settings });
    const change = { kind: "network", parameter: "epoch.lengthMs", value: "259200000" };
    const propose = () => test.post("/proposals", ann.key, { title: "Shorter", from: 2, change });
    expect([(await plan()).status, (await propose()).status]).toEqual([200, 201]);
    // As the other hub does it: this one hears of it within a minute.
    const fence = { kind: "fenced", epoch: 1, at: test.clock.now(), stakes: [] } as const;
    await test.store.parties.act({ key: null, inputHash: "", at: 1 }, async () => ok({ reply: null, epoch: fence }));
    expect(test.domains.epoch).toBeLessThan(2);
    for (const late of [await plan(), await propose()])
      expect(late).toMatchObject({ status: 409, body: { code: "reaches-back", field: "from", got: "2" } });
  });

  it("stake on its way out is free after the unbonding time", async () => {
    const ann = await test.customer("Ann");
    const target = { domain: "commons" };
    await test.must("/stakes", ann.key, { ...target, amount: "50" });
    await test.must("/stakes/unstake", ann.key, { ...target, amount: "20" });
    const self = selfSchema.parse((await test.get("/self", ann.key)).body);
    expect(self).toMatchObject({ staked: "30", unbonding: "20", dn: String(100n * UNIT - 50n) });
    test.clock.advance(7 * DAY);
    await test.must("/stakes/release", ann.key, target);
    expect(await test.balance(`dn:customer:${ann.customer}`)).toBe(100n * UNIT - 30n);
    await sound();
  });
});

it("stake that is delegated to a validator is not free while a case against it is open", async () => {
  const ann = await test.customer("Ann");
  const owner = "own_val" as OwnerId;
  await test.store.commit({ standings: [standing(owner)] });
  const target = { domain: "commons", validator: owner };
  await test.must("/stakes", ann.key, { ...target, amount: "50" });
  await test.must("/stakes/unstake", ann.key, { ...target, amount: "20" });
  const opened: CaseRecord = {
    case: "case_1" as CaseId,
    kind: "suspension",
    owner,
    task: null,
    openedAt: test.clock.now(),
    evidence: { kind: "suspension", strikes: 1, exhibits: [], history: [] },
    state: "open",
    closedAt: null,
    ruling: null,
    reviewer: null,
    reason: null,
  };
  await test.store.commit({ cases: [opened] });
  test.clock.advance(7 * DAY);
  const refused = await test.post("/stakes/release", ann.key, target);
  expect(refused).toMatchObject({ status: 409, body: { code: "time-locked", field: "at" } });
  expect(refused.body.expected).toBe("the decision of the open case");
  await test.store.commit({ cases: [{ ...opened, state: "decided", closedAt: 9, ruling: "dismissed" }] });
  await test.must("/stakes/release", ann.key, target);
  expect(await test.balance(`dn:customer:${ann.customer}`)).toBe(100n * UNIT - 30n);
  await sound();
});

describe("the market", () => {
  it("is seeded once, trades within the bound that is asked, and tells its days", async () => {
    const ann = await test.customer("Ann");
    await test.must("/market", test.operator, { usdc: String(50_000n * UNIT), dn: String(1_000_000n * UNIT) });
    test.clock.advance(DAY);
    const swap = { give: "USDC", amount: String(10n * UNIT), least: String(199n * UNIT) };
    const { out } = swappedSchema.parse(await test.must("/market/swaps", ann.key, swap));
    expect(BigInt(out)).toBe((1_000_000n * UNIT * 10n) / 50_010n);
    test.clock.advance(30 * DAY);
    await test.must("/market/swaps", ann.key, { give: "DN", amount: out, least: "1" });
    const market = marketSchema.parse((await test.get("/market")).body);
    expect(market.daily).toHaveLength(28);
    expect(market.average).toBe("50020001");
    expect(market.supply).toBe(String(100_000_000n * UNIT));
    expect(await test.balance("market")).toBe(BigInt(market.usdc));
    expect(await test.balance("dn:market")).toBe(BigInt(market.dn));
    await sound();
  });
});

describe("the demand board", () => {
  it("shows what is pledged for a model, and gives back what is not spent", async () => {
    const ann = await test.customer("Ann");
    await test.publish("eye@1", "Vic");
    const wish = { model: "eye@1", amount: "500", raise_percent: 25 };
    const { pledge } = await test.must("/pledges", ann.key, wish);
    await test.must("/pledges", ann.key, { ...wish, amount: "700" });
    expect((await test.get("/demand")).body.data).toEqual([
      { model: "eye@1", left: "1200", raise_percent: 50, pledges: 2 },
    ]);
    expect(await test.must(`/pledges/${pledge}`, ann.key, undefined, "DELETE")).toMatchObject({ left: "0" });
    expect(await test.balance(`customer:${ann.customer}`)).toBe(100n * UNIT - 700n);
    await sound();
  });
});

describe("a miner", () => {
  it("swaps earnings for DN, registers, deposits, leaves and has its deposit back: by its signature alone", async () => {
    const miner = await test.miner();
    const earned = `miner:${miner.owner}`;
    const legs = [
      { account: "issuer" as never, asset: "USDC" as const, amount: -UNIT },
      { account: earned as never, asset: "USDC" as const, amount: UNIT },
    ];
    await test.store.commit({ transfers: [{ id: "earned", kind: "mature", at: 1, task: null, legs }] });
    await test.must("/market", test.operator, { usdc: String(50n * UNIT), dn: String(1_000n * UNIT) });
    await test.must("/domains", test.operator, { domain: "vision", title: "Vision" });
    const settings = { ...(await settingsOf("vision")), registration_fee: "1000", minimum_collateral: "5000000000" };
    await test.must("/domains/vision/settings", test.operator, { from: 2, settings }, "PUT");
    test.domains.epoch = 2;
    await test.publish("eye@1", "Vic", 2_000, "vision");
    const ask = (request: object) => test.must("/miners/requests", null, miner.signed(request));
    const models = ["eye@1", "digits@1"] as ModelKey[];

    expect(await test.desk.miners.barred(miner.owner, models)).toEqual(["eye@1"]);
    await ask({ action: "swap", give: "USDC", amount: String(UNIT / 2n), least: "1" });
    await ask({ action: "register", domain: "vision", deposit: "1000000000", ask: "20" });
    expect(await test.desk.miners.barred(miner.owner, models)).toEqual([]);
    await ask({ action: "deposit", domain: "vision", amount: "2000000000" });
    expect(await test.balance(earned)).toBe(UNIT / 2n - 1_000n);
    expect(await test.balance("domain:vision")).toBe(1_000n);
    expect(bondsSchema.parse((await test.get(`/miners/${miner.id}/collateral`, null)).body).data).toMatchObject([
      { domain: "vision", state: "registered", deposit: "3000000000", bond: "3000000000", minimum: "5000000000" },
    ]);
    await ask({ action: "leave", domain: "vision" });
    expect(await test.desk.miners.barred(miner.owner, models)).toEqual(["eye@1"]);
    test.clock.advance(7 * DAY);
    await test.restart();
    await ask({ action: "release", domain: "vision" });
    expect(await test.balance(`collateral:vision:${miner.owner}`)).toBe(0n);
    await sound();
  });

  it("counts deposits at the average price among what it has to lose, and an ask above the tariff bars it", async () => {
    const miner = await test.miner();
    const legs = [
      { account: `dn:miner:${miner.owner}` as never, asset: "DN" as const, amount: UNIT },
      { account: "dn:treasury" as never, asset: "DN" as const, amount: -UNIT },
    ];
    await test.store.commit({ transfers: [{ id: "given", kind: "grant", at: 1, task: null, legs }] });
    await test.must("/market", test.operator, { usdc: String(50n * UNIT), dn: String(1_000n * UNIT) });
    const request = { action: "register", domain: "commons", deposit: String(UNIT), ask: "21" };
    await test.must("/miners/requests", null, miner.signed(request));
    expect(await test.desk.miners.atRisk(miner.owner)).toBe(0n);
    test.clock.advance(28 * DAY);
    expect(await test.desk.miners.atRisk(miner.owner)).toBe(UNIT / 20n);
    expect(await test.desk.miners.barred(miner.owner, ["digits@1" as ModelKey])).toEqual(["digits@1"]);
  });
});

it("test USDC is not given beyond what all balances together can be", async () => {
  const ann = await test.customer("Ann");
  const left = 2n ** 63n - 1n + (await test.balance("issuer"));
  const legs = [
    { account: "issuer" as never, asset: "USDC" as const, amount: 1n - left },
    { account: "processor" as never, asset: "USDC" as const, amount: left - 1n },
  ];
  await test.store.commit({ transfers: [{ id: "much", kind: "grant", at: 1, task: null, legs }] });
  const refused = await test.post(`/customers/${ann.customer}/grants`, test.operator, { usdc: "2" });
  expect(refused).toMatchObject({
    status: 400,
    body: { code: "amount-overflow", field: "usdc", expected: "at most 1" },
  });
  const last = await test.post(`/customers/${ann.customer}/grants`, test.operator, { usdc: "1" });
  expect(last.status).toBe(200);
  expect(await test.store.integrityCheck()).toEqual([]);
});

it("a customer is made once per idempotency key, which does not show its API key again, and audited", async () => {
  const make = (name: string) => test.post("/customers", test.operator, { name }, { "idempotency-key": "made" });
  const made = customerSchema.parse((await make("Ann")).body);
  const again = await make("Ann");
  expect(again).toMatchObject({ status: 409, body: { code: "already-claimed", field: "idempotency-key" } });
  expect(again.body.detail).toContain(made.customer);
  expect((await make("Bob")).body).toMatchObject({ code: "already-claimed", field: "idempotency-key" });
  expect((await test.get("/self", made.key)).body).toMatchObject({ customer: made.customer, name: "Ann" });
  const audit = await test.store.auditLog(made.customer, { limit: 9, after: null });
  expect(audit.data).toMatchObject([{ action: "customer-added", actor: "foundation", detail: { name: "Ann" } }]);
  expect(JSON.stringify(audit.data)).not.toContain(made.key);
  await test.restart();
  expect((await make("Ann")).status).toBe(409);
});

it("a repeated request with its idempotency key moves nothing twice", async () => {
  const ann = await test.customer("Ann");
  const stake = { domain: "commons", amount: "50" };
  const once = { "idempotency-key": "k-1" };
  const first = await test.post("/stakes", ann.key, stake, once);
  await test.restart();
  expect(await test.post("/stakes", ann.key, stake, once)).toEqual(first);
  expect((await test.post("/stakes", ann.key, { ...stake, amount: "51" }, once)).body.code).toBe("already-claimed");
  expect(await test.balance(`stake:commons:customer:${ann.customer}`)).toBe(50n);
});
