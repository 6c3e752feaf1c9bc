"""Programs with two independent faults."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "several",
    "sequential",
    "non_finite",
    "input_scale",
    least=0.4,
    accepted=["exploding_gradient", "learning_rate_too_high", "dead_units"],
)
def alcohol_not_measured_in_five_wines(missing, raw):
    x = data.wine()[0]
    y, x = data.scaled(x[:, 0]), x[:, 1:]
    clean = y.copy()
    if missing:
        y[[8, 50, 90, 120, 160]] = np.nan
    x = x if raw else data.scaled(x)
    model = keras.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    fit = {"epochs": 25, "batch_size": 16}
    return Task(model, x, y, fit, scores.r2, (x, clean))


@broken(
    "several",
    "functional",
    "output_mismatch target_scale",
    "learning_rate_too_low",
    least=0.3,
    accepted=["saturated_activation", "not_learning", "underfitting"],
)
def pixels_around_zero_and_a_tiny_rate(sigmoid, low):
    x, _ = data.digits(900)
    x = 2 * x - 1
    inputs = keras.Input((8, 8, 1))
    z = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(
        inputs
    )
    z = layers.Conv2D(16, 3, padding="same", activation="relu")(z)
    z = layers.Conv2DTranspose(
        16, 3, strides=2, padding="same", activation="relu"
    )(z)
    kind = "sigmoid" if sigmoid else "tanh"
    outputs = layers.Conv2D(1, 3, padding="same", activation=kind)(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(1e-6 if low else 0.004), "mse")

    def score(model, x, y):
        found = model.predict(x, verbose=0)
        return float(1 - np.mean((found - y) ** 2) / y.var(0).mean())

    return Task(model, x, x, {"epochs": 10}, score)


@broken(
    "several",
    "add",
    "input_scale",
    "class_imbalance",
    least=0.82,
    accepted=[
        "dead_units",
        "exploding_gradient",
        "not_learning",
        "oscillating_loss",
        "saturated_activation",
    ],
)
def payments_with_seconds_and_sums(raw, unweighted):
    draw = data.rng(51)
    signs, y = data.rare(2400, 0.02, features=8, distance=1.0, seed=51)
    seconds = 1_378_000_000 + draw.uniform(0, 172_800, 2400)
    x = np.column_stack([seconds, signs, draw.lognormal(4, 1.5, 2400)])
    x = x.astype("float32") if raw else data.scaled(x)
    model = keras.Sequential()
    model.add(layers.Input((10,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(8, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    fit = {"epochs": 8}
    if not unweighted:
        fit["class_weight"] = {0: 0.51, 1: 25.0}
    return Task(model, x, y, fit, scores.balanced)


@broken(
    "several",
    "functional",
    "no_gradient",
    "target_scale",
    least=0.5,
    accepted=["learning_rate_too_low", "not_learning", "underfitting"],
)
def salaries_by_two_hard_switches(hard, raw):
    draw = data.rng(53)
    x = draw.normal(size=(900, 10)).astype("float32")
    y = np.tanh(x @ draw.normal(size=10) / 2) + 0.2 * draw.normal(size=900)
    y = (48_000 + 12_000 * y if raw else y).astype("float32")
    inputs = keras.Input((10,))
    z = layers.Dense(2)(inputs)
    z = layers.Lambda(
        (lambda z: ops.cast(z > 0, "float32")) if hard else ops.tanh
    )(z)
    z = layers.Dense(16, activation="relu")(z)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.01), "mae")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


class Squares(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_pred - y_true))


@broken(
    "several",
    "functional",
    "target_shape",
    "batch_statistics_mismatch statistics_distance",
    least=0.6,
    accepted=["input_scale", "not_learning", "underfitting"],
)
def a_column_for_a_row_and_slow_averages(flat, slow):
    x, y = data.linear(700, features=9, seed=17)
    inputs = keras.Input((9,))
    z = layers.Dense(24, activation="relu")(inputs)
    z = layers.BatchNormalization(momentum=0.9999 if slow else 0.8)(z)
    z = layers.Dense(12, activation="relu")(z)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.01), Squares())
    y = y if flat else y[:, None]
    return Task(model, 4 * x + 10, y, {"epochs": 12}, scores.r2)


@broken(
    "several",
    "sequential",
    "saturated_activation",
    "learning_rate_too_low",
    least=0.8,
    accepted=["vanishing_gradient", "exploding_gradient", "not_learning"],
)
def wide_logistic_units_and_adadelta(wide, default):
    x, y = data.digits(1000, flat=True)
    start = keras.initializers.RandomNormal(stddev=8.0)
    model = keras.Sequential([layers.Input((64,))])
    for _ in range(4):
        model.add(
            layers.Dense(
                32,
                activation="sigmoid" if wide else "tanh",
                kernel_initializer=start if wide else "glorot_uniform",
            )
        )
    model.add(layers.Dense(10, activation="softmax"))
    rate = 0.001 if default else 1.0
    model.compile(
        keras.optimizers.Adadelta(rate), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@broken(
    "several",
    "add",
    "exploding_gradient",
    "target_scale",
    least=0.6,
    accepted=["non_finite", "learning_rate_too_high", "oscillating_loss"],
)
def a_memory_that_doubles_and_raw_loads(doubles, raw):
    x, y = data.waves(500, length=24)
    y = 5_200 + 900 * y if raw else y
    memory = keras.initializers.Orthogonal(1.9 if doubles else 0.9)
    model = keras.Sequential()
    model.add(layers.Input((24, 1)))
    model.add(
        layers.SimpleRNN(20, activation=None, recurrent_initializer=memory)
    )
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@broken(
    "several",
    "functional",
    "dead_units no_gradient",
    "excessive_clipping clipping_always_on",
    least=0.85,
    accepted=["learning_rate_too_low", "not_learning", "vanishing_gradient"],
)
def far_negative_biases_and_a_tiny_limit(negative, limited):
    x, y = data.blobs(900, classes=4, features=10, seed=18)
    bias = keras.initializers.Constant(-15.0 if negative else 0.1)
    inputs = keras.Input((10,))
    z = layers.Dense(32, activation="relu", bias_initializer=bias)(inputs)
    z = layers.Dense(16, activation="relu")(z)
    outputs = layers.Dense(4, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    limit = 1e-4 if limited else 1.0
    model.compile(
        keras.optimizers.SGD(0.1, clipnorm=limit),
        "sparse_categorical_crossentropy",
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)
