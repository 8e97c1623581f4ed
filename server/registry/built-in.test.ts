import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modelKey } from "../../shared/ids.ts";
import { KIB } from "../../shared/limits.ts";
import { type Tensor, toNumbers } from "../../shared/tensor.ts";
import { createReferenceNode, type ReferenceNode } from "../reference/node.ts";
import type { RegisteredModel } from "./files.ts";
import { modelFilesOf } from "./model-files.ts";
import { createRegistry } from "./registry.ts";

const builtInDir = fileURLToPath(new URL("../../models", import.meta.url));
let reference: ReferenceNode;
const models = new Map<string, RegisteredModel>();

beforeAll(async () => {
  reference = createReferenceNode();
  const registry = createRegistry({ dataDir: join(builtInDir, "none"), builtInDir, reference });
  for (const model of await registry.load()) models.set(model.manifest.id, model);
  expect(registry.get(modelKey("digits", "1"))).toBe(models.get("digits"));
}, 30_000);
afterAll(() => reference.close());

const model = (id: string) => models.get(id) as RegisteredModel;
const winners = ({ golden }: RegisteredModel): number[] =>
  golden.map(({ outputs }) => {
    const scores = toNumbers(outputs[0] as Tensor);
    return scores.indexOf(Math.max(...scores));
  });

test("the built-in models are there", () => {
  expect([...models.keys()]).toEqual(["digits", "langid", "sentences", "shakespeare"]);
});

describe.each(["digits", "langid", "sentences", "shakespeare"])("%s", (id) => {
  test("has eight known answers, which the reference node gives bit by bit", { timeout: 60_000 }, async () => {
    const { golden, folder, manifest } = model(id);
    expect(golden).toHaveLength(8);
    for (const { inputs, outputs } of golden) {
      const run = await reference.run(modelFilesOf(folder, manifest.files, manifest.embedding), inputs, 30_000);
      expect(run.ok && run.value.outputs).toEqual(outputs);
    }
  });

  test("serves batches of independent rows, and has known answers that are quick to send", () => {
    const { manifest, folder } = model(id);
    expect(manifest.batch).toEqual({ limit: 64, dimension: "batch_size", rowsIndependent: true });
    expect(statSync(join(folder, "golden.json")).size).toBeLessThan(600 * KIB);
  });
});

test("digits: the known answers are the digits that were drawn", () => {
  expect(winners(model("digits"))).toEqual([0, 1, 2, 3, 4, 6, 8, 9]);
});

test("langid: the known answers are the languages of the sentences", () => {
  const labels = JSON.parse(readFileSync(join(model("langid").folder, "labels.json"), "utf8")) as string[];
  expect(winners(model("langid")).map((at) => labels[at])).toEqual(["en", "de", "fr", "tr", "ru", "ar", "ja", "it"]);
});

test("shakespeare: half of the known answers go on from a past", () => {
  const pasts = model("shakespeare").golden.map(
    ({ inputs }) => inputs.find(({ name }) => name === "past_key_values.0.key")?.shape[2],
  );
  expect(pasts).toEqual([0, 0, 0, 0, 6, 6, 6, 6]);
});
