import { basename, dirname } from "node:path/posix";
import { z } from "zod";
import type { Manifest } from "../../models/manifest.ts";
import { failure, type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import { limits, MIB } from "../../shared/limits.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { guardedGet } from "./guarded-get.ts";
import { cardUrl, listingUrl, type Source } from "./source.ts";

/** What a repository holds, which of its files make a model of the wanted precision, and under which licence it is. */
const entrySchema = z.looseObject({
  type: z.string(),
  path: z.string().min(1).max(512),
  size: z.int().nonnegative(),
  /** Of a file in git: SHA-1 of its blob. */
  oid: z.string().optional(),
  /** Of a large one: SHA-256 of its bytes. */
  lfs: z.looseObject({ oid: z.string(), size: z.int().nonnegative() }).nullish(),
});
type Entry = z.infer<typeof entrySchema>;

export interface RemoteFile {
  /** In the repository. */
  from: string;
  /** In the model's folder. */
  path: string;
  role: Manifest["files"][number]["role"];
  bytes: number;
  hash: { kind: "sha256" | "git"; hex: string };
}

const PAGE_BYTES = 8 * MIB;
const PAGES_MAX = 20;
/** A tokenizer or a configuration. */
const SMALL_BYTES = 64 * MIB;
const LICENCE_CHARS = 200;

/** @throws TabgridFailure where the hub does not list it; Error where the network fails */
export async function listFiles(endpoint: string, source: Source, signal: AbortSignal): Promise<Entry[]> {
  const entries: Entry[] = [];
  let next: string | null = listingUrl(endpoint, source);
  for (let page = 0; next !== null; page++) {
    if (page >= PAGES_MAX) throw refused("invalid-model", `it has more than ${entries.length} files`, source);
    const { status, headers, text } = await getText(next, endpoint, source, signal);
    if (status !== 200) throw statusFailure(status, source);
    entries.push(...readEntries(text, source));
    const link = /<([^>]+)>;\s*rel="next"/.exec(String(headers.link ?? ""))?.[1];
    next = link === undefined ? null : new URL(link, next).href;
  }
  return entries;
}

/** What the head of its card says, which the hub reads out. */
const cardSchema = z.looseObject({
  cardData: z.looseObject({ license: z.union([z.string(), z.array(z.string())]).nullish() }).nullish(),
});

/** As the repository states it; null where it states none that is known by a name, or the hub tells no cards. */
export async function statedLicence(endpoint: string, source: Source, signal: AbortSignal): Promise<string | null> {
  const { status, text } = await getText(cardUrl(endpoint, source), endpoint, source, signal);
  const card = status === 200 ? cardSchema.safeParse(jsonOf(text)).data : undefined;
  const named = [card?.cardData?.license ?? []].flat().filter((name) => name !== "other" && name !== "unknown");
  return named.join(", ").slice(0, LICENCE_CHARS) || null;
}

async function getText(url: string, endpoint: string, source: Source, signal: AbortSignal) {
  const { status, headers, body } = await guardedGet(url, endpoint, { accept: "application/json" }, signal);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > PAGE_BYTES)
      throw refused("invalid-model", `what the hub says of it has more than ${PAGE_BYTES} bytes`, source);
    chunks.push(chunk);
  }
  return { status, headers, text: Buffer.concat(chunks).toString() };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function readEntries(text: string, source: Source): Entry[] {
  try {
    return z.array(entrySchema).parse(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : "it is no JSON";
    throw refused("execution-failed", `the hub's list of files cannot be read: ${reason}`, source);
  }
}

/** What a hub's status says of a repository or a file. */
export function statusFailure(status: number, { repository, revision }: Source, path?: string): TabgridFailure {
  const what = path === undefined ? `${repository}@${revision}` : `${path} of ${repository}@${revision}`;
  const detail = { field: "source", got: `status ${status}` };
  if (status === 401 || status === 403) {
    const message = `${what} is gated or private, or there is no such repository: only public ones are imported`;
    return new TabgridFailure(failure("forbidden", message, detail));
  }
  if (status === 404) return new TabgridFailure(failure("not-found", `the hub has no ${what}`, detail));
  return new TabgridFailure(failure("execution-failed", `the hub answered ${status} for ${what}`, detail));
}

const refused = (code: TabgridError["code"], message: string, { repository, revision }: Source): TabgridFailure =>
  new TabgridFailure(failure(code, `${repository}@${revision}: ${message}`, { field: "source" }));

/** As transformers.js lays repositories out; older ones have the graph at their root. */
const graphNames: Record<Manifest["dtype"], readonly string[]> = {
  fp32: ["onnx/model.onnx", "model.onnx"],
  fp16: ["onnx/model_fp16.onnx", "model_fp16.onnx"],
  int8: ["onnx/model_quantized.onnx", "onnx/model_int8.onnx", "model_quantized.onnx"],
  q4: ["onnx/model_q4.onnx", "model_q4.onnx"],
};
const besides: Record<string, RemoteFile["role"]> = {
  "tokenizer.json": "tokenizer",
  "tokenizer_config.json": "tokenizer",
  "chat_template.jinja": "tokenizer",
  "chat_template.json": "tokenizer",
  "config.json": "config",
  "generation_config.json": "config",
  "modules.json": "config",
  "sentence_bert_config.json": "config",
  "1_Pooling/config.json": "config",
};

export function chooseFiles(
  entries: readonly Entry[],
  dtype: Manifest["dtype"] | null,
): Result<RemoteFile[], TabgridError> {
  const files = new Map(entries.filter(({ type }) => type === "file").map((entry) => [entry.path, entry]));
  const graphOf = (kind: Manifest["dtype"]) => graphNames[kind].find((path) => files.has(path));
  const kinds = (Object.keys(graphNames) as Manifest["dtype"][]).filter((kind) => graphOf(kind) !== undefined);
  const chosen = dtype ?? kinds[0];
  const graph = chosen && graphOf(chosen);
  if (!chosen || !graph) {
    const expected = kinds.length > 0 ? `one of ${kinds.join(", ")}` : Object.values(graphNames).flat().join(", ");
    const others = [...files.keys()].filter((path) => path.endsWith(".onnx")).slice(0, 8);
    const got = kinds.length > 0 ? `${dtype}` : others.join(", ") || "no ONNX file";
    const message =
      kinds.length > 0
        ? `dtype: the repository has ${expected}, not ${dtype}`
        : `source: expected a repository with one of ${expected}, got ${got}`;
    return err(failure("invalid-model", message, { field: kinds.length > 0 ? "dtype" : "source", expected, got }));
  }
  const stem = `${graph}_data`;
  const weights = [...files.keys()].filter(
    (path) =>
      dirname(path) === dirname(graph) && (path === `${graph}.data` || path === stem || path.startsWith(`${stem}_`)),
  );
  const wanted: [string, string, RemoteFile["role"]][] = [
    [graph, basename(graph), "graph"],
    ...weights.map((path): [string, string, RemoteFile["role"]] => [path, basename(path), "weights"]),
    ...Object.entries(besides).map(([path, role]): [string, string, RemoteFile["role"]] => [path, path, role]),
  ];
  const remote: RemoteFile[] = [];
  for (const [from, path, role] of wanted) {
    const entry = files.get(from);
    if (!entry) continue;
    const hash = hashOf(entry);
    if (!hash) {
      return err(failure("invalid-model", `${from}: the hub states no hash of it`, { field: "source", got: from }));
    }
    remote.push({ from, path, role, bytes: entry.lfs?.size ?? entry.size, hash });
  }
  return checkSizes(remote);
}

function hashOf({ oid, lfs }: Entry): RemoteFile["hash"] | null {
  const large = lfs?.oid.replace(/^sha256:/, "");
  if (large !== undefined) return /^[0-9a-f]{64}$/.test(large) ? { kind: "sha256", hex: large } : null;
  return oid !== undefined && /^[0-9a-f]{40}$/.test(oid) ? { kind: "git", hex: oid } : null;
}

/** While a model loads, its files lie in a tab's memory beside what is made of them: twice its bytes at least. */
function checkSizes(files: RemoteFile[]): Result<RemoteFile[], TabgridError> {
  const isModel = ({ role }: RemoteFile) => role === "graph" || role === "weights";
  const bytes = files.filter(isModel).reduce((sum, file) => sum + file.bytes, 0);
  const [largest] = files.toSorted((a, b) => b.bytes - a.bytes);
  const tooLarge = (expected: string, got: string) =>
    err(failure("model-too-large", `source: expected ${expected}, got ${got}`, { field: "source", expected, got }));
  if (2 * bytes > limits.tabMemoryBytes) {
    const most = limits.tabMemoryBytes / 2;
    return tooLarge(
      `at most ${most} bytes of graph and weights, half of a tab's ${limits.tabMemoryBytes}`,
      `${bytes} bytes`,
    );
  }
  if (largest && largest.bytes > limits.modelBytes) {
    return tooLarge(`files of at most ${limits.modelBytes} bytes`, `${largest.from} of ${largest.bytes} bytes`);
  }
  const small = files.find((file) => !isModel(file) && file.bytes > SMALL_BYTES);
  return small ? tooLarge(`${small.from} of at most ${SMALL_BYTES} bytes`, `${small.bytes} bytes`) : ok(files);
}
