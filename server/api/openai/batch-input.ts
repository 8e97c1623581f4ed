import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { limits } from "../../../shared/limits.ts";
import { batchLineSchema } from "../../../shared/openai-batch-api.ts";
import type { BatchRecord } from "../../store/batch-store.ts";
import { openAiError } from "../error-reply.ts";
import { readBody } from "./parameters.ts";

export interface BatchInput {
  /** From 1. */
  line: number;
  customId: string;
  body: Record<string, unknown>;
}

type Fault = BatchRecord["errors"][number];
/** Faults that are told of one file. */
const FAULTS_MAX = 100;

/** Requests of an input file, one after another. A line that holds no request gives a fault. */
async function* readLines(source: Readable, endpoint: string): AsyncGenerator<BatchInput | Fault> {
  let line = 0;
  for await (const text of createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY })) {
    line++;
    if (text.trim() === "") continue;
    const bytes = Buffer.from(text);
    if (bytes.length > limits.batchLineBytes) {
      const message = `expected at most ${limits.batchLineBytes} bytes a line, got ${bytes.length}`;
      yield { code: "line_too_large", message, param: null, line };
      continue;
    }
    const read = readBody(batchLineSchema, bytes);
    if (!read.ok) {
      const { code, message, param } = openAiError(read.error).error;
      yield { code, message, param, line };
    } else if (read.value.url !== endpoint) {
      const message = `url: expected ${endpoint}, as the batch says, got ${read.value.url.slice(0, 60)}`;
      yield { code: "mismatched_endpoint", message, param: "url", line };
    } else yield { line, customId: read.value.custom_id, body: read.value.body };
  }
}

const isFault = (item: BatchInput | Fault): item is Fault => "code" in item;

/** The requests of a file that was found good. */
export async function* batchInputs(source: Readable, endpoint: string): AsyncGenerator<BatchInput> {
  for await (const item of readLines(source, endpoint)) if (!isFault(item)) yield item;
}

/** How many requests a file holds, and what is wrong with it. */
export async function checkBatchInput(source: Readable, endpoint: string): Promise<{ total: number; faults: Fault[] }> {
  const names = new Set<string>();
  const faults: Fault[] = [];
  let total = 0;
  for await (const item of readLines(source, endpoint)) {
    if (isFault(item)) faults.push(item);
    else if (names.has(item.customId)) {
      const message = `custom_id: expected each once, got ${item.customId.slice(0, 60)} again`;
      faults.push({ code: "duplicate_custom_id", message, param: "custom_id", line: item.line });
    } else names.add(item.customId);
    total++;
    if (total > limits.batchLines) {
      const message = `expected at most ${limits.batchLines} requests, got more`;
      return { total, faults: [{ code: "too_many_requests", message, param: null, line: null }] };
    }
    if (faults.length === FAULTS_MAX) break;
  }
  if (total === 0) {
    faults.push({ code: "empty_file", message: "expected at least one request, got none", param: null, line: null });
  }
  return { total, faults };
}
