import { expect, it } from "vitest";
import type { Engine } from "../store/engine.ts";
import { openSqlite } from "../store/sqlite.ts";
import { fuzz } from "./ledger-fuzz.ts";
import { killTimes } from "./ledger-kills.ts";

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
  expect(quiet.played).toEqual(aborted.played);
  expect((await fuzz({ ...options, seed: 6, operations: 100, checks: 1 })).hash).not.toBe(aborted.hash);
});

it("does every kind of step, is refused many, and brings about all that it counts", { timeout: 300_000 }, async () => {
  const short = { ...options, seed: 4, operations: 4_500, batch: 6, evenly: true, abort: false, checks: 1 };
  const { faults, played, happened } = await fuzz(short);
  expect(faults).toEqual([]);
  const kinds = Object.entries(played);
  expect(kinds.length).toBeGreaterThan(40);
  expect(kinds.flatMap(([name, { done }]) => (done === 0 ? [name] : []))).toEqual([]);
  const codes = new Set(kinds.flatMap(([, { not }]) => Object.keys(not)));
  for (const code of ["already-claimed", "forbidden", "insufficient-balance", "time-locked", "wrong-state"])
    expect(codes).toContain(code);
  // Of the twelve things that a vote can set, a life as short as this sets most.
  const never = Object.entries(happened).flatMap(([what, count]) => (count === 0 ? [what] : []));
  const [unset, others] = [
    never.filter((one) => one.startsWith("votes ")),
    never.filter((one) => !one.startsWith("votes ")),
  ];
  expect(others).toEqual([]);
  expect(unset.length).toBeLessThan(4);
});

/** Loses the n-th row of a table that `isLost` names. */
const forgetful =
  (n: number, isLost: (table: string, row: Record<string, unknown>) => boolean) =>
  (folder: string): Engine => {
    const engine = openSqlite(folder);
    let seen = 0;
    const keeps = (table: string) => (row: object) => !isLost(table, row as Record<string, unknown>) || ++seen !== n;
    return {
      ...engine,
      insertRows: (trx, table, rows, onConflict) =>
        engine.insertRows(trx, table, rows.filter(keeps(table)), onConflict),
    };
  };

it.each([
  ["a leg of a transfer", "belongs|balance|sum", forgetful(900, (table) => table === "legs")],
  ["a line of held pay", "held", forgetful(200, (table) => table === "held_pay")],
  ["a receipt", "receipt", forgetful(300, (table) => table === "receipts")],
  [
    "what a round raised",
    "escrow|posted already",
    forgetful(2, (table, row) => table === "party_records" && row.kind === "round" && !/"moves":0/.test(`${row.body}`)),
  ],
] as const)("finds a commit that forgets %s", { timeout: 300_000 }, async (_, said, engine) => {
  const { faults } = await fuzz({ ...options, operations: 2_500, batch: 4, abort: false, engine, checks: 1 });
  expect(faults.join("\n")).toMatch(new RegExp(said));
});

it("keeps its invariants when its process is killed", { timeout: 300_000 }, async () => {
  const { faults, kills } = await killTimes(3, 100);
  expect(faults).toEqual([]);
  expect(kills).toBe(3);
});
