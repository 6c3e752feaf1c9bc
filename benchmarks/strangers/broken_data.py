"""Programs with one fault: in inputs or statistics."""

import keras
import numpy as np
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, broken


@broken(
    "input scale",
    "functional",
    "input_scale",
    least=0.6,
    accepted=["dead_units"],
)
def normalization_layer_without_data(forgotten):
    x, y = data.houses()
    y = data.scaled(y)
    scale = layers.Normalization(name="scale")
    if not forgotten:
        scale.adapt(x)
    inputs = keras.Input((5,))
    z = scale(inputs)
    z = layers.Dense(32, activation="relu")(z)
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Task(model, x, y, {"epochs": 12}, scores.r2)


@broken(
    "input scale",
    "functional",
    "input_scale",
    least=0.85,
    accepted=["dead_units", "learning_rate_too_high"],
)
def raw_number_beside_tokens(raw):
    draw = data.rng(3)
    x, y, _ = data.sentences(800)
    amount = draw.normal(5000, 900, (800, 1))
    y = ((amount[:, 0] > 5000) ^ (y > 0)).astype("float32")
    amount = amount.astype("float32") if raw else data.scaled(amount)
    tokens, number = keras.Input((12,)), keras.Input((1,))
    z = layers.Embedding(40, 12)(tokens)
    z = layers.GlobalMaxPooling1D()(z)
    z = layers.Concatenate()([z, number])
    z = layers.Dense(24, activation="relu")(z)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model([tokens, number], outputs)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return Task(model, [x, amount], y, {"epochs": 20}, scores.accuracy)


@broken(
    "input scale",
    "add",
    "input_scale",
    least=0.85,
    accepted=["dead_units", "non_finite", "learning_rate_too_high"],
)
def pixels_to_255(raw):
    x, y = data.digits()
    x = np.round(255 * x) if raw else x
    model = keras.Sequential()
    model.add(layers.Input((8, 8, 1)))
    model.add(layers.Conv2D(12, 3, activation="relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@broken(
    "input scale",
    "sequential",
    "input_scale",
    least=0.9,
    accepted=["saturated_activation"],
)
def tumours_in_their_own_units(raw):
    x, y = data.cancer()
    model = keras.Sequential(
        [
            layers.Input((30,)),
            layers.Dense(16, activation="tanh"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    x = x if raw else data.scaled(x)
    return Task(model, x, y, {"epochs": 15}, scores.balanced)


@broken(
    "input scale",
    "add",
    "input_scale",
    least=0.7,
    accepted=["saturated_activation"],
)
def temperatures_in_kelvin_by_gru(raw):
    x, y = data.waves()
    if raw:
        x = 288 + 8 * x
    model = keras.Sequential()
    model.add(layers.Input((16, 1)))
    model.add(layers.GRU(12))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Task(model, x, y, {"epochs": 10}, scores.r2)


@broken(
    "statistics",
    "functional",
    "batch_statistics_mismatch input_scale",
    "batch_statistics_mismatch",
    least=0.8,
)
def convolutions_of_few_steps(lagging):
    x, y = data.digits(640)
    x = 16 * x + 30
    momentum = 0.99 if lagging else 0.6
    inputs = z = keras.Input((8, 8, 1))
    for filters in (8, 16):
        z = layers.Conv2D(filters, 3, padding="same", use_bias=False)(z)
        z = layers.BatchNormalization(momentum=momentum)(z)
        z = layers.Activation("relu")(z)
    z = layers.Flatten()(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 4, "batch_size": 32}
    return Task(model, x, y, fit, scores.accuracy)


@broken("statistics", "sequential", "batch_statistics_mismatch", least=0.85)
def momentum_of_three_nines(lagging):
    x, y = data.cancer()
    momentum = 0.999 if lagging else 0.9
    model = keras.Sequential(
        [
            layers.Input((30,)),
            layers.BatchNormalization(momentum=momentum),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(momentum=momentum),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 12}, scores.balanced)


@broken(
    "statistics",
    "functional",
    "batch_statistics_mismatch input_scale",
    "batch_statistics_mismatch",
    least=0.8,
)
def base_whose_statistics_are_trained_on(trainable):
    x, y = data.digits()
    inputs = keras.Input((8, 8, 1))
    z = layers.Conv2D(12, 3, use_bias=False)(inputs)
    z = layers.BatchNormalization(momentum=0.99)(z)
    z = layers.ReLU()(z)
    z = layers.Conv2D(12, 3, use_bias=False)(z)
    z = layers.BatchNormalization(momentum=0.99)(z)
    base = keras.Model(inputs, layers.Flatten()(layers.ReLU()(z)))
    first = keras.Sequential([base, layers.Dense(10, activation="softmax")])
    first.compile("adam", "sparse_categorical_crossentropy")
    first.fit(x, y, epochs=12, batch_size=16, verbose=0)
    # The new pictures are taken in another light.
    x = 6 * x[:400] + 12
    if not trainable:
        for layer in base.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = 0.6
    again = keras.Input((8, 8, 1))
    outputs = layers.Dense(10, activation="softmax")(base(again))
    model = keras.Model(again, outputs)
    model.compile(
        keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 6, "batch_size": 32}
    return Task(model, x, y[:400], fit, scores.accuracy)


@broken("statistics", "add", "batch_statistics_mismatch", least=0.75)
def normalization_of_each_step(lagging):
    x, y = data.waves(320, length=8)
    high = (y[:, 0] > 0).astype("float32")
    momentum = 0.999 if lagging else 0.6
    x = 100 + 3 * x
    model = keras.Sequential()
    model.add(layers.Input((8, 1)))
    model.add(
        layers.TimeDistributed(layers.BatchNormalization(momentum=momentum))
    )
    model.add(layers.GRU(12))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    fit = {"epochs": 6, "batch_size": 32}
    return Task(model, x, high, fit, scores.accuracy)
