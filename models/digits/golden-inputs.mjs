// Inputs of the known answers of digits: eight drawn digits.
import { seededRng } from "../../shared/random.ts";
import { tensorOf } from "../../shared/tensor.ts";
import { drawDigit, side } from "./draw.ts";

/** @returns one list of tensors per vector */
export function goldenInputs() {
  const rng = seededRng(1998);
  return [0, 1, 2, 3, 4, 6, 8, 9].map((digit) => [
    tensorOf(
      "image",
      "float32",
      [1, 1, side, side],
      drawDigit(digit, () => rng.next()),
    ),
  ]);
}
