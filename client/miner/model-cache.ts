import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { err, ok, type Result } from "../../shared/result.ts";
import { database } from "./database.ts";

/**
 * Model files in the origin private file system, named by their SHA-256 and indexed in Dexie. A download that ended early
 * goes on by Range where it stopped, in whatever tab comes next: a Web Lock per file keeps two tabs from writing one.
 */
export interface FileSource {
  url: string;
  sha256: string;
  bytes: number;
}

const DIRECTORY = "models";
const ATTEMPTS = 6;
const RETRY_FIRST_MS = 500;
const STALLED_MS = 30_000;
const CHUNK_BYTES = 1024 * 1024;

/**
 * The verified file, downloaded where it is not at hand. `progress` hears the bytes that are there. Errors are sentences;
 * an abort rejects nothing and is an error like any other.
 */
export function ensureFile(
  source: FileSource,
  diskBytes: number,
  progress: (bytesDone: number) => void,
  signal: AbortSignal,
): Promise<Result<File, string>> {
  return navigator.locks.request(`tabgrid-file-${source.sha256}`, async (): Promise<Result<File, string>> => {
    const handle = await (await directory()).getFileHandle(source.sha256, { create: true });
    const row = await database.files.get(source.sha256);
    if (row?.complete && (await handle.getFile()).size === source.bytes) {
      await database.files.update(source.sha256, { usedAt: Date.now() });
      progress(source.bytes);
      return ok(await handle.getFile());
    }
    const room = await makeRoom(source, diskBytes);
    if (!room.ok) return room;
    await database.files.put({ sha256: source.sha256, bytes: source.bytes, complete: false, usedAt: Date.now() });
    const done = await download(handle, source, progress, signal);
    if (!done.ok) return done;
    await database.files.update(source.sha256, { complete: true });
    return ok(await handle.getFile());
  });
}

/** Bytes of all files, unfinished ones at their full size. */
export async function cachedBytes(): Promise<number> {
  const rows = await database.files.toArray();
  return rows.reduce((acc, { bytes }) => acc + bytes, 0);
}

export async function clearFiles(): Promise<void> {
  for (const { sha256: name } of await database.files.toArray()) await removeFile(name);
}

const directory = async () => (await navigator.storage.getDirectory()).getDirectoryHandle(DIRECTORY, { create: true });

async function removeFile(name: string): Promise<void> {
  await database.files.delete(name);
  await (await directory()).removeEntry(name).catch(() => undefined); // not there, or open in another tab's download
}

/** Drops the files that were used longest ago until the new one fits. */
async function makeRoom(source: FileSource, diskBytes: number): Promise<Result<null, string>> {
  if (source.bytes > diskBytes) {
    return err(`the file needs ${source.bytes} bytes of disk, more than the ${diskBytes} that the settings allow`);
  }
  const others = (await database.files.orderBy("usedAt").toArray()).filter((row) => row.sha256 !== source.sha256);
  let used = others.reduce((acc, { bytes }) => acc + bytes, 0);
  for (const row of others) {
    if (used + source.bytes <= diskBytes) break;
    await removeFile(row.sha256);
    used -= row.bytes;
  }
  return ok(null);
}

async function download(
  handle: FileSystemFileHandle,
  source: FileSource,
  progress: (bytesDone: number) => void,
  signal: AbortSignal,
): Promise<Result<null, string>> {
  const file = await handle.createSyncAccessHandle();
  try {
    if (file.getSize() > source.bytes) file.truncate(0);
    let hash = hashOf(file);
    let problem = "";
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) await sleep(RETRY_FIRST_MS * 2 ** (attempt - 1), signal);
      if (signal.aborted) return err("the download was stopped");
      progress(file.getSize());
      const response = await request(source, file.getSize(), signal);
      if (!response.ok) {
        problem = response.error;
        continue;
      }
      if (response.value.from !== file.getSize()) {
        file.truncate(0);
        hash = sha256.create();
      }
      const received = await receive(response.value.chunks, file, source.bytes, hash, progress);
      if (!received.ok) {
        problem = received.error;
        if (file.getSize() <= source.bytes) continue;
      }
      const digest = bytesToHex(hash.clone().digest());
      if (file.getSize() === source.bytes && digest === source.sha256) return ok(null);
      if (file.getSize() < source.bytes) {
        problem = "the connection ended early";
        continue;
      }
      file.truncate(0);
      return err(`${source.url}: expected SHA-256 ${source.sha256}, got ${digest} of ${source.bytes} bytes`);
    }
    return err(`${source.url}: ${problem}`);
  } finally {
    file.flush();
    file.close();
  }
}

/** Where the answer starts, and its body. A hub that ignores Range starts at 0. */
interface Body {
  from: number;
  chunks: AsyncIterable<Uint8Array<ArrayBuffer>>;
}

async function request(source: FileSource, from: number, signal: AbortSignal): Promise<Result<Body, string>> {
  if (from === source.bytes) return ok({ from, chunks: nothing() });
  const stalled = new AbortController();
  let timer = setTimeout(() => stalled.abort(), STALLED_MS);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stalled.abort(), STALLED_MS);
  };
  try {
    const response = await fetch(source.url, {
      headers: from > 0 ? { range: `bytes=${from}-` } : {},
      signal: AbortSignal.any([signal, stalled.signal]),
    });
    const body = response.body;
    if (!response.ok || !body) {
      clearTimeout(timer);
      return err(`the hub answered ${response.status}`);
    }
    const resumed = response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${from}-`);
    return ok({ from: resumed ? from : 0, chunks: watched(body, alive, () => clearTimeout(timer)) });
  } catch (error) {
    clearTimeout(timer);
    return err(error instanceof Error ? error.message : String(error));
  }
}

async function* nothing(): AsyncGenerator<Uint8Array<ArrayBuffer>> {}

async function* watched(body: ReadableStream<Uint8Array<ArrayBuffer>>, alive: () => void, ended: () => void) {
  const reader = body.getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      alive();
      yield read.value;
    }
  } finally {
    ended();
    await reader.cancel().catch(() => undefined);
  }
}

async function receive(
  chunks: AsyncIterable<Uint8Array<ArrayBuffer>>,
  file: FileSystemSyncAccessHandle,
  bytes: number,
  hash: ReturnType<typeof sha256.create>,
  progress: (bytesDone: number) => void,
): Promise<Result<null, string>> {
  let size = file.getSize();
  try {
    for await (const chunk of chunks) {
      file.write(chunk, { at: size });
      hash.update(chunk);
      size += chunk.byteLength;
      if (size > bytes) return err(`more than the ${bytes} bytes announced`);
      progress(size);
    }
    return ok(null);
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error));
  }
}

function hashOf(file: FileSystemSyncAccessHandle): ReturnType<typeof sha256.create> {
  const hash = sha256.create();
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let at = 0; at < file.getSize(); ) {
    const read = file.read(chunk, { at });
    hash.update(chunk.subarray(0, read));
    at += read;
  }
  return hash;
}

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
