import type { Manifest } from "../../models/manifest.ts";
import { datatypes, dtypeOf, type InferBody, inferRequestSchema } from "../../shared/api.ts";
import type { TabgridError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { ok, type Result } from "../../shared/result.ts";
import { byteCount, matchSpecs, type Tensor, toNumbers, viewOf } from "../../shared/tensor.ts";
import type { InferRequest } from "../gateway/gateway.ts";
import { fault } from "./error-reply.ts";
import { elementsToBytes } from "./json-tensors.ts";
import { parseJson } from "./json-text.ts";
import { check, describe } from "./validation.ts";

/** An infer request that a model can take, and how its caller wants the reply. */
export interface DecodedInfer {
  request: Omit<InferRequest, "customer" | "model" | "version">;
  dryRun: boolean;
  /** Of each output by name: bytes after the JSON instead of numbers in it. */
  isBinary: (output: string) => boolean;
}

/**
 * Reads the body of `POST /v2/models/{m}/infer`: JSON, or with `Inference-Header-Content-Length` that many bytes of JSON
 * and then the bytes of every input that has `binary_data_size`, in the order of the inputs.
 */
export function decodeInfer(
  body: Uint8Array,
  headerLength: string | undefined,
  manifest: Manifest,
): Result<DecodedInfer, TabgridError> {
  const jsonBytes = jsonLength(body, headerLength);
  if (!jsonBytes.ok) return jsonBytes;
  const json = parseJson(body.subarray(0, jsonBytes.value));
  if (!json.ok) return json;
  const checked = check(inferRequestSchema, json.value);
  if (!checked.ok) return checked;
  const parameters = checked.value.parameters ?? {};
  const deadline = checkDeadline(parameters.deadline_ms);
  if (!deadline.ok) return deadline;
  const inputs = readInputs(checked.value, body.subarray(jsonBytes.value));
  if (!inputs.ok) return inputs;
  const problem = checkInputs(inputs.value, manifest);
  if (!problem.ok) return problem;
  const isBinary = binaryChoice(checked.value);
  const outputs = checkOutputs(checked.value, manifest, isBinary);
  if (!outputs.ok) return outputs;
  return ok({
    request: {
      inputs: inputs.value,
      outputs: outputs.value,
      level: parameters.service_level ?? null,
      deadlineMs: deadline.value,
      id: checked.value.id ?? null,
    },
    dryRun: parameters.dry_run ?? false,
    isBinary,
  });
}

const LENGTH_HEADER = "inference-header-content-length";

function jsonLength(body: Uint8Array, headerLength: string | undefined): Result<number, TabgridError> {
  if (headerLength === undefined) return ok(body.byteLength);
  if (!/^\d{1,15}$/.test(headerLength)) {
    return fault("malformed-binary-header", LENGTH_HEADER, "a number of bytes", describe(headerLength));
  }
  const length = Number(headerLength);
  if (length > 0 && length <= body.byteLength) return ok(length);
  return fault(
    "malformed-binary-header",
    LENGTH_HEADER,
    `1 to ${body.byteLength}, the length of the body`,
    headerLength,
  );
}

function checkDeadline(deadlineMs: number | undefined): Result<number | null, TabgridError> {
  if (deadlineMs === undefined) return ok(null);
  const field = "parameters.deadline_ms";
  if (deadlineMs <= 0) return fault("deadline-expired", field, "more than 0", String(deadlineMs));
  if (deadlineMs <= limits.deadlineMaxMs) return ok(deadlineMs);
  return fault("value-out-of-range", field, `at most ${limits.deadlineMaxMs}`, String(deadlineMs));
}

function readInputs({ inputs }: InferBody, binary: Uint8Array): Result<Tensor[], TabgridError> {
  const tensors: Tensor[] = [];
  let at = 0;
  for (const [index, { name, datatype, shape, data, parameters }] of inputs.entries()) {
    const dtype = dtypeOf[datatype];
    const field = `inputs[${index}]`;
    const size = parameters?.binary_data_size;
    if (size === undefined) {
      if (data === undefined) {
        return fault("invalid-request", `${field}.data`, "elements, or parameters.binary_data_size", "neither");
      }
      const bytes = elementsToBytes({ dtype, shape }, data, `${field}.data`);
      if (!bytes.ok) return bytes;
      tensors.push({ name, dtype, shape, data: bytes.value });
      continue;
    }
    const sizeField = `${field}.parameters.binary_data_size`;
    if (data !== undefined) return fault("invalid-request", `${field}.data`, "none beside binary_data_size", "both");
    if (size !== byteCount({ dtype, shape })) {
      const expected = `${byteCount({ dtype, shape })} bytes for ${datatype} [${shape.join(",")}]`;
      return fault("wrong-byte-count", sizeField, expected, `${size} bytes`);
    }
    if (at + size > binary.byteLength) {
      const expected = `at most the ${binary.byteLength - at} bytes that are left after the JSON`;
      return fault("malformed-binary-header", sizeField, expected, `${size} bytes`);
    }
    tensors.push({ name, dtype, shape, data: binary.subarray(at, at + size) });
    at += size;
  }
  if (at === binary.byteLength) return ok(tensors);
  const expected = `${at} bytes after the JSON, the sum of binary_data_size`;
  return fault("malformed-binary-header", "body", expected, `${binary.byteLength} bytes`);
}

/** Against the manifest: names, datatypes, shapes, finite floats, the ranges it states. */
function checkInputs(inputs: readonly Tensor[], manifest: Manifest): Result<null, TabgridError> {
  const specs = new Map(manifest.inputs.map((spec) => [spec.name, spec]));
  for (const [index, { name, dtype }] of inputs.entries()) {
    const spec = specs.get(name);
    if (spec && spec.dtype !== dtype) {
      return fault("wrong-dtype", `inputs[${index}].datatype`, datatypes[spec.dtype], datatypes[dtype]);
    }
  }
  const matched = matchSpecs(inputs, manifest.inputs, "inputs");
  if (!matched.ok) return matched;
  for (const [index, tensor] of inputs.entries()) {
    const [low, high] = specs.get(tensor.name)?.range ?? [-Infinity, Infinity];
    const isFloat = tensor.dtype.startsWith("float");
    const isBool = tensor.dtype === "bool";
    if (!isFloat && !isBool && low === -Infinity && high === Infinity) continue;
    const values = tensor.dtype === "float16" ? toNumbers(tensor) : viewOf(tensor);
    for (let at = 0; at < values.length; at++) {
      const value = Number(values[at]);
      const field = `inputs[${index}].data[${at}]`;
      if (!Number.isFinite(value) && !manifest.nonFiniteOutputs) {
        return fault("non-finite-value", field, "a finite number", String(value));
      }
      if (value < low || value > high) return fault("value-out-of-range", field, `${low} to ${high}`, String(value));
      if (isBool && value > 1) return fault("value-out-of-range", field, "the byte 0 or 1", String(value));
    }
  }
  return ok(null);
}

function binaryChoice({ parameters, outputs }: InferBody): (output: string) => boolean {
  const asked = new Map(outputs?.map((output) => [output.name, output.parameters?.binary_data]));
  return (output) => asked.get(output) ?? parameters?.binary_data_output ?? false;
}

function checkOutputs(
  { outputs = [] }: InferBody,
  manifest: Manifest,
  isBinary: (output: string) => boolean,
): Result<string[], TabgridError> {
  const known = new Map(manifest.outputs.map((spec) => [spec.name, spec]));
  const names: string[] = [];
  for (const [index, { name }] of outputs.entries()) {
    const field = `outputs[${index}].name`;
    if (!known.has(name)) return fault("unknown-tensor", field, `one of ${[...known.keys()].join(", ")}`, name);
    if (names.includes(name)) return fault("unknown-tensor", field, "each output once", `${name} twice`);
    names.push(name);
  }
  for (const name of names.length > 0 ? names : known.keys()) {
    if (known.get(name)?.dtype === "float16" && !isBinary(name)) {
      const field = names.length > 0 ? `outputs[${names.indexOf(name)}].parameters.binary_data` : "outputs";
      return fault("wrong-dtype", field, `true, as ${name} is FP16, which JSON cannot carry`, "JSON");
    }
  }
  return ok(names);
}
