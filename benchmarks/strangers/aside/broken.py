"""Put aside: programs with one fault, in targets, inputs and statistics."""

import keras
import numpy as np
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "raw targets",
    "add",
    "target_scale non_finite",
    "target_scale",
    least=0.7,
    accepted=["learning_rate_too_high", "exploding_gradient"],
)
def house_prices_by_sgd(raw):
    x, y = data.houses()
    if not raw:
        y = data.scaled(y)
    model = keras.Sequential()
    model.add(layers.Input((5,)))
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return Task(model, data.scaled(x), y, {"epochs": 10}, scores.r2)


@broken(
    "raw targets",
    "functional",
    "target_scale",
    least=0.6,
    accepted=["learning_rate_too_low"],
)
def share_prices_by_lstm(raw):
    x, y = data.waves(400)
    if raw:
        y = 1500 + 120 * y
    inputs = keras.Input((16, 1))
    z = layers.LSTM(12)(inputs)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.01), "mae")
    return Task(model, x, y, {"epochs": 8}, scores.r2)


@broken("rare classes", "sequential", "class_imbalance", least=0.7)
def two_percent_are_fraud(unweighted):
    x, y = data.rare(2000, 0.025, distance=1.3)
    model = keras.Sequential(
        [
            layers.Input((10,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    fit = {"epochs": 8}
    if not unweighted:
        fit["class_weight"] = {0: 1.0, 1: 40.0}
    return Task(model, x, y, fit, scores.balanced)


@broken("rare classes", "functional", "class_imbalance", least=0.8)
def nothing_but_background(unweighted):
    draw = data.rng(3)
    x = draw.normal(0.3, 0.12, (200, 16, 16, 1))
    y = np.zeros((200, 16, 16, 1))
    row, column = draw.integers(1, 14, (2, 200))
    for down in (0, 1):
        for right in (0, 1):
            y[np.arange(200), row + down, column + right] = 1
    x = np.clip(x + 0.22 * y, 0, 1).astype("float32")
    inputs = keras.Input((16, 16, 1))
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(z)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    fit = {"epochs": 10, "batch_size": 16}
    if not unweighted:
        fit["sample_weight"] = np.where(y[..., 0] > 0, 50.0, 1.0)
    return Task(model, x, y.astype("float32"), fit, scores.balanced)


@broken("input scale", "sequential", "input_scale", least=0.85)
def normalization_never_adapted(forgotten):
    x, y = data.wine()
    scale = layers.Normalization(axis=-1)
    if not forgotten:
        scale.adapt(x)
    model = keras.Sequential(
        [
            layers.Input((13,)),
            scale,
            layers.Dense(24, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 20, "batch_size": 16}, scores.accuracy)


@broken("input scale", "functional", "input_scale", least=0.7)
def raw_income_beside_an_embedding(raw):
    draw = data.rng(8)
    city = draw.integers(0, 12, (1200, 1)).astype("int32")
    income = draw.normal(42_000, 9_000, (1200, 1)).astype("float32")
    effect = draw.normal(size=12)
    y = effect[city] + (income - 42_000) / 9_000
    y = data.scaled(y + 0.1 * draw.normal(size=(1200, 1)))
    one = keras.Input((1,), dtype="int32", name="city")
    two = keras.Input((1,), name="income")
    z = layers.Flatten()(layers.Embedding(12, 4)(one))
    z = layers.Concatenate()([z, two])
    z = layers.Dense(24, activation="relu")(z)
    model = keras.Model({"city": one, "income": two}, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.003), "mse")
    x = {"city": city, "income": income if raw else data.scaled(income)}
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@broken(
    "statistics",
    "add",
    "batch_statistics_mismatch input_scale",
    "batch_statistics_mismatch",
    least=0.75,
)
def statistics_that_lag(lagging):
    x, y = data.digits(520)
    kind = layers.BatchNormalization
    momentum = 0.99 if lagging else 0.7
    model = keras.Sequential()
    model.add(layers.Input((8, 8, 1)))
    model.add(layers.Rescaling(16.0, offset=20.0))
    model.add(layers.Conv2D(12, 3))
    model.add(kind(momentum=momentum))
    model.add(layers.Activation("relu"))
    model.add(layers.Conv2D(16, 3))
    model.add(kind(momentum=momentum))
    model.add(layers.Activation("relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 4, "batch_size": 32}
    return Task(model, x, y, fit, scores.accuracy)
