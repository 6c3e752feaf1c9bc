"""Healthy programs: outputs of every form, and several outputs."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


@healthy("output form", "functional", least=0.9)
def softmax_of_tensorflow():
    x, y = data.blobs(classes=4)
    inputs = keras.Input((8,))
    z = layers.Dense(24, activation=tf.nn.relu)(inputs)
    outputs = layers.Dense(4, activation=tf.nn.softmax)(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@healthy("output form", "sequential", least=0.9)
def sigmoid_as_a_lambda():
    x, y = data.cancer()
    model = keras.Sequential(
        [
            layers.Input((30,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation=lambda z: 1 / (1 + ops.exp(-z))),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    return Task(model, data.scaled(x), y, {"epochs": 12}, scores.accuracy)


@healthy("output form", "add", least=0.9)
def hard_sigmoid_output():
    x, y = data.cancer()
    model = keras.Sequential()
    model.add(layers.Input((30,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="hard_sigmoid"))
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    return Task(model, data.scaled(x), y, {"epochs": 12}, scores.accuracy)


@healthy("output form", "sequential", least=0.85)
def sigmoid_pixels_flattened():
    x, y = data.shapes(240)
    model = keras.Sequential(
        [
            layers.Input((16, 16, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Conv2D(1, 1, activation="sigmoid"),
            layers.Flatten(),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    y = (y > 0).reshape(len(y), -1).astype("float32")
    return Task(model, x, y, {"epochs": 10, "batch_size": 16}, scores.labels)


@healthy("output form", "functional", least=0.8)
def sigmoid_enlarged_to_the_picture():
    x, y = data.shapes(240)
    inputs = keras.Input((16, 16, 1))
    z = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(
        inputs
    )
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(z)
    z = layers.Conv2D(1, 1, activation="sigmoid")(z)
    outputs = layers.UpSampling2D(2, interpolation="bilinear")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    y = (y > 0)[..., None].astype("float32")
    return Task(model, x, y, {"epochs": 10, "batch_size": 16}, scores.accuracy)


@healthy("output form", "functional", least=0.85)
def softmax_pooled_over_places():
    x, y = data.digits()
    inputs = keras.Input((8, 8, 1))
    z = layers.Conv2D(24, 3, activation="relu")(inputs)
    z = layers.Conv2D(24, 3, activation="relu")(z)
    z = layers.Conv2D(10, 3, activation="softmax")(z)
    outputs = layers.GlobalAveragePooling2D()(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@healthy("output form", "functional", least=0.85)
def product_of_two_sigmoids():
    draw = data.rng(3)
    x = draw.normal(size=(800, 6)).astype("float32")
    y = ((x[:, 0] > -0.5) & (x[:, 1] + x[:, 2] > -0.5)).astype("float32")
    inputs = keras.Input((6,))
    heads = [
        layers.Dense(1, activation="sigmoid")(
            layers.Dense(12, activation="relu")(inputs)
        )
        for _ in range(2)
    ]
    model = keras.Model(inputs, layers.Multiply()(heads))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 15}, scores.accuracy)


@healthy("output form", "add", least=0.7)
def sigmoid_then_dropout():
    x, y = data.cancer()
    model = keras.Sequential()
    model.add(layers.Input((30,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.add(layers.Dropout(0.02))
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    return Task(model, data.scaled(x), y, {"epochs": 12}, scores.accuracy)


@healthy("output form", "sequential", least=0.9)
def tanh_for_plus_and_minus_one():
    x, y = data.moons()
    model = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(1, activation="tanh"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse")
    return Task(model, x, 2 * y - 1, {"epochs": 20}, scores.logit_accuracy)


@healthy("output form", "functional", least=0.9, accepted=["output_mismatch"])
def softmax_told_as_logits():
    x, y = data.digits(flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(48, activation="relu")(inputs)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.005), loss)
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@healthy("output form", "sequential", least=0.9, accepted=["output_mismatch"])
def softmax_with_squared_error():
    x, y = data.digits(flat=True)
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mse", metrics=["accuracy"])
    y = data.one_hot(y, 10)
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@healthy("output form", "functional", least=0.9)
def soft_labels_of_a_teacher():
    x, y = data.blobs(classes=4)
    soft = 0.6 * data.one_hot(y, 4) + 0.1
    inputs = keras.Input((8,))
    z = layers.Dense(24, activation="relu")(inputs)
    outputs = layers.Dense(4, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "kl_divergence")
    return Task(model, x, soft, {"epochs": 10}, scores.accuracy)


@healthy("output form", "sequential", least=0.6)
def counts_by_poisson():
    draw = data.rng(2)
    x = draw.normal(size=(800, 5)).astype("float32")
    y = draw.poisson(np.exp(x @ [0.5, -0.4, 0.3, 0, 0] + 2))
    model = keras.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(16, activation="tanh"),
            layers.Dense(1, activation="softplus"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "poisson")
    y = y.astype("float32")
    return Task(model, x, y, {"epochs": 20}, scores.r2)


@healthy("output form", "add", least=0.85)
def relu_output_for_counts():
    x, y = data.linear()
    y = np.maximum(y + 0.5, 0)
    model = keras.Sequential()
    model.add(layers.Input((6,)))
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(1, activation="relu", bias_initializer="ones"))
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Task(model, x, y, {"epochs": 20}, scores.r2)


@healthy("output form", "sequential", least=0.65)
def many_labels_at_once():
    x, y = data.digits(flat=True)
    y = np.stack([y % 2 == 1, y > 4, y % 3 == 0, y == 7], 1).astype("float32")
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(4, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 12}, scores.labels)


@healthy("several outputs", "functional", least=0.85)
def a_list_of_outputs_with_one_loss():
    x, y = data.digits(flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(48, activation="relu")(inputs)
    one = layers.Dense(10, activation="softmax", name="digit")(z)
    two = layers.Dense(2, activation="softmax", name="odd")(z)
    model = keras.Model(inputs, [one, two])
    model.compile(
        keras.optimizers.Adam(0.005),
        ["sparse_categorical_crossentropy", "sparse_categorical_crossentropy"],
    )

    def score(model, x, y):
        found = model.predict(x, verbose=0)[0].argmax(-1)
        return float((found == y[0]).mean())

    return Task(model, x, [y, y % 2], {"epochs": 12}, score)


@healthy("several outputs", "functional", least=0.85)
def class_and_place_of_a_shape():
    draw = data.rng(9)
    x = draw.normal(0.1, 0.05, (600, 12, 12, 1))
    place = draw.integers(0, 8, (600, 2))
    kind = draw.integers(0, 2, 600)
    for i, (row, column) in enumerate(place):
        x[i, row : row + 4, column : column + 4] += 0.7
        if kind[i]:
            x[i, row + 1 : row + 3, column + 1 : column + 3] -= 0.7
    inputs = keras.Input((12, 12, 1))
    z = layers.Conv2D(8, 3, activation="relu")(inputs)
    z = layers.Conv2D(8, 3, activation="relu")(z)
    z = layers.Dense(32, activation="relu")(layers.Flatten()(z))
    model = keras.Model(
        inputs,
        {
            "kind": layers.Dense(2, activation="softmax", name="kind")(z),
            "place": layers.Dense(2, activation="sigmoid", name="place")(z),
        },
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        {"kind": "sparse_categorical_crossentropy", "place": "mse"},
    )

    def score(model, x, y):
        found = model.predict(x, verbose=0)
        right = (found["kind"].argmax(-1) == y["kind"]).mean()
        error = np.mean((found["place"] - y["place"]) ** 2)
        return float(min(right, 1 - error / y["place"].var()))

    y = {"kind": kind, "place": (place / 8).astype("float32")}
    return Task(model, x.astype("float32"), y, {"epochs": 15}, score)
