"""Keras on TensorFlow (eager, tf.function, XLA) or on JAX (compiled, as Keras runs it there)."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from loop import module, serve

folder, lr = sys.argv[1], float(sys.argv[2])
backend = keras.backend.backend()
weights = np.load(f"{folder}/weights.npz")
native = module(f"{folder}/network.py")
order = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
back = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
words = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def loaded(model):
    for layer in model.layers:
        place = layer.name.replace("-", ".")
        names = ("weight", "bias", "running_mean", "running_var")
        given = [weights[f"{place}.{name}"] for name in names if f"{place}.{name}" in weights]
        if given:
            values = [value.transpose(order[value.ndim]) for value in given]
            # Depthwise filters (H, W, 1, out) are (H, W, in, out / in).
            layer.set_weights([value.reshape(own.shape) for value, own in zip(values, layer.weights, strict=True)])
    return model


modes = {"tensorflow": ("eager", "tf.function", "XLA"), "jax": ("XLA",)}[backend]
models = {}


def model_of(mode):
    """A model compiled for the mode, made when it is first asked for."""
    if mode not in models:
        models[mode] = loaded(native.classifier())
        models[mode].compile(keras.optimizers.SGD(lr), loss_of, run_eagerly=mode == "eager", jit_compile=mode == "XLA")
    return models[mode]


def step(mode):
    return lambda pixels, labels: float(np.asarray(model_of(mode).train_on_batch(pixels, labels)))


def predict(mode):
    return lambda pixels, labels: np.asarray(model_of(mode).predict_on_batch(pixels))


def named(model, found):
    """Gradients by our names and in our orders."""
    places = {}
    for layer in model.layers:
        for variable in layer.trainable_variables:
            places[id(variable)] = f"{layer.name.replace('-', '.')}.{words[variable.name]}"
    depthwise = {id(v) for layer in model.layers if "Depthwise" in type(layer).__name__ for v in layer.weights}
    named = {}
    for variable, value in zip(model.trainable_variables, found, strict=True):
        array = keras.ops.convert_to_numpy(value)
        if id(variable) in depthwise and array.ndim == 4:
            array = array.reshape(*array.shape[:2], 1, -1)
        named[places[id(variable)]] = array.transpose(back[array.ndim])
    return named


def gradients(images, labels, precision):
    if backend == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    policy = keras.config.dtype_policy()
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    try:
        entry = keras.Input(images.shape[1:], dtype=precision)
        return one_step(loaded(keras.Model(entry, native.network(entry))), images, labels, precision)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy(policy)
        if backend == "jax":
            jax.config.update("jax_enable_x64", False)


def one_step(model, images, labels, precision):
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=precision)
    if backend == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        return float(loss), named(model, tape.gradient(loss, [v.value for v in model.trainable_variables]))
    import jax

    def of(trainable, rest):
        logits, _ = model.stateless_call(trainable, rest, images, training=True)
        return loss_of(labels, logits)

    trainable = [variable.value for variable in model.trainable_variables]
    rest = [variable.value for variable in model.non_trainable_variables]
    loss, found = jax.value_and_grad(of)(trainable, rest)
    return float(loss), named(model, found)


title = {"tensorflow": "TensorFlow", "jax": "JAX"}[backend]
version = __import__(backend).__version__
serve(
    f"Keras {keras.__version__}, {title} {version}",
    {(task, mode): made(mode) for task, made in (("train", step), ("infer", predict)) for mode in modes},
    gradients,
)
