import { z } from "zod";
import { type Tensor, tensorOf, viewOf } from "./tensor.ts";

/**
 * What a text model is asked to do, the same for miner, checker and reference node.
 *
 *   generate  inputs `prompt` int32[n], `settings` uint8[…], and where another miner began, `prefix` int32[k] (its accepted
 *             tokens); outputs `tokens` int32[m] and `log_probabilities` float32[m], the tokens after the prefix. With
 *             `topLogProbabilities` = t also `top_tokens` int32[m, t] and `top_log_probabilities` float32[m, t]
 *   score     inputs `prompt`, `settings`, `tokens` int32[k + m] (all of the output) and `from` int32[1]: one prefill over
 *             prompt and output; outputs `log_probabilities` float32[k + m − from] and `margins` float32[k + m − from] of the
 *             tokens from there on (shared/sampling.ts, DrawCheck), and the top ones as above where asked for
 */
export const textTensors = {
  prompt: "prompt",
  settings: "settings",
  prefix: "prefix",
  tokens: "tokens",
  from: "from",
  logProbabilities: "log_probabilities",
  margins: "margins",
  topTokens: "top_tokens",
  topLogProbabilities: "top_log_probabilities",
} as const;

export const generationSettingsSchema = z.strictObject({
  /** 64 bits as 16 hex digits, from the hub: HMAC(hub key, account ‖ model version ‖ request seed ‖ n). */
  seed: z.string().regex(/^[0-9a-f]{16}$/, "16 lower-case hex digits"),
  /** Of the whole output, a prefix included. */
  maxTokens: z.int().min(1),
  /** Tokens that end the text; the one that did is the output's last. */
  stopTokens: z.array(z.int().nonnegative()).max(64),
  temperature: z.number().min(0).max(2),
  topK: z.int().nonnegative(),
  topP: z.number().gt(0).max(1),
  bias: z.array(z.tuple([z.int().nonnegative(), z.number().min(-100).max(100)])).max(1024),
  presencePenalty: z.number().min(-2).max(2),
  frequencyPenalty: z.number().min(-2).max(2),
  topLogProbabilities: z.int().min(0).max(20),
  /** What the text must be: any JSON value, or one that a JSON schema allows. */
  grammar: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("json") }),
      z.strictObject({ kind: z.literal("json-schema"), schema: z.record(z.string(), z.unknown()) }),
    ])
    .nullable(),
});
export type GenerationSettings = z.infer<typeof generationSettingsSchema>;
export type TextGrammar = NonNullable<GenerationSettings["grammar"]>;

const encoder = new TextEncoder();

/** Object keys in the schema's order, so that equal settings have equal bytes. */
export function settingsTensor(settings: GenerationSettings): Tensor {
  const text = encoder.encode(JSON.stringify(generationSettingsSchema.parse(settings)));
  return tensorOf(textTensors.settings, "uint8", [text.length], text);
}

/** @throws ZodError or SyntaxError: a checker's and a miner's input is the hub's own */
export function readSettings(tensor: Tensor): GenerationSettings {
  return generationSettingsSchema.parse(JSON.parse(new TextDecoder().decode(tensor.data)));
}

export const tokenTensor = (name: string, tokens: Int32Array<ArrayBuffer> | readonly number[]): Tensor => {
  const data = tokens instanceof Int32Array ? tokens : Int32Array.from(tokens);
  return tensorOf(name, "int32", [data.length], data);
};

/** A tensor's tokens, or none where it is missing. */
export function tokensIn(tensors: readonly Tensor[], name: string): Int32Array {
  const tensor = tensors.find((one) => one.name === name);
  return tensor ? (viewOf(tensor) as Int32Array) : new Int32Array(0);
}

/** Why a generation ended: a stop token, the most tokens asked for, or the caller had enough. */
export type FinishReason = "stop" | "length" | "cancelled";
