"""Put aside: programs with one fault, in gradients, numbers and labels."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken("no gradient", "functional", "no_gradient", least=0.9)
def rounded_in_the_middle(rounded):
    x, y = data.cancer()
    inputs = keras.Input((30,))
    z = layers.Dense(16, activation="relu")(inputs)
    z = layers.Dense(2, activation="sigmoid")(z)
    if rounded:
        z = layers.Lambda(ops.round)(z)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "binary_crossentropy")
    # Random features may separate the classes: only the loss is compared.
    rounded_score = scores.accuracy
    fit = {"epochs": 15}
    return Task(model, data.scaled(x), y, fit, rounded_score)


class Gate(layers.Layer):
    """A threshold that passes no gradient."""

    def __init__(self, hard):
        super().__init__()
        self.hard = hard

    def call(self, x):
        if self.hard:
            return ops.cast(x > 0, "float32")
        return ops.sigmoid(x)


@broken("no gradient", "sequential", "no_gradient", least=0.8)
def comparison_in_a_layer(hard):
    x, y = data.digits(1000, flat=True)
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(6),
            Gate(hard),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 15}, scores.accuracy)


@broken("not finite", "sequential", "non_finite", least=0.85)
def one_nan_late_in_x(nan):
    x, y = data.houses(1800)
    x, y = data.scaled(x), data.scaled(y)
    if nan:
        x[1500, 2] = np.nan
    model = keras.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    clean = data.scaled(data.houses(1800)[0])
    return Task(model, x, y, {"epochs": 10}, scores.r2, (clean, y))


@broken("not finite", "add", "non_finite", least=0.8)
def one_nan_in_y(nan):
    x, y = data.linear(500)
    clean = y.copy()
    if nan:
        y[10] = np.nan
    model = keras.Sequential()
    model.add(layers.Input((6,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Task(model, x, y, {"epochs": 10}, scores.r2, (x, clean))


@broken(
    "labels",
    "functional",
    "output_mismatch",
    least=0.85,
    accepted=["non_finite"],
)
def labels_from_one_to_ten(shifted):
    x, y = data.digits(flat=True)
    order = np.argsort(y == 9, kind="stable")  # the tens come last
    x, y = x[order], y[order] + (1 if shifted else 0)
    inputs = keras.Input((64,))
    z = layers.Dense(48, activation="relu")(inputs)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


class Error(keras.losses.Loss):
    """A loss that subtracts whatever shapes it gets."""

    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred))


@broken("target shape", "sequential", "target_shape", least=0.8)
def loss_that_broadcasts(flat):
    x, y = data.linear()
    model = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(1),
        ]
    )
    if flat:
        model.add(layers.Flatten())
    model.compile(keras.optimizers.Adam(0.01), Error())
    target = y[:, None]
    if flat:
        target = y[:, None, None]
    return Task(model, x, target, {"epochs": 15}, scores.r2, (x, y))


@broken(
    "labels",
    "functional",
    "output_mismatch target_scale",
    least=0.8,
)
def masks_of_255(raw):
    x, y = data.shapes(240)
    y = (y > 0)[..., None] * (255.0 if raw else 1.0)
    inputs = keras.Input((16, 16, 1))
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    fit = {"epochs": 8, "batch_size": 16}
    return Task(model, x, y.astype("float32"), fit, scores.balanced)


@broken(
    "labels",
    "sequential",
    "output_mismatch",
    least=0.5,
    trains=True,
)
def softmax_told_as_logits_for_each_step(told):
    x, _, tags = data.sentences(300)
    head = layers.Dense(4, activation="softmax" if told else None)
    model = keras.Sequential(
        [
            layers.Input((12,)),
            layers.Embedding(40, 8),
            layers.GRU(8, return_sequences=True),
            layers.TimeDistributed(head),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return Task(model, x, tags, {"epochs": 8}, scores.accuracy)
