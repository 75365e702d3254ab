"""Engines: what computes the logits of a model, and how one is chosen that answers as torch does, only faster."""

AUTO, TORCH = "auto", "torch"
GRAPH_ENGINES = ("onnx", "openvino")
"""The engines beside torch, in the order in which they are preferred: the first starts faster and takes less memory."""

ENGINES = (AUTO, *GRAPH_ENGINES, TORCH)
