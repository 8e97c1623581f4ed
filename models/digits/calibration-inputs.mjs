// Inputs for `npm run calibrate -- digits`: drawn digits, by number.
import { seededRng } from "../../shared/random.ts";
import { tensorOf } from "../../shared/tensor.ts";
import { drawDigit, side } from "./draw.ts";

/** @returns the tensors of input `seed` */
export function calibrationInputs(seed) {
  const rng = seededRng(seed + 1);
  return [
    tensorOf(
      "image",
      "float32",
      [1, 1, side, side],
      drawDigit(seed % 10, () => rng.next()),
    ),
  ];
}
