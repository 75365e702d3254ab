"""The sources of pretrained weights whose preprocessing is known, by name. Imports nothing, so that help is quick."""

PRESETS = ("torchvision", "torchvision-v2", "timm", "transformers", "caffe-bgr", "keras", "paddle")
