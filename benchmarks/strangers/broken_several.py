"""Programs with two or three independent faults."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "several",
    "sequential",
    "output_mismatch",
    "exploding_gradient",
    least=0.85,
    accepted=["learning_rate_too_high", "dead_units", "non_finite"],
)
def wide_kernels_and_no_softmax(no_softmax, wide):
    x, y = data.digits(flat=True)
    hidden = []
    for _ in range(6):
        start = keras.initializers.RandomNormal(stddev=1.0 if wide else 0.18)
        hidden.append(
            layers.Dense(48, activation="relu", kernel_initializer=start)
        )
    kind = "relu" if no_softmax else "softmax"
    model = keras.Sequential(
        [layers.Input((64,)), *hidden, layers.Dense(10, activation=kind)]
    )
    model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "several",
    "add",
    "output_mismatch",
    "dead_units",
    least=0.85,
    accepted=["no_gradient", "not_learning"],
)
def dead_layer_and_one_softmax_unit(single, dead):
    x, y = data.cancer()
    bias = keras.initializers.Constant(-12.0 if dead else 0.0)
    model = keras.Sequential()
    model.add(layers.Input((30,)))
    model.add(layers.Dense(24, activation="relu", bias_initializer=bias))
    model.add(layers.Dense(1, activation="softmax" if single else "sigmoid"))
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    fit = {"epochs": 12}
    return Task(model, data.scaled(x), y, fit, scores.balanced)


@broken(
    "several",
    "functional",
    "non_finite",
    "output_mismatch",
    least=0.8,
)
def missing_values_and_a_wrong_output(missing, wrong):
    x, y = data.moons(800)
    clean = x.copy()
    if missing:
        x[400:403, 1] = np.nan
    inputs = keras.Input((2,))
    z = layers.Dense(24, activation="relu")(inputs)
    outputs = layers.Dense(1, activation="softmax" if wrong else "sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 15}, scores.accuracy, (clean, y))


@broken(
    "several",
    "sequential",
    "input_scale",
    "clipping_always_on",
    least=0.85,
    accepted=["saturated_activation", "dead_units"],
)
def raw_columns_and_a_tiny_limit(raw, clipped):
    x, y = data.wine()
    limit = 1e-5 if clipped else 1.0
    model = keras.Sequential(
        [
            layers.Input((13,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05, clipnorm=limit),
        "sparse_categorical_crossentropy",
    )
    x = x if raw else data.scaled(x)
    fit = {"epochs": 20, "batch_size": 16}
    return Task(model, x, y, fit, scores.accuracy)


@broken(
    "several",
    "add",
    "output_mismatch",
    "class_imbalance",
    least=0.7,
    accepted=["not_learning"],
)
def one_softmax_unit_and_a_rare_class(single, unweighted):
    x, y = data.rare(1800, 0.025, distance=1.1)
    model = keras.Sequential()
    model.add(layers.Input((10,)))
    model.add(layers.Dense(16, activation="relu"))
    kind = "softmax" if single else "sigmoid"
    model.add(layers.Dense(1, activation=kind))
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    fit = {"epochs": 8}
    if not unweighted:
        fit["class_weight"] = {0: 1.0, 1: 30.0}
    return Task(model, x, y, fit, scores.balanced)


class Squared(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean((y_true - y_pred) ** 2)


@broken(
    "several",
    "functional",
    "target_shape",
    "learning_rate_too_low",
    least=0.7,
)
def broadcast_and_a_tiny_rate(flat, low):
    x, y = data.linear(seed=5)
    inputs = keras.Input((6,))
    z = layers.Dense(24, activation="relu")(inputs)
    z = layers.Dense(1)(z)
    if flat:
        z = layers.Reshape(())(z)
    model = keras.Model(inputs, z)
    model.compile(keras.optimizers.Adam(1e-6 if low else 0.01), Squared())
    return Task(model, x, y[:, None], {"epochs": 12}, scores.r2, (x, y))


@broken(
    "several",
    "functional",
    "no_gradient",
    "input_scale",
    least=0.85,
    accepted=["saturated_activation", "dead_units"],
)
def rounded_codes_of_raw_columns(rounded, raw):
    x, y = data.wine()
    inputs = keras.Input((13,))
    z = layers.Dense(16, activation="tanh")(inputs)
    z = layers.Dense(3, activation="sigmoid")(z)
    if rounded:
        z = layers.Lambda(ops.round)(z)
    outputs = layers.Dense(3, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    x = x if raw else data.scaled(x)
    fit = {"epochs": 25, "batch_size": 16}
    return Task(model, x, y, fit, scores.accuracy)


@broken(
    "several",
    "add",
    "target_scale",
    "vanishing_gradient",
    least=0.5,
    accepted=["learning_rate_too_low", "not_learning", "non_finite"],
)
def raw_prices_behind_deep_sigmoids(raw, sigmoids):
    x, y = data.houses()
    y = y if raw else data.scaled(y)
    model = keras.Sequential()
    model.add(layers.Input((5,)))
    for _ in range(8):
        model.add(
            layers.Dense(24, activation="sigmoid" if sigmoids else "tanh")
        )
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.001), "mse")
    return Task(model, data.scaled(x), y, {"epochs": 10}, scores.r2)


@broken(
    "several",
    "functional",
    "output_mismatch target_scale",
    "input_scale",
    least=0.8,
    accepted=["dead_units", "saturated_activation"],
)
def pictures_and_masks_of_255(raw_masks, raw_pictures):
    x, y = data.shapes(240)
    y = (y > 0)[..., None] * (255.0 if raw_masks else 1.0)
    x = x * (255.0 if raw_pictures else 1.0) + (2000.0 if raw_pictures else 0.0)
    inputs = keras.Input((16, 16, 1))
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(z)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    fit = {"epochs": 8, "batch_size": 16}
    return Task(model, x, y.astype("float32"), fit, scores.balanced)


@broken(
    "several",
    "sequential",
    "symmetric_units",
    "batch_statistics_mismatch",
    least=0.85,
    accepted=["input_scale"],
)
def equal_kernels_and_slow_statistics(equal, slow):
    x, y = data.digits(600, flat=True)
    x = 16 * x + 20
    momentum = 0.999 if slow else 0.7
    start = "ones" if equal else "glorot_uniform"
    model = keras.Sequential([layers.Input((64,))])
    for _ in range(2):
        model.add(layers.Dense(32, use_bias=False, kernel_initializer=start))
        model.add(layers.BatchNormalization(momentum=momentum))
        model.add(layers.Activation("relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 6}, scores.accuracy)


@broken(
    "several",
    "add",
    "output_mismatch",
    "input_scale",
    "learning_rate_too_low",
    least=0.8,
    accepted=["saturated_activation", "dead_units", "not_learning"],
)
def raw_columns_tanh_and_a_tiny_rate(wrong, raw, low):
    x, y = data.cancer()
    x = x if raw else data.scaled(x)
    model = keras.Sequential()
    model.add(layers.Input((30,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="tanh" if wrong else "sigmoid"))
    model.compile(
        keras.optimizers.Adam(1e-7 if low else 0.005), "binary_crossentropy"
    )
    return Task(model, x, y, {"epochs": 12}, scores.balanced)
