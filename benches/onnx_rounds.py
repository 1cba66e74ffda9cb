#!/usr/bin/env python3
"""Run an ONNX model of token sequences in ONNX Runtime, a round for each line of input.

    onnx_rounds.py MODEL TOKENS THREADS

Answers each line on standard input with the nanoseconds that one run over a sequence of TOKENS took.
"""

import sys
import time

import numpy as np
import onnxruntime

model, tokens, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
# Threads that wait for the next run by spinning would take a core from what is measured between two rounds.
options.add_session_config_entry("session.force_spinning_stop", "1")
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
inputs = {session.get_inputs()[0].name: np.arange(tokens, dtype=np.int64)[None] * 7919 % 30000}
session.run(None, inputs)
for _ in sys.stdin:
    begun = time.perf_counter_ns()
    session.run(None, inputs)
    print(time.perf_counter_ns() - begun, flush=True)
