import { failure, type TabgridError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { sha256 } from "./identity.ts";

/**
 * Tensors too large for a socket message, by the SHA-256 of their bytes. In memory, least recently used first out: a blob
 * lives only between a task's submission and its verdict, and its owner can send it again.
 */
export class BlobStore {
  #blobs = new Map<string, Uint8Array>();
  #bytes = 0;

  put(data: Uint8Array): string {
    const hash = sha256(data).toString("hex");
    if (!this.get(hash)) {
      this.#blobs.set(hash, data);
      this.#bytes += data.byteLength;
      for (const [oldest, old] of this.#blobs) {
        if (this.#bytes <= limits.blobStoreBytes || oldest === hash) break;
        this.#blobs.delete(oldest);
        this.#bytes -= old.byteLength;
      }
    }
    return hash;
  }

  /** Stores bytes that claim a hash. */
  putAs(hash: string, data: Uint8Array): Result<null, TabgridError> {
    if (data.byteLength > limits.blobBytes) {
      const expected = `at most ${limits.blobBytes} bytes`;
      return err(
        failure("body-too-large", `blob: expected ${expected}`, {
          field: "body",
          expected,
          got: String(data.byteLength),
        }),
      );
    }
    const actual = sha256(data).toString("hex");
    if (actual !== hash) {
      return err(
        failure("invalid-request", "the bytes do not have the hash in the path", {
          field: "sha256",
          expected: hash,
          got: actual,
        }),
      );
    }
    this.put(data);
    return ok(null);
  }

  get(hash: string): Uint8Array | null {
    const data = this.#blobs.get(hash);
    if (!data) return null;
    this.#blobs.delete(hash);
    this.#blobs.set(hash, data);
    return data;
  }
}
