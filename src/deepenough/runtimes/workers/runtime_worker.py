"""Runtimes that only predict: an export's own predict.py (ONNX Runtime, OpenCV for Caffe), or OpenVINO on ONNX."""

import sys

import predictors
from loop import module, serve

folder, runtime = sys.argv[1], sys.argv[2]
if runtime == "openvino":
    logits, name = predictors.openvino(folder), predictors.version(runtime)
else:
    predict = module(f"{folder}/predict.py")
    logits, name = predict.load(), predict.RUNTIME

serve(name, {("infer", "graph"): lambda pixels, labels: logits(pixels)})
