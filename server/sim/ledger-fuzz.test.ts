import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openSqlite } from "../store/sqlite.ts";
import { fuzz, killTimes } from "./ledger-fuzz.ts";

/** A slice of the fuzz that server/sim/ledger-fuzz.ts runs by the million. */
const options = { seed: 5, operations: 1_200, batch: 30, engine: openSqlite, checks: 2 };

it("keeps its invariants, aborted at every commit, and comes to what an undisturbed life comes to", {
  timeout: 300_000,
}, async () => {
  const aborted = await fuzz(options);
  expect(aborted.faults).toEqual([]);
  expect(aborted.aborts).toBeGreaterThan(aborted.steps / 2);
  const quiet = await fuzz({ ...options, abort: false });
  expect(quiet).toMatchObject({ operations: aborted.operations, faults: [], aborts: 0 });
  expect(quiet.hash).toBe(aborted.hash);
  expect((await fuzz({ ...options, seed: 6, operations: 100, checks: 1 })).hash).not.toBe(aborted.hash);
});

it("keeps its invariants when its process is killed", { timeout: 300_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "tabgrid-kill-test-"));
  try {
    await fuzz({ ...options, operations: 100, folder, checks: 1 });
    expect(await killTimes(3, folder, 100)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
