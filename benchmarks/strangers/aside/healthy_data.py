"""Put aside: healthy pixels, series, targets and noise."""

import keras
import numpy as np
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


@healthy("pixels", "sequential", least=0.8)
def pixels_with_black_borders():
    x, y = data.digits(1000)
    x = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)))
    model = keras.Sequential(
        [
            layers.Input((14, 14, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


@healthy("pixels", "sequential", least=0.9)
def adapted_normalization():
    x, y = data.wine()
    scale = layers.Normalization()
    scale.adapt(x)
    model = keras.Sequential(
        [
            layers.Input((13,)),
            scale,
            layers.Dense(16, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 20}, scores.accuracy)


@healthy("pixels", "functional", least=0.8)
def rare_one_hot_columns():
    draw = data.rng(7)
    kinds = draw.zipf(1.6, 1500).clip(1, 60) - 1
    effect = draw.normal(size=60)
    number = draw.normal(size=(1500, 2))
    y = effect[kinds] + number @ [0.5, -0.5]
    x = np.concatenate([data.one_hot(kinds, 60), number], axis=1)
    inputs = keras.Input((62,))
    z = layers.Dense(32, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    fit = {"epochs": 10}
    return Task(model, x.astype("float32"), y, fit, scores.r2)


@healthy("series", "add", least=0.8)
def forecast_by_gru():
    x, y = data.waves()
    model = keras.Sequential()
    model.add(layers.Input((16, 1)))
    model.add(layers.GRU(12))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    return Task(model, x, y, {"epochs": 8}, scores.r2)


@healthy("series", "functional", least=0.8)
def a_number_for_each_step():
    x, _ = data.waves()
    y = np.cumsum(x, axis=1) / 5
    inputs = keras.Input((16, 1))
    z = layers.LSTM(12, return_sequences=True)(inputs)
    model = keras.Model(inputs, layers.TimeDistributed(layers.Dense(1))(z))
    model.compile(keras.optimizers.Adam(0.02), "mae")
    return Task(model, x, y, {"epochs": 10}, scores.r2)


@healthy("tiny", "add", least=0.9)
def iris_by_sgd():
    x, y = data.iris()
    model = keras.Sequential()
    model.add(layers.Input((4,)))
    model.add(
        layers.Dense(16, activation="tanh", kernel_initializer="random_normal")
    )
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    y = data.one_hot(y, 3)
    fit = {"epochs": 60, "batch_size": 5}
    return Task(model, data.scaled(x), y, fit, scores.accuracy)


@healthy("rare classes", "sequential", least=0.8)
def rare_labels_that_are_found():
    draw = data.rng(6)
    x = draw.normal(size=(1500, 12)).astype("float32")
    y = (x[:, :5] > 1.4).astype("float32")
    model = keras.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(5, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 12}, scores.labels)


@healthy("raw targets", "add", least=0.5)
def prices_by_their_logarithm():
    x, y = data.houses()
    model = keras.Sequential()
    model.add(layers.Input((5,)))
    model.add(layers.Dense(32, activation="relu"))
    model.add(
        layers.Dense(
            1,
            activation="exponential",
            bias_initializer=keras.initializers.Constant(12.4),
        )
    )
    model.compile(
        keras.optimizers.Adam(0.003), "mean_squared_logarithmic_error"
    )
    return Task(model, data.scaled(x), y, {"epochs": 15}, scores.r2)


@healthy("noise", "functional", least=0.12)
def much_noise_as_good_as_linear():
    x, y = data.linear(1500, noise=2.0)
    inputs = keras.Input((6,))
    z = layers.Dense(8, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@healthy("zero start", "functional", least=0.85)
def head_that_starts_at_zero():
    x, y = data.digits(flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(48, activation="gelu")(inputs)
    z = z + layers.Dense(48, kernel_initializer="zeros")(
        layers.Dense(48, activation="gelu")(z)
    )
    outputs = layers.Dense(10, kernel_initializer="zeros")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)
