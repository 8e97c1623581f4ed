import { join } from "node:path";
import type { Manifest } from "../../models/manifest.ts";
import type { ModelFiles } from "../reference/messages.ts";
import type { RegisteredModel } from "./files.ts";

/** The files of a model as the reference node loads them; the key changes with any of their bytes. */
export function modelFilesOf(folder: string, files: Manifest["files"], embedding?: Manifest["embedding"]): ModelFiles {
  const graph = files.find(({ role }) => role === "graph");
  if (!graph) throw new Error(`no graph among the files of ${folder}`);
  const weights = files.filter(({ role }) => role === "weights");
  return {
    key: [graph, ...weights].map(({ sha256 }) => sha256).join("+"),
    graphPath: join(folder, graph.path),
    ...(embedding && { embedding }),
    externalData: weights.map(({ path }) => ({ path, file: join(folder, path) })),
  };
}

/** What the reference node must know to make texts; nothing of a model that makes none. */
export function textFactsOf({ folder, manifest }: RegisteredModel): Pick<ModelFiles, "text"> {
  const { text, inputs, files } = manifest;
  if (!text) return {};
  const tokenizer = files.find(({ role, path }) => role === "tokenizer" && path.endsWith("tokenizer.json"));
  const caches = inputs.filter(({ name }) => name.startsWith("past_key_values."));
  return {
    text: {
      contextLength: text.contextLength,
      vocabulary: text.vocabulary,
      tokenizerPath: tokenizer ? join(folder, tokenizer.path) : null,
      inputs: inputs.filter((input) => !caches.includes(input)).map(({ name }) => name),
      caches: caches.map(({ name, dtype, shape }) => ({
        name,
        dtype: dtype === "float16" ? "float16" : "float32",
        heads: Number(shape[1]),
        width: Number(shape[3]),
      })),
    },
  };
}
