"""The evidence for a class in an image."""

METHODS = ("gradcam", "integrated-gradients", "occlusion")
