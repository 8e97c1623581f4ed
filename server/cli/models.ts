/**
 * `npm run models -- list | add FILE | add hf:ORG/NAME | describe [ID …]`: the models of this hub's data folder, a new one for a running hub,
 * and the manifests of the built-in ones.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { cac } from "cac";
import { z } from "zod";
import { type Manifest, manifestSchema } from "../../models/manifest.ts";
import { TabgridFailure } from "../../shared/errors.ts";
import { type Config, loadConfig } from "../config.ts";
import { isSource, namesFor, readSource } from "../import/source.ts";
import { createReferenceNode } from "../reference/node.ts";
import { describeBuiltIn } from "../registry/built-in.ts";
import { modelFolders, readModel } from "../registry/files.ts";
import { createRegistry } from "../registry/registry.ts";

const builtInDir = join(import.meta.dirname, "../../models");

const addSchema = z.object({
  hub: z.url({ protocol: /^https?$/, error: "--hub: expected an address that starts with http:// or https://." }),
  id: manifestSchema.shape.id.optional(),
  modelVersion: z.coerce.string(),
  title: z.string().optional(),
  description: z.string().optional(),
  licence: z.string().optional(),
  creator: z.string().optional(),
  royalty: z.coerce.number().min(0).max(100),
  dim: z.union([z.string(), z.array(z.string())]).optional(),
  comparator: z.string().optional(),
  dtype: z.enum(["fp32", "fp16", "int8", "q4"], { error: "--dtype: expected fp32, fp16, int8 or q4." }).optional(),
  task: manifestSchema.shape.task.optional(),
  token: z.string().optional(),
});

async function main(): Promise<void> {
  const loaded = loadConfig(process.env);
  if (!loaded.ok) throw new Error(loaded.error.join("\n"));
  const config = loaded.value;
  const program = cac("npm run models --");
  program.command("list", "The models that this hub has").action(() => list(config));
  program
    .command("describe [...ids]", "Measure built-in models and write their manifest.json and golden.json")
    .action((ids: string[]) => describe(ids));
  program
    .command(
      "add <file>",
      "Register an ONNX file with a running hub, or hf:ORG/NAME[@REVISION] from a Hugging Face hub",
    )
    .option("--id <id>", "Lower-case name; the repository's, if absent")
    .option("--model-version <version>", "A version never changes; a new file needs a new one", { default: "1" })
    .option("--title <text>", "For people; the id, if absent")
    .option("--description <text>", "What it does")
    .option("--licence <text>", "Under which it may be served; what the repository states, if absent")
    .option("--creator <name>", "Who gets the royalty; the repository's owner, if absent")
    .option("--dtype <type>", "Of a repository's files: fp32, fp16, int8 or q4; the first that it has, if absent")
    .option("--task <task>", "Of a repository: tensor, embedding or text-generation; read from its files, if absent")
    .option("--royalty <per cent>", "Share of the revenue", { default: 20 })
    .option("--dim <name=size>", "Size of a free dimension to try, may be repeated")
    .option("--comparator <json>", "How results are compared; chosen by the hub, if absent")
    .option("--hub <url>", "Where the hub is", { default: addressOf(config) })
    .option("--token <token>", "Operator token; by default TABGRID_ADMIN_TOKEN, else what the hub keeps in its folder")
    .action((file: string, options: unknown) => add(file, options, config));
  program.help();
  program.parse(process.argv, { run: false });
  if (program.options.help) return;
  if (!program.matchedCommand) return program.outputHelp();
  await program.runMatchedCommand();
}

async function list(config: Config): Promise<void> {
  const folders = await modelFolders(builtInDir);
  const reference = createReferenceNode();
  const models = await createRegistry({ dataDir: config.dataDir, builtInDir, reference }).load();
  await reference.close();
  const rows = models.map(({ manifest, folder }) => [
    `${manifest.id}@${manifest.version}`,
    manifest.title,
    megabytes(manifest),
    `opset ${manifest.opset}, ${manifest.dtype}`,
    workText(manifest),
    folders.includes(folder) ? "built in" : "registered",
  ]);
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] as string).length))) ?? [];
  for (const row of rows)
    console.log(
      row
        .map((text, column) => text.padEnd(widths[column] as number))
        .join("  ")
        .trimEnd(),
    );
  if (rows.length === 0) console.log("No models.");
}

const megabytes = ({ files }: Manifest): string =>
  `${(files.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6).toFixed(1)} MB`;

function workText({ work, batch }: Manifest): string {
  if (work.kind === "by-shape") return "work by shape";
  if (work.kind === "by-length") return "work by length";
  const megaflop = ((work.base + work.perRow) / 1e6).toFixed(1);
  return `${megaflop} MFLOP${batch.dimension === null ? "" : " a row"}`;
}

async function describe(ids: string[]): Promise<void> {
  const folders = ids.length > 0 ? ids.map((id) => join(builtInDir, id)) : await modelFolders(builtInDir);
  const reference = createReferenceNode();
  try {
    for (const folder of folders) {
      const { manifest, golden } = await describeBuiltIn(folder, reference);
      await readModel(folder);
      const { batch, memoryBytes } = manifest;
      console.log(
        `${manifest.id}@${manifest.version}: ${workText(manifest)}, batches of ${batch.limit}, ` +
          `${(memoryBytes / 1e6).toFixed(1)} MB of memory, ${golden.vectors.length} known answers`,
      );
    }
  } finally {
    await reference.close();
  }
}

async function add(what: string, given: unknown, config: Config): Promise<void> {
  const parsed = addSchema.safeParse(given);
  if (!parsed.success) throw new Error(parsed.error.issues.map(issueText).join("\n"));
  const { hub, id, creator, modelVersion, royalty, dim = [], token, ...texts } = parsed.data;
  const target = new URL("/api/v1/models", hub);
  const say = (key: string, value: string | undefined) => value !== undefined && target.searchParams.set(key, value);
  const names = namesOf(what, id, creator);
  if (!isSource(what) && texts.licence === undefined)
    throw new Error("--licence: say under which licence the model may be served, such as Apache-2.0.");
  say("id", names.id);
  say("creator", names.creator);
  say("version", modelVersion);
  say("royalty_basis_points", `${Math.round(royalty * 100)}`);
  for (const [key, value] of Object.entries(texts)) say(key, value);
  if (isSource(what)) say("source", what);
  for (const sizeOf of [dim].flat()) {
    const [name, size] = sizeOf.split("=");
    if (!name || !/^\d+$/.test(size ?? ""))
      throw new Error(`--dim ${sizeOf}: expected a name and a size, such as height=640.`);
    say(`dim.${name}`, size);
  }
  const response = await fetch(target, {
    method: "POST",
    headers: {
      "content-type": "application/octet-stream",
      accept: `${LINES}, application/json`,
      authorization: `Bearer ${token ?? operatorToken(config)}`,
    },
    body: isSource(what) ? "" : readFileSync(what),
  }).catch(() => {
    throw new Error(`No hub answers at ${hub}. Start one by npm start, or name another by --hub.`);
  });
  const { manifest, refusal } = await (response.headers.get("content-type")?.startsWith(LINES)
    ? readLines(response)
    : readReply(response));
  if (!manifest) throw new Error(refusal);
  console.log(
    `${manifest.id}@${manifest.version} is published: ${manifest.task}, ${workText(manifest)}, opset ${manifest.opset}, ${manifest.dtype}`,
  );
  if (texts.licence === undefined) console.log(`Licence, as its repository states it: ${manifest.licence}`);
  console.log(`POST ${new URL(callOf(manifest), hub)}`);
}

const LINES = "application/x-ndjson";

const callOf = ({ id, task }: Manifest): string =>
  task === "text-generation"
    ? "/v1/chat/completions"
    : task === "embedding"
      ? "/v1/embeddings"
      : `/v2/models/${id}/infer`;

/** A file needs both said; a repository has names of its own. */
function namesOf(what: string, id?: string, creator?: string): { id: string; creator: string } {
  if (isSource(what)) {
    const source = readSource(what);
    if (!source.ok) throw new Error(source.error.message);
    const names = namesFor(source.value);
    return { id: id ?? names.id, creator: creator ?? names.creator };
  }
  if (!existsSync(what)) throw new Error(`There is no file ${what}.`);
  if (id === undefined) throw new Error("--id: give the model a lower-case name.");
  if (creator === undefined) throw new Error("--creator: say whose model it is.");
  return { id, creator };
}

