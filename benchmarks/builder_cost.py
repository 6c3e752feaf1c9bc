"""Cost of a builder: its training step relative to a model written by hand.

A built network and the same network in stock Keras layers, as a user would
write it, train in one process, taking turns by groups of steps. Both are built
five times, because their place in memory changes a step by up to 5 %.

    python benchmarks/builder_cost.py
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time

import keras
import numpy as np
import tensorflow as tf

import kerasbn

GROUPS, STEPS, WARM_UP, BUILDS, BAR = 30, 5, 5, 5, 1.05
layers = keras.layers


def built_mlp():
    return kerasbn.models.mlp((64,), [100] * 20, 10)


def mlp():
    stack = [keras.Input((64,)), layers.BatchNormalization()]
    for _ in range(20):
        stack += [
            layers.Dense(100, use_bias=False, kernel_initializer="he_normal"),
            layers.BatchNormalization(),
            layers.Activation("elu"),
        ]
    return keras.Sequential([*stack, layers.Dense(10)])


def built_cnn():
    return kerasbn.models.cnn((28, 28, 1), [16, 16, 32, 32, 64, 64], 10)


def cnn():
    stack = [keras.Input((28, 28, 1)), layers.BatchNormalization()]
    for filters, strides in (
        (16, 1),
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
    ):
        stack += [
            layers.Conv2D(
                filters,
                3,
                strides,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
            ),
            layers.BatchNormalization(),
            layers.Activation("elu"),
        ]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(10)]
    return keras.Sequential(stack)


def built_rnn():
    return kerasbn.models.rnn((50, 8), [32, 32], 10)


def rnn():
    return keras.Sequential(
        [
            keras.Input((50, 8)),
            layers.BatchNormalization(),
            layers.GRU(32, return_sequences=True),
            layers.LayerNormalization(),
            layers.GRU(32),
            layers.LayerNormalization(),
            layers.Dense(10),
        ]
    )


def train_steps(build, batch_size):
    """Return a function that trains for a group of steps."""
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss, jit_compile=False)
    x = tf.random.normal((batch_size, *model.input_shape[1:]))
    y = tf.zeros(batch_size, "int32")
    data = iter(tf.data.Dataset.from_tensors((x, y)).repeat())
    model.make_train_function()

    def run():
        for _ in range(STEPS):
            model.train_function(data)

    return run


def ratio(subject, reference, batch_size):
    """Return the median ratio of neighbouring groups, subject to reference."""
    found = []
    for _ in range(BUILDS):
        functions = [
            train_steps(each, batch_size) for each in (subject, reference)
        ]
        for group in range(WARM_UP + GROUPS):
            seconds = [0.0, 0.0]
            for place in (0, 1) if group % 2 else (1, 0):
                start = time.perf_counter()
                functions[place]()
                seconds[place] = time.perf_counter() - start
            if group >= WARM_UP:
                found.append(seconds[0] / seconds[1])
    return np.median(found)


if __name__ == "__main__":
    print(f"training step, median over {BUILDS * GROUPS} groups, bar {BAR}")
    print("                 built / by hand   by hand twice (the noise)")
    for built, by_hand in (
        (built_mlp, mlp),
        (built_cnn, cnn),
        (built_rnn, rnn),
    ):
        values = [ratio(each, by_hand, 32) for each in (built, by_hand)]
        print(
            f"{by_hand.__name__:<17}{values[0]:<18.3f}{values[1]:.3f}",
            flush=True,
        )
