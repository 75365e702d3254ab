"""The loop of all workers: commands from stdin, answers on stdout, a line each. Workers never import deepenough.

A worker gives `serve` a function for each of its modes and tasks: a step that takes a batch and gives its loss, or a
prediction that gives the logits. Steps end when their result is a number, so that nothing is still being computed.
"""

import importlib.util
import json
import os
import pathlib
import resource
import sys
import time
import traceback

import numpy as np

LEAST = 2
"""Steps of a turn, however long they take."""


def module(path):
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location("native", path)
    made = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(made)
    return made


def peak():
    """The largest resident memory so far, in bytes."""
    status = pathlib.Path("/proc/self/status")
    if status.is_file():  # getrusage counts what the parent had when it forked
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def serve(name, tasks, gradients=None):
    """Answer commands until stdin ends. `tasks`: {(task, mode): function of a batch (pixels, labels)}.

    `gradients`: function of normalised images (N, H, W, C), labels and the precision to compute in.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what frameworks print is not an answer

    def answer(**content):
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    answer(name=name, tasks=[list(task) for task in tasks], gradients=gradients is not None)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if asked["do"] == "gradients":
                batch = np.load(asked["batch"])
                precision = asked["precision"]
                loss, found = gradients(batch["images"].astype(precision), batch["labels"], precision)
                np.savez(asked["out"], **found)
                answer(loss=float(loss))
                continue
            batch = np.load(asked["batch"])
            pixels, labels = batch["pixels"], batch["labels"]
            run = tasks[asked["task"], asked["mode"]]
            if asked["do"] == "first":
                started = time.perf_counter()
                run(pixels, labels)
                answer(seconds=time.perf_counter() - started, peak=peak())
                continue
            taken, began = [], time.perf_counter()
            while len(taken) < LEAST or time.perf_counter() - began < asked["seconds"]:
                started = time.perf_counter()
                run(pixels, labels)
                taken.append(time.perf_counter() - started)
            answer(taken=taken, peak=peak())
        except Exception as error:
            traceback.print_exc()
            answer(error=f"{type(error).__name__}: {error}"[:400])
