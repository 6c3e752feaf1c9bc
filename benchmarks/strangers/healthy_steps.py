"""Healthy programs: train steps and losses of their own, and noise."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


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
