import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { mutants } from "./mutants.ts";

it.each(mutants.map(({ rule, ...mutant }) => [rule, mutant] as const))("has one place to break: %s", (_, mutant) => {
  const source = readFileSync(join(import.meta.dirname, "..", mutant.file), "utf8");
  expect(source.split(mutant.from)).toHaveLength(2);
  expect(mutant.to).not.toBe(mutant.from);
});
