import type { InputSpec, Manifest } from "../../models/manifest.ts";
import { type Polynomial, polynomial, polynomialThrough } from "../../models/work-formula.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { repeated } from "./inputs.ts";

/** Traced work of these inputs, in FLOP. */
export type CountWork = (inputs: Tensor[]) => Promise<bigint>;

/** Affine in the rows where nothing else is free and one, two and three rows bear it out. */
export async function workFormula(
  specs: readonly InputSpec[],
  dimension: string | null,
  row: Tensor[],
  one: bigint,
  work: CountWork,
): Promise<Manifest["work"]> {
  const free = new Set(specs.flatMap(({ shape }) => shape.filter((size) => typeof size === "string")));
  if (free.size === 0) return { kind: "affine", base: Number(one), perRow: 0 };
  if (dimension === null) return { kind: "by-shape" };
  if (free.size > 1) return (await byLength(specs, dimension, row, work)) ?? { kind: "by-shape" };
  const [two, three] = [await work(repeated(row, 2)), await work(repeated(row, 3))];
  const perRow = two - one;
  if (three - two !== perRow || one < perRow) return { kind: "by-shape" };
  return { kind: "affine", base: Number(one - perRow), perRow: Number(perRow) };
}

/** Three lengths in a row settle the polynomials; a fourth, with more rows, must bear them out. */
const FROM = 5;
const PROOF = { tokens: 13, rows: 3 };

/** For graphs whose inputs are all `[rows, tokens]`; null where another formula holds. */
async function byLength(
  specs: readonly InputSpec[],
  rows: string,
  example: Tensor[],
  work: CountWork,
): Promise<Manifest["work"] | null> {
  const tokens = specs[0]?.shape[1];
  if (typeof tokens !== "string") return null;
  if (!specs.every(({ shape }) => shape.length === 2 && shape[0] === rows && shape[1] === tokens)) return null;
  const sized = (count: number, length: number) =>
    repeated(
      example.map((tensor) => lengthened(tensor, length)),
      count,
    );
  const three = async (count: number): Promise<[bigint, bigint, bigint]> => [
    await work(sized(count, FROM)),
    await work(sized(count, FROM + 1)),
    await work(sized(count, FROM + 2)),
  ];
  const [one, two] = [await three(1), await three(2)];
  const perRow = polynomialThrough(FROM, [two[0] - one[0], two[1] - one[1], two[2] - one[2]]);
  const ofOne = polynomialThrough(FROM, one);
  if (!perRow || !ofOne) return null;
  const fixed = ofOne.map((coefficient, power) => coefficient - (perRow[power] as number)) as Polynomial;
  const foretold = polynomial(fixed, PROOF.tokens) + BigInt(PROOF.rows) * polynomial(perRow, PROOF.tokens);
  if (foretold !== (await work(sized(PROOF.rows, PROOF.tokens)))) return null;
  return { kind: "by-length", dimension: tokens, fixed, perRow };
}

/** One row `[1, tokens]` of another length: its elements over and over. */
function lengthened(tensor: Tensor, length: number): Tensor {
  const width = tensor.data.byteLength / (tensor.shape[1] as number);
  const data = new Uint8Array(length * width);
  for (let at = 0; at < data.length; at++) data[at] = tensor.data[at % tensor.data.byteLength] as number;
  return { ...tensor, shape: [1, length], data };
}
