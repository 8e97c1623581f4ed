import protobuf from "protobufjs/light.js";

/** A float32 weight of an ONNX file: where its bytes lie. */
export interface Weight {
  name: string;
  dims: number[];
  /** Of its raw data in the file. */
  offset: number;
  elements: number;
}

const FLOAT = 1;
/** Field numbers of onnx.proto (onnx/onnx v1.19). */
const field = {
  model: { graph: 7 },
  graph: { node: 1, initializer: 5 },
  node: { attribute: 5 },
  attribute: { tensor: 5 },
  tensor: { dims: 1, dataType: 2, name: 8, rawData: 9 },
} as const;

/**
 * The float32 weights of a model that are stored in its file as raw data, in the file's order. Nothing is decoded but their
 * places, so that an edit in place keeps every other byte.
 */
export function findWeights(file: Uint8Array): Weight[] {
  const weights: Weight[] = [];
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  eachMessage(bytes, 0, bytes.length, (id, from, to) => {
    if (id !== field.model.graph) return;
    eachMessage(bytes, from, to, (part, start, end) => {
      if (part === field.graph.initializer) keep(start, end);
      if (part === field.graph.node) visitConstant(start, end);
    });
  });
  return weights;

  function visitConstant(from: number, to: number): void {
    eachMessage(bytes, from, to, (id, start, end) => {
      if (id !== field.node.attribute) return;
      eachMessage(bytes, start, end, (part, first, last) => {
        if (part === field.attribute.tensor) keep(first, last);
      });
    });
  }

  function keep(from: number, to: number): void {
    const weight: Weight = { name: "", dims: [], offset: -1, elements: 0 };
    let type = 0;
    const scalar = (id: number, value: number) => {
      if (id === field.tensor.dims) weight.dims.push(value);
      if (id === field.tensor.dataType) type = value;
    };
    eachMessage(
      bytes,
      from,
      to,
      (id, start, end) => {
        if (id === field.tensor.name) weight.name = new TextDecoder().decode(bytes.subarray(start, end));
        if (id === field.tensor.rawData) [weight.offset, weight.elements] = [start, (end - start) / 4];
        if (id === field.tensor.dims) {
          const packed = protobuf.Reader.create(bytes.subarray(start, end));
          while (packed.pos < packed.len) weight.dims.push(Number(packed.int64()));
        }
      },
      scalar,
    );
    if (type === FLOAT && weight.offset >= 0) weights.push(weight);
  }
}

/** Walks the fields of one message: `nested` gets those with a length, `scalar` the integers. */
function eachMessage(
  bytes: Uint8Array,
  from: number,
  to: number,
  nested: (id: number, from: number, to: number) => void,
  scalar: (id: number, value: number) => void = () => undefined,
): void {
  const reader = protobuf.Reader.create(bytes);
  reader.pos = from;
  while (reader.pos < to) {
    const tag = reader.uint32();
    const [id, wire] = [tag >>> 3, tag & 7];
    if (wire === 2) {
      const length = reader.uint32();
      const start = reader.pos;
      reader.skip(length);
      nested(id, start, start + length);
    } else if (wire === 0) scalar(id, Number(reader.int64()));
    else reader.skipType(wire);
  }
}

/** A copy of the file in which `edit` has changed the values of a weight. */
export function editWeights(
  file: Uint8Array,
  weights: readonly Weight[],
  edit: (values: Float32Array, weight: Weight) => void,
): Uint8Array {
  const copy = file.slice();
  for (const weight of weights) {
    // A copy of the values: raw data may start at any byte.
    const raw = copy.slice(weight.offset, weight.offset + weight.elements * 4);
    edit(new Float32Array(raw.buffer), weight);
    copy.set(raw, weight.offset);
  }
  return copy;
}
