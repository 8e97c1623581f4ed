import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../../../shared/time.ts";
import type { FileRecord, FileStore } from "../../store/file-store.ts";

/** Contents of files, one on disk for each record: written aside first, so that what has a record is whole. */
export class FileShelf {
  readonly records: FileStore;
  readonly #folder: string;
  readonly #clock: Clock;

  constructor(folder: string, records: FileStore, clock: Clock) {
    this.#folder = folder;
    this.records = records;
    this.#clock = clock;
  }

  /** Makes the folder, and removes what a crash left: contents without a record. */
  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const known = new Set(await this.records.ids());
    for (const name of await readdir(this.#folder)) {
      if (!known.has(name)) await rm(join(this.#folder, name), { force: true });
    }
  }

  /** Keeps what `source` gives; rejects, keeping nothing, where that ends with an error. */
  async write(
    file: Pick<FileRecord, "id" | "customer" | "filename" | "purpose">,
    source: Readable | AsyncIterable<string>,
  ): Promise<FileRecord> {
    const part = this.#path(`${file.id}.part`);
    let bytes = 0;
    const count = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        done(null, chunk);
      },
    });
    try {
      await pipeline(source, count, createWriteStream(part, { mode: 0o600 }));
      await rename(part, this.#path(file.id));
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
    const record = { ...file, bytes, createdAt: this.#clock.now() };
    await this.records.add(record);
    return record;
  }

  read(id: string): Readable {
    return createReadStream(this.#path(id));
  }

  async remove(file: Pick<FileRecord, "id" | "customer">): Promise<boolean> {
    const removed = await this.records.remove(file.id, file.customer);
    if (removed) await rm(this.#path(file.id), { force: true });
    return removed;
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}
