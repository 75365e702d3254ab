"""PaddlePaddle: eager, and with paddle.jit.to_static."""

import sys

import numpy as np
import paddle
from loop import module, serve
from paddle.nn import functional

folder, lr = sys.argv[1], float(sys.argv[2])
native = module(f"{folder}/network.py")
models = {}


def model_of(task, mode):
    """A model and its optimizer, made when first asked for: each task compiles a program of its own model."""
    if (task, mode) not in models:
        made = native.load(folder)
        optimizer = paddle.optimizer.SGD(lr, parameters=made.parameters())
        models[task, mode] = (paddle.jit.to_static(made) if mode == "to_static" else made), optimizer
    return models[task, mode]


def batch(pixels, labels):
    return paddle.to_tensor(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))), paddle.to_tensor(labels)


def step(mode):
    def run(pixels, labels):
        images, targets = batch(pixels, labels)
        model, optimizer = model_of("train", mode)
        model.train()
        loss = functional.cross_entropy(model(images), targets)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        return float(loss)

    return run


def predict(mode):
    @paddle.no_grad()
    def run(pixels, labels):
        model, _ = model_of("infer", mode)
        model.eval()
        return model(batch(pixels, labels)[0]).numpy()

    return run


def gradients(images, labels, precision):
    network = native.network()
    network.set_state_dict(paddle.load(f"{folder}/weights.pdparams"))
    network.to(dtype=precision)
    network.train()
    images = paddle.to_tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    loss = functional.cross_entropy(network(images), paddle.to_tensor(labels))
    loss.backward()
    found = {}
    for name, value in network.named_parameters():
        if value.grad is None:  # the statistics of batch norms are parameters too
            continue
        gradient = value.grad.numpy()
        found[name] = gradient.T if gradient.ndim == 2 else gradient
    return float(loss), found


serve(
    f"PaddlePaddle {paddle.__version__}",
    {
        (task, mode): made(mode)
        for task, made in (("train", step), ("infer", predict))
        for mode in ("eager", "to_static")
    },
    gradients,
)
