"""Healthy programs: pictures, clips, and what is made of them."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


def _explained(model, x, y):
    found = model.predict(x, verbose=0, batch_size=256)
    return float(1 - np.mean((found - y) ** 2) / y.var(0).mean())


@healthy("convolutions", "functional", least=0.85)
def depthwise_convolutions_of_a_telephone():
    x, y = data.digits(1000)
    inputs = keras.Input((8, 8, 1))
    z = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    z = layers.BatchNormalization(momentum=0.9)(z)
    z = layers.ReLU(max_value=6)(z)
    for filters in (24, 32):
        z = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(z)
        z = layers.BatchNormalization(momentum=0.9)(z)
        z = layers.ReLU(max_value=6)(z)
        z = layers.Conv2D(filters, 1, use_bias=False)(z)
        z = layers.BatchNormalization(momentum=0.9)(z)
    z = layers.GlobalAveragePooling2D()(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


@healthy("convolutions", "sequential", least=0.8)
def which_way_a_fly_goes():
    draw = data.rng(4)
    y = draw.integers(0, 4, 400)
    way = np.array([[0, 1], [0, -1], [1, 0], [-1, 0]])[y]
    start = draw.integers(0, 8, (400, 2))
    x = draw.normal(0, 0.1, (400, 5, 8, 8, 1))
    for t in range(5):
        row, column = ((start + t * way) % 8).T
        x[np.arange(400), t, row, column] += 1
    model = keras.Sequential(
        [
            layers.Input((5, 8, 8, 1)),
            layers.Conv3D(12, (2, 3, 3), padding="same", activation="relu"),
            layers.Conv3D(12, (2, 1, 1), activation="relu"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy"
    )
    return Task(model, x.astype("float32"), y, {"epochs": 20}, scores.accuracy)


@healthy("pictures from pictures", "add", least=0.4)
def noise_taken_from_digits():
    x, _ = data.digits(900)
    clean = 2 * x - 1
    noisy = clean + 0.5 * data.rng(1).normal(size=x.shape)
    model = keras.Sequential()
    model.add(layers.Input((8, 8, 1)))
    model.add(layers.Conv2D(16, 3, strides=2, padding="same"))
    model.add(layers.LeakyReLU(0.2))
    model.add(layers.Conv2D(24, 3, strides=2, padding="same"))
    model.add(layers.LeakyReLU(0.2))
    model.add(layers.Conv2DTranspose(16, 3, strides=2, padding="same"))
    model.add(layers.LeakyReLU(0.2))
    model.add(layers.Conv2DTranspose(1, 3, strides=2, padding="same"))
    model.add(layers.Activation("tanh"))
    model.compile(keras.optimizers.Adam(0.004, beta_1=0.5), "mae")
    fit = {"epochs": 14, "batch_size": 32}
    return Task(model, noisy.astype("float32"), clean, fit, _explained)


@healthy("convolutions", "sequential", least=0.8)
def shifted_turned_and_noisy():
    x, y = data.digits(900)
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            layers.RandomRotation(0.05, fill_mode="constant"),
            layers.GaussianNoise(0.2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.004), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 10, "validation_split": 0.2}
    return Task(model, x, y, fit, scores.accuracy)


class Sampled(layers.Layer):
    """Draws a code of mean and log variance, and adds the divergence."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seed = keras.random.SeedGenerator(7)

    def call(self, inputs, training=None):
        mean, log_variance = inputs
        self.add_loss(
            0.5
            * ops.mean(
                ops.sum(mean**2 + ops.exp(log_variance) - log_variance - 1, -1)
            )
        )
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), seed=self.seed)
        return mean + ops.exp(0.5 * log_variance) * noise


@healthy("pictures from pictures", "functional", least=0.25)
def digits_of_a_random_code():
    x, _ = data.digits(flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(48, activation="relu")(inputs)
    code = Sampled()([layers.Dense(4)(z), layers.Dense(4)(z)])
    z = layers.Dense(48, activation="relu")(code)
    model = keras.Model(inputs, layers.Dense(64, activation="sigmoid")(z))

    def likelihood(y_true, y_pred):
        return 10 * ops.sum((y_true - y_pred) ** 2, axis=-1)

    model.compile(keras.optimizers.Adam(0.003), likelihood)
    return Task(model, x, x, {"epochs": 18}, _explained)


def overlap(y_true, y_pred):
    both = ops.sum(y_true * y_pred, axis=(1, 2, 3))
    total = ops.sum(y_true + y_pred, axis=(1, 2, 3))
    return 1 - (2 * both + 1) / (total + 1)


@healthy("pictures from pictures", "functional", least=0.6)
def spots_of_a_few_pixels():
    draw = data.rng(6)
    y = np.zeros((300, 16, 16, 1))
    for each in y:
        row, column = draw.integers(0, 13, 2)
        each[row : row + 3, column : column + draw.integers(2, 4)] = 1
    x = draw.normal(size=y.shape) * 0.25 + 0.8 * y
    inputs = keras.Input((16, 16, 1))
    one = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    z = layers.MaxPooling2D()(one)
    z = layers.Conv2D(12, 3, padding="same", activation="relu")(z)
    z = layers.Conv2DTranspose(8, 2, strides=2)(z)
    z = layers.Concatenate()([one, z])
    outputs = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), overlap)

    def score(model, x, y):
        found, y = model.predict(x, verbose=0) > 0.5, y > 0.5
        return float((found & y).sum() / (found | y).sum())

    fit = {"epochs": 15, "batch_size": 16}
    return Task(model, x.astype("float32"), y.astype("float32"), fit, score)


class Sine(layers.Layer):
    """A dense layer of sines, with the start that belongs to them."""

    def __init__(self, units, first=False):
        super().__init__()
        self.first = first
        self.units = units

    def build(self, shape):
        width = 1 / shape[-1] if self.first else (6 / shape[-1]) ** 0.5 / 30
        start = keras.initializers.RandomUniform(-width, width)
        self.kernel = self.add_weight((shape[-1], self.units), start)
        self.bias = self.add_weight((self.units,), "zeros")

    def call(self, inputs):
        return ops.sin(30 * (inputs @ self.kernel + self.bias))


@healthy("pictures from pictures", "sequential", least=0.8)
def a_picture_by_its_coordinates():
    axis = np.linspace(-1, 1, 40)
    x = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    y = np.sin(9 * x[:, 0] * x[:, 1]) + (np.hypot(x[:, 0], x[:, 1]) < 0.5)
    model = keras.Sequential(
        [layers.Input((2,)), Sine(48, True), Sine(48), layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.001), "mse")
    x, y = x.astype("float32"), y.astype("float32")
    return Task(model, x, y, {"epochs": 30, "batch_size": 64}, scores.r2)
