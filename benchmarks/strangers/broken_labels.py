"""Programs with one fault: in labels, shapes of targets, or outputs."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "labels",
    "sequential",
    "output_mismatch",
    least=0.85,
    accepted=["non_finite"],
)
def a_label_of_minus_one(negative):
    x, y = data.blobs(classes=3)
    model = keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    y = y - 1 if negative else y
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


@broken(
    "labels",
    "add",
    "output_mismatch",
    least=0.85,
    accepted=["non_finite"],
)
def a_class_too_many_at_the_end(many):
    x, y = data.digits(flat=True)
    order = np.argsort(y, kind="stable")
    model = keras.Sequential()
    model.add(layers.Input((64,)))
    model.add(layers.Dense(48, activation="relu"))
    model.add(layers.Dense(9 if many else 10, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    return Task(model, x[order], y[order], {"epochs": 10}, scores.accuracy)


@broken(
    "labels",
    "functional",
    "output_mismatch",
    least=0.8,
    accepted=["non_finite"],
)
def pixel_classes_from_one(shifted):
    x, y = data.shapes(240)
    inputs = keras.Input((16, 16, 1))
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    outputs = layers.Conv2D(3, 1, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    y = y + 1 if shifted else y
    return Task(model, x, y, {"epochs": 10, "batch_size": 16}, scores.accuracy)


@broken("target shape", "functional", "target_shape output_mismatch", least=0.7)
def one_unit_for_four_targets(single):
    draw = data.rng(3)
    x = draw.normal(size=(600, 6)).astype("float32")
    y = np.tanh(x @ draw.normal(size=(6, 4)) / 2).astype("float32")
    inputs = keras.Input((6,))
    z = layers.Dense(32, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(1 if single else 4)(z))
    model.compile(keras.optimizers.Adam(0.01), "mse")

    def score(model, x, y):
        found = model.predict(x, verbose=0)
        return float(1 - np.mean((found - y) ** 2) / y.var(0).mean())

    return Task(model, x, y, {"epochs": 15}, score)


class LogCosh(keras.losses.Loss):
    """Takes the difference of whatever it is given."""

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        return error + ops.softplus(-2.0 * error) - ops.log(2.0)


@broken("target shape", "add", "target_shape", least=0.8)
def series_against_its_last_step(flat):
    x, y = data.waves()
    model = keras.Sequential()
    model.add(layers.Input((16, 1)))
    model.add(layers.GRU(12, return_sequences=flat))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.01), LogCosh())

    def score(model, x, y):
        found = model.predict(x, verbose=0).reshape(len(x), -1)[:, -1:]
        return float(1 - np.mean((found - y) ** 2) / y.var())

    target = y[:, None] if flat else y
    return Task(model, x, target, {"epochs": 8}, score, (x, y))


@broken("labels", "sequential", "output_mismatch", least=0.85)
def linear_output_with_crossentropy(linear):
    x, y = data.moons()
    kind = "linear" if linear else "sigmoid"
    model = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(1, activation=kind, kernel_initializer="he_normal"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 25}, scores.accuracy)


@broken(
    "labels",
    "add",
    "output_mismatch",
    least=0.9,
    accepted=["dead_units", "no_gradient", "non_finite"],
)
def relu_output_with_categories(relu):
    x, y = data.digits(flat=True)
    model = keras.Sequential()
    model.add(layers.Input((64,)))
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(10, activation="relu" if relu else "softmax"))
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
    y = data.one_hot(y, 10)
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@broken(
    "labels",
    "functional",
    "output_mismatch target_scale",
    least=0.4,
    accepted=["saturated_activation"],
)
def sigmoid_for_minutes(sigmoid):
    x, y = data.linear()
    y = 45 + 15 * y if sigmoid else 0.5 + y / 8
    inputs = keras.Input((6,))
    z = layers.Dense(24, activation="relu")(inputs)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Task(model, x, y, {"epochs": 15}, scores.r2)


@broken("labels", "sequential", "output_mismatch", least=0.9)
def one_softmax_unit_for_categories(single):
    x, y = data.cancer()
    model = keras.Sequential(
        [layers.Input((30,)), layers.Dense(16, activation="relu")]
    )
    if single:
        model.add(layers.Dense(1, activation="softmax"))
        loss, target = "categorical_crossentropy", y[:, None]
    else:
        model.add(layers.Dense(2, activation="softmax"))
        loss, target = (
            "categorical_crossentropy",
            data.one_hot(y.astype(int), 2),
        )
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=["accuracy"])
    fit = {"epochs": 12}
    return Task(model, data.scaled(x), target, fit, scores.accuracy)


@broken("labels", "functional", "output_mismatch", least=0.9)
def softmax_over_the_steps(wrong_axis):
    x, _, tags = data.sentences()
    inputs = keras.Input((12,))
    z = layers.Embedding(40, 12)(inputs)
    z = layers.Conv1D(12, 3, padding="same", activation="relu")(z)
    z = layers.Dense(4)(z)
    outputs = layers.Softmax(axis=1 if wrong_axis else -1)(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )

    def score(model, x, y):
        # As probabilities: how sure the model is of what is right.
        found = model.predict(x, verbose=0)
        return float(np.take_along_axis(found, y[..., None], -1).mean())

    return Task(model, x, tags, {"epochs": 8}, score)


@broken("labels", "sequential", "output_mismatch", least=0.4, trains=True)
def softmax_told_as_logits_behind_reshape(told):
    x, y = data.digits(flat=True)
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax" if told else None),
            layers.Reshape((10,)),
        ]
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss)
    y = data.one_hot(y, 10)
    return Task(model, x, y, {"epochs": 6}, scores.accuracy)


@broken("labels", "functional", "output_mismatch", least=0.4, trains=True)
def sigmoid_told_as_logits_in_half_precision(told):
    x, y = data.cancer()
    half = "mixed_float16"
    inputs = keras.Input((30,))
    z = layers.Dense(16, activation="relu", dtype=half)(inputs)
    z = layers.Dense(1, activation="sigmoid" if told else None, dtype=half)(z)
    outputs = layers.Activation("linear", dtype="float32")(z)
    model = keras.Model(inputs, outputs)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.005), loss)
    fit = {"epochs": 10}
    return Task(model, data.scaled(x), y, fit, scores.logit_accuracy)
