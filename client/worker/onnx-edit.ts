/**
 * An ONNX file that can be changed a little: nodes, inputs and outputs can be read, replaced and added; everything else,
 * weights before all, stays the bytes it was. Fields of onnx.proto (IR version 13). By hand, because protobufjs compiles
 * its decoders with `Function`, which the page's content security policy forbids.
 */
export interface EditableModel {
  /** Of the default domain. */
  opset: number;
  nodes: EditableNode[];
  outputs: { name: string; elementType: number }[];
  /** Gives an output another shape than it was declared with. */
  redeclare(name: string, shape: readonly (number | string)[]): void;
  addInput(name: string, elementType: number, shape: readonly (number | string)[]): void;
  addOutput(name: string, elementType: number, shape: readonly (number | string)[]): void;
  /** int64[values] as an initialiser. */
  addIntegers(name: string, values: readonly bigint[]): void;
  /** float32 of this shape as an initialiser. */
  addFloats(name: string, shape: readonly number[], values: Float32Array<ArrayBuffer>): void;
  /** An initialiser, or what a Constant node gives; null where there is none of that name. */
  constant(name: string): ConstantTensor | null;
  /** Lets the graph use operators of this domain. */
  importDomain(domain: string): void;
  bytes(): Uint8Array;
}

export interface EditableNode {
  opType: string;
  domain: string;
  name: string;
  input: string[];
  output: string[];
  /** AttributeProto, as bytes. */
  attributes: Uint8Array[];
}

export interface ConstantTensor {
  shape: number[];
  elementType: number;
  /** Of float32 that lies in the file; else null. */
  floats(): Float32Array | null;
}

interface Field {
  number: number;
  /** With its tag, as it stood. */
  raw: Uint8Array;
  /** Of a length-delimited field. */
  body: Uint8Array;
  /** Of a field of an integer. */
  value: number;
}

const MODEL = { graph: 7, opset: 8 };
const GRAPH = { node: 1, initializer: 5, input: 11, output: 12 };
const NODE = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 };
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;
const none = new Uint8Array(0);

function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const integer = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      if (at >= bytes.length) throw new RangeError("not an ONNX file: it ends within a number");
      const byte = bytes[at++] as number;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const start = at;
    const tag = integer();
    const wire = tag % 8;
    let body: Uint8Array = none;
    let value = 0;
    if (wire === VARINT) value = integer();
    else if (wire === DELIMITED) {
      const length = integer();
      body = bytes.subarray(at, at + length);
      at += length;
    } else if (wire === FIXED64 || wire === FIXED32) at += wire === FIXED64 ? 8 : 4;
    else throw new RangeError(`not an ONNX file: wire type ${wire}`);
    if (at > bytes.length) throw new RangeError("not an ONNX file: it ends within a field");
    yield { number: Math.floor(tag / 8), raw: bytes.subarray(start, at), body, value };
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const tagged = (number: number, body: Uint8Array): Uint8Array[] => [
  Uint8Array.from([...encoded(number * 8 + DELIMITED), ...encoded(body.length)]),
  body,
];
const named = (number: number, value: string): Uint8Array[] => tagged(number, new TextEncoder().encode(value));
const varint = (number: number, value: number | bigint): Uint8Array =>
  Uint8Array.from([...encoded(number * 8 + VARINT), ...encoded(value)]);

