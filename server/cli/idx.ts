import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { err, ok, type Result } from "../../shared/result.ts";

/** One image as the `digits` model takes it: 784 brightnesses from 0 to 1, and the digit it shows, where that is known. */
export interface DigitImage {
  pixels: Float32Array;
  label: number | null;
}

const side = 28;
const gzipMagic = 0x1f8b;
const imagesMagic = 0x803;
const labelsMagic = 0x801;

/**
 * Reads a file of images in MNIST's IDX format, gzipped or not (http://yann.lecun.com/exdb/mnist). Labels are taken from
 * the file beside it that MNIST would name so: `images-idx3` becomes `labels-idx1`.
 */
export function readDigitImages(path: string): Result<DigitImage[], string> {
  const images = readIdx(path, imagesMagic);
  if (!images.ok) return images;
  const [count = 0, rows, columns] = images.value.sizes;
  if (rows !== side || columns !== side)
    return err(`${path} holds images of ${rows} × ${columns} pixels, not 28 × 28.`);
  const labelsPath = path.replace("images-idx3", "labels-idx1");
  const hasLabels = labelsPath !== path && existsSync(labelsPath);
  const labels = hasLabels ? readIdx(labelsPath, labelsMagic) : ok({ sizes: [], data: new Uint8Array() });
  if (!labels.ok) return labels;
  if (hasLabels && labels.value.sizes[0] !== count) {
    return err(`${labelsPath} holds ${labels.value.sizes[0]} labels for ${count} images.`);
  }
  const { data } = images.value;
  return ok(
    Array.from({ length: count }, (_, index) => ({
      pixels: Float32Array.from(data.subarray(index * side * side, (index + 1) * side * side), (byte) => byte / 255),
      label: labels.value.data[index] ?? null,
    })),
  );
}

/** IDX: a magic number whose last byte is the rank, big-endian sizes, then the bytes row by row. */
function readIdx(path: string, magic: number): Result<{ sizes: number[]; data: Uint8Array }, string> {
  const rank = magic & 0xff;
  const headerBytes = 4 + 4 * rank;
  try {
    const file = readFileSync(path);
    const bytes = file.length > 2 && file.readUInt16BE(0) === gzipMagic ? gunzipSync(file) : file;
    if (bytes.length < headerBytes || bytes.readUInt32BE(0) !== magic)
      return err(`${path} is not an IDX file of rank ${rank}.`);
    const sizes = Array.from({ length: rank }, (_, axis) => bytes.readUInt32BE(4 + 4 * axis));
    const data = bytes.subarray(headerBytes);
    const expected = sizes.reduce((product, size) => product * size, 1);
    return data.length === expected
      ? ok({ sizes, data })
      : err(`${path} holds ${data.length} bytes of data, not ${expected}.`);
  } catch (error) {
    return err(`${path} cannot be read: ${error instanceof Error ? error.message : error}.`);
  }
}