interface Outcome {
  manifest?: Manifest;
  refusal: string;
}
const replySchema = z.object({ manifest: manifestSchema, detail: z.string(), title: z.string() }).partial();

async function readReply(response: Response): Promise<Outcome> {
  const { manifest, detail, title } = replySchema.safeParse(await response.json().catch(() => null)).data ?? {};
  const refusal = `The hub answered ${response.status}: ${detail ?? title ?? "no reason given"}`;
  return response.ok && manifest ? { manifest, refusal } : { refusal };
}

const lineSchema = z
  .object({
    progress: z.object({ file: z.string(), received: z.number(), bytes: z.number() }),
    model: z.object({ manifest: manifestSchema }),
    error: z.object({ message: z.string() }),
  })
  .partial();

/** Shows an import's progress: in place on a terminal, else a line for every file. */
async function readLines(response: Response): Promise<Outcome> {
  let outcome: Outcome = { refusal: "The hub ended before the import did; what it has fetched is kept." };
  let file = "";
  for await (const text of createInterface({ input: Readable.fromWeb(response.body as ReadableStream) })) {
    if (text === "") continue;
    const { progress, model, error } = lineSchema.parse(JSON.parse(text));
    if (progress) {
      const share = progress.bytes > 0 ? Math.floor((100 * progress.received) / progress.bytes) : 100;
      const shown = `${share} % of ${(progress.bytes / 1e6).toFixed(1)} MB  ${progress.file}`;
      if (process.stdout.isTTY) process.stdout.write(`\r\u001b[K${shown}`);
      else if (progress.file !== file) console.log(shown);
      file = progress.file;
    }
    if (model) outcome = { manifest: model.manifest, refusal: "" };
    if (error) outcome = { refusal: error.message };
  }
  if (process.stdout.isTTY && file !== "") process.stdout.write("\n");
  return outcome;
}

const issueText = ({ path, message }: z.core.$ZodIssue): string =>
  message.startsWith("--") ? message : `--${path.join(".").replace("modelVersion", "model-version")}: ${message}.`;

function operatorToken({ adminToken, dataDir }: Config): string {
  const file = join(dataDir, "admin-token");
  if (adminToken !== null) return adminToken;
  if (existsSync(file)) return readFileSync(file, "utf8").trim();
  throw new Error(`There is no operator token: ${file} is written when the hub first starts, or give one by --token.`);
}

function addressOf({ host, port, tls }: Config): string {
  const anyHost = ["0.0.0.0", "::"].includes(host);
  const name = anyHost ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return `${tls ? "https" : "http"}://${name}:${port}`;
}

main().catch((error: unknown) => {
  console.error(error instanceof TabgridFailure || error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
