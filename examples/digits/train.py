#!/usr/bin/env python3
"""Train a small digit classifier, quantise it to int8, and write the example's data.

The output is committed, so this script is only needed to make it again or to change it.
It needs numpy and scikit-learn from PyPI, in a virtual environment outside the repository:

    python3 -m venv ~/.cache/neura/digits-venv
    ~/.cache/neura/digits-venv/bin/pip install numpy==2.4.6 scikit-learn==1.9.1
    ~/.cache/neura/digits-venv/bin/python examples/digits/train.py

Running it again writes the same bytes: the seed is fixed, the split is by position, and training
uses one BLAS thread. The committed files were made with the versions above on x86-64
(Python 3.11). Another BLAS or CPU may round training differently and so yield another, equally
good model; `--check` compares with the committed files instead of writing.

What it writes, beside itself:
    model.nint8                the quantised network, in the format of the neura-int8 crate
    images-heldout.bin         a run over the held-out images, one row of 64 int8 values each
    labels-heldout.txt         their true classes, which stay with the owner
    reference-predictions.txt  what an independent integer implementation (below) predicts

Network: 64 pixels -> 64 (ReLU) -> 32 (ReLU) -> 10 logits. Weights are int8 per output channel,
activations int8, accumulators int32, requantisation a 31-bit multiplier and a shift.
"""

import os

# One thread: the order of floating-point sums, hence the bytes written, must not vary.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

SEED = 20240607
HELD_OUT_EVERY = 3  # images 2, 5, 8, ... are held out (599); the other 1,198 train
HIDDEN = (64, 32)
REQUIRED_ACCURACY = 0.95

MAX_ROWS = 65_536  # images of one run


