/**
 * `npm run models -- list | add FILE | describe [ID …]`: the models of this hub's data folder, a new one for a running hub,
 * and the manifests of the built-in ones.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { cac } from "cac";
import { z } from "zod";
import { type Manifest, manifestSchema } from "../../models/manifest.ts";
import { TabgridFailure } from "../../shared/errors.ts";
import { type Config, loadConfig } from "../config.ts";
import { createReferenceNode } from "../reference/node.ts";
import { describeBuiltIn } from "../registry/built-in.ts";
import { modelFolders, readModel } from "../registry/files.ts";
import { createRegistry } from "../registry.ts";

const builtInDir = join(import.meta.dirname, "../../models");

const addSchema = z.object({
  hub: z.url({ protocol: /^https?$/, error: "--hub: expected an address that starts with http:// or https://." }),
  id: manifestSchema.shape.id,
  modelVersion: z.coerce.string(),
  title: z.string().optional(),
  description: z.string().optional(),
  licence: z.string({ error: "--licence: say under which licence the model may be served, such as Apache-2.0." }),
  creator: z.string({ error: "--creator: say whose model it is." }),
  royalty: z.coerce.number().min(0).max(100),
  dim: z.union([z.string(), z.array(z.string())]).optional(),
  comparator: z.string().optional(),
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
    .command("add <file>", "Register an ONNX file with a running hub")
    .option("--id <id>", "Lower-case name")
    .option("--model-version <version>", "A version never changes; a new file needs a new one", { default: "1" })
    .option("--title <text>", "For people; the id, if absent")
    .option("--description <text>", "What it does")
    .option("--licence <text>", "Under which it may be served")
    .option("--creator <name>", "Who gets the royalty")
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

async function add(file: string, given: unknown, config: Config): Promise<void> {
  const parsed = addSchema.safeParse(given);
  if (!parsed.success) throw new Error(parsed.error.issues.map(issueText).join("\n"));
  const { hub, id, modelVersion, royalty, dim = [], token, ...texts } = parsed.data;
  if (!existsSync(file)) throw new Error(`There is no file ${file}.`);
  const target = new URL("/api/v1/models", hub);
  target.search = `${new URLSearchParams({ id, version: modelVersion, royalty_basis_points: `${Math.round(royalty * 100)}` })}`;
  for (const [key, value] of Object.entries(texts)) if (value !== undefined) target.searchParams.set(key, value);
  for (const sizeOf of [dim].flat()) {
    const [name, size] = sizeOf.split("=");
    if (!name || !/^\d+$/.test(size ?? ""))
      throw new Error(`--dim ${sizeOf}: expected a name and a size, such as height=640.`);
    target.searchParams.set(`dim.${name}`, size as string);
  }
  const response = await fetch(target, {
    method: "POST",
    headers: { "content-type": "application/octet-stream", authorization: `Bearer ${token ?? operatorToken(config)}` },
    body: readFileSync(file),
  }).catch(() => {
    throw new Error(`No hub answers at ${hub}. Start one by npm start, or name another by --hub.`);
  });
  const body = z
    .object({ manifest: manifestSchema, detail: z.string(), title: z.string() })
    .partial()
    .safeParse(await response.json().catch(() => null));
  const { manifest, detail, title } = body.data ?? {};
  if (!response.ok || !manifest)
    throw new Error(`The hub answered ${response.status}: ${detail ?? title ?? "no reason given"}`);
  console.log(
    `${manifest.id}@${manifest.version} is published: ${workText(manifest)}, opset ${manifest.opset}, ${manifest.dtype}`,
  );
  console.log(`POST ${new URL(`/v2/models/${manifest.id}/infer`, hub)}`);
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
