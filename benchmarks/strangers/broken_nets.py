"""Programs with one fault: in depth, kernels, units, rates or own steps."""

import keras
import tensorflow as tf
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "depth and time",
    "sequential",
    "exploding_gradient",
    least=0.85,
    accepted=["learning_rate_too_high", "non_finite", "dead_units"],
)
def deep_relus_of_deviation_one_half(wide):
    x, y = data.digits(flat=True)
    hidden = []
    for _ in range(6):
        start = keras.initializers.RandomNormal(stddev=0.6 if wide else 0.18)
        hidden.append(
            layers.Dense(48, activation="relu", kernel_initializer=start)
        )
    model = keras.Sequential(
        [layers.Input((64,)), *hidden, layers.Dense(10, activation="softmax")]
    )
    model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@broken(
    "depth and time",
    "functional",
    "exploding_gradient non_finite",
    "exploding_gradient",
    least=0.6,
    accepted=["learning_rate_too_high"],
)
def relu_memory_that_grows(large):
    x, y = data.waves(400, length=60)
    start = keras.initializers.Orthogonal(2.0 if large else 0.9, seed=3)
    inputs = keras.Input((60, 1))
    z = layers.SimpleRNN(16, activation="relu", recurrent_initializer=start)(
        inputs
    )
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@broken(
    "depth and time",
    "add",
    "vanishing_gradient",
    least=0.8,
    accepted=["not_learning"],
)
def deep_tanhs_of_small_kernels(small):
    x, y = data.digits(flat=True)
    model = keras.Sequential()
    model.add(layers.Input((64,)))
    for _ in range(8):
        start = keras.initializers.RandomNormal(stddev=0.02)
        model.add(
            layers.Dense(
                32,
                activation="tanh",
                kernel_initializer=start if small else "glorot_uniform",
            )
        )
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "depth and time",
    "functional",
    "vanishing_gradient",
    least=0.8,
    accepted=["not_learning"],
)
def convolutions_with_sigmoids(sigmoid):
    x, y = data.digits(1000)
    kind = "sigmoid" if sigmoid else "relu"
    inputs = z = keras.Input((8, 8, 1))
    for _ in range(7):
        z = layers.Conv2D(12, 3, padding="same", activation=kind)(z)
    z = layers.Flatten()(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "units",
    "sequential",
    "dead_units",
    least=0.85,
    accepted=["no_gradient"],
)
def all_inputs_negative_for_relu(negative):
    x, y = data.digits(flat=True)
    start = keras.initializers.RandomUniform(-0.5, 0.0)
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(
                48,
                activation="relu",
                kernel_initializer=start if negative else "he_normal",
            ),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "units",
    "functional",
    "dead_units output_mismatch",
    least=0.75,
    accepted=["no_gradient"],
)
def relu_output_for_negative_targets(relu):
    x, y = data.linear()
    if relu:
        y = y - y.max() - 0.1
    inputs = keras.Input((6,))
    z = layers.Dense(24, activation="relu")(inputs)
    outputs = layers.Dense(1, activation="relu" if relu else None)(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Task(model, x, y, {"epochs": 15}, scores.r2)


@broken(
    "units",
    "add",
    "learning_rate_too_high dead_units",
    "dead_units",
    least=0.6,
    accepted=["oscillating_loss", "not_learning", "no_gradient"],
)
def units_killed_by_the_first_steps(high):
    x, y = data.diabetes()
    model = keras.Sequential()
    model.add(layers.Input((10,)))
    model.add(layers.Dense(48, activation="relu"))
    model.add(layers.Dense(48, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(
        keras.optimizers.SGD(
            0.5 if high else 0.02, momentum=0.9, clipvalue=1.0
        ),
        "mse",
    )
    x, y = data.scaled(x), data.scaled(y)
    return Task(model, x, y, {"epochs": 25}, scores.r2)


@broken("units", "sequential", "symmetric_units", least=0.9)
def a_constant_for_all_kernels(same):
    x, y = data.blobs(classes=5, seed=3)
    start = keras.initializers.Constant(0.1) if same else "glorot_uniform"
    model = keras.Sequential([layers.Input((8,))])
    for _ in range(2):
        model.add(layers.Dense(24, activation="relu", kernel_initializer=start))
    model.add(layers.Dense(5, activation="softmax", kernel_initializer=start))
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "units",
    "functional",
    "symmetric_units no_gradient",
    least=0.9,
    accepted=["dead_units"],
)
def kernels_of_zeros(zeros):
    x, y = data.cancer()
    start = "zeros" if zeros else "he_normal"
    inputs = keras.Input((30,))
    z = layers.Dense(16, activation="relu", kernel_initializer=start)(inputs)
    z = layers.Dense(16, activation="relu", kernel_initializer=start)(z)
    outputs = layers.Dense(1, activation="sigmoid", kernel_initializer=start)(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    fit = {"epochs": 10}
    return Task(model, data.scaled(x), y, fit, scores.balanced)


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
