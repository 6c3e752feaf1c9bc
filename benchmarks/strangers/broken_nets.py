"""Programs with one fault: in depth, kernels or units."""

import keras
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
