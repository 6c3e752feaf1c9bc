"""Programs with one fault: numbers that go in, come out, or are none."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


def relative(y_true, y_pred):
    return ops.mean((ops.log(1 + y_true) - ops.log(1 + y_pred)) ** 2, axis=-1)


@broken(
    "not finite",
    "sequential",
    "non_finite",
    least=0.5,
    accepted=["output_mismatch"],
)
def logarithm_of_a_linear_forecast(linear):
    draw = data.rng(33)
    x = draw.normal(size=(800, 6)).astype("float32")
    y = draw.poisson(np.exp(x @ [0.6, 0.5, -0.5, 0.3, 0, 0]))
    model = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(24, activation="tanh"),
            layers.Dense(1, activation="linear" if linear else "softplus"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), relative)

    def score(model, x, y):
        found = model.predict(x, verbose=0).ravel()
        if not np.isfinite(found).all():
            return -1.0
        return float(np.corrcoef(np.log1p(found.clip(0)), np.log1p(y))[0, 1])

    return Task(model, x, y.astype("float32"), {"epochs": 12}, score)


class Average(layers.Layer):
    """The average of the vectors of words that are not 0."""

    def __init__(self, safe):
        super().__init__()
        self.least = 1.0 if safe else 0.0

    def call(self, inputs):
        vectors, tokens = inputs
        known = ops.cast(tokens != 0, "float32")[..., None]
        count = ops.maximum(ops.sum(known, axis=1), self.least)
        return ops.sum(vectors * known, axis=1) / count


@broken("not finite", "functional", "non_finite", least=0.75)
def average_of_an_empty_message(unsafe):
    draw = data.rng(35)
    x = draw.integers(1, 50, (900, 10)).astype("int32")
    x[np.arange(10) >= draw.integers(1, 11, 900)[:, None]] = 0
    y = ((x > 30).sum(1) > (x > 0).sum(1) / 2).astype("float32")
    x[[100, 420, 777]] = 0
    tokens = keras.Input((10,), dtype="int32")
    z = layers.Embedding(50, 8)(tokens)
    z = Average(not unsafe)([z, tokens])
    z = layers.Dense(12, activation="relu")(z)
    model = keras.Model(tokens, layers.Dense(1, activation="sigmoid")(z))
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    return Task(model, x, y, {"epochs": 12}, scores.balanced)


@broken(
    "inputs",
    "sequential",
    "input_scale",
    least=0.85,
    accepted=[
        "dead_units",
        "exploding_gradient",
        "learning_rate_too_high",
        "not_learning",
        "oscillating_loss",
        "saturated_activation",
    ],
)
def easting_and_northing_in_metres(raw):
    draw = data.rng(37)
    place = draw.uniform(-1, 1, (900, 2))
    height = 300 + 60 * place[:, 1] + 20 * draw.normal(size=900)
    y = (place[:, 1] > 0.4 * np.sin(4 * place[:, 0])).astype("float32")
    east = 512_000 + 9_000 * place[:, 0]
    north = 5_403_000 + 9_000 * place[:, 1]
    x = np.stack([east, north, height], 1)
    x = x.astype("float32") if raw else data.scaled(x)
    model = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 15}, scores.balanced)


@broken(
    "inputs",
    "functional",
    "input_scale",
    least=0.85,
    accepted=["learning_rate_too_low", "not_learning", "underfitting"],
)
def sound_in_volts(raw):
    draw = data.rng(39)
    y = draw.integers(0, 3, 600)
    pitch = np.array([0.3, 0.8, 1.6])[y, None]
    phase = draw.uniform(0, 6, (600, 1))
    x = np.sin(pitch * np.arange(64) + phase) + 0.3 * draw.normal(
        size=(600, 64)
    )
    x = (x * (2e-5 if raw else 1.0)).astype("float32")[..., None]
    inputs = keras.Input((64, 1))
    z = layers.Conv1D(16, 9, strides=2, activation="relu")(inputs)
    z = layers.Conv1D(16, 5, activation="relu")(z)
    z = layers.GlobalMaxPooling1D()(z)
    outputs = layers.Dense(3, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "targets",
    "add",
    "target_scale",
    least=0.7,
    accepted=["learning_rate_too_low", "not_learning", "underfitting"],
)
def price_of_a_coin_by_lstm(raw):
    steps = data.rng(41).normal(0, 400, 500)
    price = 31_000 + np.cumsum(steps - 0.02 * np.cumsum(steps))
    scaled = (price - price.min()) / (price.max() - price.min())
    x = np.stack([scaled[i : i + 12] for i in range(len(price) - 12)])
    y = (price if raw else scaled)[12:]
    model = keras.Sequential()
    model.add(layers.Input((12, 1)))
    model.add(layers.LSTM(24))
    model.add(layers.Dense(8, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.005), "mean_squared_error")
    x, y = x[..., None].astype("float32"), y.astype("float32")
    return Task(model, x, y, {"epochs": 12, "batch_size": 16}, scores.r2)


class Bins(layers.Layer):
    """Ten whole numbers of a share, as an embedding wants them."""

    def call(self, share):
        return ops.cast(ops.cast(10 * share, "int32"), "float32") / 10


@broken(
    "no gradient",
    "functional",
    "no_gradient",
    least=0.8,
    accepted=["underfitting", "not_learning"],
)
def whole_numbers_between_two_layers(whole):
    x, y = data.blobs(900, classes=6, features=16, seed=14, spread=1.5)
    inputs = keras.Input((16,))
    z = layers.Dense(3, activation="sigmoid")(inputs)
    if whole:
        z = Bins()(z)
    z = layers.Dense(32, activation="relu")(z)
    outputs = layers.Dense(6, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 15}, scores.accuracy)


class Distance(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.abs(y_pred - y_true))


@broken(
    "targets",
    "functional",
    "target_shape",
    least=0.5,
    accepted=["not_learning", "underfitting"],
)
def ratings_of_films_in_a_row(flat):
    draw = data.rng(43)
    taste, kind = draw.normal(size=(40, 3)), draw.normal(size=(30, 3))
    user, film = draw.integers(0, 40, 1500), draw.integers(0, 30, 1500)
    y = (taste[user] * kind[film]).sum(1) / 1.5 + 0.2 * draw.normal(size=1500)
    inputs = [keras.Input((1,), dtype="int32") for _ in range(2)]
    one = layers.Flatten()(layers.Embedding(40, 6)(inputs[0]))
    two = layers.Flatten()(layers.Embedding(30, 6)(inputs[1]))
    z = layers.Dot(1)([one, two])
    model = keras.Model(inputs, z)
    model.compile(keras.optimizers.Adam(0.02), Distance())
    y = y.astype("float32")
    x = [user[:, None].astype("int32"), film[:, None].astype("int32")]
    fit = {"epochs": 15}
    return Task(model, x, y if flat else y[:, None], fit, scores.r2)
