#!/usr/bin/env python3
"""Train a small language model of bytes, convert it to integers, generate.

    python3 -m venv /tmp/tinylm && /tmp/tinylm/bin/pip install numpy==2.4.6
    /tmp/tinylm/bin/python examples/tinylm/tinylm.py --work /tmp/tinylm/work --neura neura

Text: the documentation that every Python carries as `pydoc_data.topics` (PSF licence; Debian's
package libpython3-stdlib). Some minutes of training on two cores. Writes the float checkpoint, the
integer model, the job's inputs and figures into --work.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import time

import numpy as np
from pydoc_data.topics import topics

import llama

ROWS, BATCH, RATE = 128, 12, 3e-3


def text():
    """All topics, with single blanks where the documents are indented; bytes, and some held out."""
    whole = "\n\n".join(topics[name] for name in sorted(topics))
    lines = (" ".join(line.split()) for line in whole.split("\n"))
    data = np.frombuffer("\n".join(lines).encode(), np.uint8)
    cut = len(data) * 19 // 20
    return data[:cut], data[cut:]


def batch(data, rng, count=BATCH):
    starts = rng.integers(0, len(data) - ROWS - 1, count)
    rows = np.stack([data[start : start + ROWS + 1] for start in starts]).astype(np.int64)
    return rows[:, :-1], rows[:, 1:]


def train(data, steps, seconds):
    rng, w = np.random.default_rng(1), llama.initial(1)
    first = {name: np.zeros_like(value) for name, value in w.items()}
    second = {name: np.zeros_like(value) for name, value in w.items()}
    begun, smooth = time.time(), None
    for step in range(1, steps + 1):
        loss, g = llama.gradients(w, *batch(data, rng))
        smooth = loss if smooth is None else 0.95 * smooth + 0.05 * loss
        size = np.sqrt(sum(float((value * value).sum()) for value in g.values()))
        done = max(step / steps, (time.time() - begun) / seconds if seconds else 0)
        rate = RATE * min(1, step / 50) * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * min(1, done))))
        for name, value in g.items():
            value *= min(1, 1 / size)
            first[name] += 0.1 * (value - first[name])
            second[name] += 0.01 * (value * value - second[name])
            mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.99**step)
            w[name] -= np.float32(rate) * (mean / (np.sqrt(square) + 1e-8)).astype(np.float32)
        if step % 50 == 0 or step == 1:
            print(f"step {step:5} loss {smooth:.3f} nats, {time.time() - begun:.0f} s", flush=True)
        if done >= 1:
            break
    return w


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--work", type=pathlib.Path, required=True, help="folder for all that is made")
    options.add_argument("--neura", default="neura", help="the binary")
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--seconds", type=float, default=300, help="end training after so long; 0 for all steps")
    options.add_argument("--only-train", action="store_true")
    options = options.parse_args()
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    data, held = text()
    if not (work / "model.safetensors").exists():
        w = train(data, options.steps, options.seconds)
        llama.save(work / "model.safetensors", w)
        (work / "config.json").write_text(json.dumps(llama.CONFIG))
        losses = [llama.gradients(w, *batch(held, np.random.default_rng(2)))[0] for _ in range(4)]
        print(f"held-out loss {np.mean(losses):.3f} nats a byte")
    rng = np.random.default_rng(3)
    for name, source, count in [("calibration", data, 60), ("compare", held, 40)]:
        rows = batch(source, rng, count)[0].tolist()
        (work / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if options.only_train:
        return

    def neura(*arguments):
        subprocess.run([options.neura, "model", *map(str, arguments)], check=True)

    model = work / "tinylm.nint8"
    neura("convert", work, "--out", model, "--rows", 256, "--calibrate", work / "calibration.jsonl",
          "--compare", work / "compare.jsonl")
    asked = ("--text", "The class statement ", "--max-tokens", 160, "--seed", 7, "--temperature", 0.6)
    neura("run", model, *asked)
    neura("pack", model, *asked, "--out", work / "prompt.bin")
    shutil.copy(pathlib.Path(__file__).parent / "job.toml", work / "job.toml")


if __name__ == "__main__":
    main()
