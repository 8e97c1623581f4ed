import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Manifest } from "../../models/manifest.ts";
import { type OnnxGraph, readOnnx } from "../../models/onnx.ts";
import { failure, type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { downloadFile } from "./download.ts";
import { chooseFiles, listFiles, statedLicence } from "./listing.ts";
import { readSource, type Source } from "./source.ts";

/** A model as it was fetched, ready to be registered; `discard` removes it. */
export interface Fetched {
  folder: string;
  files: Manifest["files"];
  graph: OnnxGraph;
  /** What the files look like. */
  task: Manifest["task"];
  /** As wished, else as the repository states it. */
  licence: string;
  discard(): Promise<void>;
}

export interface ImportProgress {
  /** In the repository. */
  file: string;
  /** Of all files together. */
  received: number;
  bytes: number;
}

export interface Wish {
  source: string;
  dtype: Manifest["dtype"] | null;
  /** null: what the repository states. */
  licence: string | null;
}

export interface Importer {
  /** Lists, chooses, downloads and checks. What was fetched before is not fetched again. */
  fetch(
    wish: Wish,
    onProgress: (progress: ImportProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<Fetched, TabgridError>>;
}

export function createImporter(options: { dataDir: string; endpoint: string; pauseMs?: number }): Importer {
  const underWay = new Set<string>();
  return {
    async fetch({ source: text, dtype, licence }, onProgress, signal) {
      const source = readSource(text);
      if (!source.ok) return source;
      const name = createHash("sha256")
        .update(JSON.stringify([options.endpoint, source.value, dtype]))
        .digest("hex");
      const folder = join(options.dataDir, "imports", name.slice(0, 24));
      if (underWay.has(folder)) {
        return err(failure("wrong-state", `${text} is being imported already`, { field: "source", got: text }));
      }
      underWay.add(folder);
      try {
        return ok(await fetchAll(source.value, { dtype, licence }, folder, options, onProgress, signal));
      } catch (error) {
        if (error instanceof TabgridFailure) return err(error.error);
        const reason = error instanceof Error ? error.message : String(error);
        const message = `${text} could not be fetched from ${options.endpoint}: ${reason}`;
        return err(failure(signal.aborted ? "cancelled" : "execution-failed", message, { field: "source" }));
      } finally {
        underWay.delete(folder);
      }
    },
  };
}

async function fetchAll(
  source: Source,
  wish: Omit<Wish, "source">,
  folder: string,
  { endpoint, pauseMs }: { endpoint: string; pauseMs?: number },
  onProgress: (progress: ImportProgress) => void,
  signal: AbortSignal,
): Promise<Fetched> {
  const chosen = chooseFiles(await listFiles(endpoint, source, signal), wish.dtype);
  if (!chosen.ok) throw new TabgridFailure(chosen.error);
  const licence = wish.licence ?? (await statedLicence(endpoint, source, signal));
  if (licence === null) {
    const expected = "one that the repository states, or one given";
    throw new TabgridFailure(
      failure("invalid-request", `licence: expected ${expected}, got none`, { field: "licence", expected }),
    );
  }
  const bytes = chosen.value.reduce((sum, file) => sum + file.bytes, 0);
  const files: Manifest["files"] = [];
  let done = 0;
  for (const file of chosen.value) {
    const report = (received: number) => onProgress({ file: file.from, received: done + received, bytes });
    report(0);
    const download = { endpoint, source, folder, signal, onBytes: report, ...(pauseMs !== undefined && { pauseMs }) };
    const sha256 = await downloadFile(file, download);
    done += file.bytes;
    files.push({ path: file.path, role: file.role, sha256, bytes: file.bytes });
  }
  onProgress({ file: chosen.value.at(-1)?.from ?? "", received: done, bytes });
  const graphFile = files.find(({ role }) => role === "graph") as Manifest["files"][number];
  const graph = readOnnx(await readFile(join(folder, graphFile.path)));
  if (!graph.ok) throw new TabgridFailure(graph.error);
  return {
    folder,
    files,
    graph: graph.value,
    task: taskOf(graph.value, files),
    licence,
    discard: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A cache makes it a language model, hidden states an embedding model; without a tokenizer it is served as tensors. */
function taskOf({ inputs, outputs }: OnnxGraph, files: Manifest["files"]): Manifest["task"] {
  const has = (path: string) => files.some((file) => file.path === path);
  const gives = (...names: string[]) => outputs.some(({ name }) => names.includes(name));
  if (!has("tokenizer.json") || !inputs.some(({ name }) => name === "input_ids")) return "tensor";
  if (inputs.some(({ name }) => name.startsWith("past"))) return "text-generation";
  return gives("last_hidden_state", "token_embeddings", "sentence_embedding") ? "embedding" : "tensor";
}
