import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { grant } from "../economy/holds.ts";
import { describeCases } from "./cases.suite.ts";
import { describeDurability } from "./durability.suite.ts";
import { openStore } from "./open.ts";
import { describeParties } from "./parties.suite.ts";
import { describeRequests } from "./requests.suite.ts";
import { describeSettlement } from "./settlement.suite.ts";
import { describeStore, type Place } from "./store.suite.ts";
import type { StoreConfig } from "./store.ts";
import { Traffic } from "./traffic.ts";

const makeFolder = () => mkdtempSync(join(tmpdir(), "tabgrid-store-"));

describe("the store on SQLite", () => {
  const makePlace = async (): Promise<Place> => {
    const folder = makeFolder();
    return {
      config: (hub) => ({ kind: "sqlite", folder, hub }),
      async execute(statement) {
        const database = new DatabaseSync(join(folder, "tabgrid.db"));
        try {
          database.exec(statement);
        } finally {
          database.close();
        }
      },
      unprotect: (table) => `drop trigger ${table}_no_update; drop trigger ${table}_no_delete`,
      remove: async () => rmSync(folder, { recursive: true }),
    };
  };
  // A block each: what one opens before its tests is no concern of the others.
  describe("books", () => describeStore(makePlace));
  describe("durability", () => describeDurability(makePlace));
  describe("cases", () => describeCases(makePlace));
  describe("requests", () => describeRequests(makePlace));
  describe("pay", () => describeSettlement(makePlace));
  describe("parties", () => describeParties(makePlace, ["one"]));
});

describe("a data folder that will not do", () => {
  let folder: string;
  let file: string;
  let config: StoreConfig;
  beforeEach(() => {
    folder = makeFolder();
    file = join(folder, "tabgrid.db");
    config = { kind: "sqlite", folder, hub: "one" };
  });
  afterEach(() => {
    chmodSync(folder, 0o700);
    rmSync(folder, { recursive: true });
  });

  const fill = async () => {
    const store = await openStore(config);
    await store.migrate();
    const traffic = new Traffic("fill");
    await traffic.addCustomers(store);
    await store.commit({ transfers: traffic.customers.map((customer) => grant(customer, 10n ** 9n, "", 1)) });
    for (let i = 0; i < 10; i++) {
      const requests = traffic.requests(50);
      await store.hold(requests);
      await store.commit(traffic.settlement(requests));
    }
    await store.close();
  };

  it("cannot lie under a file", async () => {
    writeFileSync(file, "");
    const under = { ...config, folder: join(file, "data") };
    await expect(openStore(under)).rejects.toMatchObject({
      code: "unwritable",
      message: expect.stringContaining(file),
    });
  });

  it.skipIf(process.getuid?.() === 0)("must be writable (not shown as root, who may write anywhere)", async () => {
    chmodSync(folder, 0o500);
    await expect(openStore(config)).rejects.toMatchObject({ code: "unwritable" });
  });

  it("may not hold something else under the database's name", async () => {
    writeFileSync(file, Buffer.alloc(50_000, "no database "));
    await expect(openStore(config)).rejects.toMatchObject({ code: "damaged", message: expect.stringContaining(file) });
    expect(readFileSync(file).toString().startsWith("no database")).toBe(true);
  });

  it("may not hold a truncated database", async () => {
    await fill();
    truncateSync(file, 60_000);
    await expect(openStore(config).then((store) => store.migrate())).rejects.toMatchObject({ code: "damaged" });
  });

  it("shows pages that were overwritten", async () => {
    await fill();
    const bytes = readFileSync(file);
    const from = Math.floor(bytes.length / 2 / 4096) * 4096;
    bytes.fill(0x5a, from, from + 8 * 4096);
    writeFileSync(file, bytes);
    const store = await openStore(config);
    await store.migrate();
    expect(await store.integrityCheck()).not.toEqual([]);
    await store.close();
  });

  it("is made where it is missing, for its owner alone", async () => {
    const inside = { ...config, folder: join(folder, "a", "b") };
    const store = await openStore(inside);
    await store.migrate();
    await store.close();
    expect(existsSync(join(folder, "a", "b", "tabgrid.db"))).toBe(true);
  });
});