/** Seven bits a byte, the lowest first; negative numbers in ten bytes. */
function encoded(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @throws RangeError where the bytes are no protobuf message, Error where they hold no graph */
export function editModel(bytes: Uint8Array): EditableModel {
  const fields = [...fieldsOf(bytes)];
  const graph = fields.find(({ number }) => number === MODEL.graph);
  if (!graph) throw new Error("not an ONNX file: it has no graph");
  const rest: Field[] = [];
  const nodes: EditableNode[] = [];
  for (const field of fieldsOf(graph.body)) {
    if (field.number === GRAPH.node) nodes.push(readNode(field.body));
    else rest.push(field);
  }
  const added: Uint8Array[] = [];
  const imported: Uint8Array[] = [];

  const outputs = rest.filter(({ number }) => number === GRAPH.output).map(({ body }) => readValue(body));
  const isOutput = (field: Field, name: string) => field.number === GRAPH.output && readValue(field.body).name === name;

  return {
    opset: opsetOf(fields),
    nodes,
    outputs,
    redeclare(name, shape) {
      const at = rest.findIndex((field) => isOutput(field, name));
      if (at < 0) throw new Error(`the graph has no output ${name}`);
      const [old] = rest.splice(at, 1);
      const { elementType } = readValue((old as Field).body);
      const raw = joined(tagged(GRAPH.output, writeValue(name, elementType, shape)));
      rest.splice(at, 0, { ...(old as Field), raw });
    },
    addInput: (...value) => added.push(...tagged(GRAPH.input, writeValue(...value))),
    addOutput: (...value) => added.push(...tagged(GRAPH.output, writeValue(...value))),
    addIntegers(name, values) {
      const raw = new Uint8Array(BigInt64Array.from(values).buffer);
      const tensor = [varint(1, values.length), varint(2, 7), ...named(8, name), ...tagged(9, raw)];
      added.push(...tagged(GRAPH.initializer, joined(tensor)));
    },
    addFloats(name, shape, values) {
      const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      const tensor = [...shape.map((size) => varint(1, size)), varint(2, 1), ...named(8, name), ...tagged(9, raw)];
      added.push(...tagged(GRAPH.initializer, joined(tensor)));
    },
    constant(name) {
      const maker = nodes.find(({ output }) => output[0] === name);
      if (maker) return maker.opType === "Constant" ? constantOf(maker) : null;
      for (const { number, body } of rest) {
        if (number !== GRAPH.initializer) continue;
        if (nameOfTensor(body) === name) return readTensor(body);
      }
      return null;
    },
    importDomain(domain) {
      if (fields.some(({ number, body }) => number === MODEL.opset && text(body).includes(domain))) return;
      imported.push(...tagged(MODEL.opset, joined([...named(1, domain), varint(2, 1)])));
    },
    bytes() {
      const body = joined([
        ...nodes.flatMap((node) => tagged(GRAPH.node, writeNode(node))),
        ...rest.map(({ raw }) => raw),
        ...added,
      ]);
      const others = fields.filter((field) => field !== graph).map(({ raw }) => raw);
      return joined([...others, ...imported, ...tagged(MODEL.graph, body)]);
    },
  };
}

function opsetOf(fields: readonly Field[]): number {
  for (const { number, body } of fields) {
    if (number !== MODEL.opset) continue;
    let domain = "";
    let version = 0;
    for (const field of fieldsOf(body)) {
      if (field.number === 1) domain = text(field.body);
      else version = field.value;
    }
    if (domain === "" || domain === "ai.onnx") return version;
  }
  return 0;
}

function readNode(bytes: Uint8Array): EditableNode {
  const node: EditableNode = { opType: "", domain: "", name: "", input: [], output: [], attributes: [] };
  for (const { number, body } of fieldsOf(bytes)) {
    if (number === NODE.input) node.input.push(text(body));
    else if (number === NODE.output) node.output.push(text(body));
    else if (number === NODE.name) node.name = text(body);
    else if (number === NODE.opType) node.opType = text(body);
    else if (number === NODE.domain) node.domain = text(body);
    else if (number === NODE.attribute) node.attributes.push(body);
  }
  return node;
}

const writeNode = ({ input, output, name, opType, domain, attributes }: EditableNode): Uint8Array =>
  joined([
    ...input.flatMap((value) => named(NODE.input, value)),
    ...output.flatMap((value) => named(NODE.output, value)),
    ...named(NODE.name, name),
    ...named(NODE.opType, opType),
    ...attributes.flatMap((attribute) => tagged(NODE.attribute, attribute)),
    ...named(NODE.domain, domain),
  ]);

/** ValueInfoProto: name and, of a tensor, the element type. */
function readValue(bytes: Uint8Array): { name: string; elementType: number } {
  let name = "";
  let elementType = 0;
  for (const { number, body } of fieldsOf(bytes)) {
    if (number === 1) name = text(body);
    if (number !== 2) continue;
    for (const type of fieldsOf(body)) {
      if (type.number !== 1) continue;
      for (const field of fieldsOf(type.body)) {
        if (field.number === 1) elementType = field.value;
      }
    }
  }
  return { name, elementType };
}

function writeValue(name: string, elementType: number, shape: readonly (number | string)[]): Uint8Array {
  const dims = shape.map((size) => joined(typeof size === "string" ? named(2, size) : [varint(1, size)]));
  const tensor = joined([varint(1, elementType), ...tagged(2, joined(dims.flatMap((dim) => tagged(1, dim))))]);
  return joined([...named(1, name), ...tagged(2, joined(tagged(1, tensor)))]);
}

/** TensorProto, without copying its data. */
function readTensor(bytes: Uint8Array): ConstantTensor {
  const shape: number[] = [];
  let elementType = 0;
  let data: Uint8Array | null = null;
  for (const { number, body, value, raw } of fieldsOf(bytes)) {
    if (number === 1 && body.length > 0) for (const size of packed(body)) shape.push(size);
    else if (number === 1) shape.push(value);
    else if (number === 2) elementType = value;
    else if (number === 9 || (number === 4 && body.length > 0)) data = body;
    else if (number === 4) data = raw.subarray(-4);
  }
  const floats = () => (data && elementType === 1 ? new Float32Array(data.slice().buffer) : null);
  return { shape, elementType, floats };
}

function nameOfTensor(bytes: Uint8Array): string {
  for (const { number, body } of fieldsOf(bytes)) if (number === 8) return text(body);
  return "";
}

function constantOf({ attributes }: EditableNode): ConstantTensor | null {
  for (const attribute of attributes)
    for (const { number, body } of fieldsOf(attribute)) if (number === 5) return readTensor(body);
  return null;
}

function* packed(bytes: Uint8Array): Generator<number> {
  let value = 0;
  let scale = 1;
  for (const byte of bytes) {
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    yield value;
    [value, scale] = [0, 1];
  }
}

/** The value of an attribute of one integer. */
export function integerOfAttribute(node: EditableNode, name: string): number | null {
  for (const attribute of node.attributes) {
    const fields = [...fieldsOf(attribute)];
    if (fields.some(({ number, body }) => number === 1 && text(body) === name))
      return fields.find(({ number }) => number === 3)?.value ?? null;
  }
  return null;
}

/** AttributeProto of a number. */
export function floatAttribute(name: string, value: number): Uint8Array {
  const FLOAT = 1;
  const bytes = new Uint8Array(Float32Array.of(value).buffer);
  return joined([...named(1, name), Uint8Array.of(2 * 8 + FIXED32), bytes, varint(20, FLOAT)]);
}

/** AttributeProto of one or several integers. */
export function integerAttribute(name: string, value: number | readonly number[]): Uint8Array {
  const INT = 2;
  const INTS = 7;
  if (typeof value === "number") return joined([...named(1, name), varint(3, value), varint(20, INT)]);
  return joined([...named(1, name), ...value.map((one) => varint(8, one)), varint(20, INTS)]);
}
