"""Put aside: programs with one fault, in rates, kernels and outputs."""

import keras
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "depth and time",
    "add",
    "exploding_gradient",
    least=0.7,
    accepted=["learning_rate_too_high", "non_finite", "saturated_activation"],
)
def recurrent_gain_of_two(large):
    x, y = data.waves(400, length=40)
    gain = 1.8 if large else 1.0
    model = keras.Sequential()
    model.add(layers.Input((40, 1)))
    model.add(
        layers.SimpleRNN(
            16,
            activation="relu",
            recurrent_initializer=keras.initializers.Orthogonal(gain, seed=1),
        )
    )
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Task(model, x, y, {"epochs": 8}, scores.r2)


@broken(
    "depth and time",
    "sequential",
    "vanishing_gradient",
    least=0.8,
    accepted=["not_learning"],
)
def twelve_sigmoids_by_sgd(sigmoid):
    x, y = data.digits(flat=True)
    kind = "sigmoid" if sigmoid else "relu"
    start = "glorot_uniform" if sigmoid else "he_normal"
    hidden = [
        layers.Dense(32, activation=kind, kernel_initializer=start)
        for _ in range(12)
    ]
    model = keras.Sequential(
        [layers.Input((64,)), *hidden, layers.Dense(10, activation="softmax")]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@broken(
    "rates",
    "sequential",
    "learning_rate_too_high oscillating_loss",
    least=0.85,
    accepted=["dead_units", "saturated_activation"],
)
def adam_with_rate_one(high):
    x, y = data.digits(flat=True)
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(24, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    rate = 1.0 if high else 0.003
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken("rates", "functional", "learning_rate_too_low", least=0.85)
def adam_with_rate_of_a_millionth(low):
    x, y = data.blobs(classes=4)
    inputs = keras.Input((8,))
    z = layers.Dense(24, activation="relu")(inputs)
    outputs = layers.Dense(4, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(1e-6 if low else 0.01),
        "sparse_categorical_crossentropy",
    )
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


class Stepper(keras.Model):
    """A `train_step` that computes and tells its own loss."""

    def __init__(self):
        super().__init__()
        self.net = keras.Sequential(
            [layers.Dense(32, activation="relu"), layers.Dense(3)]
        )
        self.crossentropy = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True
        )

    def call(self, x, training=False):
        return self.net(x, training=training)

    def train_step(self, batch):
        import tensorflow as tf

        x, y = batch
        with tf.GradientTape() as tape:
            loss = self.crossentropy(y, self(x, training=True))
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


@broken(
    "own losses",
    "train_step",
    "learning_rate_too_low not_learning",
    least=0.85,
)
def own_step_with_a_rate_of_zero(still):
    x, y = data.blobs()
    model = Stepper()
    model.compile(keras.optimizers.Adam(0.0 if still else 0.01))
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


@broken(
    "units",
    "sequential",
    "dead_units output_mismatch",
    least=0.7,
    accepted=["no_gradient"],
)
def output_relu_that_is_dead(dead):
    x, y = data.linear()
    y = y - y.min()
    start = keras.initializers.Constant(-6.0 if dead else 0.5)
    model = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(24, activation="tanh"),
            layers.Dense(1, activation="relu", bias_initializer=start),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Task(model, x, y, {"epochs": 15}, scores.r2)


@broken(
    "units",
    "add",
    "dead_units",
    least=0.85,
    accepted=["no_gradient"],
)
def hidden_relus_start_dead(dead):
    x, y = data.digits(flat=True)
    bias = keras.initializers.Constant(-8.0 if dead else 0.0)
    model = keras.Sequential()
    model.add(layers.Input((64,)))
    model.add(layers.Dense(48, activation="relu"))
    model.add(layers.Dense(32, activation="relu", bias_initializer=bias))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "units",
    "functional",
    "saturated_activation exploding_gradient",
    least=0.85,
)
def tanh_with_wide_kernels(wide):
    x, y = data.digits(flat=True)
    inputs = z = keras.Input((64,))
    for _ in range(4):
        start = keras.initializers.RandomNormal(stddev=3.0 if wide else 0.15)
        z = layers.Dense(32, activation="tanh", kernel_initializer=start)(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@broken("units", "add", "symmetric_units", least=0.95)
def kernels_of_ones(same):
    x, y = data.moons()
    start = "ones" if same else "glorot_uniform"
    model = keras.Sequential()
    model.add(layers.Input((2,)))
    model.add(layers.Dense(16, activation="tanh", kernel_initializer=start))
    model.add(layers.Dense(16, activation="tanh", kernel_initializer=start))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 25}, scores.accuracy)


@broken("labels", "sequential", "output_mismatch", least=0.9)
def softmax_of_one_unit(single):
    x, y = data.cancer()
    kind = "softmax" if single else "sigmoid"
    model = keras.Sequential(
        [
            layers.Input((30,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation=kind),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Task(model, data.scaled(x), y, {"epochs": 15}, scores.accuracy)


@broken("labels", "functional", "output_mismatch", least=0.9)
def binary_crossentropy_of_plus_and_minus_one(signed):
    x, y = data.moons(seed=3)
    inputs = keras.Input((2,))
    z = layers.Dense(24, activation="relu")(inputs)
    outputs = layers.Dense(1, activation="tanh" if signed else "sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    target = 2 * y - 1 if signed else y
    score = scores.logit_accuracy if signed else scores.accuracy
    return Task(model, x, target, {"epochs": 20}, score)


@broken("rates", "sequential", "clipping_always_on", least=0.85)
def clipped_to_almost_nothing(clipped):
    x, y = data.blobs(classes=4)
    limits = {"clipnorm": 1e-4} if clipped else {"clipnorm": 1.0}
    model = keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9, **limits),
        "sparse_categorical_crossentropy",
    )
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


@broken("notes", "sequential", "dead_bias", least=0.85, trains=True)
def biases_before_normalization(biased):
    x, y = data.digits(flat=True)
    stack = [layers.Input((64,))]
    for _ in range(4):
        stack.append(layers.Dense(32, use_bias=biased))
        stack.append(layers.BatchNormalization(momentum=0.8))
        stack.append(layers.Activation("relu"))
    model = keras.Sequential([*stack, layers.Dense(10, activation="softmax")])
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken("notes", "add", "overfitting", least=None, trains=True)
def many_weights_for_few_noisy_rows(large):
    x, y = data.linear(300, noise=1.0)
    model = keras.Sequential()
    model.add(layers.Input((6,)))
    model.add(layers.Dense(128 if large else 2, activation="relu"))
    model.add(layers.Dense(128 if large else 2, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    fit = {"epochs": 60, "batch_size": 16, "validation_data": (x[60:], y[60:])}
    return Task(model, x[:60], y[:60], fit, scores.r2, (x[60:], y[60:]))
