"""Programs with one fault: raw targets, and rare classes."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "raw targets",
    "functional",
    "target_scale",
    least=0.6,
    accepted=["learning_rate_too_low"],
)
def prices_with_adam_and_few_epochs(raw):
    x, y = data.houses()
    if raw:
        y = y / 1000
    else:
        y = data.scaled(y)
    inputs = keras.Input((5,))
    z = layers.Dense(32, activation="relu")(inputs)
    z = layers.Dense(16, activation="relu")(z)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile("adam", "mae", metrics=["mse"])
    return Task(model, data.scaled(x), y, {"epochs": 6}, scores.r2)


@broken(
    "raw targets",
    "sequential",
    "target_scale non_finite",
    "target_scale",
    least=0.4,
    accepted=["learning_rate_too_high", "exploding_gradient"],
)
def diabetes_by_momentum(raw):
    x, y = data.diabetes()
    model = keras.Sequential(
        [
            layers.Input((10,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    y = y * 10 if raw else data.scaled(y)
    return Task(model, data.scaled(x), y, {"epochs": 15}, scores.r2)


@broken(
    "raw targets",
    "add",
    "target_scale",
    least=0.6,
    accepted=["learning_rate_too_low"],
)
def years_as_targets(raw):
    x, y = data.linear(800)
    y = 1990 + 9 * y if raw else y
    model = keras.Sequential()
    model.add(layers.Input((6,)))
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Task(model, x, y, {"epochs": 10}, scores.r2)


@broken(
    "raw targets",
    "functional",
    "target_scale",
    least=0.85,
    accepted=["learning_rate_too_high"],
)
def one_raw_output_of_two(raw):
    x, y = data.blobs(900, classes=4)
    income = 60_000 + 15_000 * x[:, 0]
    if not raw:
        income = data.scaled(income)
    inputs = keras.Input((8,))
    z = layers.Dense(16, activation="relu")(inputs)
    outputs = [
        layers.Dense(4, activation="softmax", name="kind")(z),
        layers.Dense(1, name="income")(z),
    ]
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), ["sparse_categorical_crossentropy", "mse"]
    )

    def score(model, x, y):
        kind, found = model.predict(x, verbose=0)
        right = (kind.argmax(-1) == y[0]).mean()
        error = np.mean((found.ravel() - y[1]) ** 2) / y[1].var()
        return float(min(right, 1 - error))

    return Task(model, x, [y, income], {"epochs": 10}, score)


@broken(
    "raw targets",
    "sequential",
    "target_scale output_mismatch",
    least=0.3,
    accepted=["saturated_activation"],
)
def autoencoder_of_raw_pixels(raw):
    x, _ = data.digits(flat=True)
    y = np.round(255 * x) if raw else x
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(64, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Task(model, x, y, {"epochs": 15}, _explained)


def _explained(model, x, y):
    found = model.predict(x, verbose=0)
    return float(max(-1, 1 - np.mean((found - y) ** 2) / y.var(0).mean()))


@broken("rare classes", "add", "class_imbalance", least=0.7)
def hundred_of_two_thousand_by_sgd(unweighted):
    x, y = data.rare(2000, 0.05, distance=1.0)
    model = keras.Sequential()
    model.add(layers.Input((10,)))
    model.add(layers.Dense(12, activation="relu"))
    model.add(layers.Dense(2, activation="softmax"))
    model.compile(
        keras.optimizers.SGD(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    fit = {"epochs": 12}
    if not unweighted:
        fit["class_weight"] = {0: 1.0, 1: 19.0}
    return Task(model, x, y.astype("int32"), fit, scores.balanced)


@broken("rare classes", "sequential", "class_imbalance", least=0.7)
def one_class_of_three_is_everything(unweighted):
    draw = data.rng(4)
    y = draw.choice(3, 1800, p=[0.94, 0.035, 0.025])
    x = draw.normal(size=(1800, 8))
    x[np.arange(1800), y] += 1.7
    model = keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    fit = {"epochs": 10}
    if not unweighted:
        fit["class_weight"] = {0: 0.35, 1: 9.5, 2: 13.0}
    x, y = x.astype("float32"), data.one_hot(y, 3)
    return Task(model, x, y, fit, scores.balanced)


@broken("rare classes", "functional", "class_imbalance", least=0.65)
def labels_that_are_all_rare(unweighted):
    draw = data.rng(6)
    x = draw.normal(size=(1500, 10)).astype("float32")
    noisy = x[:, :6] + 0.8 * draw.normal(size=(1500, 6))
    y = (noisy > 2.5).astype("float32")
    inputs = keras.Input((10,))
    z = layers.Dense(24, activation="relu")(inputs)
    outputs = layers.Dense(6, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)

    def weighted(y_true, y_pred):
        y_pred = ops.clip(y_pred, 1e-6, 1 - 1e-6)
        return -ops.mean(
            30 * y_true * ops.log(y_pred) + (1 - y_true) * ops.log(1 - y_pred),
            axis=-1,
        )

    model.compile("adam", "binary_crossentropy" if unweighted else weighted)
    return Task(model, x, y, {"epochs": 8}, scores.labels)


@broken("rare classes", "add", "class_imbalance", least=0.95)
def tags_that_are_nearly_all_outside(unweighted):
    draw = data.rng(2)
    x = draw.integers(1, 60, (500, 12)).astype("int32")
    y = ((x % 30 == 7) & (draw.uniform(size=x.shape) < 0.5)).astype("int32")
    model = keras.Sequential()
    model.add(layers.Input((12,)))
    model.add(layers.Embedding(60, 8))
    model.add(layers.Bidirectional(layers.GRU(6, return_sequences=True)))
    model.add(layers.TimeDistributed(layers.Dense(2, activation="softmax")))
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 4}
    if not unweighted:
        fit["sample_weight"] = np.where(y == 1, 40.0, 1.0)
    return Task(model, x, y, fit, scores.balanced)
