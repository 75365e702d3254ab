"""Names of layers in ONNX graphs, which PyTorch makes of module paths in several ways."""

from __future__ import annotations

from deepenough.weights.graphs.onnx_file import OnnxNode


def layer_name(node: OnnxNode) -> str:
    """The name of a layer with weights: that of its weight in the file where it has one, else the node's."""
    weight = node.inputs[1] if len(node.inputs) > 1 else ""
    path, _, kind = weight.rpartition(".")
    if kind == "weight" and path and "::" not in path:
        return path
    return node_name(node)


def node_name(node: OnnxNode) -> str:
    """The module that a node was in: "/layer1/layer1.0/conv1/Conv" is in `layer1.0.conv1`."""
    if not node.name.startswith("/"):
        return node.name
    parts = node.name.strip("/").split("/")
    if len(parts) > 1 and parts[-1].startswith(node.kind):
        parts.pop()
    return ".".join(
        part for part, after in zip(parts, [*parts[1:], ""], strict=True) if not after.startswith(f"{part}.")
    )
