import type { Request, Response } from "express";
import { z } from "zod";
import {
  datatypes,
  inferenceErrorSchema,
  inferReplySchema,
  inferRequestSchema,
  modelMetadataSchema,
  serverMetadataSchema,
} from "../../shared/api.ts";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { TensorSpec } from "../../shared/tensor.ts";
import type { Gateway, ModelStatus } from "../gateway/gateway.ts";
import { customerOf } from "./auth.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { hangUpSignal } from "./hang-up.ts";
import { encodeAnswer, type InferReply } from "./infer-reply.ts";
import { decodeInfer } from "./infer-request.ts";
import { microText, priceHint } from "./price-text.ts";

const LENGTH_HEADER = "inference-header-content-length";
const tag = "Open Inference Protocol v2";
const problems = { description: "error", schema: inferenceErrorSchema };
const readySchema = z.object({ name: z.string(), ready: z.boolean() });

/** https://github.com/kserve/open-inference-protocol, with the binary tensor data extension. */
export function openInference(gateway: Gateway, version: string): Endpoint[] {
  const modelOf = (request: Request): ModelStatus => findModel(gateway, request);
  const perModel = (base: string): Endpoint[] => [
    {
      method: "get",
      path: base,
      tag,
      summary: "Names, datatypes and shapes of a model's inputs and outputs",
      access: "open",
      replies: { 200: { description: "metadata", schema: modelMetadataSchema }, 404: problems },
      handle: (request, response) => void response.json(metadataOf(modelOf(request), gateway.models())),
    },
    {
      method: "get",
      path: `${base}/ready`,
      tag,
      summary: "Whether a miner or the reference node can serve a model now",
      access: "open",
      replies: { 200: { description: "ready", schema: readySchema }, 404: problems, 503: problems },
      handle: (request, response) => {
        const { manifest, miners, referenceServes } = modelOf(request);
        if (miners === 0 && !referenceServes) {
          throw new TabgridFailure(
            failure("no-capable-miner", `${manifest.id}: no miner serves it now`, { retryAfter: 5 }),
          );
        }
        response.json({ name: manifest.id, ready: true });
      },
    },
    {
      method: "post",
      path: `${base}/infer`,
      tag,
      summary: "Run a model; JSON, or JSON and binary tensors",
      access: "key",
      isBillable: true,
      body: {
        type: "application/json",
        limitBytes: limits.inferBodyBytes,
        tooLarge: "body-too-large",
        schema: inferRequestSchema,
      },
      replies: {
        200: { description: "outputs, or with dry_run the price", schema: inferReplySchema },
        400: problems,
        401: problems,
        402: problems,
        404: problems,
        413: problems,
        429: problems,
        503: problems,
        504: problems,
      },
      handle: (request, response) => infer(gateway, request, response),
    },
  ];
  return [
    {
      method: "get",
      path: "/v2",
      tag,
      summary: "The server and its extensions",
      access: "open",
      replies: { 200: { description: "metadata", schema: serverMetadataSchema } },
      handle: (_request, response) =>
        void response.json({ name: "tabgrid", version, extensions: ["binary_tensor_data"] }),
    },
    {
      method: "get",
      path: "/v2/health/live",
      tag,
      summary: "The process answers",
      access: "open",
      replies: { 200: { description: "live", schema: z.object({ live: z.literal(true) }) } },
      handle: (_request, response) => void response.json({ live: true }),
    },
    {
      method: "get",
      path: "/v2/health/ready",
      tag,
      summary: "Everything that the hub depends on works",
      access: "open",
      replies: {
        200: { description: "ready", schema: z.object({ ready: z.boolean() }) },
        503: { description: "not ready", schema: z.object({ ready: z.boolean() }) },
      },
      handle: async (_request, response) => {
        const ready = Object.values(await gateway.readiness()).every((problem) => problem === null);
        response.status(ready ? 200 : 503).json({ ready });
      },
    },
    ...perModel("/v2/models/:model"),
    ...perModel("/v2/models/:model/versions/:version"),
  ];
}

function findModel(gateway: Gateway, request: Request): ModelStatus {
  const id = segment(request, "model");
  const version = request.params.version === undefined ? undefined : segment(request, "version");
  const found = gateway.model(id, version);
  if (!found) throw notFound("unknown-model", "model", version === undefined ? id : `${id}, version ${version}`);
  return found;
}

function metadataOf({ manifest, miners, queued, referenceServes }: ModelStatus, all: readonly ModelStatus[]) {
  const price = priceHint(manifest);
  const tensor = ({ name, dtype, shape }: TensorSpec) => ({
    name,
    datatype: datatypes[dtype],
    shape: shape.map((size) => (typeof size === "number" ? size : -1)),
  });
  return {
    name: manifest.id,
    versions: all
      .filter((other) => other.manifest.id === manifest.id)
      .toSorted((a, b) => b.publishedAt - a.publishedAt)
      .map((other) => other.manifest.version),
    platform: "onnx",
    inputs: manifest.inputs.map(tensor),
    outputs: manifest.outputs.map(tensor),
    parameters: {
      version: manifest.version,
      title: manifest.title,
      task: manifest.task,
      licence: manifest.licence,
      comparator: manifest.comparator.kind,
      batch_limit: manifest.batch.limit,
      miners_ready: miners,
      queued,
      reference_serves: referenceServes,
      ...(price === null ? {} : { price_fast: price.fast, price_verified: price.verified }),
    },
  } satisfies z.input<typeof modelMetadataSchema>;
}

async function infer(gateway: Gateway, request: Request, response: Response): Promise<void> {
  const { manifest } = findModel(gateway, request);
  const { id: model, version } = manifest;
  const decoded = unwrap(decodeInfer(request.body, request.get(LENGTH_HEADER), manifest));
  const asked = { ...decoded.request, customer: customerOf(response), model, version };
  if (decoded.dryRun) {
    const { price, work } = unwrap(await gateway.quote(asked));
    response.json({
      model_name: model,
      model_version: version,
      ...(asked.id === null ? {} : { id: asked.id }),
      parameters: { dry_run: true, price: microText(price), work: String(work) },
      outputs: [],
    } satisfies z.input<typeof inferReplySchema>);
    return;
  }
  const answer = unwrap(await gateway.infer(asked, hangUpSignal(response)));
  send(response, encodeAnswer(answer, asked.id, asked.outputs, decoded.isBinary));
}

function send(response: Response, { body, jsonBytes }: InferReply): void {
  if (jsonBytes === null) {
    response.type("application/json");
  } else {
    response.type("application/octet-stream").set(LENGTH_HEADER, String(jsonBytes));
  }
  response.send(body);
}
