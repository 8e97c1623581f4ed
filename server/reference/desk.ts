import type { ModelKey } from "../../shared/ids.ts";
import type { AssignmentMode } from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { concatRows, type Tensor } from "../../shared/tensor.ts";
import { textTensors, tokensIn, tokenTensor } from "../../shared/text-generation.ts";
import type { ModelFiles } from "./messages.ts";
import type { ReferenceNode } from "./node.ts";

/**
 * What the hub asks of the reference node. A text is made or scored in pieces, between which others get their turn: the
 * limit of one run is that of a piece, and no check waits for a whole text.
 */
const RUN_MS = 10_000;
const PIECE = { generate: 32, score: 256 } as const;

export interface Question {
  model: ModelKey;
  mode: AssignmentMode;
  inputs: Tensor[];
}

/** How a text comes along. */
export interface Progress {
  /** Outputs of a `generate` of these tokens alone. */
  piece(outputs: Tensor[]): void;
  /** False where nobody waits for the rest. */
  isWanted(): boolean;
}

export type Answer = Result<{ outputs: Tensor[]; runMs: number }, string>;

export const createReferenceDesk =
  (node: Pick<ReferenceNode, "run" | "text">, filesOf: (model: ModelKey) => ModelFiles | null) =>
  async ({ model, mode, inputs }: Question, progress: Progress): Promise<Answer> => {
    const files = filesOf(model);
    if (!files) return err(`no files of ${model}`);
    if (mode === "generate") return generate(node, files, inputs, progress);
    if (mode === "score") return score(node, files, inputs, progress);
    const run = await node.run(files, inputs, RUN_MS);
    return run.ok ? run : err(`${run.error.code}: ${run.error.message}`);
  };

const named = (inputs: readonly Tensor[], ...names: string[]): Tensor[] =>
  inputs.filter(({ name }) => names.includes(name));

async function generate(
  node: Pick<ReferenceNode, "text">,
  files: ModelFiles,
  inputs: readonly Tensor[],
  progress: Progress,
): Promise<Answer> {
  const question = named(inputs, textTensors.prompt, textTensors.settings);
  const before = [...tokensIn(inputs, textTensors.prefix)];
  let whole: Tensor[] | null = null;
  let runMs = 0;
  for (;;) {
    if (!progress.isWanted()) return err("nobody waits for it any more");
    const prefix = [...before, ...(whole ? tokensIn(whole, textTensors.tokens) : [])];
    const given = prefix.length > 0 ? [...question, tokenTensor(textTensors.prefix, prefix)] : question;
    const run = await node.text("generate", files, given, PIECE.generate, RUN_MS);
    if (!run.ok) return err(`${run.error.code}: ${run.error.message}`);
    const { outputs } = run.value;
    runMs += run.value.runMs;
    const drawn = tokensIn(outputs, textTensors.tokens).length;
    if (drawn > 0) progress.piece(outputs);
    whole = whole ? concatRows(whole, outputs) : outputs;
    if (drawn < PIECE.generate) return ok({ outputs: whole, runMs });
  }
}

async function score(
  node: Pick<ReferenceNode, "text">,
  files: ModelFiles,
  inputs: readonly Tensor[],
  progress: Progress,
): Promise<Answer> {
  const question = named(inputs, textTensors.prompt, textTensors.settings);
  const tokens = tokensIn(inputs, textTensors.tokens);
  const [first = 0] = tokensIn(inputs, textTensors.from);
  let whole: Tensor[] | null = null;
  let runMs = 0;
  for (let from = first; from < tokens.length; from += PIECE.score) {
    if (!progress.isWanted()) return err("nobody waits for it any more");
    const part = tokens.slice(0, from + PIECE.score);
    const given = [...question, tokenTensor(textTensors.tokens, part), tokenTensor(textTensors.from, [from])];
    const run = await node.text("score", files, given, 0, RUN_MS);
    if (!run.ok) return err(`${run.error.code}: ${run.error.message}`);
    whole = whole ? concatRows(whole, run.value.outputs) : run.value.outputs;
    runMs += run.value.runMs;
  }
  return ok({ outputs: whole ?? [], runMs });
}
