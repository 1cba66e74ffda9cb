"""The float model in numpy, from the same weights: the original that the integer one is held against.

Written from the architecture's description, apart from the converter: it shares no code with it.
"""

import json
import math
import struct

import numpy as np

DTYPES = {"F32": np.float32, "I64": np.int64}


def load(path):
    """The tensors of a safetensors file."""
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    header, base = json.loads(data[8 : 8 + length]), 8 + length
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            flat = np.frombuffer(data[base + start : base + end], DTYPES[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def erf(x):
    """The error function, wrong by at most 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - series * np.exp(-x * x))


def embed(weights, tokens, heads=12, epsilon=1e-12):
    """The sentence embedding of a list of tokens, of unit length."""
    w = weights

    def linear(name, x):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * w[name + ".weight"] + w[name + ".bias"]

    x = w["embeddings.word_embeddings.weight"][tokens]
    x = x + w["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
    layers = sum(name.endswith("attention.self.query.weight") for name in w)
    for layer in range(layers):
        name = f"encoder.layer.{layer}."
        parts = (linear(name + "attention.self." + part, x) for part in ("query", "key", "value"))
        q, k, v = (part.reshape(len(tokens), heads, -1).transpose(1, 0, 2) for part in parts)
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = (shares @ v).transpose(1, 0, 2).reshape(len(tokens), -1)
        x = norm(name + "attention.output.LayerNorm", x + linear(name + "attention.output.dense", mixed))
        wide = linear(name + "intermediate.dense", x)
        wide = 0.5 * wide * (1 + erf(wide / math.sqrt(2)))
        x = norm(name + "output.LayerNorm", x + linear(name + "output.dense", wide))
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)
