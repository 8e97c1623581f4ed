import protobuf from "protobufjs/light.js";

/**
 * The part of onnx.proto (onnx/onnx v1.19, IR version 13) that the hub reads. Fields that are left out, among them every
 * weight, are skipped by the decoder without a copy, so that reading a graph costs little beside its file.
 */
export interface DimensionProto {
  dimValue?: unknown;
  dimParam?: string;
}
export interface TypeProto {
  tensorType?: { elemType?: number; shape?: { dim?: DimensionProto[] } };
}
export interface ValueInfoProto {
  name?: string;
  type?: TypeProto;
}
export interface TensorProto {
  dims?: unknown[];
  dataType?: number;
  name?: string;
  externalData?: { key?: string; value?: string }[];
  dataLocation?: number;
}
export interface AttributeProto {
  name?: string;
  s?: Uint8Array;
  t?: TensorProto;
  g?: GraphProto;
  tensors?: TensorProto[];
  graphs?: GraphProto[];
}
export interface NodeProto {
  name?: string;
  opType?: string;
  domain?: string;
  attribute?: AttributeProto[];
}
export interface GraphProto {
  node?: NodeProto[];
  initializer?: TensorProto[];
  sparseInitializer?: { values?: TensorProto; indices?: TensorProto }[];
  input?: ValueInfoProto[];
  output?: ValueInfoProto[];
}
export interface ModelProto {
  irVersion?: unknown;
  opsetImport?: { domain?: string; version?: unknown }[];
  graph?: GraphProto;
  functions?: { node?: NodeProto[] }[];
}

const one = (type: string, id: number) => ({ type, id });
const many = (type: string, id: number) => ({ rule: "repeated", type, id });

const root = protobuf.Root.fromJSON({
  nested: {
    Dimension: {
      oneofs: { value: { oneof: ["dimValue", "dimParam"] } },
      fields: { dimValue: one("int64", 1), dimParam: one("string", 2) },
    },
    Shape: { fields: { dim: many("Dimension", 1) } },
    TensorType: { fields: { elemType: one("int32", 1), shape: one("Shape", 2) } },
    Type: { fields: { tensorType: one("TensorType", 1) } },
    ValueInfo: { fields: { name: one("string", 1), type: one("Type", 2) } },
    Entry: { fields: { key: one("string", 1), value: one("string", 2) } },
    Tensor: {
      fields: {
        dims: many("int64", 1),
        dataType: one("int32", 2),
        name: one("string", 8),
        externalData: many("Entry", 13),
        dataLocation: one("int32", 14),
      },
    },
    SparseTensor: { fields: { values: one("Tensor", 1), indices: one("Tensor", 2) } },
    Attribute: {
      fields: {
        name: one("string", 1),
        s: one("bytes", 4),
        t: one("Tensor", 5),
        g: one("Graph", 6),
        tensors: many("Tensor", 10),
        graphs: many("Graph", 11),
      },
    },
    Node: {
      fields: {
        name: one("string", 3),
        opType: one("string", 4),
        attribute: many("Attribute", 5),
        domain: one("string", 7),
      },
    },
    Graph: {
      fields: {
        node: many("Node", 1),
        initializer: many("Tensor", 5),
        sparseInitializer: many("SparseTensor", 15),
        input: many("ValueInfo", 11),
        output: many("ValueInfo", 12),
      },
    },
    Function: { fields: { node: many("Node", 7) } },
    OperatorSet: { fields: { domain: one("string", 1), version: one("int64", 2) } },
    Model: {
      fields: {
        irVersion: one("int64", 1),
        graph: one("Graph", 7),
        opsetImport: many("OperatorSet", 8),
        functions: many("Function", 25),
      },
    },
  },
});

const modelType = root.lookupType("Model");

/** @throws RangeError or Error of protobufjs where the bytes are no protobuf message of this shape */
export const decodeModel = (bytes: Uint8Array): ModelProto => modelType.decode(bytes) as unknown as ModelProto;

/** For tests, which write small graphs with it. */
export const encodeModel = (model: ModelProto): Uint8Array => modelType.encode(modelType.fromObject(model)).finish();

/** A 64-bit integer as protobufjs gives it (number or Long). */
export const integerOf = (value: unknown): number => Number(value ?? 0);
