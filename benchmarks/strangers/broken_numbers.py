"""Programs with one fault: gradients that do not exist, and NaN."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken("no gradient", "functional", "no_gradient", least=0.85)
def gradient_that_is_stopped(stopped):
    x, y = data.digits(flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(32, activation="relu")(inputs)
    z = layers.Dense(4, activation="tanh", name="code")(z)
    if stopped:
        z = layers.Lambda(ops.stop_gradient)(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 15}, scores.accuracy)


@broken("no gradient", "functional", "no_gradient", least=0.5)
def best_of_a_code_as_one_hot(hard):
    x, y = data.digits(flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(24, activation="relu")(inputs)
    z = layers.Dense(8, activation="softmax")(z)
    if hard:
        z = layers.Lambda(lambda z: ops.one_hot(ops.argmax(z, -1), 8))(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 20}, scores.accuracy)


class Signs(keras.Model):
    def __init__(self, hard):
        super().__init__()
        self.hard = hard
        self.first = layers.Dense(6)
        self.last = layers.Dense(3, activation="softmax")

    def call(self, x):
        z = self.first(x)
        return self.last(ops.sign(z) if self.hard else ops.tanh(z))


@broken("no gradient", "subclass", "no_gradient", least=0.85)
def signs_between_two_layers(hard):
    x, y = data.blobs(classes=3, features=12, seed=8, spread=2.5)
    model = Signs(hard)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "no gradient",
    "sequential",
    "no_gradient",
    least=0.8,
    accepted=["not_learning"],
)
def threshold_in_the_loss(hard):
    x, y = data.moons()

    def wrong(y_true, y_pred):
        chosen = ops.where(y_pred > 0.5, 1.0, 0.0) + 0.0 * y_pred
        return ops.mean(ops.square(y_true - chosen), axis=-1)

    model = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02), wrong if hard else "binary_crossentropy"
    )
    return Task(model, x, 1 - y[:, None], {"epochs": 15}, scores.accuracy)


@broken(
    "no gradient",
    "functional",
    "no_gradient vanishing_gradient dead_units",
    least=0.8,
    accepted=["not_learning"],
)
def layer_normalization_of_one_number(single):
    x, y = data.waves()
    inputs = keras.Input((16, 1))
    z = layers.LayerNormalization()(inputs) if single else inputs
    z = layers.LSTM(12)(z)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Task(model, x, y, {"epochs": 10}, scores.r2)


@broken("not finite", "functional", "non_finite", least=0.85)
def a_constant_column_divided_by_zero(divided):
    x, y = data.blobs(classes=3)
    x = np.concatenate([x, np.full((len(x), 1), 7.0, "float32")], axis=1)
    with np.errstate(invalid="ignore"):
        x = (x - x.mean(0)) / (x.std(0) + (0 if divided else 1e-6))
    inputs = keras.Input((9,))
    z = layers.Dense(16, activation="relu")(inputs)
    outputs = layers.Dense(3, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


@broken("not finite", "add", "non_finite", least=0.8)
def infinity_in_one_row(infinite):
    x, y = data.linear(900)
    clean = x.copy()
    if infinite:
        x[700, 3] = np.inf
    model = keras.Sequential()
    model.add(layers.Input((6,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Task(model, x, y, {"epochs": 8}, scores.r2, (clean, y))


@broken("not finite", "sequential", "non_finite", least=0.75)
def logarithm_of_zero_in_the_loss(bare):
    x, y = data.digits(flat=True)

    def crossentropy(y_true, y_pred):
        small = 0.0 if bare else 1e-7
        return -ops.sum(y_true * ops.log(y_pred + small), axis=-1)

    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Rescaling(16.0),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), crossentropy)
    y = data.one_hot(y, 10)
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken("not finite", "functional", "non_finite", least=0.7)
def root_of_a_distance_of_zero(bare):
    x, y = data.linear(600)
    inputs = keras.Input((6,))
    x[::50] = 0
    z = layers.Dense(4, use_bias=False)(inputs)
    small = 0.0 if bare else 1e-6
    z = layers.Lambda(
        lambda z: ops.sqrt(ops.sum(z * z, -1, keepdims=True) + small)
    )(z)
    z = layers.Concatenate()([z, inputs])
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Task(model, x, y, {"epochs": 10}, scores.r2)


@broken("not finite", "functional", "non_finite", least=0.7)
def missing_in_one_of_two_inputs(missing):
    x, y = data.linear(800)
    left, right = x[:, :3].copy(), x[:, 3:].copy()
    if missing:
        right[600:605, 1] = np.nan
    one, two = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    z = layers.Concatenate()([one, two])
    z = layers.Dense(24, activation="relu")(z)
    model = keras.Model([one, two], layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.005), "mse")
    clean = [x[:, :3], x[:, 3:]]
    fit = {"epochs": 10}
    return Task(model, [left, right], y, fit, scores.r2, (clean, y))
