import { randomBytes } from "node:crypto";
import type { Readable } from "node:stream";
import busboy from "busboy";
import type { Request } from "express";
import { type TabgridError, TabgridFailure } from "../../../shared/errors.ts";
import type { CustomerId } from "../../../shared/ids.ts";
import { KIB, limits } from "../../../shared/limits.ts";
import { err, ok, type Result } from "../../../shared/result.ts";
import type { FileRecord } from "../../store/file-store.ts";
import { fault } from "../error-reply.ts";
import { describe } from "../validation.ts";
import type { FileShelf } from "./file-shelf.ts";

/** What a multipart form adds to the file that it carries, at most. */
const FORM_BYTES = 64 * KIB;

/** Reads `file` and `purpose` of a multipart form; the file goes to disk as it comes. */
export async function receiveFile(
  request: Request,
  shelf: FileShelf,
  customer: CustomerId,
): Promise<Result<FileRecord, TabgridError>> {
  const type = request.get("content-type") ?? "nothing";
  if (!/^multipart\/form-data/i.test(type)) {
    return fault("unsupported-media-type", "content-type", "multipart/form-data", describe(type));
  }
  const kept = await shelf.records.bytesOf(customer);
  const most = Math.min(limits.fileBytes, limits.fileStoreBytes - kept);
  const announced = Number(request.get("content-length") ?? 0);
  if (announced > most + FORM_BYTES) return tooLarge(most, kept, `${announced} bytes`);
  const id = `file-${randomBytes(18).toString("base64url")}`;
  const fields = new Map<string, string>();
  let written: Promise<FileRecord> | null = null;
  let fieldName = "";

  try {
    const form = busboy({
      headers: request.headers,
      defParamCharset: "utf8",
      limits: { files: 1, fields: 8, parts: 9, fieldSize: KIB, fileSize: Math.max(0, most) },
    });
    const read = new Promise<void>((resolve, reject) => {
      form.on("file", (name, stream, { filename }) => {
        fieldName = name;
        stream.once("limit", () => stream.destroy(new TabgridFailure(tooLarge(most, kept, "more").error)));
        written = shelf.write(
          { id, customer, filename: (filename || "file.jsonl").slice(0, limits.nameChars), purpose: "batch" },
          stream as Readable,
        );
        written.catch(reject);
      });
      form.on("field", (name, value) => void fields.set(name, value));
      form.once("close", resolve);
      form.once("error", reject);
      request.once("aborted", () => reject(new Error("the upload was broken off")));
    });
    request.pipe(form);
    await read;
    const record = await written;
    const wrong = checkForm(fields, record === null ? null : fieldName);
    if (!wrong) return ok(record as unknown as FileRecord);
    if (record) await shelf.remove({ id, customer });
    return wrong;
  } catch (error) {
    request.unpipe();
    if (error instanceof TabgridFailure) return err(error.error);
    return fault("invalid-request", "body", "a multipart form", (error as Error).message);
  }
}

function checkForm(fields: ReadonlyMap<string, string>, file: string | null) {
  for (const [name, value] of fields) {
    if (name !== "purpose") return fault("unsupported-parameter", name.slice(0, 64), "no field of this name", "one");
    if (value !== "batch") return fault("invalid-request", "purpose", '"batch"', describe(value));
  }
  if (file !== "file") return fault("invalid-request", "file", "a file", file === null ? "nothing" : describe(file));
  return fields.has("purpose") ? null : fault("invalid-request", "purpose", '"batch"', "nothing");
}

const tooLarge = (most: number, kept: number, got: string) =>
  fault(
    "body-too-large",
    "file",
    `at most ${Math.max(0, most)} bytes (${limits.fileBytes} a file, ${limits.fileStoreBytes} in all, of which ${kept} are used)`,
    got,
  );
