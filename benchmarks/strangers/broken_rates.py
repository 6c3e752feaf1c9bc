"""Programs with one fault: in rates or in own train steps."""

import keras
import tensorflow as tf
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "rates",
    "add",
    "learning_rate_too_high non_finite oscillating_loss",
    "learning_rate_too_high",
    least=0.7,
    accepted=["exploding_gradient"],
)
def sgd_with_rate_of_one_half(high):
    x, y = data.linear(500, features=30)
    model = keras.Sequential()
    model.add(layers.Input((30,)))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.SGD(0.5 if high else 0.02), "mse")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@broken(
    "rates",
    "functional",
    "learning_rate_too_high oscillating_loss",
    least=0.85,
    accepted=["dead_units", "saturated_activation"],
)
def rmsprop_with_rate_of_three_tenths(high):
    x, y = data.digits()
    inputs = keras.Input((8, 8, 1))
    z = layers.Conv2D(12, 3, activation="relu")(inputs)
    z = layers.Conv2D(12, 3, activation="relu")(z)
    z = layers.Flatten()(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.RMSprop(0.3 if high else 0.002),
        "sparse_categorical_crossentropy",
    )
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


@broken("rates", "sequential", "learning_rate_too_low", least=0.85)
def sgd_with_rate_of_a_millionth(low):
    x, y = data.iris()
    model = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(1e-6 if low else 0.1),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    y = data.one_hot(y, 3)
    fit = {"epochs": 30, "batch_size": 10}
    return Task(model, data.scaled(x), y, fit, scores.accuracy)


@broken("rates", "functional", "learning_rate_too_low", least=0.8)
def small_weights_and_a_small_rate(low):
    x, y = data.rare(1500, 0.1, distance=1.8)
    inputs = keras.Input((10,))
    z = layers.Dense(16, activation="relu")(inputs)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(1e-7 if low else 0.005), "binary_crossentropy"
    )
    weights = {0: 1 / float((y == 0).sum()), 1: 1 / float((y == 1).sum())}
    fit = {"epochs": 8, "class_weight": weights}
    return Task(model, x, y, fit, scores.balanced)


@broken("rates", "add", "learning_rate_too_low", least=0.85)
def decay_that_ends_in_the_first_epoch(fast):
    x, y = data.digits(flat=True)
    rate = keras.optimizers.schedules.ExponentialDecay(
        0.001, 1, 0.5 if fast else 0.999
    )
    model = keras.Sequential()
    model.add(layers.Input((64,)))
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 15}, scores.accuracy)


@broken("rates", "functional", "clipping_always_on", least=0.7)
def clipped_by_value_in_a_regression(clipped):
    x, y = data.linear()
    limits = {"clipvalue": 1e-6} if clipped else {}
    inputs = keras.Input((6,))
    z = layers.Dense(24, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9, **limits), "mse")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@broken("rates", "add", "clipping_always_on", least=0.7)
def recurrent_and_clipped_as_a_whole(clipped):
    x, y = data.waves(400)
    limit = 1e-3 if clipped else 1.0
    model = keras.Sequential()
    model.add(layers.Input((16, 1)))
    model.add(layers.SimpleRNN(12))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.SGD(0.05, global_clipnorm=limit), "mse")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@broken(
    "rates",
    "sequential",
    "oscillating_loss learning_rate_too_high",
    least=0.6,
    accepted=["exploding_gradient", "not_learning", "dead_units"],
)
def momentum_that_swings(swinging):
    x, y = data.linear(400)
    momentum = 0.99 if swinging else 0.8
    model = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(24, activation="tanh"),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1 if swinging else 0.02, momentum=momentum),
        "mse",
    )
    return Task(model, x, y, {"epochs": 15}, scores.r2)


class Forgetful(keras.Model):
    """A step of its own that may forget to apply the gradients."""

    forgets = True

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        weights = self.trainable_variables
        gradients = tape.gradient(loss, weights)
        if not self.forgets:
            self.optimizer.apply(gradients, weights)
        return {"loss": loss}


@broken(
    "own losses",
    "train_step",
    "not_learning no_gradient learning_rate_too_low",
    least=0.85,
)
def step_that_applies_nothing(forgets):
    x, y = data.blobs(classes=4)
    inputs = keras.Input((8,))
    z = layers.Dense(24, activation="relu")(inputs)
    model = Forgetful(inputs, layers.Dense(4, activation="softmax")(z))
    model.forgets = forgets
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


class Mean(keras.Model):
    """A step of its own, whose loss may be taken of two unlike shapes."""

    flat = True

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            found = self(x, training=True)
            if not self.flat:
                found = found[:, 0]
            loss = tf.reduce_mean(tf.square(y[:, 0] - found))
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss, "rate": self.optimizer.learning_rate}


@broken(
    "own losses",
    "train_step",
    "target_shape not_learning",
    least=0.8,
)
def own_step_that_broadcasts(flat):
    x, y = data.linear()
    inputs = keras.Input((6,))
    z = layers.Dense(24, activation="relu")(inputs)
    model = Mean(inputs, layers.Dense(1)(z))
    model.flat = flat
    model.compile(keras.optimizers.Adam(0.01))
    return Task(model, x, y[:, None], {"epochs": 15}, scores.r2)
