import { expect, test } from "vitest";
import { type Column, nextOrder, sortRows } from "./sorting.ts";

interface Row {
  name: string;
  earned: string;
}
const columns: Column<Row>[] = [
  { id: "name", label: "Name", value: (row) => row.name },
  { id: "earned", label: "Earned", value: (row) => BigInt(row.earned) },
  { id: "note", label: "Note" },
];
const rows: Row[] = [
  { name: "b", earned: "900719925474099301" },
  { name: "a", earned: "900719925474099300" },
  { name: "c", earned: "-1" },
];
const names = (sorted: Row[]) => sorted.map((row) => row.name).join("");

test("rows sort both ways, exactly, without touching the original", () => {
  expect(names(sortRows(rows, columns, { column: "name", descending: false }))).toBe("abc");
  expect(names(sortRows(rows, columns, { column: "earned", descending: true }))).toBe("bac");
  expect(names(sortRows(rows, columns, { column: "note", descending: true }))).toBe("bac");
  expect(names(rows)).toBe("bac");
});

test("pressing a heading sorts by it, pressing again turns it round", () => {
  const first = nextOrder({ column: "name", descending: false }, "earned");
  expect(first).toEqual({ column: "earned", descending: true });
  expect(nextOrder(first, "earned")).toEqual({ column: "earned", descending: false });
});
