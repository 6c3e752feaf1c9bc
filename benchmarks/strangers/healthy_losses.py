"""Healthy programs: weights, likelihoods, and what cannot be learnt."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


@healthy("weights", "functional", least=0.75)
def class_weights_in_the_hundreds():
    x, y = data.rare(2000, 0.04, distance=1.6)
    inputs = keras.Input((10,))
    z = layers.Dense(16, activation="relu")(inputs)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.003),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    fit = {"epochs": 8, "class_weight": {0: 50, 1: 1600}}
    return Task(model, x, y, fit, scores.balanced)


@healthy("weights", "add", least=0.75)
def weights_of_one_by_count():
    x, y = data.rare(1500, 0.08, distance=1.6)
    model = keras.Sequential()
    model.add(layers.Input((10,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    weights = {0: 1 / float((y == 0).sum()), 1: 1 / float((y == 1).sum())}
    fit = {"epochs": 10, "class_weight": weights}
    return Task(model, x, y, fit, scores.balanced)


@healthy("weights", "sequential", least=0.8)
def balanced_weights_of_many_classes():
    x, y = data.digits(flat=True)
    kept = (y < 4) | (data.rng(1).uniform(size=len(y)) < 0.15)
    x, y = x[kept], y[kept]
    counts = np.bincount(y, minlength=10)
    weights = {i: len(y) / (10 * count) for i, count in enumerate(counts)}
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 15, "class_weight": weights}
    return Task(model, x, y, fit, scores.balanced)


@healthy("likelihoods", "sequential", least=0.75)
def gaussian_likelihood_with_own_class():
    x, y = data.linear()
    y = (y * 0.004)[:, None]

    class Likelihood(keras.losses.Loss):
        def call(self, y_true, y_pred):
            scale = 0.001 + 0.01 * ops.softplus(y_pred[:, 1:])
            error = (y_true - 0.01 * y_pred[:, :1]) / scale
            return ops.mean(0.5 * ops.square(error) + ops.log(scale), axis=-1)

    model = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), Likelihood())

    def score(model, x, y):
        found = 0.01 * model.predict(x, verbose=0)[:, :1]
        return float(1 - np.mean((found - y) ** 2) / y.var())

    return Task(model, x, y, {"epochs": 20}, score)


@healthy("likelihoods", "functional", least=0.7)
def median_and_quantiles():
    x, y = data.linear()

    def pinball(y_true, y_pred):
        share = ops.convert_to_tensor([0.1, 0.5, 0.9])
        error = y_true - y_pred
        return ops.mean(ops.maximum(share * error, (share - 1) * error), -1)

    inputs = keras.Input((6,))
    z = layers.Dense(32, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(z))
    model.compile(keras.optimizers.Adam(0.01), pinball)

    def score(model, x, y):
        found = model.predict(x, verbose=0)[:, 1:2]
        return float(1 - np.mean((found - y) ** 2) / y.var())

    return Task(model, x, y[:, None], {"epochs": 15}, score)


@healthy("likelihoods", "functional", least=0.7)
def cosine_of_two_vectors():
    draw = data.rng(4)
    x = draw.normal(size=(800, 8)).astype("float32")
    y = np.tanh(x @ draw.normal(size=(8, 5))).astype("float32")
    inputs = keras.Input((8,))
    z = layers.Dense(32, activation="tanh")(inputs)
    model = keras.Model(inputs, layers.Dense(5)(z))
    model.compile(keras.optimizers.Adam(0.01), "cosine_similarity")

    def score(model, x, y):
        return -float(model.evaluate(x, y, verbose=0))

    return Task(model, x, y, {"epochs": 10}, score)


@healthy("likelihoods", "functional", least=0.5)
def mixture_of_two_gaussians():
    draw = data.rng(5)
    x = draw.uniform(-1, 1, (1000, 1)).astype("float32")
    sign = np.where(draw.uniform(size=(1000, 1)) < 0.5, -1, 1)
    y = (sign * (0.5 + x) + 0.05 * draw.normal(size=(1000, 1))).astype(
        "float32"
    )

    def likelihood(y_true, y_pred):
        weight, mean, scale = ops.split(y_pred, 3, axis=-1)
        scale = ops.softplus(scale) + 0.01
        logs = -0.5 * ops.square((y_true - mean) / scale) - ops.log(scale)
        return -ops.logsumexp(logs + ops.log_softmax(weight), axis=-1)

    inputs = keras.Input((1,))
    z = layers.Dense(24, activation="tanh")(inputs)
    model = keras.Model(inputs, layers.Dense(6)(z))
    model.compile(keras.optimizers.Adam(0.02), likelihood)

    def score(model, x, y):
        return 1 - float(model.evaluate(x, y, verbose=0))

    return Task(model, x, y, {"epochs": 15}, score)


@healthy("own losses", "sequential", least=0.9)
def penalty_above_the_loss():
    x, y = data.cancer()
    penalty = keras.regularizers.L2(0.03)
    model = keras.Sequential(
        [
            layers.Input((30,)),
            layers.Dense(64, activation="relu", kernel_regularizer=penalty),
            layers.Dense(64, activation="relu", kernel_regularizer=penalty),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    return Task(model, data.scaled(x), y, {"epochs": 15}, scores.accuracy)


@healthy("unlearnable", "sequential", least=None)
def market_that_cannot_be_predicted():
    returns = 0.01 * data.rng(6).standard_t(4, 1220)
    x = np.stack([returns[i : i + 20] for i in range(1200)])
    y = (returns[20:1220] > 0).astype("float32")
    model = keras.Sequential(
        [
            layers.Input((20,)),
            layers.Rescaling(100.0),
            layers.Dense(8, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    fit = {"epochs": 10, "validation_split": 0.2}
    return Task(model, x.astype("float32"), y, fit, scores.accuracy)


@healthy("unlearnable", "add", least=None)
def next_return_by_lstm():
    returns = data.rng(8).normal(size=620)
    x = np.stack([returns[i : i + 12] for i in range(600)])[..., None]
    y = returns[12:612, None]
    model = keras.Sequential()
    model.add(layers.Input((12, 1)))
    model.add(layers.LSTM(4))
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(1))
    model.compile("adam", "mse")
    x, y = x.astype("float32"), y.astype("float32")
    return Task(model, x, y, {"epochs": 8}, scores.r2)
