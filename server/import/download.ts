import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import { guardedGet } from "./guarded-get.ts";
import { type RemoteFile, statusFailure } from "./listing.ts";
import { fileUrl, type Source } from "./source.ts";

/**
 * One file into a folder: `PATH.part` grows until it is whole and has the hash that the hub lists, then it is `PATH`. What
 * was interrupted goes on where it ended, here or in a later call.
 */
export interface Download {
  endpoint: string;
  source: Source;
  folder: string;
  signal: AbortSignal;
  /** Bytes of this file so far. */
  onBytes(received: number): void;
  /** Between attempts. */
  pauseMs?: number;
}

const ATTEMPTS = 5;

/**
 * @returns SHA-256 of the file
 * @throws TabgridFailure where the hub refuses or the bytes are others; Error where the network fails again and again
 */
export async function downloadFile(file: RemoteFile, download: Download): Promise<string> {
  const { folder, signal, pauseMs = 1_000 } = download;
  const whole = join(folder, file.path);
  const part = `${whole}.part`;
  await mkdir(dirname(whole), { recursive: true });
  if ((await sizeOf(whole)) === file.bytes) return verified(whole, file);
  for (let attempt = 1; ; attempt++) {
    const before = await sizeOf(part);
    try {
      await appendTo(part, file, download);
      break;
    } catch (error) {
      if (error instanceof TabgridFailure || signal.aborted) throw error;
      // An attempt that brought something does not count.
      if ((await sizeOf(part)) > before) attempt = 0;
      if (attempt >= ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  const sha256 = await verified(part, file);
  await rename(part, whole);
  return sha256;
}

async function appendTo(
  part: string,
  file: RemoteFile,
  { endpoint, source, signal, onBytes }: Download,
): Promise<void> {
  let from = await sizeOf(part);
  if (from > file.bytes) {
    await rm(part);
    from = 0;
  }
  if (from === file.bytes && from > 0) return;
  const range: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
  // What is compressed on its way has other sizes and ranges.
  const headers = { "accept-encoding": "identity", ...range };
  const {
    status,
    body,
    headers: got,
  } = await guardedGet(fileUrl(endpoint, source, file.from), endpoint, headers, signal);
  const continues = status === 206 && String(got["content-range"]).startsWith(`bytes ${from}-`);
  if (status !== 200 && !continues) {
    body.destroy();
    if (status === 206 || status === 416) {
      await rm(part, { force: true });
      throw new Error(`the hub does not go on with ${file.from} where it ended`);
    }
    if (status >= 500 || status === 429) throw new Error(`the hub answered ${status} for ${file.from}`);
    throw statusFailure(status, source, file.from);
  }
  let received = continues ? from : 0;
  const handle = await open(part, continues ? "a" : "w");
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      received += chunk.byteLength;
      if (received > file.bytes) throw wrong(file, `${file.bytes} bytes`, `more than ${file.bytes} bytes`);
      await handle.write(chunk);
      onBytes(received);
    }
  } finally {
    await handle.close();
  }
  if (received < file.bytes) throw new Error(`${file.from} ended after ${received} of ${file.bytes} bytes`);
}

/** Removes what is not the file that the hub lists: going on with it would never end well. */
async function verified(path: string, file: RemoteFile): Promise<string> {
  const sha256 = createHash("sha256");
  const listed: Hash = file.hash.kind === "sha256" ? sha256 : createHash("sha1").update(`blob ${file.bytes}\0`);
  await pipeline(createReadStream(path), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      sha256.update(chunk);
      if (listed !== sha256) listed.update(chunk);
    }
  });
  const hex = sha256.digest("hex");
  const got = listed === sha256 ? hex : listed.digest("hex");
  if (got === file.hash.hex) return hex;
  await rm(path, { force: true });
  throw wrong(file, `the ${file.hash.kind === "sha256" ? "SHA-256" : "git hash"} ${file.hash.hex}`, got);
}

const wrong = (file: RemoteFile, expected: string, got: string): TabgridFailure =>
  new TabgridFailure(
    failure("invalid-model", `${file.from}: expected ${expected}, got ${got}`, { field: "source", expected, got }),
  );

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => null))?.size ?? 0;
