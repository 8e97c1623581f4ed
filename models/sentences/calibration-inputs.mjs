// Inputs for `npm run calibrate -- sentences`, by number: a few to forty tokens, some of the row padding.
import { nextInt, seededRng } from "../../shared/random.ts";
import { tensorOf } from "../../shared/tensor.ts";

const VOCABULARY = 8192;
const [BEGIN, PAD, FIRST] = [0, 1, 2];

/** @returns the tensors of input `seed` */
export function calibrationInputs(seed) {
  const rng = seededRng(seed + 1);
  const length = 4 + 4 * nextInt(rng, 10);
  const filled = length - nextInt(rng, Math.min(4, length - 1));
  // Low numbers are common pieces: the square favours them, as text does.
  const token = () => FIRST + Math.floor(rng.next() ** 2 * (VOCABULARY - FIRST));
  const ids = Array.from({ length }, (_, at) => (at === 0 ? BEGIN : at < filled ? token() : PAD));
  const mask = ids.map((_, at) => (at < filled ? 1 : 0));
  return [
    tensorOf("input_ids", "int64", [1, length], BigInt64Array.from(ids, BigInt)),
    tensorOf("attention_mask", "int64", [1, length], BigInt64Array.from(mask, BigInt)),
  ];
}
