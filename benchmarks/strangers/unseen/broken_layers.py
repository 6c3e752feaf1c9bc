"""Programs with one fault: layers, their starts, and their statistics."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "gradients",
    "sequential",
    "vanishing_gradient",
    least=0.3,
    accepted=["not_learning", "saturated_activation", "underfitting"],
)
def stacked_autoencoder_of_sigmoids(sigmoids):
    x, _ = data.digits(900, flat=True)
    kind = "sigmoid" if sigmoids else "elu"
    model = keras.Sequential([layers.Input((64,))])
    for units in (48, 32, 24, 12, 12, 24, 32, 48):
        model.add(layers.Dense(units, activation=kind))
    model.add(layers.Dense(64))
    model.compile(keras.optimizers.Adam(0.001), "mse")

    def score(model, x, y):
        found = model.predict(x, verbose=0)
        return float(1 - np.mean((found - y) ** 2) / y.var(0).mean())

    return Task(model, x, x, {"epochs": 12}, score)


@broken(
    "gradients",
    "functional",
    "exploding_gradient non_finite",
    least=0.85,
    accepted=["exploding_gradient", "learning_rate_too_high", "dead_units"],
)
def twelve_branches_that_add_up(unscaled):
    x, y = data.blobs(900, classes=6, features=10, seed=12)
    inputs = keras.Input((10,))
    z = layers.Dense(24)(inputs)
    for _ in range(12):
        branch = layers.Dense(
            24, activation="relu", kernel_initializer="he_normal"
        )(z)
        branch = layers.Dense(24, kernel_initializer="he_normal")(branch)
        if not unscaled:
            branch = layers.Rescaling(1 / 12)(branch)
        z = layers.Add()([z, branch])
    outputs = layers.Dense(6, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.02), "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


@broken(
    "units",
    "add",
    "dead_units no_gradient",
    least=0.85,
    accepted=["not_learning", "vanishing_gradient"],
)
def a_threshold_of_four(threshold):
    x, y = data.cancer()
    level = 4.0 if threshold else 0.0
    model = keras.Sequential()
    model.add(layers.Input((30,)))
    model.add(layers.BatchNormalization(momentum=0.9))
    for units in (32, 16):
        model.add(layers.Dense(units, kernel_initializer="lecun_uniform"))
        model.add(layers.ReLU(threshold=level))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 12}, scores.balanced)


@broken(
    "units",
    "sequential",
    "saturated_activation",
    least=0.7,
    accepted=[
        "vanishing_gradient",
        "exploding_gradient",
        "learning_rate_too_low",
        "not_learning",
        "underfitting",
    ],
)
def hyperbolic_tangents_of_deviation_six(wide):
    x, y = data.linear(700, seed=9)
    start = keras.initializers.RandomNormal(stddev=6.0)
    kernel = start if wide else "glorot_normal"
    model = keras.Sequential([layers.Input((6,))])
    for _ in range(5):
        model.add(
            layers.Dense(32, activation="tanh", kernel_initializer=kernel)
        )
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    return Task(model, x, y, {"epochs": 15}, scores.r2)


class Affine(layers.Layer):
    """A dense layer written by hand."""

    def __init__(self, units, start):
        super().__init__()
        self.units = units
        self.start = start

    def build(self, shape):
        self.w = self.add_weight((shape[-1], self.units), self.start)
        self.b = self.add_weight((self.units,), "zeros")

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b


class ByHand(keras.Model):
    def __init__(self, start):
        super().__init__()
        self.parts = [Affine(40, start), Affine(20, start), Affine(10, start)]

    def call(self, x):
        for each in self.parts[:-1]:
            x = ops.leaky_relu(each(x))
        return ops.softmax(self.parts[-1](x))


@broken(
    "units",
    "subclass",
    "symmetric_units",
    least=0.85,
    accepted=["underfitting", "not_learning"],
)
def layers_by_hand_that_start_alike(alike):
    x, y = data.digits(1000, flat=True)
    start = keras.initializers.Constant(0.05) if alike else "glorot_uniform"
    model = ByHand(start)
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "statistics",
    "functional",
    "batch_statistics_mismatch statistics_distance",
    least=0.85,
    accepted=["not_learning", "oscillating_loss", "dead_bias"],
)
def batches_of_one_class_each(sorted_rows):
    x, y = data.blobs(960, classes=4, features=12, seed=3)
    order = np.argsort(y, kind="stable")
    inputs = z = keras.Input((12,))
    for _ in range(2):
        z = layers.Dense(24, use_bias=False)(z)
        z = layers.BatchNormalization(momentum=0.9)(z)
        z = layers.Activation("relu")(z)
    outputs = layers.Dense(4, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 10, "shuffle": not sorted_rows}
    return Task(model, x[order], y[order], fit, scores.accuracy)


@broken("notes", "sequential", "dead_bias", least=0.8, trains=True)
def dense_biases_before_normalization(biased):
    x, y = data.wine()
    model = keras.Sequential([layers.Input((13,)), layers.Normalization()])
    model.layers[0].adapt(x)
    for units in (32, 16):
        model.add(layers.Dense(units, use_bias=biased))
        model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.Activation("gelu"))
    model.add(layers.Dense(3, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 15, "batch_size": 32}
    return Task(model, x, y, fit, scores.accuracy)


@broken("notes", "add", "overfitting", least=None, trains=True)
def more_genes_than_patients(few):
    draw = data.rng(29)
    x = draw.normal(size=(1600, 200)).astype("float32")
    y = (x[:, :3].sum(1) + draw.normal(size=1600) > 0).astype("float32")
    rows = 60 if few else 1200
    model = keras.Sequential()
    model.add(layers.Input((200,)))
    model.add(layers.Dense(64 if few else 2, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(
        keras.optimizers.Adam(0.005 if few else 0.002), "binary_crossentropy"
    )
    rest = (x[1200:], y[1200:])
    fit = {"epochs": 40 if few else 6, "validation_data": rest}
    fit |= {"batch_size": 20 if few else 32}
    return Task(model, x[:rows], y[:rows], fit, scores.accuracy, rest)
