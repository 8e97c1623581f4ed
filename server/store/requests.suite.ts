import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CustomerId } from "../../shared/ids.ts";
import type { BatchRecord } from "./batch-store.ts";
import type { FileRecord } from "./file-store.ts";
import { openStore } from "./open.ts";
import type { Place } from "./store.suite.ts";
import type { Store } from "./store.ts";

/** Files, batches and kept replies: the same on each database. */
export function describeRequests(makePlace: () => Promise<Place>): void {
  let place: Place;
  let store: Store;
  const ann = "c_ann" as CustomerId;
  const bob = "c_bob" as CustomerId;

  beforeEach(async () => {
    place = await makePlace();
    store = await openStore(place.config("one"));
    await store.migrate();
    for (const customer of [ann, bob]) await store.addCustomer({ customer, name: customer, createdAt: 1 });
  });
  afterEach(async () => {
    await store.close().catch(() => {});
    await place.remove();
  });

  it("files are listed by age, counted and removed, each customer's by itself", async () => {
    const file = (id: string, createdAt: number, customer = ann): FileRecord => {
      return { id, customer, filename: "ü.jsonl", purpose: "batch", bytes: 5, createdAt };
    };
    const [old, middle, young] = [
      file("file-z", 1),
      file("file-b", 2),
      { ...file("file-a", 2), purpose: "batch_output" as const },
    ];
    for (const one of [old, middle, young, file("file-x", 3, bob)]) await store.files.add(one);
    const page = { limit: 2, after: null, purpose: null, order: "desc" } as const;
    expect(await store.files.list(ann, page)).toEqual({ data: [middle, young], hasMore: true });
    expect(await store.files.list(ann, { ...page, after: "file-a" })).toEqual({ data: [old], hasMore: false });
    expect((await store.files.list(ann, { ...page, order: "asc" })).data).toEqual([old, young]);
    expect((await store.files.list(ann, { ...page, purpose: "batch_output" })).data).toEqual([young]);
    await store.files.add({ ...old, bytes: 7 });
    expect(await store.files.bytesOf(ann)).toBe(17);
    expect(await store.files.get("file-z", ann)).toEqual({ ...old, bytes: 7 });
    expect(await store.files.get("file-z", bob)).toBeNull();
    expect(await store.files.remove("file-z", bob)).toBe(false);
    expect(await store.files.remove("file-z", ann)).toBe(true);
    expect((await store.files.ids()).sort()).toEqual(["file-a", "file-b", "file-x"]);
  });

  it("batches keep their lines until their files are written", async () => {
    const batch = (id: string, createdAt: number, customer = ann): BatchRecord => ({
      id,
      customer,
      endpoint: "/v1/completions",
      inputFile: "file-a",
      state: "in_progress",
      createdAt,
      expiresAt: 99,
      enteredAt: { in_progress: 3 },
      counts: { total: 3, completed: 0, failed: 0 },
      outputFile: null,
      errorFile: null,
      errors: [],
      metadata: { a: "ü" },
    });
    const [first, second] = [batch("batch_b", 1), batch("batch_a", 2)];
    for (const one of [first, second, batch("batch_c", 3, bob)]) await store.batches.put(one);
    const counted = { ...first, counts: { total: 3, completed: 2, failed: 1 } };
    for (const [line, isError] of [
      [3, false],
      [1, false],
      [2, true],
    ] as const) {
      await store.batches.addLine(counted, { line, isError, reply: `{"line":${line}}` });
    }
    const again = store.batches.addLine(counted, { line: 1, isError: false, reply: "" });
    await expect(again).rejects.toMatchObject({ code: "conflict" });
    expect(await store.batches.get("batch_b", ann)).toEqual(counted);
    expect(await store.batches.get("batch_b", bob)).toBeNull();
    expect(await store.batches.answered("batch_b")).toEqual(
      new Map([
        [1, false],
        [2, true],
        [3, false],
      ]),
    );
    const good = await store.batches.lines("batch_b", false, 0, 1);
    expect(good).toEqual([{ line: 1, isError: false, reply: '{"line":1}' }]);
    expect((await store.batches.lines("batch_b", false, 1, 9)).map(({ line }) => line)).toEqual([3]);
    await store.batches.removeLines("batch_b");
    expect(await store.batches.answered("batch_b")).toEqual(new Map());

    expect((await store.batches.open()).map(({ id }) => id)).toEqual(["batch_b", "batch_a", "batch_c"]);
    await store.batches.put({ ...second, state: "completed" });
    expect((await store.batches.open()).map(({ id }) => id)).toEqual(["batch_b", "batch_c"]);
    const page = await store.batches.list(ann, { limit: 1, after: null });
    expect([page.data.map(({ id }) => id), page.hasMore]).toEqual([["batch_a"], true]);
    expect((await store.batches.list(ann, { limit: 1, after: "batch_a" })).data.map(({ id }) => id)).toEqual([
      "batch_b",
    ]);
  });

  describe("a reply's key", () => {
    const request = (key: string, at: number, fingerprint = "f", customer = ann) => ({
      customer,
      key,
      fingerprint,
      at,
    });
    const reply = { status: 200, headers: { "content-type": "a" }, body: "ü" };

    it("is claimed once, then gives the reply to the same request alone", async () => {
      const { claim, answer } = store.idempotency;
      expect(await claim(request("k", 1), 0)).toEqual({ kind: "claimed" });
      expect(await claim(request("k", 2), 0)).toEqual({ kind: "in-flight" });
      expect(await claim(request("k", 2, "g"), 0)).toEqual({ kind: "mismatch" });
      expect(await claim(request("k", 2, "f", bob), 0)).toEqual({ kind: "claimed" });
      await answer(request("k", 1), reply);
      expect(await claim(request("k", 3), 0)).toEqual({ kind: "answered", reply });
      expect(await claim(request("k", 3), 2)).toEqual({ kind: "claimed" });
    });

    it("is free again when its request failed, or its hub ended", async () => {
      const { claim, answer, release, releaseOwn } = store.idempotency;
      await claim(request("a", 1), 0);
      await release(request("a", 1));
      expect(await claim(request("a", 2), 0)).toEqual({ kind: "claimed" });
      await claim(request("b", 2), 0);
      await answer(request("b", 2), reply);
      await releaseOwn();
      expect(await claim(request("a", 3), 0)).toEqual({ kind: "claimed" });
      expect(await claim(request("b", 3), 0)).toEqual({ kind: "answered", reply });
    });
  });
}
