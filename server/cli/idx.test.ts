import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { readDigitImages } from "./idx.ts";

const folder = mkdtempSync(join(tmpdir(), "tabgrid-idx-"));
afterAll(() => rmSync(folder, { recursive: true }));

function idx(name: string, magic: number, sizes: number[], data: number[], gzip = false): string {
  const header = Buffer.alloc(4 + 4 * sizes.length);
  header.writeUInt32BE(magic, 0);
  sizes.forEach((size, axis) => {
    header.writeUInt32BE(size, 4 + 4 * axis);
  });
  const bytes = Buffer.concat([header, Buffer.from(data)]);
  writeFileSync(join(folder, name), gzip ? gzipSync(bytes) : bytes);
  return join(folder, name);
}

const twoImages = [...Array(784).fill(0), ...Array(784).fill(255)];

describe("IDX files", () => {
  it.each([true, false])("give images with their labels (gzipped: %s)", (gzip) => {
    const path = idx("a-images-idx3-ubyte", 0x803, [2, 28, 28], twoImages, gzip);
    idx("a-labels-idx1-ubyte", 0x801, [2], [7, 3], gzip);
    const read = readDigitImages(path);
    expect(read.ok && read.value.map(({ label }) => label)).toEqual([7, 3]);
    expect(read.ok && read.value.map(({ pixels }) => [pixels.length, pixels[0], pixels[783]])).toEqual([
      [784, 0, 0],
      [784, 1, 1],
    ]);
  });

  it("give images alone where there are no labels", () => {
    const read = readDigitImages(idx("plain", 0x803, [2, 28, 28], twoImages));
    expect(read.ok && read.value.map(({ label }) => label)).toEqual([null, null]);
  });

  it.each([
    ["a missing file", () => join(folder, "none"), "ENOENT"],
    ["another format", () => idx("text", 0x12345678, [1, 1, 1], [0]), "is not an IDX file"],
    ["labels in place of images", () => idx("labels", 0x801, [2], [7, 3]), "is not an IDX file of rank 3"],
    ["too few bytes", () => idx("short", 0x803, [2, 28, 28], [1, 2, 3]), "holds 3 bytes of data, not 1568"],
    ["another size", () => idx("wide", 0x803, [1, 2, 2], [1, 2, 3, 4]), "2 × 2 pixels, not 28 × 28"],
    [
      "labels of other images",
      () => {
        idx("b-labels-idx1-ubyte", 0x801, [1], [7]);
        return idx("b-images-idx3-ubyte", 0x803, [2, 28, 28], twoImages);
      },
      "1 labels for 2 images",
    ],
  ])("that are %s are refused in a sentence", (_, path, expected) => {
    const read = readDigitImages(path());
    expect(read.ok ? "" : read.error).toContain(expected);
  });

  const mnist = "../shared/data/sets/mnist/t10k-images-idx3-ubyte.gz";
  it.skipIf(!existsSync(mnist))("of MNIST itself are read (skipped where the data sets are absent)", () => {
    const read = readDigitImages(mnist);
    expect(read.ok && [read.value.length, read.value[0]?.label]).toEqual([10_000, 7]);
  });
});
