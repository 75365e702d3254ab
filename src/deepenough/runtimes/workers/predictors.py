"""An export's predictions in one runtime: each function takes its folder and a number of threads, None for the
runtime's own choice, and gives a function from pixels uint8 (N, H, W, C) to logits (N, classes)."""

import numpy as np
from loop import module


def channels_first(pixels):
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def onnx(folder, threads=None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["logits"], {"images": channels_first(pixels)})[0]


def openvino(folder, threads=None):
    from openvino import Core

    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}  # some processors take bfloat16
    if threads:
        config["INFERENCE_NUM_THREADS"] = threads
    model = Core().compile_model(f"{folder}/model.onnx", "CPU", config)
    return lambda pixels: model(channels_first(pixels))[0]


def litert(folder, threads=None):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(f"{folder}/model.tflite", num_threads=threads)
    images = interpreter.get_input_details()[0]["index"]
    answer = interpreter.get_output_details()[0]["index"]
    batch = None

    def logits(pixels):
        nonlocal batch
        if len(pixels) != batch:
            interpreter.resize_tensor_input(images, pixels.shape)
            interpreter.allocate_tensors()
            batch = len(pixels)
        interpreter.set_tensor(images, pixels)
        interpreter.invoke()
        return interpreter.get_tensor(answer)

    return logits


def torch(folder, threads=None):
    from torch import set_num_threads

    if threads:
        set_num_threads(threads)
    return module(f"{folder}/predict.py").load()


def version(runtime):
    """The runtime's name and version."""
    if runtime == "torch":
        import torch

        return f"PyTorch {torch.__version__}"
    if runtime == "litert":
        import ai_edge_litert

        return f"LiteRT {ai_edge_litert.__version__}"
    if runtime == "openvino":
        import openvino

        return f"OpenVINO {openvino.__version__.split('-')[0]}"
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}"
