import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { domainSchema, keysSchema, newKeyReplySchema } from "../../shared/economy-api.ts";
import { DAY, startTestDesk, type TestDesk } from "../economy-desk/test-desk.ts";

/** What is refused is told in the caller's own words: the field as it was sent, what came, and what would do. */
let test: TestDesk;
let ann: { customer: string; key: string };
beforeAll(async () => {
  test = await startTestDesk();
  ann = await test.customer("Ann");
  await test.must("/creators", test.operator, { name: "Vic", customer: ann.customer });
  await test.publish("eye@1", "Vic");
  await test.must("/domains", test.operator, { domain: "vision", title: "Vision", owner: ann.customer });
});
afterAll(() => test.close());

const refusal = async (method: string, path: string, body: unknown) => {
  const { status, body: problem } = await test.call(method, path, ann.key, body);
  expect(status, JSON.stringify(problem)).toBeGreaterThanOrEqual(400);
  return problem;
};

it.each(["-1", "1e30", "1.5", "+5", "", "0x10", " 5", "٣", "1_000", "9".repeat(41)])(
  "an amount of %j",
  async (amount) => {
    const expected = "a whole number of 1 to 40 decimal digits";
    const refused = await refusal("POST", "/stakes", { domain: "commons", amount });
    expect(refused).toMatchObject({ code: "invalid-request", field: "amount", expected, got: JSON.stringify(amount) });
  },
);

describe("settings of a domain", () => {
  it.each([
    ["pool", 729, "settings.pool"],
    ["owner", 1_001, "settings.owner"],
    ["variable_burn", 1, "settings.variable_burn"],
    ["emission_split", { owner: 1_001 }, "settings.emission_split.owner"],
    ["emission_split", { miners: 9_000 }, "settings.emission_split"],
    ["nano_per_gflop", "9".repeat(40), "settings.nano_per_gflop"],
    ["difficulty_ppm", "9".repeat(20), "settings.difficulty_ppm"],
    ["minimum_collateral", "9".repeat(40), "settings.minimum_collateral"],
    ["severe_percent", 60.5, "settings.severe_percent"],
    ["verification", { newcomer_passes: 19 }, "settings.verification.newcomer_passes"],
  ])("%s of %j", async (name, value, field) => {
    const { settings } = domainSchema.parse((await test.get("/domains/vision")).body);
    const { burn: _b, foundation: _f, ...now } = settings as Record<string, unknown>;
    const given = typeof value === "object" ? { ...(now[name] as object), ...value } : value;
    const refused = await refusal("PUT", "/domains/vision/settings", { from: 2, settings: { ...now, [name]: given } });
    expect(refused.field).toBe(field);
    expect(refused.detail).not.toMatch(/[a-z][A-Z]|revenue\.|tariff\./);
    expect(refused.expected).toBeTruthy();
    expect(refused.got).toBeTruthy();
  });
});

describe("a round", () => {
  const round = (more: object) => ({
    model: "eye@1",
    title: "t",
    target: "100",
    deadline_at: test.clock.now() + DAY,
    backers: 4_000,
    terms: "x",
    milestones: [{ name: "all", share: 10_000 }],
    ...more,
  });

  it("whose deadline has passed", async () => {
    expect(await refusal("POST", "/rounds", round({ deadline_at: 1 }))).toMatchObject({
      code: "time-locked",
      field: "deadline_at",
      got: "1",
    });
  });

  it("that would keep its backers' money for more than a year", async () => {
    const latest = test.clock.now() + 366 * DAY;
    expect(await refusal("POST", "/rounds", round({ deadline_at: latest + 1 }))).toMatchObject({
      code: "value-out-of-range",
      field: "deadline_at",
      expected: `at most ${latest}`,
      got: String(latest + 1),
    });
    await test.must("/rounds", ann.key, round({ deadline_at: latest }));
  });
});

it("a pledge that raises pay too far", async () => {
  const wish = { model: "eye@1", amount: "5", raise_percent: 1_001 };
  expect(await refusal("POST", "/pledges", wish)).toMatchObject({ field: "raise_percent", got: "1001" });
});

describe("API keys", () => {
  const balance = async (key: string) => (await test.get("/self", key)).status;

  it("are added by their customer, shown once, listed without the secret, and revoked at once and for good", async () => {
    const bob = await test.customer("Bob");
    test.clock.advance(1);
    const added = newKeyReplySchema.parse(await test.must("/keys", bob.key, { name: "laptop" }));
    expect(await balance(added.key)).toBe(200);
    const { body } = await test.get("/keys", bob.key);
    const { data } = keysSchema.parse(body);
    expect(data.map(({ name, revoked_at }) => [name, revoked_at])).toEqual([
      ["Bob", null],
      ["laptop", null],
    ]);
    for (const secret of [bob.key, added.key]) expect(JSON.stringify(body)).not.toContain(secret.slice(-40));

    expect((await test.call("DELETE", `/keys/${data[0]?.id}`, added.key)).status).toBe(200);
    expect(await balance(bob.key)).toBe(401);
    expect((await test.post("/stakes", bob.key, { domain: "commons", amount: "1" })).status).toBe(401);
    expect(await balance(added.key)).toBe(200);
    expect((await test.call("DELETE", `/keys/${data[0]?.id}`, added.key)).body.code).toBe("not-found");
    const audit = await test.store.auditLog(bob.customer, { limit: 9, after: null });
    expect(audit.data.map(({ action }) => action)).toEqual(["key-revoked", "key-added", "granted", "customer-added"]);
    expect((await test.store.activeApiKeys()).map(({ id }) => id)).not.toContain(data[0]?.id);
  });

  it("of others cannot be seen or revoked, but by the operator, who can give a new one", async () => {
    const bob = await test.customer("Bob");
    const id = keysSchema.parse((await test.get("/keys", bob.key)).body).data[0]?.id;
    expect(keysSchema.parse((await test.get("/keys", ann.key)).body).data.map((one) => one.id)).not.toContain(id);
    expect((await test.call("DELETE", `/keys/${id}`, ann.key)).body).toMatchObject({ code: "not-found", field: "key" });
    expect((await test.post(`/customers/${bob.customer}/keys`, ann.key, { name: "x" })).status).toBe(403);
    expect(await balance(bob.key)).toBe(200);
    expect((await test.call("DELETE", `/keys/${id}`, test.operator)).status).toBe(200);
    expect(await balance(bob.key)).toBe(401);
    const given = await test.must(`/customers/${bob.customer}/keys`, test.operator, { name: "after the loss" });
    expect(await balance(newKeyReplySchema.parse(given).key)).toBe(200);
    const nobody = await test.post("/customers/c_none/keys", test.operator, { name: "x" });
    expect(nobody.body).toMatchObject({ code: "unknown-account", field: "customer" });
  });
});
