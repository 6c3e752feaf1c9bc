"""Put aside: a GAN, attention, frozen parts and small kernels."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


class Rivals(keras.Model):
    """A GAN on points of a ring."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential(
            [layers.Dense(24, activation="relu"), layers.Dense(2)]
        )
        self.critic = keras.Sequential(
            [layers.Dense(24, activation="relu"), layers.Dense(1)]
        )
        self.told = [
            keras.metrics.Mean(name="critic_loss"),
            keras.metrics.Mean(name="generator_loss"),
        ]

    def compile(self, generator_optimizer, critic_optimizer, loss):
        super().compile(loss=loss)
        self.generator_optimizer = generator_optimizer
        self.critic_optimizer = critic_optimizer

    @property
    def metrics(self):
        return self.told

    def train_step(self, real):
        import tensorflow as tf

        rows = tf.shape(real)[0]
        noise = tf.random.normal((rows, 4), seed=2)
        with tf.GradientTape() as tape:
            scores = self.critic(
                tf.concat([real, self.generator(noise)], axis=0)
            )
            truth = tf.concat([tf.ones((rows, 1)), tf.zeros((rows, 1))], 0)
            critic_loss = self.loss(truth, scores)
        weights = self.critic.trainable_variables
        self.critic_optimizer.apply(
            tape.gradient(critic_loss, weights), weights
        )
        with tf.GradientTape() as tape:
            scores = self.critic(self.generator(noise))
            generator_loss = self.loss(tf.ones((rows, 1)), scores)
        weights = self.generator.trainable_variables
        self.generator_optimizer.apply(
            tape.gradient(generator_loss, weights), weights
        )
        losses = (critic_loss, generator_loss)
        for metric, loss in zip(self.told, losses, strict=True):
            metric.update_state(loss)
        return {metric.name: metric.result() for metric in self.told}


@healthy("own losses", "train_step", least=0.5)
def gan_on_a_ring():
    angle = data.rng(2).uniform(0, 2 * np.pi, 800)
    x = np.stack([2 + np.cos(angle), np.sin(angle)], 1).astype("float32")
    model = Rivals()
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.optimizers.Adam(0.003),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )

    def score(model, x, y):
        made = model.generator.predict(
            data.rng(9).normal(size=(200, 4)), verbose=0
        )
        return float(1 - np.abs(made.mean(0) - x.mean(0)).max())

    return Task(model, x, None, {"epochs": 20}, score)


@healthy("attention", "functional", least=0.9)
def transformer_block_on_tokens():
    x, y, _ = data.sentences()
    inputs = keras.Input((12,), dtype="int32")
    z = layers.Embedding(40, 16)(inputs)
    places = layers.Embedding(12, 16)(ops.arange(12))
    z = z + places
    attended = layers.MultiHeadAttention(2, 8)(z, z)
    z = layers.LayerNormalization()(z + attended)
    z = layers.GlobalAveragePooling1D()(z)
    z = layers.Dense(16, activation="relu")(z)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@healthy("attention", "functional", least=0.6)
def ratings_by_dot_product():
    draw = data.rng(4)
    users, items = draw.normal(size=(60, 3)), draw.normal(size=(40, 3))
    user, item = draw.integers(0, 60, 2000), draw.integers(0, 40, 2000)
    y = (users[user] * items[item]).sum(1) / 2 + 0.1 * draw.normal(size=2000)
    one, two = keras.Input((1,)), keras.Input((1,))
    left = layers.Flatten()(layers.Embedding(60, 6)(one))
    right = layers.Flatten()(layers.Embedding(40, 6)(two))
    model = keras.Model([one, two], layers.Dot(1)([left, right]))
    model.compile(keras.optimizers.Adam(0.03), "mse")
    x = [user.astype("float32")[:, None], item.astype("float32")[:, None]]
    return Task(model, x, y.astype("float32"), {"epochs": 12}, scores.r2)


@healthy("goes on", "sequential", least=0.93)
def trained_and_goes_on_slowly():
    x, y = data.digits(flat=True)
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    model.fit(x, y, epochs=15, verbose=0)
    model.compile(keras.optimizers.Adam(1e-5), lambda t, p: loss(t, p))
    return Task(model, x, y, {"epochs": 3}, scores.accuracy)


@healthy("goes on", "functional", least=0.85)
def frozen_base_with_its_statistics():
    x, y = data.digits()
    inputs = keras.Input((8, 8, 1))
    z = layers.Conv2D(12, 3, use_bias=False)(inputs)
    z = layers.BatchNormalization(momentum=0.8)(z)
    z = layers.ReLU()(z)
    base = keras.Model(inputs, layers.Flatten()(z))
    first = keras.Sequential([base, layers.Dense(5, "softmax")])
    first.compile("adam", "sparse_categorical_crossentropy")
    low = y < 5
    first.fit(x[low], y[low], epochs=6, verbose=0)
    base.trainable = False
    again = keras.Input((8, 8, 1))
    outputs = layers.Dense(5, activation="softmax")(base(again, training=False))
    model = keras.Model(again, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 12}
    return Task(model, x[~low], y[~low] - 5, fit, scores.accuracy)


@healthy("small kernels", "add", least=0.9)
def small_uniform_kernels_with_rmsprop():
    x, y = data.cancer()
    small = keras.initializers.RandomUniform(-0.05, 0.05, seed=1)
    model = keras.Sequential()
    model.add(layers.Input((30,)))
    for units in (32, 16, 8):
        model.add(
            layers.Dense(
                units, activation="relu", kernel_initializer=small.clone()
            )
        )
    model.add(
        layers.Dense(1, activation="sigmoid", kernel_initializer=small.clone())
    )
    model.compile("rmsprop", "binary_crossentropy")
    return Task(model, data.scaled(x), y, {"epochs": 20}, scores.accuracy)
