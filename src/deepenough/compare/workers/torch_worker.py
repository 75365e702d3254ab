"""PyTorch: eager, and with torch.compile."""

import sys

import numpy as np
import torch
from loop import module, serve
from torch.nn import functional

folder, lr = sys.argv[1], float(sys.argv[2])
model = module(f"{folder}/network.py").load(folder)
optimizer = torch.optim.SGD(model.parameters(), lr)
compiled = torch.compile(model)


def batch(pixels, labels):
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    return images, torch.from_numpy(labels)


def step(net):
    def run(pixels, labels):
        images, targets = batch(pixels, labels)
        net.train()
        loss = functional.cross_entropy(net(images), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return run


def predict(net):
    @torch.inference_mode()
    def run(pixels, labels):
        net.eval()
        return net(batch(pixels, labels)[0]).numpy()

    return run


def gradients(pixels, labels):
    images, targets = batch(pixels, labels)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    loss = functional.cross_entropy(model(images), targets)
    loss.backward()
    found = {key.removeprefix("network."): value.grad.numpy().copy() for key, value in model.named_parameters()}
    optimizer.zero_grad()
    model.load_state_dict(before)
    return loss.item(), found


serve(
    f"PyTorch {torch.__version__}",
    {
        ("train", "eager"): step(model),
        ("train", "torch.compile"): step(compiled),
        ("infer", "eager"): predict(model),
        ("infer", "torch.compile"): predict(compiled),
    },
    gradients,
)
