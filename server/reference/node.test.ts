import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countWork } from "../../models/work.ts";
import { MIB } from "../../shared/limits.ts";
import { seededRng } from "../../shared/random.ts";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import type { ModelFiles } from "./messages.ts";
import { createReferenceNode, type ReferenceNode } from "./node.ts";

const digits: ModelFiles = {
  key: "digits@test",
  graphPath: fileURLToPath(new URL("../../models/digits/model.onnx", import.meta.url)),
};
function images(rows: number): Tensor[] {
  const rng = seededRng(rows);
  const pixels = Float32Array.from({ length: rows * 28 * 28 }, () => rng.next());
  return [tensorOf("image", "float32", [rows, 1, 28, 28], pixels)];
}
/** More rows than any machine computes in the time that these tests give. */
const manyRows = images(20_000);
const PATIENT_MS = 60_000;

let node: ReferenceNode;
let folder: string;
beforeAll(() => {
  node = createReferenceNode();
  folder = mkdtempSync(join(tmpdir(), "tabgrid-"));
});
afterAll(async () => {
  await node.close();
  rmSync(folder, { recursive: true });
});

describe("the reference node", () => {
  test("gives the same bits again, also in another process", async () => {
    const first = await node.run(digits, images(3), PATIENT_MS);
    const again = await node.run(digits, images(3), PATIENT_MS);
    const other = createReferenceNode();
    const elsewhere = await other.run(digits, images(3), PATIENT_MS);
    await other.close();
    if (!first.ok || !again.ok || !elsewhere.ok) throw new Error(JSON.stringify([first, again, elsewhere]));
    expect(first.value.outputs).toMatchObject([{ name: "logits", dtype: "float32", shape: [3, 10] }]);
    expect(again.value.outputs).toEqual(first.value.outputs);
    expect(elsewhere.value.outputs).toEqual(first.value.outputs);
  });

  test("ends a run that takes too long, and computes the next", async () => {
    const slow = node.run(digits, manyRows, 50);
    const next = node.run(digits, images(1), PATIENT_MS);
    expect(node.queueLength).toBe(2);
    expect(await slow).toMatchObject({
      ok: false,
      error: { code: "timeout", message: "the run took longer than 50 ms" },
    });
    expect(await next).toMatchObject({ ok: true });
    expect(node.queueLength).toBe(0);
    expect(node.memoryBytes).toBeGreaterThan(0);
  });

  test("ends a process that outgrows its memory, and says so", async () => {
    const small = createReferenceNode({ memoryLimitBytes: 64 * MIB });
    expect(await small.run(digits, manyRows, PATIENT_MS)).toMatchObject({
      ok: false,
      error: { code: "crashed", message: expect.stringMatching(/memory: \d+ MiB of at most 64 MiB/) },
    });
    await small.close();
    expect(await small.run(digits, images(1), PATIENT_MS)).toMatchObject({
      error: { message: "the reference node is closed" },
    });
  });

  test("says what is wrong with a model or its inputs", async () => {
    const graphPath = join(folder, "broken.onnx");
    writeFileSync(graphPath, "no graph at all");
    expect(await node.run({ key: "broken", graphPath }, [], PATIENT_MS)).toMatchObject({
      error: { code: "failed", message: expect.stringContaining("protobuf parsing failed") },
    });
    const inputs = [tensorOf("image", "float32", [1, 1, 27, 28], new Float32Array(27 * 28))];
    expect(await node.run(digits, inputs, PATIENT_MS)).toMatchObject({
      error: { code: "failed", message: expect.stringContaining("invalid dimensions") },
    });
    expect(await node.run(digits, images(1), PATIENT_MS)).toMatchObject({ ok: true });
  });

  test("traces every kernel with its shapes, and measures memory", async () => {
    const works = [];
    for (const rows of [1, 2, 3]) {
      const kernels = await node.trace(digits, images(rows), PATIENT_MS);
      if (!kernels.ok) throw new Error(kernels.error.message);
      works.push(countWork(kernels.value, new Map()));
    }
    const [one, two, three] = works as [bigint, bigint, bigint];
    expect(two - one).toBe(three - two);
    expect(one).toBeGreaterThan(1_000_000n);
    const footprint = await node.footprint(digits, images(512), PATIENT_MS);
    expect(footprint).toMatchObject({ ok: true });
    if (footprint.ok) expect(footprint.value).toBeGreaterThan(512 * 16 * 28 * 28 * 4);
  });
});
