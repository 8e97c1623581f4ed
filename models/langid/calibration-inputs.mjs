// Inputs for `npm run calibrate -- langid`, by number: words of the known answers' sentences, in any order and mixture.
import { nextInt, seededRng } from "../../shared/random.ts";
import { tensorOf } from "../../shared/tensor.ts";
import { encodeText, inputBytes } from "./encode.mjs";
import { sentences } from "./golden-inputs.mjs";

const words = sentences.map((sentence) => sentence.split(" "));

/** @returns the tensors of input `seed` */
export function calibrationInputs(seed) {
  const rng = seededRng(seed + 1);
  const any = (list) => list[nextInt(rng, list.length)];
  const language = any(words);
  const text = Array.from({ length: 1 + nextInt(rng, 20) }, () => any(rng.next() < 0.9 ? language : any(words))).join(
    " ",
  );
  return [tensorOf("input_ids", "int64", [1, inputBytes], BigInt64Array.from(encodeText(text)))];
}
