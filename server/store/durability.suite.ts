import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { grant, voidHold } from "../economy/holds.ts";
import { openStore } from "./open.ts";
import type { Place } from "./store.suite.ts";
import type { Store, StoreConfig } from "./store.ts";
import { Traffic } from "./traffic.ts";

/** What must hold of the database whatever is done to it or to the process: the same on each. */
export function describeDurability(makePlace: () => Promise<Place>): void {
  let place: Place;
  let store: Store;

  const open = async () => {
    const opened = await openStore(place.config("one"));
    await opened.migrate();
    return opened;
  };
  const settleTwo = async () => {
    const traffic = new Traffic("durability");
    await traffic.addCustomers(store);
    await store.commit({ transfers: traffic.customers.map((customer) => grant(customer, 1_000_000n, "first", 1)) });
    const requests = traffic.requests(2);
    await store.hold(requests);
    await store.commit(traffic.settlement(requests));
    await sound();
  };
  const sound = async () => {
    expect(await store.integrityCheck()).toEqual([]);
    expect(await store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  };

  beforeEach(async () => {
    place = await makePlace();
    store = await open();
  });
  afterEach(async () => {
    await store.close().catch(() => {});
    await place.remove();
  });

  describe("the database", () => {
    it("refuses to change or remove an entry", async () => {
      await settleTwo();
      await store.close();
      for (const table of ["transfers", "legs", "receipts", "receipt_batches"]) {
        await expect(place.execute(`delete from ${table}`)).rejects.toThrow(/never changed or removed/);
      }
      await expect(place.execute("update legs set amount = amount + 1")).rejects.toThrow(/never changed or removed/);
      await expect(place.execute("update transfers set at = 1")).rejects.toThrow(/never changed or removed/);
      store = await open();
      await sound();
    });

    it.each([
      [
        "a changed amount",
        "legs",
        "update legs set amount = amount * 2 where seq = 4",
        [/is not what was written/, /sum to/],
      ],
      [
        "an entry moved to another account",
        "legs",
        "update legs set account = 'domain:commons' where account = 'foundation' and seq = 7",
        [/is not what was written/, /says nothing/],
      ],
      [
        "a changed time",
        "transfers",
        "update transfers set at = at + 1 where seq = 5",
        [/hub one .* its hash differs/],
      ],
      ["a missing transfer", "transfers", "delete from transfers where seq = 5", [/Transfer 5 of hub one is missing/]],
      [
        "a missing end",
        "transfers",
        "delete from transfers where seq = (select max(seq) from transfers)",
        [/belongs to no transfer/],
      ],
      [
        "a changed balance",
        null,
        "update accounts set balance = balance + 1 where account = 'foundation'",
        [/sum to 1 /, /foundation says/],
      ],
      [
        "a hold that was not ended",
        null,
        "update holds set state = 'pending'",
        [/its transfers say otherwise/, /open holds sum to/],
      ],
      [
        "a changed receipt",
        "receipts",
        "update receipts set leaf = '{}' where position = 0",
        [/not those that were signed/],
      ],
    ] as const)("finds %s", async (_, table, statement, faults) => {
      await settleTwo();
      await store.close();
      if (table) await place.execute(place.unprotect(table));
      await place.execute(statement);
      store = await open();
      const found = (await store.integrityCheck()).join("\n");
      for (const fault of faults) expect(found).toMatch(fault);
    });

    it("has one hub of a name at a time", async () => {
      await expect(openStore(place.config("one"))).rejects.toMatchObject({ code: "locked" });
      await store.close();
      store = await open();
    });

    it("is not touched by an older version", async () => {
      await store.close();
      await place.execute("insert into kysely_migration values ('9999-later', '2040-01-01T00:00:00.000Z')");
      store = await openStore(place.config("one"));
      await expect(store.migrate()).rejects.toMatchObject({
        code: "newer-schema",
        message: expect.stringContaining("9999-later"),
      });
    });

    it("is migrated once", async () => {
      await store.migrate();
      await store.migrate();
      await sound();
    });
  });

  it("loses nothing that was acknowledged and keeps no half batch when it is killed", {
    timeout: 120_000,
  }, async () => {
    const size = 20;
    let acknowledged = 0;
    await store.close();
    for (let run = 0; run < 6; run++) {
      acknowledged += await writeAndKill(place.config("one"), `crash ${run}`, size, 3 + run * 2, run * 3);
      store = await openWhenFree(open);
      const { receipts, tasks } = await store.counts();
      expect(receipts).toBeGreaterThanOrEqual(acknowledged);
      expect(receipts % size).toBe(0);
      expect(tasks).toBe(receipts);
      expect((await store.openHolds()).length % size).toBe(0);
      await sound();
      await store.commit({ transfers: (await store.openHolds()).map((hold) => voidHold(hold, 9)) });
      await sound();
      acknowledged = receipts;
      await store.close();
    }
    expect(acknowledged).toBeGreaterThan(0);
  });
}

const crashWriter = fileURLToPath(new URL("./crash-writer.ts", import.meta.url));

/** Lets a child write, kills it `delayMs` after its `after`th word, returns what it had acknowledged. */
async function writeAndKill(
  config: StoreConfig,
  run: string,
  size: number,
  after: number,
  delayMs: number,
): Promise<number> {
  const child = spawn(process.execPath, [crashWriter, JSON.stringify(config), run, String(size)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "exit");
  let acknowledged = 0;
  let words = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged = Number(line);
    if (++words === after) setTimeout(() => child.kill("SIGKILL"), delayMs);
  }
  const [, signal] = await gone;
  expect(signal).toBe("SIGKILL");
  return acknowledged;
}

/** PostgreSQL notices the death of a client a moment later. */
async function openWhenFree(open: () => Promise<Store>): Promise<Store> {
  for (let tries = 0; ; tries++) {
    try {
      return await open();
    } catch (error) {
      if ((error as { code?: string }).code !== "locked" || tries > 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
