"""Programs of which something is worth noting, and no more."""

import keras
import numpy as np
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken("notes", "functional", "dead_bias", least=0.8, trains=True)
def convolution_biases_before_normalization(biased):
    x, y = data.digits()
    inputs = z = keras.Input((8, 8, 1))
    for _ in range(3):
        z = layers.Conv2D(12, 3, padding="same", use_bias=biased)(z)
        z = layers.BatchNormalization(momentum=0.8)(z)
        z = layers.ReLU()(z)
    z = layers.GlobalAveragePooling2D()(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken("notes", "sequential", "underfitting", least=None, trains=True)
def a_line_around_a_disc(line):
    draw = data.rng(1)
    x = draw.normal(size=(800, 2)).astype("float32")
    y = (np.hypot(x[:, 0], x[:, 1]) < 1.1).astype("float32")
    model = keras.Sequential([layers.Input((2,))])
    if not line:
        model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    fit = {"epochs": 15, "validation_split": 0.2}
    return Task(model, x, y, fit, scores.accuracy)


@broken("notes", "functional", "overfitting", least=None, trains=True)
def few_digits_learnt_by_heart(large):
    x, y = data.digits(flat=True)
    wrong = data.rng(1).uniform(size=len(y)) < 0.2
    y = np.where(wrong, data.rng(2).integers(0, 10, len(y)), y)
    units = 128 if large else 8
    inputs = keras.Input((64,))
    z = layers.Dense(units, activation="relu")(inputs)
    z = layers.Dense(units, activation="relu")(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    rest = (x[150:], y[150:])
    fit = {"epochs": 40, "validation_data": rest}
    return Task(model, x[:150], y[:150], fit, scores.accuracy, rest)
