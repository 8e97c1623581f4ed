import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { cacheBytes } from "../../models/decoder.ts";
import type { Comparator, Manifest } from "../../models/manifest.ts";
import type { OnnxGraph } from "../../models/onnx.ts";
import { countWork } from "../../models/work.ts";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { ModelFiles } from "../reference/messages.ts";
import type { ReferenceNode } from "../reference/node.ts";
import { loadModelText, tokenizerOf } from "../text/load-model-text.ts";
import { defaultComparator } from "./defaults.ts";
import {
  dimensionsOf,
  embeddingComparator,
  embeddingExamples,
  embeddingSection,
  pooledGraph,
  poolingOf,
} from "./embedding-task.ts";
import { type Examination, RUN_MS, valued, type Wishes } from "./examine.ts";
import { readModelConfig } from "./model-config.ts";
import { decoderOf, textComparator, textExamples, textRanges, textSection, vocabularyOf } from "./text-task.ts";

/** What a task changes in how a model is examined, and what it adds to its manifest. */
export interface TaskPlan {
  files: ModelFiles;
  graph: OnnxGraph;
  wishes: Wishes;
  comparator(dtype: Manifest["dtype"]): Comparator;
  /** What goes over the examination's findings. */
  sections(examined: Examination): Promise<Partial<Pick<Manifest, "text" | "embedding" | "memoryBytes">>>;
}

interface Candidate {
  folder: string;
  files: Manifest["files"];
  location: ModelFiles;
  graph: OnnxGraph;
  wishes: Wishes;
}

/** @throws TabgridFailure where the model is not what its task says */
export async function planTask(
  task: Manifest["task"],
  reference: ReferenceNode,
  candidate: Candidate,
): Promise<TaskPlan> {
  if (task === "text-generation") return planText(reference, candidate);
  if (task === "embedding") return planEmbedding(reference, candidate);
  const { location, graph, wishes } = candidate;
  return { files: location, graph, wishes, comparator: defaultComparator, sections: async () => ({}) };
}

async function planText(reference: ReferenceNode, candidate: Candidate): Promise<TaskPlan> {
  const { folder, files, location, graph, wishes } = candidate;
  const decoder = decoderOf(graph);
  const config = await readModelConfig(folder, files);
  const { tokenizer, ids } = await tokenizerFor(folder, files);
  const run = async (inputs: Tensor[]) => valued(await reference.run(location, inputs, RUN_MS), graph).outputs;
  const work = async (inputs: Tensor[]) =>
    countWork(valued(await reference.trace(location, inputs, RUN_MS), graph), graph.equations);
  const examples = wishes.examples?.length ? wishes.examples : await textExamples(decoder, tokenizer, run);
  const vocabulary = vocabularyOf(decoder, await run(examples[0] as Tensor[]));
  // Some tokenizers put it before a text themselves.
  const [first] = tokenizer.encode("a", { special: false, addSpecial: true });
  const bos = ids.bos !== null && (config.addBos || first === ids.bos) ? ids.bos : null;
  const eos = [...new Set([...config.eos, ...(ids.eos === null ? [] : [ids.eos])])];
  return {
    files: location,
    graph,
    wishes: { ...wishes, examples, ranges: wishes.ranges ?? textRanges(decoder, vocabulary, config.contextLength) },
    comparator: (dtype) => textComparator(defaultComparator(dtype), dtype, decoder.logits),
    async sections({ memoryBytes }) {
      const text = await textSection(decoder, { ...config, eos }, { vocabulary, bos }, work, memoryBytes);
      return { text, memoryBytes: memoryBytes + 2 * cacheBytes(decoder, text.contextLength) };
    },
  };
}

async function planEmbedding(reference: ReferenceNode, candidate: Candidate): Promise<TaskPlan> {
  const { folder, files, location, graph, wishes } = candidate;
  const config = await readModelConfig(folder, files);
  const how = poolingOf(graph, config);
  const { tokenizer, ids } = await tokenizerFor(folder, files);
  const examples = wishes.examples?.length ? wishes.examples : embeddingExamples(graph, tokenizer, ids.pad ?? 0);
  const raw = valued(await reference.run(location, examples[0] as Tensor[], RUN_MS), graph).outputs;
  const pooling = { ...how, dimensions: dimensionsOf(how.output, raw) };
  return {
    files: { ...location, embedding: pooling },
    graph: pooledGraph(graph, pooling.dimensions),
    wishes: { ...wishes, examples },
    comparator: embeddingComparator,
    sections: async () => ({ embedding: embeddingSection(pooling, config) }),
  };
}

/** The tokenizer, and the special tokens that tokenizer_config.json names. */
async function tokenizerFor(folder: string, files: Manifest["files"]) {
  const read = async (name: string): Promise<string | null> => {
    const file = files.find(({ path }) => basename(path) === name);
    return file ? readFile(join(folder, file.path), "utf8") : null;
  };
  try {
    return await tokenizerOf(read);
  } catch (error) {
    throw new TabgridFailure(
      failure("invalid-model", `tokenizer: ${error instanceof Error ? error.message : error}`, { field: "files" }),
    );
  }
}

/** Tries what a caller will do: a plain text, and a conversation through the model's template. */
export async function tryText(folder: string, manifest: Manifest): Promise<void> {
  if (!manifest.text && !manifest.embedding) return;
  const loaded = await loadModelText({ manifest, folder });
  if (!loaded.ok) throw new TabgridFailure(loaded.error);
  const ids = loaded.value.encode("Hello there");
  if (ids.length === 0) {
    throw new TabgridFailure(failure("invalid-model", "tokenizer.json: a text gives no tokens", { field: "files" }));
  }
  if (!manifest.text) return;
  const chat = loaded.value.encodeChat([{ role: "user", content: "Hello there" }], []);
  if (!chat.ok) throw new TabgridFailure(chat.error);
}