def load():
    """Pixels scaled from 0..16 to the int8 range 0..127, and labels, split by position."""
    digits = load_digits()
    pixels = digits.data.astype(np.int64)
    images = (pixels * 127 + 8) // 16
    labels = digits.target.astype(np.int64)
    held_out = np.arange(len(labels)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


def shifted(images, labels):
    """The training set and its copies moved by one pixel: writers place digits differently."""
    grids = images.reshape(-1, 8, 8)
    moved = [images]
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        copy = np.zeros_like(grids)
        rows_to = slice(max(down, 0), 8 + min(down, 0))
        rows_from = slice(max(-down, 0), 8 + min(-down, 0))
        columns_to = slice(max(right, 0), 8 + min(right, 0))
        columns_from = slice(max(-right, 0), 8 + min(-right, 0))
        copy[:, rows_to, columns_to] = grids[:, rows_from, columns_from]
        moved.append(copy.reshape(-1, 64))
    return np.concatenate(moved), np.tile(labels, len(moved))


def train(images, labels):
    """Fit the float network on images scaled to 0..1."""
    network = MLPClassifier(
        hidden_layer_sizes=HIDDEN,
        activation="relu",
        alpha=1e-1,
        batch_size=64,
        learning_rate_init=2e-3,
        max_iter=60,
        tol=0.0,
        n_iter_no_change=60,
        random_state=SEED,
    )
    images, labels = shifted(images, labels)
    with warnings.catch_warnings():
        # The number of epochs is the intended end of training.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(images / 127.0, labels)
    return network


def multiplier(real):
    """`real` in (0, 1) as (M, s): real ~= M / 2^(31+s), with M in [2^30, 2^31), s in [0, 31]."""
    shift = 0
    while real < 0.5:
        real *= 2
        shift += 1
    fixed = int(round(real * (1 << 31)))
    if fixed == 1 << 31:
        fixed, shift = fixed >> 1, shift - 1
    if not (1 << 30 <= fixed < 1 << 31 and 0 <= shift <= 31):
        raise ValueError(f"the multiplier {real} does not fit (M, s)")
    return fixed, shift


def quantise(network, images):
    """Post-training quantisation: symmetric, weights per output channel, activations per layer."""
    layers = []
    activations = images / 127.0
    in_scale = 1.0 / 127.0  # one int8 step of the input, in float units
    last = len(network.coefs_) - 1
    for index, (coefficients, intercepts) in enumerate(zip(network.coefs_, network.intercepts_)):
        weights = coefficients.T  # outputs x inputs
        outputs = activations @ coefficients + intercepts
        if index == last:
            # Logits are compared across channels, so the last layer has one scale for all.
            scales = np.full(len(weights), np.abs(weights).max() / 127.0)
        else:
            # The floor keeps the bias of a channel that training left near zero within int32.
            peaks = np.abs(weights).max(axis=1)
            scales = np.maximum(peaks, peaks.max() / 256) / 127.0
        quantised = np.clip(np.rint(weights / scales[:, None]), -127, 127).astype(np.int64)
        bias = np.rint(intercepts / (in_scale * scales)).astype(np.int64)
        layer = {"weights": quantised, "bias": bias}
        if index != last:
            activations = np.maximum(outputs, 0.0)
            out_scale = activations.max() / 127.0
            layer["requant"] = [multiplier(in_scale * scale / out_scale) for scale in scales]
            in_scale = out_scale
        layers.append(layer)
    return layers


def predict(layers, images):
    """The reference: integer arithmetic only, in int64, sharing no code with the Rust crates."""
    x = images
    for layer in layers:
        z = x @ layer["weights"].T + layer["bias"]
        assert np.abs(z).max() < 2**31
        if "requant" not in layer:
            return np.argmax(z, axis=1)  # the lowest index among equal maxima
        m = np.array([m for m, _ in layer["requant"]], dtype=np.int64)
        s = np.array([s for _, s in layer["requant"]], dtype=np.int64)
        magnitude = (np.abs(z) * m + (np.int64(1) << (30 + s))) >> (31 + s)
        x = np.clip(np.sign(z) * magnitude, 0, 127)
    raise ValueError("a network ends with a layer of logits")


def blake3_derive_key(context, data):
    """BLAKE3 in key-derivation mode, as its specification's appendix writes it."""
    initial = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
               0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
    order = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
    mixes = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
             (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    mask = 0xFFFFFFFF

    def compress(value, block, counter, length, flags):
        m = list(struct.unpack("<16I", block.ljust(64, b"\0")))
        v = [*value, *initial[:4], counter & mask, counter >> 32, length, flags]
        for _ in range(7):
            for index, (a, b, c, d) in enumerate(mixes):
                for word, (one, two) in zip(m[2 * index : 2 * index + 2], ((16, 12), (8, 7))):
                    v[a] = (v[a] + v[b] + word) & mask
                    v[d] ^= v[a]
                    v[d] = (v[d] >> one | v[d] << (32 - one)) & mask
                    v[c] = (v[c] + v[d]) & mask
                    v[b] ^= v[c]
                    v[b] = (v[b] >> two | v[b] << (32 - two)) & mask
            m = [m[index] for index in order]
        return tuple(v[index] ^ v[index + 8] for index in range(8))

    def tree(key, data, counter, flags, root):
        if len(data) <= 1024:
            value, blocks = key, [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
            for index, block in enumerate(blocks):
                last = index == len(blocks) - 1
                marks = (1 if index == 0 else 0) | ((2 | root) if last else 0)
                value = compress(value, block, counter, len(block), flags | marks)
            return value
        left = 1 << ((len(data) - 1) // 1024).bit_length() - 1
        halves = (tree(key, data[: left * 1024], counter, flags, 0)
                  + tree(key, data[left * 1024 :], counter + left, flags, 0))
        return compress(key, struct.pack("<16I", *halves), 0, 64, flags | 4 | root)

    key = tree(initial, context.encode(), 0, 32, 8)
    return struct.pack("<8I", *tree(key, data, 0, 64, 8))


I8, I32 = 0, 3
LINEAR, ARGMAX = 0, 24


def name(text):
    return struct.pack("<B", len(text)) + text.encode()


def encode_model(layers):
    """The format of neura-int8's `Model`, drawn to the byte in gpu/int8/README.md."""
    table, blob, nodes = [], b"", []

    def param(label, kind, values):
        nonlocal blob
        dims = struct.pack(f"<{values.ndim}I", *values.shape)
        table.append(name(label) + struct.pack("<BB", kind, values.ndim) + dims)
        blob += values.astype("<i1" if kind == I8 else "<i4").tobytes()
        blob += bytes(-len(blob) % 1024)
        return len(table) - 1

    for index, layer in enumerate(layers):
        weights = param(f"{index}.weights", I8, layer["weights"])
        bias = param(f"{index}.bias", I32, layer["bias"])
        node = struct.pack("<BIBIBI", 1, index, LINEAR, weights, 1, bias)
        if "requant" in layer:
            multipliers = param(f"{index}.multipliers", I32, np.array([m for m, _ in layer["requant"]]))
            shifts = param(f"{index}.shifts", I8, np.array([31 + s for _, s in layer["requant"]]))
            # A factor per channel, to int8 from 0 (ReLU) to 127.
            node += struct.pack("<BBIIBii", 1, 1, multipliers, shifts, I8, 0, 127)
        else:
            node += b"\0"
        nodes.append(node)
    logits = len(layers)
    nodes.append(struct.pack("<BIB", 1, logits, ARGMAX))

    def counted(items):
        return struct.pack("<I", len(items)) + b"".join(items)

    inputs = layers[0]["weights"].shape[1]
    manifest = struct.pack("<8sHH", b"NEURAI8G", 2, 0)
    manifest += blake3_derive_key("neura:int8:params:v2", blob)
    manifest += struct.pack("<I", MAX_ROWS)
    manifest += counted([name("pixels") + struct.pack("<BBIii", I8, 1, inputs, -127, 127)])
    manifest += counted(table)
    manifest += counted(nodes)
    outputs = [("class", logits + 1), ("logits", logits)]
    manifest += counted([name(label) + struct.pack("<I", value) for label, value in outputs])
    return struct.pack("<8sHHI", b"NEURAI8M", 2, 0, len(manifest)) + manifest + blob


def encode_requests(images):
    """The format of neura-int8's requests: one run over all images, without sampling."""
    rows, width = images.shape
    header = struct.pack("<8sHHI", b"NEURAI8Q", 2, 0, 1)
    header += struct.pack("<BB", 0, 1) + struct.pack("<BBII", I8, 2, rows, width)
    return header + images.astype("<i1").tobytes() + bytes(36)


def lines(values):
    return "".join(f"{value}\n" for value in values).encode()


def main():
    parser = argparse.ArgumentParser(description="Train and quantise the digits example.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    arguments = parser.parse_args()

    (train_images, train_labels), (images, labels) = load()
    network = train(train_images, train_labels)
    layers = quantise(network, train_images)
    predictions = predict(layers, images)
    float_accuracy = np.mean(network.predict(images / 127.0) == labels)
    int8_accuracy = np.mean(predictions == labels)
    print(f"float accuracy {float_accuracy:.4f} on {len(labels)} held-out images")
    print(f"int8  accuracy {int8_accuracy:.4f}")
    if int8_accuracy < REQUIRED_ACCURACY:
        sys.exit(f"the int8 network is below {REQUIRED_ACCURACY:.0%}: nothing was written")

    files = {
        "model.nint8": encode_model(layers),
        "images-heldout.bin": encode_requests(images),
        "labels-heldout.txt": lines(labels),
        "reference-predictions.txt": lines(predictions),
    }
    here = Path(__file__).resolve().parent
    for name, content in files.items():
        path = here / name
        if not arguments.check:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            sys.exit(f"{name} differs from what this script makes here")
        print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
