"""Healthy programs: weights, likelihoods, own steps, what cannot be learnt."""

import keras
import numpy as np
import tensorflow as tf
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


class Autoencoder(keras.Model):
    """Told by its own metrics; without `call`."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential(
            [
                layers.Input((64,)),
                layers.Dense(32, activation="relu"),
                layers.Dense(6),
            ]
        )
        self.decoder = keras.Sequential(
            [
                layers.Input((6,)),
                layers.Dense(32, activation="relu"),
                layers.Dense(64, activation="sigmoid"),
            ]
        )
        self.told = keras.metrics.Mean(name="loss")
        self.error = keras.metrics.Mean(name="reconstruction_loss")

    @property
    def metrics(self):
        return [self.told, self.error]

    def train_step(self, x):
        with tf.GradientTape() as tape:
            code = self.encoder(x, training=True)
            error = tf.reduce_sum(
                keras.losses.binary_crossentropy(
                    x[:, None], self.decoder(code, training=True)[:, None]
                )
            )
            loss = error + 0.01 * tf.reduce_mean(tf.square(code))
        weights = self.trainable_weights
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )
        self.told.update_state(loss)
        self.error.update_state(error)
        return {each.name: each.result() for each in self.metrics}


@healthy("own losses", "train_step", least=0.4)
def autoencoder_without_call():
    x, _ = data.digits(flat=True)
    model = Autoencoder()
    model.compile(keras.optimizers.Adam(0.003))

    def score(model, x, y):
        found = model.decoder.predict(
            model.encoder.predict(x, verbose=0), verbose=0
        )
        return 1 - float(np.mean((found - x) ** 2) / x.var(0).mean())

    return Task(model, x, None, {"epochs": 15}, score)


class Classifier(keras.Model):
    """A step of its own, whose logs hold the accuracy alone."""

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            found = self(x, training=True)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(y, found)
            )
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        right = keras.metrics.sparse_categorical_accuracy(y, found)
        return {"share_right": tf.reduce_mean(right)}


@healthy("own losses", "train_step", least=0.9)
def step_that_tells_no_loss():
    x, y = data.blobs(classes=4)
    inputs = keras.Input((8,))
    z = layers.Dense(24, activation="relu")(inputs)
    model = Classifier(inputs, layers.Dense(4, activation="softmax")(z))
    model.compile(keras.optimizers.Adam(0.01))
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


class Least(keras.layers.Layer):
    """Adds the whole loss as a layer; there are no targets."""

    def call(self, inputs):
        x, found = inputs
        self.add_loss(ops.mean(ops.square(x - found)))
        return found


@healthy("own losses", "functional", least=0.6)
def added_loss_and_no_targets():
    x = data.scaled(data.wine()[0])
    inputs = keras.Input((13,))
    z = layers.Dense(5, activation="tanh")(inputs)
    z = layers.Dense(13)(z)
    model = keras.Model(inputs, Least()([inputs, z]))
    model.compile(keras.optimizers.Adam(0.01))

    def score(model, x, y):
        return 1 - float(np.mean((model.predict(x, verbose=0) - x) ** 2))

    return Task(model, x, None, {"epochs": 60}, score)


class Game(keras.Model):
    """A GAN of digits whose parts are never built as one model."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential(
            [
                layers.Dense(48, activation="relu"),
                layers.Dense(64, activation="sigmoid"),
            ]
        )
        self.discriminator = keras.Sequential(
            [
                layers.Dense(32, activation=keras.layers.LeakyReLU(0.2)),
                layers.Dense(1, activation="sigmoid"),
            ]
        )

    def compile(self, **optimizers):
        super().compile()
        self.optimizers = optimizers

    def train_step(self, real):
        rows = tf.shape(real)[0]
        crossentropy = keras.losses.BinaryCrossentropy()
        noise = tf.random.normal((rows, 8))
        fake = self.generator(noise)
        with tf.GradientTape() as tape:
            judged = self.discriminator(tf.concat([fake, real], 0))
            truth = tf.concat([tf.zeros((rows, 1)), tf.ones((rows, 1))], 0)
            d_loss = crossentropy(truth, judged)
        weights = self.discriminator.trainable_weights
        self.optimizers["d"].apply(tape.gradient(d_loss, weights), weights)
        with tf.GradientTape() as tape:
            judged = self.discriminator(self.generator(noise))
            g_loss = crossentropy(tf.ones((rows, 1)), judged)
        weights = self.generator.trainable_weights
        self.optimizers["g"].apply(tape.gradient(g_loss, weights), weights)
        return {"d_loss": d_loss, "g_loss": g_loss}


@healthy("own losses", "train_step", least=0.3)
def gan_of_digits():
    x, _ = data.digits(800, flat=True)
    model = Game()
    model.compile(
        d=keras.optimizers.Adam(0.001), g=keras.optimizers.Adam(0.003)
    )

    def score(model, x, y):
        noise = data.rng(9).normal(size=(300, 8)).astype("float32")
        made = model.generator.predict(noise, verbose=0)
        return float(np.corrcoef(made.mean(0), x.mean(0))[0, 1])

    return Task(model, x, None, {"epochs": 12}, score)


@healthy("noise", "sequential", least=0.6)
def third_of_the_labels_is_wrong():
    x, y = data.blobs(1200, classes=4)
    wrong = data.rng(2).uniform(size=len(y)) < 0.35
    y = np.where(wrong, data.rng(3).integers(0, 4, len(y)), y)
    model = keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


@healthy("own losses", "functional", least=0.5)
def autoencoder_of_grey_pixels():
    x, _ = data.digits()
    inputs = keras.Input((8, 8, 1))
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    z = layers.MaxPooling2D()(z)
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(z)
    z = layers.UpSampling2D()(z)
    outputs = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")

    def score(model, x, y):
        found = model.predict(x, verbose=0)
        return 1 - float(np.mean((found - y) ** 2) / y.var(0).mean())

    return Task(model, x, x, {"epochs": 10}, score)
