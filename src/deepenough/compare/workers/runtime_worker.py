"""Runtimes that only predict: an export's own predict.py (ONNX Runtime, OpenCV for Caffe), or OpenVINO on ONNX."""

import sys

from loop import module, serve

folder, runtime = sys.argv[1], sys.argv[2]
if runtime == "openvino":
    import numpy as np
    import openvino

    model = openvino.Core().compile_model(f"{folder}/model.onnx", "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    name = f"OpenVINO {openvino.__version__.split('-')[0]}"

    def logits(pixels):
        return model(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))[0]

else:
    predict = module(f"{folder}/predict.py")
    logits, name = predict.load(), predict.RUNTIME

serve(name, {("infer", "graph"): lambda pixels, labels: logits(pixels)})
