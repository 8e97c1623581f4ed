import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Manifest } from "../../models/manifest.ts";
import { failure, TabgridFailure } from "../../shared/errors.ts";

/**
 * What Transformers' JSON files beside a graph say of a text or embedding model. Unknown fields are ignored; a field of
 * another type than expected is refused by its name.
 */
const tokenIds = z.union([
  z
    .int()
    .nonnegative()
    .transform((id) => [id]),
  z.array(z.int().nonnegative()),
]);
const contextSchema = {
  max_position_embeddings: z.int().positive().nullish(),
  n_positions: z.int().positive().nullish(),
  n_ctx: z.int().positive().nullish(),
  max_sequence_length: z.int().positive().nullish(),
};
const configSchema = z.looseObject({
  ...contextSchema,
  eos_token_id: tokenIds.nullish(),
  /** Models of several kinds of input keep the text's part apart. */
  text_config: z.looseObject({ ...contextSchema, eos_token_id: tokenIds.nullish() }).nullish(),
});
const generationSchema = z.looseObject({ eos_token_id: tokenIds.nullish() });
const tokenizerConfigSchema = z.looseObject({
  model_max_length: z.number().positive().nullish(),
  add_bos_token: z.boolean().nullish(),
});
const sentenceSchema = z.looseObject({ max_seq_length: z.int().positive().nullish() });
const poolingSchema = z.looseObject({
  pooling_mode_cls_token: z.boolean().default(false),
  pooling_mode_mean_tokens: z.boolean().default(false),
  pooling_mode_lasttoken: z.boolean().default(false),
  pooling_mode_max_tokens: z.boolean().default(false),
  pooling_mode_mean_sqrt_len_tokens: z.boolean().default(false),
  pooling_mode_weightedmean_tokens: z.boolean().default(false),
});
const modulesSchema = z.array(z.looseObject({ type: z.string(), path: z.string() }));

export interface ModelConfig {
  /** Tokens; null where no file says. */
  contextLength: number | null;
  eos: number[];
  addBos: boolean;
  /** From sentence-transformers' files; null where there are none. */
  pooling: "mean" | "cls" | "last" | null;
  normalize: boolean | null;
}

/** "No limit" is written as 10³⁰. */
const CONTEXT_MAX = 100_000_000;

/** @throws TabgridFailure where a file cannot be read */
export async function readModelConfig(folder: string, files: Manifest["files"]): Promise<ModelConfig> {
  async function read<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
    if (!files.some((file) => file.path === path)) return null;
    try {
      return schema.parse(JSON.parse(await readFile(join(folder, path), "utf8")));
    } catch (error) {
      const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
      refuse(path, `cannot be read: ${reason}`);
    }
  }
  const config = await read("config.json", configSchema);
  const generation = await read("generation_config.json", generationSchema);
  const tokenizer = await read("tokenizer_config.json", tokenizerConfigSchema);
  const sentence = await read("sentence_bert_config.json", sentenceSchema);
  const modules = await read("modules.json", modulesSchema);
  const pooling = await read("1_Pooling/config.json", poolingSchema);

  const lengths = [config, config?.text_config].flatMap((part) => [
    part?.max_position_embeddings,
    part?.n_positions,
    part?.n_ctx,
    part?.max_sequence_length,
  ]);
  lengths.push(tokenizer?.model_max_length, sentence?.max_seq_length);
  const stated = lengths.filter((length): length is number => typeof length === "number" && length < CONTEXT_MAX);
  return {
    contextLength: stated.length > 0 ? Math.floor(Math.min(...stated)) : null,
    eos: generation?.eos_token_id ?? config?.eos_token_id ?? config?.text_config?.eos_token_id ?? [],
    addBos: tokenizer?.add_bos_token ?? false,
    pooling: pooling && poolingOf(pooling),
    normalize: modules && normalizes(modules),
  };
}

function poolingOf(modes: z.infer<typeof poolingSchema>): "mean" | "cls" | "last" {
  const chosen = Object.entries(modes).filter(([name, on]) => name.startsWith("pooling_mode_") && on === true);
  const [mode] = chosen.map(([name]) => name);
  if (chosen.length === 1 && mode === "pooling_mode_mean_tokens") return "mean";
  if (chosen.length === 1 && mode === "pooling_mode_cls_token") return "cls";
  if (chosen.length === 1 && mode === "pooling_mode_lasttoken") return "last";
  const got = chosen.map(([name]) => name).join(", ") || "none";
  return refuse("1_Pooling/config.json", `expected one of mean, cls and last token, got ${got}`);
}

function normalizes(modules: z.infer<typeof modulesSchema>): boolean {
  const kinds = modules.map(({ type }) => type.split(".").at(-1) ?? type);
  const unknown = kinds.find((kind) => !["Transformer", "Pooling", "Normalize"].includes(kind));
  if (unknown) refuse("modules.json", `${unknown} is not served; only Transformer, Pooling and Normalize are`);
  return kinds.includes("Normalize");
}

function refuse(path: string, message: string): never {
  throw new TabgridFailure(failure("invalid-model", `${path}: ${message}`, { field: "files" }));
}
