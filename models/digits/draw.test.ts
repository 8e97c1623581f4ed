import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web/wasm";
import { describe, expect, it } from "vitest";
import { seededRng } from "../../shared/random.ts";
import { drawDigit, side } from "./draw.ts";

const pixels = side * side;
const drawing = (digit: number, seed: number) => {
  const rng = seededRng(seed);
  return drawDigit(digit, () => rng.next());
};

describe("drawDigit", () => {
  it("draws the same image from the same random numbers, and another from others", () => {
    expect(drawing(3, 1)).toEqual(drawing(3, 1));
    expect(drawing(3, 1)).not.toEqual(drawing(3, 2));
  });

  it("stays within 0 and 1, uses the whole range, and keeps the border of the image black", () => {
    for (let digit = 0; digit < 10; digit++) {
      const image = drawing(digit, digit);
      expect(image).toHaveLength(pixels);
      expect(Math.min(...image)).toBe(0);
      expect(Math.max(...image)).toBeGreaterThan(0.9);
      expect(Math.max(...image)).toBeLessThanOrEqual(1);
      image.forEach((light, at) => {
        const [row, column] = [Math.floor(at / side), at % side];
        if (row === 0 || column === 0 || row === side - 1 || column === side - 1) expect(light).toBe(0);
      });
    }
  });

  it("refuses what is no digit", () => {
    for (const digit of [-1, 10, 1.5, Number.NaN]) expect(() => drawing(digit, 1)).toThrow(RangeError);
  });

  it("is read by the model: at least 97 % of 1,000 drawings", async () => {
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(await readFile(new URL("model.onnx", import.meta.url)));
    const count = 1000;
    const images = new Float32Array(count * pixels);
    const rng = seededRng(2026);
    for (let row = 0; row < count; row++)
      images.set(
        drawDigit(row % 10, () => rng.next()),
        row * pixels,
      );
    const { logits } = await session.run({ image: new ort.Tensor("float32", images, [count, 1, side, side]) });
    const scores = (await logits?.getData()) as Float32Array;
    let right = 0;
    for (let row = 0; row < count; row++) {
      const own = scores.subarray(row * 10, row * 10 + 10);
      if (own.indexOf(Math.max(...own)) === row % 10) right++;
    }
    await session.release();
    expect(right).toBeGreaterThanOrEqual(970);
  }, 20_000);
});
