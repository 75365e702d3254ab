"""Predictions of several exports in one runtime: `latency_worker.py RUNTIME THREADS FOLDER...`.

Each folder is a mode of its own, so that they take turns in one process.
"""

import sys

import predictors
from loop import serve

runtime, threads, folders = sys.argv[1], int(sys.argv[2]), sys.argv[3:]


def prediction(folder):
    logits = getattr(predictors, runtime)(folder, threads)
    return lambda pixels, labels: logits(pixels)


serve(predictors.version(runtime), {("infer", folder): prediction(folder) for folder in folders})
