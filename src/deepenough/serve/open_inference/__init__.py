"""The Open Inference Protocol (KServe V2): JSON and binary tensors."""
