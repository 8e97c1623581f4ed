import type { Request, Response } from "express";
import { z } from "zod";
import { comparatorSchema, manifestSchema } from "../../models/manifest.ts";
import { modelStatusSchema, problemSchema, registerQuerySchema } from "../../shared/api.ts";
import type { TabgridError } from "../../shared/errors.ts";
import { limits, MIB } from "../../shared/limits.ts";
import { ok, type Result } from "../../shared/result.ts";
import type { Gateway, ImportRequest, ModelStatus, RegisterRequest } from "../gateway/gateway.ts";
import type { ImportProgress } from "../import/importer.ts";
import { readSource } from "../import/source.ts";
import type { Endpoint } from "./endpoint.ts";
import { fault, unwrap } from "./error-reply.ts";
import { parseJson } from "./json-text.ts";
import { modelReply } from "./network.ts";
import { check } from "./validation.ts";

/** The file is held in memory while it is read and tried; larger models come by URL or from disk. */
const uploadBytes = Math.min(512 * MIB, limits.modelBytes);

const querySchema = registerQuerySchema.extend({
  id: manifestSchema.shape.id,
  version: manifestSchema.shape.version,
});
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };
/** A caller that accepts it sees an import's progress, a line of JSON each, and its end as the last line. */
const LINES = "application/x-ndjson";
const PROGRESS_MS = 250;
const ALIVE_MS = 15_000;

export function registration(gateway: Gateway): Endpoint[] {
  return [
    {
      method: "post",
      path: "/api/v1/models",
      tag: "Network",
      summary:
        "Register an ONNX file as a model version, or with `source` import one from a Hugging Face hub; " +
        "`dim.<name>=<size>` in the query sets free dimensions to try",
      access: "operator",
      query: querySchema,
      body: { type: "application/octet-stream", limitBytes: uploadBytes, tooLarge: "model-too-large" },
      replies: {
        201: { description: "published", schema: modelStatusSchema },
        400: problem,
        401: problem,
        403: problem,
        404: problem,
        409: problem,
        413: problem,
        422: problem,
        502: problem,
      },
      handle: async (request, response) => {
        const wanted = unwrap(readRequest(request));
        if ("source" in wanted) return importModel(gateway, wanted, request, response);
        published(response, unwrap(await gateway.register(wanted)));
      },
    },
  ];
}

function published(response: Response, status: ModelStatus): void {
  const { id, version } = status.manifest;
  response.status(201).location(`/v2/models/${id}/versions/${version}`).json(modelReply(status));
}

/** A caller who goes away ends the download; the next one goes on with it. */
async function importModel(
  gateway: Gateway,
  wanted: ImportRequest,
  request: Request,
  response: Response,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const asLines = (request.headers.accept ?? "").includes(LINES);
  let reported = { file: "", at: 0 };
  const line = (value: unknown) => {
    if (!response.headersSent) {
      response.status(200).set({ "content-type": LINES, "cache-control": "no-cache, no-transform" }).flushHeaders();
    }
    response.write(`${JSON.stringify(value)}\n`);
  };
  const onProgress = (progress: ImportProgress) => {
    const now = performance.now();
    const { file, received, bytes } = progress;
    if (!asLines || (file === reported.file && now - reported.at < PROGRESS_MS && received < bytes)) return;
    reported = { file, at: now };
    line({ progress });
  };
  // Trying a large model takes minutes, in which proxies and clients want to hear something.
  const alive = setInterval(() => response.headersSent && response.write("\n"), ALIVE_MS);
  const imported = await gateway.importModel(wanted, onProgress, gone.signal).finally(() => clearInterval(alive));
  if (!response.headersSent) return published(response, unwrap(imported));
  line(imported.ok ? { model: modelReply(imported.value) } : { error: imported.error });
  response.end();
}

function readRequest(request: Request): Result<RegisterRequest | ImportRequest, TabgridError> {
  const dimensions: Record<string, number> = {};
  const metadata: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(request.query)) {
    if (!key.startsWith("dim.")) {
      metadata[key] = value;
    } else if (typeof value === "string" && /^[1-9]\d{0,8}$/.test(value)) {
      dimensions[key.slice("dim.".length)] = Number(value);
    } else {
      return fault("invalid-request", key, "a size from 1 to 999999999", String(value));
    }
  }
  const checked = check(querySchema, metadata, "query");
  if (!checked.ok) return checked;
  const {
    comparator: comparatorText,
    royalty_basis_points,
    title,
    licence,
    source,
    dtype,
    task,
    ...rest
  } = checked.value;
  const comparator = comparatorText === undefined ? ok(null) : readComparator(comparatorText);
  if (!comparator.ok) return comparator;
  const said = {
    ...rest,
    title: title ?? rest.id,
    royaltyBasisPoints: royalty_basis_points,
    dimensions,
    comparator: comparator.value,
    ...(task && { task }),
  };
  const graph: Uint8Array = request.body;
  if (source !== undefined) {
    if (graph.byteLength > 0)
      return fault("invalid-request", "body", "nothing beside a source", `${graph.byteLength} bytes`);
    const read = readSource(source);
    const description = said.description || `Imported from ${source}.`;
    return read.ok ? ok({ ...said, description, licence: licence ?? null, source, dtype: dtype ?? null }) : read;
  }
  if (dtype !== undefined) return fault("invalid-request", "dtype", "a source that it chooses from", "no source");
  if (task !== undefined && task !== "tensor") {
    return fault("invalid-request", "task", "tensor, or a source whose tokenizer comes along", task);
  }
  if (graph.byteLength === 0) return fault("invalid-request", "body", "the bytes of an ONNX file", "nothing");
  if (licence === undefined) return fault("invalid-request", "licence", "under which it may be served", "nothing");
  return ok({ ...said, licence, graph, files: [] });
}

function readComparator(text: string) {
  const json = parseJson(Buffer.from(text), "comparator");
  if (!json.ok) return json;
  const checked = check(z.object({ comparator: comparatorSchema }), { comparator: json.value });
  return checked.ok ? ok(checked.value.comparator) : checked;
}
