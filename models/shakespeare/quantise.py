#!/usr/bin/env python3
"""Writes the int8 and the 4-bit edition of a model.onnx beside it, with the onnx package alone.

    /usr/bin/python3 models/shakespeare/quantise.py models/shakespeare

model_quantized.onnx: every weight of a MatMul as int8 with one scale per output column, the embedding as int8 with one
scale; ONNX's own DequantizeLinear turns them back, so any runtime loads it (opset 14).
model_q4.onnx: every weight of a MatMul as 4 bits with one scale per 32 inputs, for ONNX Runtime's MatMulNBits
(domain com.microsoft); the embedding stays float.
"""
import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

BLOCK = 32


def matmul_weights(graph):
    """The MatMul nodes whose right side is a constant matrix, with that matrix."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            yield node, numpy_helper.to_array(constants[node.input[1]])


def replace_nodes(graph, replacements):
    """Puts lists of nodes in the place of single ones, by the name of the first output."""
    nodes = [new for old in graph.node for new in replacements.get(old.output[0], [old])]
    del graph.node[:]
    graph.node.extend(nodes)


def drop_unused(graph):
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def int8(model):
    graph, replacements = model.graph, {}
    constants = {tensor.name: tensor for tensor in graph.initializer}

    def add(name, values):
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    for node, weight in matmul_weights(graph):
        name = node.input[1]
        scale = np.maximum(np.abs(weight).max(0), 1e-12) / np.float32(127)
        add(f"{name}_q", np.clip(np.rint(weight / scale), -127, 127).astype(np.int8))
        add(f"{name}_s", scale.astype(np.float32))
        restore = helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_s"], [f"{name}_dq"], axis=1)
        replacements[node.output[0]] = [restore, helper.make_node("MatMul", [node.input[0], f"{name}_dq"], node.output)]
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0].startswith("emb"):
            name, out = node.input[0], node.output[0]
            table = numpy_helper.to_array(constants[name])
            scale = np.float32(np.abs(table).max() / 127)
            add(f"{name}_q", np.clip(np.rint(table / scale), -127, 127).astype(np.int8))
            add(f"{name}_s", scale)
            gather = helper.make_node("Gather", [f"{name}_q", node.input[1]], [f"{out}_q"])
            replacements[out] = [gather, helper.make_node("DequantizeLinear", [f"{out}_q", f"{name}_s"], [out])]
    replace_nodes(graph, replacements)
    drop_unused(graph)
    return model


def pack4(weight):
    """[K, N] floats to [N, K / 32, 16] bytes, low half first, and [N * K / 32] scales; 8 stands for zero."""
    blocks = weight.T.reshape(weight.shape[1], -1, BLOCK)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(2)[..., None], 2)
    scale = extreme / np.float32(-8)
    levels = np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale != 0)
    levels = np.clip(np.rint(levels) + 8, 0, 15).astype(np.uint8)
    return levels[..., ::2] | levels[..., 1::2] << 4, scale.reshape(-1).astype(np.float32)


def q4(model):
    graph, replacements = model.graph, {}
    for node, weight in matmul_weights(graph):
        name, (inner, outer) = node.input[1], weight.shape
        packed, scale = pack4(weight)
        graph.initializer.append(numpy_helper.from_array(packed, f"{name}_Q4"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_sc"))
        replacements[node.output[0]] = [
            helper.make_node(
                "MatMulNBits", [node.input[0], f"{name}_Q4", f"{name}_sc"], node.output, domain="com.microsoft",
                K=inner, N=outer, bits=4, block_size=BLOCK, accuracy_level=0,
            )
        ]
    replace_nodes(graph, replacements)
    drop_unused(graph)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path, help="where model.onnx lies and the two editions are written")
    folder = arguments.parse_args().folder
    for make, name in ((int8, "model_quantized.onnx"), (q4, "model_q4.onnx")):
        model = make(onnx.load(str(folder / "model.onnx")))
        (folder / name).write_bytes(model.SerializeToString(deterministic=True))
        print(f"{name}: {(folder / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
