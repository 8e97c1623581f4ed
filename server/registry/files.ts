import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { copyFile, link, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { type GoldenFile, goldenSchema, type Manifest, manifestSchema } from "../../models/manifest.ts";
import { matchSpecs, type Tensor } from "../../shared/tensor.ts";
import type { Millis } from "../../shared/time.ts";

/** A published model version as it lies in its folder: `manifest.json`, `golden.json` and the files that they pin. */
export interface RegisteredModel {
  manifest: Manifest;
  golden: { inputs: Tensor[]; outputs: Tensor[] }[];
  folder: string;
  publishedAt: Millis;
  /** Milliseconds of one known-answer vector on the reference node. */
  referenceMs: number;
}

export const MANIFEST = "manifest.json";
export const GOLDEN = "golden.json";

/**
 * Reads a model folder and checks every file against its size and hash.
 * @throws Error, in a sentence for the operator, where anything is missing or differs
 */
export async function readModel(folder: string): Promise<RegisteredModel> {
  const manifest = await readJson(join(folder, MANIFEST), manifestSchema);
  const golden = await readJson(join(folder, GOLDEN), goldenSchema);
  for (const { path, bytes, sha256 } of manifest.files) {
    const file = join(folder, path);
    const found = await stat(file).catch(() => null);
    if (!found) throw new Error(`${file} is missing; the manifest of ${manifest.id} names it`);
    if (found.size !== bytes) throw new Error(`${file} has ${found.size} bytes, its manifest says ${bytes}`);
    if ((await hashFile(file)) !== sha256) throw new Error(`${file} is not the file that its manifest pins (SHA-256)`);
  }
  const vectors = golden.vectors.map(({ inputs, outputs }, at) => {
    const vector = { inputs: inputs.map(fromText), outputs: outputs.map(fromText) };
    for (const side of ["inputs", "outputs"] as const) {
      const match = matchSpecs(vector[side], manifest[side], `vectors[${at}].${side}`);
      if (!match.ok) throw new Error(`${join(folder, GOLDEN)}: ${match.error.message}`);
    }
    return vector;
  });
  const { mtimeMs } = await stat(join(folder, MANIFEST));
  return {
    manifest,
    golden: vectors,
    folder,
    publishedAt: Math.round(mtimeMs),
    referenceMs: golden.referenceMs,
  };
}

export async function writeModelText(folder: string, manifest: Manifest, golden: GoldenFile): Promise<void> {
  await writeFile(join(folder, GOLDEN), `${JSON.stringify(golden)}\n`);
  await writeFile(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
}

export async function writeFiles(folder: string, files: readonly { path: string; data: Uint8Array }[]): Promise<void> {
  for (const { path, data } of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), data);
  }
}

/** Links, where the disk is the same one: gigabytes are there at once, and stay where they were. */
export async function linkFiles(from: string, to: string, files: readonly { path: string }[]): Promise<void> {
  for (const { path } of files) {
    const [source, target] = [join(from, path), join(to, path)];
    await mkdir(dirname(target), { recursive: true });
    await link(source, target).catch(() => copyFile(source, target));
  }
}

/** Folders directly in `parent` that hold a manifest; none where `parent` does not exist. */
export async function modelFolders(parent: string): Promise<string[]> {
  if (!existsSync(parent)) return [];
  const entries = await readdir(parent, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(parent, name));
  return folders.filter((folder) => existsSync(join(folder, MANIFEST))).sort();
}

export async function hashFile(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

export const hashBytes = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

type TextTensor = GoldenFile["vectors"][number]["inputs"][number];

export const toText = ({ data, ...tensor }: Tensor): TextTensor => ({
  ...tensor,
  data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64"),
});

export const fromText = ({ data, ...tensor }: TextTensor): Tensor => ({
  ...tensor,
  // A copy: small Buffers are views of a pool, and the bytes of a tensor should start aligned.
  data: new Uint8Array(Buffer.from(data, "base64")),
});

export async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    const reason =
      error instanceof z.ZodError ? z.prettifyError(error) : error instanceof Error ? error.message : error;
    throw new Error(`${file}: ${reason}`);
  }
}
