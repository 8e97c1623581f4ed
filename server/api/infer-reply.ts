import { datatypes } from "../../shared/api.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { InferAnswer } from "../gateway/gateway.ts";
import { elementsText } from "./json-tensors.ts";
import { microText } from "./price-text.ts";

/** Body of a reply; `jsonBytes` is null where all of it is JSON. */
export interface InferReply {
  body: Uint8Array;
  jsonBytes: number | null;
}

/** Outputs in the order that was asked for, else the answer's. */
export function encodeAnswer(
  answer: InferAnswer,
  id: string | null,
  order: readonly string[],
  isBinary: (output: string) => boolean,
): InferReply {
  const byName = new Map(answer.outputs.map((output) => [output.name, output]));
  const outputs = order.length === 0 ? answer.outputs : order.flatMap((name) => byName.get(name) ?? []);
  const head = {
    model_name: answer.model.id,
    model_version: answer.model.version,
    ...(id === null ? {} : { id }),
    parameters: {
      task: answer.task,
      receipt: answer.receipt,
      basis: answer.basis,
      service_level: answer.level,
      price: microText(answer.price),
    },
  };
  const texts = outputs.map((output) => outputText(output, isBinary(output.name)));
  const json = Buffer.from(`${JSON.stringify(head).slice(0, -1)},"outputs":[${texts.join(",")}]}`);
  const binary = outputs.filter((output) => isBinary(output.name));
  if (binary.length === 0) return { body: json, jsonBytes: null };
  return { body: Buffer.concat([json, ...binary.map(({ data }) => data)]), jsonBytes: json.byteLength };
}

function outputText({ name, dtype, shape, data }: Tensor, isBinary: boolean): string {
  const head = JSON.stringify({ name, datatype: datatypes[dtype], shape }).slice(0, -1);
  const tail = isBinary
    ? `"parameters":{"binary_data_size":${data.byteLength}}`
    : `"data":${elementsText({ dtype, data })}`;
  return `${head},${tail}}`;
}
