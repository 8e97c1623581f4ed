import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { accountSchema, accountsSchema, entriesSchema, imbalanceSchema } from "../../shared/api.ts";
import { bearer, keys, startApi, type TestApi } from "./scripted-gateway.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const get = async (path: string, key = keys.ann) => {
  const response = await api.fetch(`/api/v1/ledger/${path}`, { headers: bearer(key) });
  return { status: response.status, body: await response.json() };
};
const accountsOf = async (query: string, key?: string) => {
  const { data, has_more } = accountsSchema.parse((await get(`accounts${query}`, key)).body);
  return { names: data.map(({ account }) => account), has_more };
};

describe("accounts", () => {
  it("are a customer's own", async () => {
    expect((await accountsOf("")).names).toEqual(["customer:c_ann", "customer:c_ann:held", "dn:customer:c_ann"]);
    expect((await accountsOf("", keys.bob)).names).toEqual(["customer:c_bob"]);
    expect(await accountsOf("?limit=1")).toEqual({ names: ["customer:c_ann"], has_more: true });
    expect(await accountsOf("?after=customer:c_ann")).toEqual({
      names: ["customer:c_ann:held", "dn:customer:c_ann"],
      has_more: false,
    });
  });

  it("are all the operator's to see, in pages", async () => {
    expect(await accountsOf("?limit=3", keys.operator)).toMatchObject({ has_more: true });
    expect(await accountsOf("?limit=3&after=dn:customer:c_ann", keys.operator)).toEqual({
      names: ["processor"],
      has_more: false,
    });
  });

  it("have exact balances, beyond what a double holds", async () => {
    expect(accountSchema.parse((await get("accounts/customer:c_ann")).body).balance).toBe("100000000000000000000");
  });

  it("of a customer are its DN, too", async () => {
    expect(await get("accounts/dn:customer:c_ann")).toMatchObject({ status: 200, body: { asset: "DN", balance: "7" } });
    expect((await get("accounts/dn:customer:c_ann", keys.bob)).status).toBe(404);
  });

  it("of others do not exist", async () => {
    for (const account of ["customer:c_bob", "processor", "nothing"]) {
      expect(await get(`accounts/${account}`)).toMatchObject({ status: 404, body: { code: "unknown-account" } });
    }
    expect((await get("accounts/processor", keys.operator)).status).toBe(200);
  });
});

describe("entries", () => {
  const filterOf = async (query: string, key?: string) =>
    entriesSchema.parse((await get(`entries${query}`, key)).body).data[0]?.kind;

  it("are those of the own account, or of a task", async () => {
    expect(await filterOf("")).toBe("of customer:c_ann all");
    expect(await filterOf("?account=customer:c_ann:held")).toBe("of customer:c_ann:held all");
    expect(await filterOf("?task=t_ann")).toBe("of all t_ann");
    expect(await filterOf("", keys.operator)).toBe("of all all");
  });

  it("of others do not exist", async () => {
    expect((await get("entries?account=customer:c_bob")).body.code).toBe("unknown-account");
    expect((await get("entries?task=t_ann", keys.bob)).body.code).toBe("unknown-task");
  });

  it("sum to nothing", async () => {
    expect(imbalanceSchema.parse((await get("imbalance")).body)).toEqual({ USDC: "0", DN: "0" });
  });
});
