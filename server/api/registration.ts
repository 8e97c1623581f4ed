import type { Request } from "express";
import { z } from "zod";
import { comparatorSchema, manifestSchema } from "../../models/manifest.ts";
import { modelStatusSchema, problemSchema, registerQuerySchema } from "../../shared/api.ts";
import type { TabgridError } from "../../shared/errors.ts";
import { limits, MIB } from "../../shared/limits.ts";
import { ok, type Result } from "../../shared/result.ts";
import type { Gateway, RegisterRequest } from "../gateway.ts";
import type { Endpoint } from "./endpoint.ts";
import { fault, unwrap } from "./error-reply.ts";
import { parseJson } from "./json-text.ts";
import { modelReply } from "./network.ts";
import { check } from "./validation.ts";

/** The file is held in memory while it is read and tried; larger models come by URL or from disk. */
export const uploadBytes = Math.min(512 * MIB, limits.modelBytes);

const querySchema = registerQuerySchema.extend({
  id: manifestSchema.shape.id,
  version: manifestSchema.shape.version,
});
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };

export function registration(gateway: Gateway): Endpoint[] {
  return [
    {
      method: "post",
      path: "/api/v1/models",
      tag: "Network",
      summary: "Register an ONNX file as a model version; `dim.<name>=<size>` in the query sets free dimensions to try",
      access: "operator",
      query: querySchema,
      body: { type: "application/octet-stream", limitBytes: uploadBytes, tooLarge: "model-too-large" },
      replies: {
        201: { description: "published", schema: modelStatusSchema },
        400: problem,
        401: problem,
        403: problem,
        409: problem,
        413: problem,
        422: problem,
      },
      handle: async (request, response) => {
        const status = unwrap(await gateway.register(unwrap(readRequest(request))));
        const { id, version } = status.manifest;
        response.status(201).location(`/v2/models/${id}/versions/${version}`).json(modelReply(status));
      },
    },
  ];
}

function readRequest(request: Request): Result<RegisterRequest, TabgridError> {
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
  const { comparator: comparatorText, royalty_basis_points, title, ...rest } = checked.value;
  const comparator = comparatorText === undefined ? ok(null) : readComparator(comparatorText);
  if (!comparator.ok) return comparator;
  const graph: Uint8Array = request.body;
  if (graph.byteLength === 0) return fault("invalid-request", "body", "the bytes of an ONNX file", "nothing");
  return ok({
    ...rest,
    title: title ?? rest.id,
    royaltyBasisPoints: royalty_basis_points,
    graph,
    files: [],
    dimensions,
    comparator: comparator.value,
  });
}

function readComparator(text: string) {
  const json = parseJson(Buffer.from(text), "comparator");
  if (!json.ok) return json;
  const checked = check(z.object({ comparator: comparatorSchema }), { comparator: json.value });
  return checked.ok ? ok(checked.value.comparator) : checked;
}
