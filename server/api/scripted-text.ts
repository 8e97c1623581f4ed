import { type Manifest, manifestSchema } from "../../models/manifest.ts";
import { failure } from "../../shared/errors.ts";
import type { ReceiptId, TaskId } from "../../shared/ids.ts";
import { err, ok } from "../../shared/result.ts";
import { tensorOf } from "../../shared/tensor.ts";
import type { Gateway, InferRequest, TextPart, TextRequest } from "../gateway/gateway.ts";
import type { ChatMessage, ChatTool, ModelText } from "../text/model-text.ts";

/**
 * A text model whose tokens are the bytes of UTF-8, so that characters lie across tokens, and which writes what the test
 * says; and an embedding model whose vectors tell what it was given.
 */

const END = 256;
export const contextLength = 4_096;

const base = {
  schema: 1,
  version: "1",
  description: "",
  dtype: "fp32",
  opset: 14,
  files: [{ path: "model.onnx", role: "graph", sha256: "ab".repeat(32), bytes: 10 }],
  batch: { limit: 4, dimension: "batch", rowsIndependent: true },
  comparator: { kind: "dense", relL2Pass: 1e-4, relL2Fail: 1e-2, abs: 1e-5, rel: 1e-4 },
  work: { kind: "by-shape" },
  memoryBytes: 1,
  licence: "Apache-2.0",
  creator: "Tabgrid",
  royaltyBasisPoints: 0,
};

export const bard: Manifest = manifestSchema.parse({
  ...base,
  id: "bard",
  title: "Bard",
  task: "text-generation",
  inputs: [{ name: "input_ids", dtype: "int64", shape: ["batch", "sequence"], range: [0, END] }],
  outputs: [{ name: "logits", dtype: "float32", shape: ["batch", "sequence", END + 1] }],
  text: {
    contextLength,
    vocabulary: END + 1,
    bos: null,
    eos: [END],
    work: { token: 5_000_000, pair: 1_000, alpha: 0.1 },
  },
});

export const DIMENSIONS = 4;
export const vectors: Manifest = manifestSchema.parse({
  ...base,
  id: "vectors",
  title: "Vectors",
  task: "embedding",
  inputs: ["input_ids", "attention_mask", "token_type_ids"].map((name) => ({
    name,
    dtype: "int64",
    shape: ["batch", "sequence"],
    range: [0, 255],
  })),
  outputs: [{ name: "embedding", dtype: "float32", shape: ["batch", DIMENSIONS] }],
  embedding: { output: "embedding", pooling: "mean", normalize: true, dimensions: DIMENSIONS, contextLength: 64 },
});

/** `role: content` lines; a template that knows tools puts their JSON first. */
function textOf(knowsTools: boolean): ModelText {
  const encode = (text: string) => Int32Array.from(Buffer.from(text));
  return {
    contextLength,
    eos: [END],
    encode,
    encodeChat: (messages: readonly ChatMessage[], tools: readonly ChatTool[]) => {
      const lines = messages.map(({ role, content, toolCalls }) => {
        return `${role}: ${content}${toolCalls ? JSON.stringify(toolCalls) : ""}\n`;
      });
      return ok(encode(`${tools.map((tool) => `${JSON.stringify(tool)}\n`).join("")}${lines.join("")}assistant: `));
    },
    templateKnowsTools: knowsTools,
    decoder: () => {
      const decoder = new TextDecoder();
      return {
        push: (tokens) => decoder.decode(Uint8Array.from(tokens), { stream: true }),
        end: () => decoder.decode(),
      };
    },
    bytesOf: (token) => Uint8Array.of(token),
  };
}

export interface TextScript {
  /** What is written; it ends by itself unless `maxTokens` come first. */
  says: string | ((request: TextRequest) => string);
  /** Tokens in one part. */
  partTokens: number;
  /** Called before each part; what it throws back ends the text. */
  beforePart: (index: number, signal: AbortSignal, request: TextRequest) => Promise<ReturnType<typeof failure> | null>;
  knowsTools: boolean;
  asked: TextRequest[];
  /** Tokens that were let go, by request. */
  delivered: number[];
}

export const textScript = (): TextScript => ({
  says: "To be, or not to be",
  partTokens: 3,
  beforePart: async () => null,
  knowsTools: true,
  asked: [],
  delivered: [],
});

/** 10 nano a token. */
const TOKEN_NANO = 10n;

export function scriptedText(script: TextScript): Pick<Gateway, "generate" | "quoteText" | "modelText"> {
  return {
    modelText: async (id) =>
      id === bard.id || id === vectors.id ? ok(textOf(script.knowsTools)) : err(failure("unknown-model", `no ${id}`)),
    quoteText: async ({ prompt, settings }) =>
      ok({ price: BigInt(prompt.length + settings.maxTokens) * TOKEN_NANO, work: BigInt(settings.maxTokens) }),
    generate: async (request, onPart, signal) => {
      const place = script.asked.push(request) - 1;
      script.delivered[place] = 0;
      const text = typeof script.says === "string" ? script.says : script.says(request);
      const all = [...Buffer.from(text), END].slice(0, request.settings.maxTokens);
      let finish: "stop" | "length" | "cancelled" = all.at(-1) === END ? "stop" : "length";
      for (let at = 0; at < all.length; at += script.partTokens) {
        const failed = await script.beforePart(at / script.partTokens, signal, request);
        if (failed) return err(failed);
        const tokens = all.slice(at, at + script.partTokens);
        script.delivered[place] += tokens.length;
        if (onPart(partOf(tokens, request)) && !signal.aborted) continue;
        finish = "cancelled";
        break;
      }
      const outputTokens = script.delivered[place] as number;
      return ok({
        task: `t_${place}` as TaskId,
        receipt: `r_${place}` as ReceiptId,
        basis: "pending",
        level: request.level ?? "fast",
        price: BigInt(request.prompt.length + outputTokens) * TOKEN_NANO,
        model: { id: request.model, version: request.version ?? "1" },
        finish,
        promptTokens: request.prompt.length,
        outputTokens,
        seed: String(request.requestSeed ?? 7n),
      });
    },
  };
}

function partOf(tokens: number[], { settings }: TextRequest): TextPart {
  const top = (token: number) =>
    Array.from({ length: settings.topLogProbabilities }, (_, rank) => ({
      token: (token + rank) % 128,
      logProbability: -0.5 * (rank + 1),
    }));
  return {
    tokens: Int32Array.from(tokens),
    logProbabilities: Float32Array.from(tokens, () => -0.5),
    top: settings.topLogProbabilities > 0 ? tokens.map(top) : [],
  };
}

/** Each row's length, first and last token, and 1: in this order, and not of length one. */
export function scriptedEmbedding(request: InferRequest) {
  const [ids, mask] = request.inputs;
  const [rows = 0, length = 0] = ids?.shape ?? [];
  const numbers = (data: Uint8Array) => new BigInt64Array(data.buffer, data.byteOffset, data.byteLength / 8);
  const tokens = numbers(ids?.data as Uint8Array);
  const known = numbers(mask?.data as Uint8Array);
  const values = new Float32Array(rows * DIMENSIONS);
  for (let row = 0; row < rows; row++) {
    const size = Number(known.subarray(row * length, (row + 1) * length).reduce((sum, one) => sum + one, 0n));
    const at = (index: number) => Number(tokens[row * length + index]);
    values.set([size, at(0), at(size - 1), 1], row * DIMENSIONS);
  }
  return [tensorOf("embedding", "float32", [rows, DIMENSIONS], values)];
}
