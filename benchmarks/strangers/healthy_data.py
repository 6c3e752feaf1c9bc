"""Healthy programs: pixels, statistics, series and optimizers."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


@healthy("pixels", "sequential", least=0.85)
def digits_whose_borders_hardly_vary():
    x, y = data.digits(flat=True)
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 20}, scores.accuracy)


@healthy("pixels", "functional", least=0.85)
def rescaled_in_the_model():
    x, y = data.digits()
    x = np.round(x * 255)
    inputs = keras.Input((8, 8, 1))
    z = layers.Rescaling(1 / 255)(inputs)
    z = layers.Conv2D(12, 3, activation="relu")(z)
    z = layers.Flatten()(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@healthy("pixels", "add", least=0.4)
def features_of_small_deviation():
    x, y = data.diabetes()
    model = keras.Sequential()
    model.add(layers.Input((10,)))
    model.add(layers.Dense(24, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    return Task(model, x, data.scaled(y), {"epochs": 25}, scores.r2)


@healthy("pixels", "sequential", least=0.85)
def counts_of_rare_words():
    draw = data.rng(2)
    topic = draw.integers(0, 2, 800)
    chance = 1 / np.arange(1, 201) ** 1.1
    tilt = np.exp(0.8 * draw.normal(size=200))
    both = np.stack([chance, chance * tilt])
    x = draw.poisson(60 * both[topic] / both.sum(1)[topic][:, None])
    model = keras.Sequential(
        [
            layers.Input((200,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    x, y = x.astype("float32"), topic.astype("float32")
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@healthy("statistics", "functional", least=0.85, accepted=["dead_bias"])
def convolutions_with_normalization():
    x, y = data.digits()
    inputs = keras.Input((8, 8, 1))
    z = layers.Conv2D(12, 3)(inputs)
    z = layers.BatchNormalization()(z)
    z = layers.ReLU()(z)
    z = layers.Flatten()(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 20, "batch_size": 32}, scores.accuracy)


@healthy("series", "add", least=0.7)
def stateful_lstm():
    x, y = data.waves(480)
    model = keras.Sequential()
    model.add(layers.Input(batch_shape=(32, 16, 1)))
    model.add(layers.LSTM(12, stateful=True))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    fit = {"epochs": 8, "batch_size": 32, "shuffle": False}

    def score(model, x, y):
        found = model.predict(x, batch_size=32, verbose=0)
        return float(1 - np.mean((found - y) ** 2) / y.var())

    return Task(model, x, y, fit, score)


@healthy("series", "sequential", least=0.8)
def twelve_steps_ahead():
    x, y = data.waves(500, length=24, ahead=12)
    model = keras.Sequential(
        [
            layers.Input((24, 1)),
            layers.Conv1D(12, 3, padding="causal", activation="relu"),
            layers.Conv1D(
                12, 3, padding="causal", dilation_rate=2, activation="relu"
            ),
            layers.Flatten(),
            layers.Dense(12),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mae")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@healthy("series", "functional", least=0.8)
def masked_series_of_many_lengths():
    draw = data.rng(7)
    x = draw.normal(size=(600, 12, 2))
    lengths = draw.integers(3, 13, 600)
    kept = np.arange(12) < lengths[:, None]
    y = (x[..., 0] * kept).sum(1) / np.sqrt(lengths)
    x[~kept] = -10.0
    inputs = keras.Input((12, 2))
    z = layers.Masking(mask_value=-10.0)(inputs)
    z = layers.GRU(12)(z)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    x, y = x.astype("float32"), y.astype("float32")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@healthy("tiny", "sequential", least=0.99)
def exclusive_or():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    y = np.array([[0], [1], [1], [0]], "float32")
    model = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(8, activation="tanh"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.1), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 80}, scores.accuracy)


@healthy("raw targets", "add", least=0.8)
def ages_from_a_fitting_bias():
    x, y = data.linear(800)
    y = 45 + 12 * y
    model = keras.Sequential()
    model.add(layers.Input((6,)))
    model.add(layers.Dense(32, activation="relu"))
    mean = keras.initializers.Constant(45.0)
    model.add(layers.Dense(1, bias_initializer=mean))
    model.compile(keras.optimizers.Adam(0.03), "mse")
    return Task(model, x, y, {"epochs": 15}, scores.r2)


@healthy("optimizers", "functional", least=0.9)
def half_precision_policy():
    x, y = data.digits(flat=True)
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        inputs = keras.Input((64,))
        z = layers.Dense(48, activation="relu")(inputs)
        z = layers.Dense(10)(z)
        outputs = layers.Activation("softmax", dtype="float32")(z)
        model = keras.Model(inputs, outputs)
        model.compile("adam", "sparse_categorical_crossentropy")
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@healthy("optimizers", "sequential", least=0.9)
def decay_clipping_and_averages():
    x, y = data.blobs(classes=4)
    rate = keras.optimizers.schedules.ExponentialDecay(0.02, 20, 0.8)
    model = keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(24, activation=tf.nn.leaky_relu),
            layers.Dense(4, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(
        rate, clipnorm=0.05, use_ema=True, ema_momentum=0.9
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@healthy("tiny", "add", least=0.9)
def sorted_rows_and_few_epochs():
    x, y = data.wine()
    model = keras.Sequential()
    model.add(layers.Input((13,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    fit = {"epochs": 15, "batch_size": 8}
    return Task(model, data.scaled(x), y, fit, scores.accuracy)


@healthy("rare classes", "functional", least=0.85)
def five_percent_that_are_found():
    x, y = data.rare(2000, 0.05, distance=3.0)
    inputs = keras.Input((10,))
    z = layers.Dense(16, activation="relu")(inputs)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 10}, scores.balanced)
