"""Cost of clipping by rules, and its difference from the stock clipping.

Networks of one kind train in one process, one step each in random order: the
stock optimizer with `global_clipnorm`, a second copy of it (the noise), and
`kerasbn.optimizers.Clipped` with each rule, which also skips non-finite steps.
Printed are medians of the ratios of neighbouring steps, over networks built
three times, because their place in memory changes a step by up to 3 %; then the
largest relative difference of a weight after 100 steps, ByGlobalNorm against
stock.

    python benchmarks/clipping_cost.py
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from functools import partial

import keras
import numpy as np
import tensorflow as tf

import kerasbn

STEPS, WARM_UP, BUILDS = 200, 10, 3
clipping = kerasbn.clipping
RULES = {
    "ByGlobalNorm": clipping.ByGlobalNorm(1.0),
    "AutoClip": clipping.AutoClip(),
    "ZClip": clipping.ZClip(),
    "Adaptive": clipping.Adaptive(),
}


def mlp(units, depth):
    """Return the builder's network."""
    return kerasbn.models.mlp((64,), [units] * depth, 10)


def cnn():
    """Return the builder's network for small images."""
    return kerasbn.models.cnn((28, 28, 1), [16, 32, 64], 10)


def compiled(build, rule, jit_compile):
    """Return a compiled network, with stock clipping if `rule` is `None`."""
    keras.utils.set_random_seed(0)
    model = build()
    if rule is None:
        optimizer = keras.optimizers.SGD(
            0.01, momentum=0.9, global_clipnorm=1.0
        )
    else:
        inner = keras.optimizers.SGD(0.01, momentum=0.9)
        optimizer = kerasbn.optimizers.Clipped(inner, [rule])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=jit_compile)
    return model


def batches(model, batch_size):
    """Return random inputs and labels, the same for each model."""
    random = np.random.default_rng(0)
    x = random.normal(size=(10 * batch_size, *model.input_shape[1:]))
    y = random.integers(0, 10, 10 * batch_size)
    data = tf.data.Dataset.from_tensor_slices((x.astype("float32"), y))
    return iter(data.batch(batch_size).cache().repeat())


def ratios(build, batch_size, jit_compile):
    """Return the median step time of each subject relative to stock."""
    subjects = {"stock": None, "noise": None} | RULES
    random = np.random.default_rng(0)
    found = []
    for _ in range(BUILDS):
        steps = {}
        for name in random.permutation(list(subjects)):
            model = compiled(build, subjects[name], jit_compile)
            model.make_train_function()
            data = batches(model, batch_size)
            steps[name] = partial(model.train_function, data)
        for step in range(WARM_UP + STEPS):
            seconds = {}
            for name in random.permutation(list(subjects)):
                start = time.perf_counter()
                steps[name]()
                seconds[name] = time.perf_counter() - start
            if step >= WARM_UP:
                found.append([seconds[name] for name in subjects])
    found = np.array(found)
    return np.median(found / found[:, :1], axis=0)[1:]


def difference(build, batch_size, jit_compile):
    """Return the largest relative difference of a weight after 100 steps."""
    weights = []
    for rule in (None, RULES["ByGlobalNorm"]):
        model = compiled(build, rule, jit_compile)
        model.make_train_function()
        data = batches(model, batch_size)
        for _ in range(100):
            model.train_function(data)
        weights.append(model.get_weights())
    return max(
        np.linalg.norm(one - other) / max(np.linalg.norm(one), 1e-6)
        for one, other in zip(*weights, strict=True)
    )


if __name__ == "__main__":
    rows = {
        "20 x 100 MLP, batch 32": (lambda: mlp(100, 20), 32),
        "20 x 100 MLP, batch 256": (lambda: mlp(100, 20), 256),
        "3 x 1024 MLP, batch 256": (lambda: mlp(1024, 3), 256),
        "CNN, batch 64": (cnn, 64),
    }
    print("step over the stock optimizer's with global_clipnorm")
    head = "".join(f"{name:>14}" for name in ("noise", *RULES))
    print(f"{'':30}{head}    weights")
    for name, (build, batch_size) in rows.items():
        for jit_compile in (False, True):
            arguments = build, batch_size, jit_compile
            values = ratios(*arguments)
            print(
                f"{name + ', XLA' * jit_compile:<30}"
                + "".join(f"{value:14.3f}" for value in values)
                + f"    {difference(*arguments):.1e}",
                flush=True,
            )
