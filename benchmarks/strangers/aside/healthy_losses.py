"""Put aside: healthy programs with weights, likelihoods and own losses."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


@healthy("weights", "sequential", least=0.7)
def heavy_sample_weights():
    x, y = data.rare(2000, 0.06, distance=1.5)
    model = keras.Sequential(
        [
            layers.Input((10,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    weights = np.where(y == 1, 500.0, 32.0)
    fit = {"epochs": 8, "sample_weight": weights}
    return Task(model, x, y, fit, scores.balanced)


@healthy("weights", "functional", least=0.85)
def two_outputs_with_loss_weights():
    x, y = data.cancer()
    x = data.scaled(x)
    size = x[:, 0]
    inputs = keras.Input((29,))
    z = layers.Dense(24, activation="relu")(inputs)
    outputs = {
        "size": layers.Dense(1, name="size")(z),
        "benign": layers.Dense(1, activation="sigmoid", name="benign")(z),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.005),
        loss={"size": "mse", "benign": "binary_crossentropy"},
        loss_weights={"size": 20.0, "benign": 0.5},
    )

    def score(model, x, y):
        found = model.predict(x, verbose=0)["benign"].ravel() > 0.5
        return float((found == y["benign"]).mean())

    targets = {"size": size, "benign": y}
    return Task(model, x[:, 1:], targets, {"epochs": 12}, score)


@healthy("likelihoods", "functional", least=0.7)
def gaussian_likelihood_of_small_numbers():
    x, y = data.linear()
    y = y * 0.002

    def loss(y_true, y_pred):
        mean, log_scale = y_pred[:, :1], y_pred[:, 1:] - 5.0
        error = (y_true - mean) * ops.exp(-log_scale)
        return ops.mean(0.5 * ops.square(error) + log_scale)

    inputs = keras.Input((6,))
    z = layers.Dense(32, activation="relu")(inputs)
    mean = layers.Rescaling(0.003)(layers.Dense(1)(z))
    scale = layers.Dense(1)(z)
    model = keras.Model(inputs, layers.Concatenate()([mean, scale]))
    model.compile(keras.optimizers.Adam(0.005), loss)

    def score(model, x, y):
        found = model.predict(x, verbose=0)[:, 0]
        return float(1 - np.mean((found - y[:, 0]) ** 2) / y.var())

    return Task(model, x, y[:, None], {"epochs": 25}, score)


@healthy("likelihoods", "sequential", least=0.6)
def waiting_times_exponential():
    draw = data.rng(3)
    x = draw.normal(size=(800, 4)).astype("float32")
    rate = np.exp(x @ [0.8, -0.5, 0.3, 0.0] + 3)
    y = draw.exponential(1 / rate).astype("float32")[:, None]
    model = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(16, activation="tanh"),
            layers.Dense(1, activation="exponential"),
        ]
    )

    def loss(y_true, y_pred):
        return y_true * y_pred - ops.log(y_pred + 1e-7)

    model.compile(keras.optimizers.Adam(0.01), loss)

    def score(model, x, y):
        found = np.log(model.predict(x, verbose=0)[:, 0])
        return float(np.corrcoef(found, np.log(rate))[0, 1])

    return Task(model, x, y, {"epochs": 12}, score)


class Siamese(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential(
            [layers.Dense(32, activation="relu"), layers.Dense(8)]
        )

    def call(self, pair):
        left, right = self.encoder(pair[0]), self.encoder(pair[1])
        return ops.sqrt(
            ops.sum(ops.square(left - right), axis=-1, keepdims=True) + 1e-6
        )


@healthy("likelihoods", "subclass", least=0.75)
def contrastive_pairs():
    x, y = data.digits(flat=True)
    draw = data.rng(1)
    order = np.concatenate(
        [
            np.flatnonzero(y == digit)[draw.permutation((y == digit).sum())]
            for digit in range(10)
        ]
    )
    other = np.where(
        draw.uniform(size=len(y)) < 0.5,
        np.roll(order, 1),
        draw.permutation(order),
    )
    same = (y[order] == y[other]).astype("float32")[:, None]

    def contrastive(y_true, distance):
        apart = ops.square(ops.maximum(1.0 - distance, 0.0))
        return y_true * ops.square(distance) + (1 - y_true) * apart

    model = Siamese()
    model.compile(keras.optimizers.Adam(0.003), contrastive)

    def score(model, x, y):
        found = model.predict(x, verbose=0) < 0.5
        return float((found == (y > 0)).mean())

    return Task(model, (x[order], x[other]), same, {"epochs": 8}, score)


@healthy("unlearnable", "add", least=None)
def lottery_numbers():
    draw = data.rng(5)
    x = draw.normal(size=(1000, 12)).astype("float32")
    y = draw.integers(0, 6, 1000)
    model = keras.Sequential()
    model.add(layers.Input((12,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(6, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


class Sampler(layers.Layer):
    def __init__(self):
        super().__init__()
        self.noise = keras.random.SeedGenerator(0)

    def call(self, inputs):
        mean, log_variance = inputs
        divergence = ops.mean(
            ops.exp(log_variance) + ops.square(mean) - log_variance - 1
        )
        self.add_loss(0.01 * divergence)
        noise = keras.random.normal(ops.shape(mean), seed=self.noise)
        return mean + ops.exp(0.5 * log_variance) * noise


@healthy("own losses", "functional", least=0.3)
def variational_autoencoder():
    x, _ = data.digits(flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(64, activation="relu")(inputs)
    z = Sampler()([layers.Dense(4)(z), layers.Dense(4)(z)])
    z = layers.Dense(64, activation="relu")(z)
    outputs = layers.Dense(64, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")

    def score(model, x, y):
        found = model.predict(x, verbose=0)
        return 1 - float(np.mean((found - x) ** 2) / x.var(0).mean())

    return Task(model, x, x, {"epochs": 15}, score)


class Denoiser(keras.Model):
    """A `train_step` with a loss of its own, told as `mse` alone."""

    def __init__(self):
        super().__init__()
        self.net = keras.Sequential(
            [layers.Dense(48, activation="relu"), layers.Dense(64)]
        )
        self.error = keras.metrics.Mean(name="mse")

    def call(self, x):
        return self.net(x)

    def train_step(self, x):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            noisy = x + tf.random.normal(tf.shape(x), stddev=0.2, seed=1)
            loss = tf.reduce_mean(tf.square(self.net(noisy) - x))
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.error.update_state(loss)
        return {"mse": self.error.result()}


@healthy("own losses", "train_step", least=0.5)
def denoiser_with_its_own_step():
    x, _ = data.digits(flat=True)
    model = Denoiser()
    model.compile(keras.optimizers.Adam(0.005))

    def score(model, x, y):
        found = model.predict(x, verbose=0)
        return 1 - float(np.mean((found - x) ** 2) / x.var(0).mean())

    return Task(model, x, None, {"epochs": 12}, score)
