import { pipeline } from "node:stream/promises";
import type { Response } from "express";
import { openAiErrorSchema } from "../../../shared/api.ts";
import { limits } from "../../../shared/limits.ts";
import {
  type FileReply,
  fileDeletedSchema,
  fileSchema,
  filesQuerySchema,
  filesSchema,
} from "../../../shared/openai-batch-api.ts";
import type { FileRecord } from "../../store/file-store.ts";
import { customerOf } from "../auth.ts";
import { type Endpoint, segment } from "../endpoint.ts";
import { notFound, unwrap } from "../error-reply.ts";
import { secondsOf } from "./context.ts";
import type { FileShelf } from "./file-shelf.ts";
import { readParameters } from "./parameters.ts";
import { tag } from "./tag.ts";
import { receiveFile } from "./upload.ts";

const problem = { description: "problem", schema: openAiErrorSchema };

/** `/v1/files`: what batches read and write. A customer sees its own alone. */
export function files(shelf: FileShelf): Endpoint[] {
  const own = async (response: Response, id: string): Promise<FileRecord> => {
    const found = await shelf.records.get(id, customerOf(response));
    if (!found) throw notFound("unknown-file", "file_id", id.slice(0, limits.nameChars));
    return found;
  };
  return [
    {
      method: "post",
      path: "/v1/files",
      tag,
      summary: "Upload a file of requests: fields `file` (JSONL) and `purpose` (`batch`)",
      access: "key",
      body: { type: "multipart/form-data", limitBytes: limits.fileBytes, tooLarge: "body-too-large", isStream: true },
      replies: {
        200: { description: "file", schema: fileSchema },
        400: problem,
        401: problem,
        413: problem,
        415: problem,
      },
      handle: async (request, response) => {
        response.json(fileReply(unwrap(await receiveFile(request, shelf, customerOf(response)))));
      },
    },
    {
      method: "get",
      path: "/v1/files",
      tag,
      summary: "Own files, newest first",
      access: "key",
      query: filesQuerySchema,
      replies: { 200: { description: "files", schema: filesSchema }, 400: problem, 401: problem },
      handle: async (request, response) => {
        const { after = null, purpose = null, ...page } = unwrap(readParameters(filesQuerySchema, request.query));
        const { data, hasMore } = await shelf.records.list(customerOf(response), { ...page, after, purpose });
        response.json(listReply(data.map(fileReply), hasMore));
      },
    },
    {
      method: "get",
      path: "/v1/files/:file_id",
      tag,
      summary: "One own file",
      access: "key",
      replies: { 200: { description: "file", schema: fileSchema }, 401: problem, 404: problem },
      handle: async (request, response) => {
        response.json(fileReply(await own(response, segment(request, "file_id"))));
      },
    },
    {
      method: "delete",
      path: "/v1/files/:file_id",
      tag,
      summary: "Delete an own file",
      access: "key",
      replies: { 200: { description: "deleted", schema: fileDeletedSchema }, 401: problem, 404: problem },
      handle: async (request, response) => {
        const file = await own(response, segment(request, "file_id"));
        await shelf.remove(file);
        response.json({ id: file.id, object: "file", deleted: true });
      },
    },
    {
      method: "get",
      path: "/v1/files/:file_id/content",
      tag,
      summary: "What is in an own file",
      access: "key",
      replies: { 200: { description: "bytes", type: "application/octet-stream" }, 401: problem, 404: problem },
      handle: async (request, response) => {
        const file = await own(response, segment(request, "file_id"));
        response.type("application/octet-stream").set("content-length", String(file.bytes));
        // A caller who hangs up is no fault of the hub's.
        await pipeline(shelf.read(file.id), response).catch((error) => {
          if (!response.destroyed) throw error;
        });
      },
    },
  ];
}

const fileReply = ({ id, bytes, createdAt, filename, purpose }: FileRecord): FileReply => ({
  id,
  object: "file",
  bytes,
  created_at: secondsOf(createdAt),
  filename,
  purpose,
  status: "processed",
});

export const listReply = <Item extends { id: string }>(data: Item[], hasMore: boolean) => ({
  object: "list" as const,
  data,
  has_more: hasMore,
  first_id: data[0]?.id ?? null,
  last_id: data.at(-1)?.id ?? null,
});
