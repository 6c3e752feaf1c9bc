"""Put aside: programs with two or three independent faults."""

import keras
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "several",
    "add",
    "input_scale",
    "target_scale",
    least=0.7,
    accepted=["learning_rate_too_high", "non_finite", "exploding_gradient"],
)
def raw_inputs_and_raw_targets(raw_inputs, raw_targets):
    x, y = data.houses()
    x = x if raw_inputs else data.scaled(x)
    y = y if raw_targets else data.scaled(y)
    model = keras.Sequential()
    model.add(layers.Input((5,)))
    model.add(layers.Dense(32, activation="tanh"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@broken(
    "several",
    "sequential",
    "output_mismatch",
    "vanishing_gradient",
    least=0.8,
    accepted=["not_learning"],
)
def relu_output_behind_deep_sigmoids(relu_output, sigmoids):
    x, y = data.digits(flat=True)
    hidden = []
    for _ in range(9):
        if sigmoids:
            hidden.append(layers.Dense(32, activation="sigmoid"))
        else:
            hidden.append(
                layers.Dense(
                    32, activation="relu", kernel_initializer="he_normal"
                )
            )
    model = keras.Sequential(
        [
            layers.Input((64,)),
            *hidden,
            layers.Dense(10, activation="relu" if relu_output else "softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9), "categorical_crossentropy"
    )
    y = data.one_hot(y, 10)
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@broken(
    "several",
    "functional",
    "symmetric_units",
    "learning_rate_too_low",
    least=0.85,
)
def zeros_and_a_tiny_rate(zeros, low):
    x, y = data.moons()
    start = "zeros" if zeros else "glorot_uniform"
    inputs = keras.Input((2,))
    z = layers.Dense(24, activation="relu", kernel_initializer=start)(inputs)
    z = layers.Dense(24, activation="relu", kernel_initializer=start)(z)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(1e-6 if low else 0.01), "binary_crossentropy"
    )
    return Task(model, x, y, {"epochs": 25}, scores.accuracy)


@broken(
    "several",
    "sequential",
    "non_finite",
    "input_scale",
    least=0.85,
    accepted=["dead_units", "saturated_activation"],
)
def missing_values_in_raw_columns(missing, raw):
    import numpy as np

    x, y = data.cancer()
    clean = x if raw else data.scaled(x)
    x = clean.copy()
    if missing:
        x[300:320, 4] = np.nan
    model = keras.Sequential(
        [
            layers.Input((30,)),
            layers.Dense(16, activation="sigmoid"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05), "binary_crossentropy")
    fit = {"epochs": 15}
    return Task(model, x, y, fit, scores.balanced, (clean, y))


@broken(
    "several",
    "add",
    "output_mismatch",
    "dead_units",
    "clipping_always_on",
    least=0.8,
    accepted=["no_gradient"],
)
def logits_dead_and_clipped(logits, dead, clipped):
    x, y = data.blobs(classes=2, seed=4)
    bias = keras.initializers.Constant(-9.0 if dead else 0.0)
    model = keras.Sequential()
    model.add(layers.Input((8,)))
    model.add(layers.Dense(24, activation="relu", bias_initializer=bias))
    model.add(layers.Dense(1, activation="relu" if logits else "sigmoid"))
    clipnorm = 1e-5 if clipped else 1.0
    model.compile(
        keras.optimizers.SGD(0.1, clipnorm=clipnorm), "binary_crossentropy"
    )
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)
