"""PyTorch: eager, and with torch.compile."""

import sys

import numpy as np
import torch
from loop import module, serve
from torch.nn import functional

folder, lr = sys.argv[1], float(sys.argv[2])
native = module(f"{folder}/network.py")
model = native.load(folder)
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


def gradients(images, labels, precision):
    network = native.network()
    network.load_state_dict(model.network.state_dict())
    network.to(getattr(torch, precision)).train()
    images = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    loss = functional.cross_entropy(network(images), torch.from_numpy(labels))
    loss.backward()
    return loss.item(), {key: value.grad.numpy() for key, value in network.named_parameters()}


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
