"""Cost of the layers: a training step relative to stock batch normalization.

Two networks of one kind train in one process, taking turns by steps. The time
of inference with a folded network relative to the unfolded one follows.

    python benchmarks/layer_cost.py
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from functools import partial

import keras
import numpy as np
import tensorflow as tf

import kerasbn

STEPS, WARM_UP = 300, 10


def mlp(layer, depth=20):
    """Return the hidden part of the builder's 20 x 100 network."""
    inputs = x = keras.Input((64,))
    for _ in range(depth):
        x = keras.layers.Dense(
            100, use_bias=False, kernel_initializer="he_normal"
        )(x)
        x = keras.layers.Activation("elu")(layer()(x))
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def cnn(layer):
    """Return three convolutions with batch normalization and pooling."""
    inputs = x = keras.Input((28, 28, 1))
    for filters in (16, 32, 64):
        x = keras.layers.Conv2D(filters, 3, use_bias=False, padding="same")(x)
        x = keras.layers.Activation("elu")(layer()(x))
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def train_step(build, layer, batch_size, jit_compile):
    """Return a function that trains for one step."""
    model = build(layer)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(kerasbn.optimizers.sgd(), loss, jit_compile=jit_compile)
    x = tf.random.normal((batch_size, *model.input_shape[1:]))
    y = tf.zeros(batch_size, "int32")
    data = iter(tf.data.Dataset.from_tensors((x, y)).repeat())
    model.make_train_function()
    return lambda: model.train_function(data)


def ratio(subject, reference):
    """Return the median ratio of neighbouring runs, subject over reference."""
    seconds = {subject: [], reference: []}
    for step in range(WARM_UP + STEPS):
        pair = (subject, reference) if step % 2 else (reference, subject)
        for function in pair:
            start = time.perf_counter()
            function()
            seconds[function].append(time.perf_counter() - start)
    pairs = np.divide(seconds[subject], seconds[reference])
    return np.median(pairs[WARM_UP:])


if __name__ == "__main__":
    stock = keras.layers.BatchNormalization
    ours = kerasbn.layers.BatchNormalization
    print("training step, median over neighbouring steps")
    print("                       ours / stock   stock / stock (the noise)")
    for build, batch_size in ((mlp, 32), (mlp, 256), (cnn, 64)):
        for jit_compile in (False, True):
            values = [
                ratio(
                    train_step(build, layer, batch_size, jit_compile),
                    train_step(build, stock, batch_size, jit_compile),
                )
                for layer in (ours, stock)
            ]
            name = f"{build.__name__} batch {batch_size}"
            name += ", XLA" * jit_compile
            print(f"{name:<23}{values[0]:<15.3f}{values[1]:.3f}", flush=True)

    print("inference of a batch of 64, folded / unfolded")
    for build in (mlp, cnn):
        model = build(ours)
        x = tf.random.normal((64, *model.input_shape[1:]))
        folded, unfolded = (
            tf.function(each).get_concrete_function(x, training=False)
            for each in (kerasbn.fold(model), model)
        )
        value = ratio(partial(folded, x), partial(unfolded, x))
        print(f"{build.__name__:<23}{value:.3f}")
