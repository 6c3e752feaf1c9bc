"""Programs with one fault: outputs, rates, limits and rare classes."""

import keras
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "outputs",
    "sequential",
    "output_mismatch",
    least=0.75,
    accepted=["class_imbalance", "underfitting"],
)
def genres_that_share_a_softmax(softmax):
    draw = data.rng(45)
    x = draw.normal(size=(900, 12)).astype("float32")
    y = x[:, :5] + 0.4 * x[:, 5:10] + 0.3 * draw.normal(size=(900, 5)) > 0
    model = keras.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(5, activation="softmax" if softmax else "sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    return Task(model, x, y.astype("float32"), {"epochs": 10}, scores.labels)


@broken(
    "outputs",
    "add",
    "output_mismatch",
    least=0.85,
    accepted=["not_learning", "no_gradient", "vanishing_gradient"],
)
def categories_of_a_single_unit(categories):
    x = data.rng(55).normal(size=(900, 6)).astype("float32")
    y = (x[:, 0] * x[:, 1] + 0.3 * x[:, 2] > 0).astype("float32")
    kind = "categorical" if categories else "binary"
    model = keras.Sequential()
    model.add(layers.Input((6,)))
    model.add(layers.Dense(32, activation="tanh"))
    model.add(layers.Dropout(0.1))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(
        keras.optimizers.Adam(0.01),
        f"{kind}_crossentropy",
        metrics=["accuracy"],
    )
    return Task(model, x, y[:, None], {"epochs": 15}, scores.balanced)


@broken(
    "rates",
    "functional",
    "learning_rate_too_high",
    least=0.85,
    accepted=[
        "dead_units",
        "exploding_gradient",
        "not_learning",
        "oscillating_loss",
        "saturated_activation",
    ],
)
def a_transformer_with_a_rate_of_one_half(high):
    draw = data.rng(47)
    x = draw.integers(0, 30, (800, 10)).astype("int32")
    y = (x[:, :5] % 3).sum(1) > 5
    y = (y + 2 * ((x[:, 5:] % 3).sum(1) > 5)).astype("int32") > 0
    inputs = keras.Input((10,), dtype="int32")
    z = layers.Embedding(30, 16)(inputs)
    z = layers.Add()([z, layers.MultiHeadAttention(2, 8)(z, z)])
    z = layers.LayerNormalization()(z)
    z = layers.Dense(24, activation="relu")(layers.Flatten()(z))
    outputs = layers.Dense(2, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Nadam(0.5 if high else 0.003),
        "sparse_categorical_crossentropy",
    )
    fit = {"epochs": 10}
    return Task(model, x, y.astype("int32"), fit, scores.balanced)


@broken(
    "rates",
    "sequential",
    "learning_rate_too_low",
    least=0.85,
    accepted=["not_learning", "underfitting"],
)
def adadelta_as_it_comes(default):
    x, y = data.digits(1000)
    rates = {} if default else {"learning_rate": 1.0}
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adadelta(**rates),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    fit = {"epochs": 12, "batch_size": 32}
    return Task(model, x, y, fit, scores.accuracy)


@broken(
    "rates",
    "functional",
    "excessive_clipping clipping_always_on",
    least=0.8,
    accepted=["learning_rate_too_low", "not_learning", "underfitting"],
)
def a_limit_of_a_thousandth_for_all(limited):
    x, y = data.digits(1000)
    limit = 1e-3 if limited else None
    inputs = keras.Input((8, 8, 1))
    z = layers.Conv2D(12, 3, activation="relu")(inputs)
    z = layers.SeparableConv2D(24, 3, activation="relu")(z)
    z = layers.Flatten()(z)
    z = layers.Dense(32, activation="relu")(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(
            0.03, momentum=0.9, nesterov=True, global_clipnorm=limit
        ),
        "sparse_categorical_crossentropy",
    )
    fit = {"epochs": 10, "batch_size": 20}
    return Task(model, x, y, fit, scores.accuracy)


def often_missed(y_true, y_pred):
    y_pred = ops.clip(y_pred, 1e-6, 1 - 1e-6)
    found = 120 * y_true * ops.log(y_pred)
    return -ops.mean(found + (1 - y_true) * ops.log(1 - y_pred), axis=-1)


@broken(
    "rare classes",
    "functional",
    "class_imbalance",
    least=0.75,
    accepted=["not_learning", "underfitting"],
)
def stars_of_a_single_pixel(unweighted):
    draw = data.rng(49)
    y = (draw.uniform(size=(160, 16, 16, 1)) < 0.007).astype("float32")
    x = (draw.normal(size=y.shape) + 2.2 * y).astype("float32")
    inputs = keras.Input((16, 16, 1))
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    z = layers.Conv2D(8, 1, activation="relu")(z)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy" if unweighted else often_missed,
    )
    fit = {"epochs": 12, "batch_size": 8}
    return Task(model, x, y, fit, scores.balanced)


@broken(
    "no gradient",
    "sequential",
    "not_learning no_gradient",
    least=0.85,
    accepted=["underfitting", "no_gradient", "learning_rate_too_low"],
)
def all_layers_left_frozen(frozen):
    x, y = data.blobs(900, classes=5, features=20, seed=16)
    model = keras.Sequential(
        [
            layers.Input((20,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.trainable = not frozen
    model.compile("adam", "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)
