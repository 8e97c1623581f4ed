import { expect, it } from "vitest";
import { newTaskId } from "./task-id.ts";

it("has the form of an id, and never comes twice", () => {
  const ids = Array.from({ length: 1_000 }, () => newTaskId(1_800_000_000_000));
  for (const id of ids) expect(id).toMatch(/^t_[A-Za-z0-9_-]{22}$/);
  expect(new Set(ids).size).toBe(1_000);
});

it("begins with its time", () => {
  const at = 1_800_000_000_000;
  expect(newTaskId(at).slice(0, 10)).toBe(newTaskId(at).slice(0, 10));
  expect(newTaskId(at + 1).slice(0, 10)).not.toBe(newTaskId(at).slice(0, 10));
  const bytes = Buffer.from(newTaskId(at, Buffer.alloc(10, 0xab)).slice(2), "base64url");
  expect(bytes.toString("hex")).toBe(`01a3185c5000${"ab".repeat(10)}`);
});
