"""Healthy programs: targets of every shape, for pixels and steps."""

import keras
import numpy as np
from keras import layers

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


@healthy("dense targets", "sequential", least=0.85)
def pixels_one_hot():
    x, y = data.shapes(240)
    model = keras.Sequential(
        [
            layers.Input((16, 16, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Conv2D(3, 1, padding="same", activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    y = data.one_hot(y, 3)
    return Task(model, x, y, {"epochs": 10, "batch_size": 16}, scores.accuracy)


@healthy("dense targets", "add", least=0.9)
def pixels_of_one_class():
    x, y = data.shapes(240)
    y = (y == 2)[..., None].astype("float32")
    model = keras.Sequential()
    model.add(layers.Input((16, 16, 1)))
    model.add(layers.Conv2D(8, 3, padding="same", activation="relu"))
    model.add(layers.Conv2D(1, 3, padding="same", activation="sigmoid"))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 10, "batch_size": 16}, scores.accuracy)


@healthy("dense targets", "functional", least=0.85)
def pixels_with_an_ignored_class():
    x, y = data.shapes(240)
    truth = y.copy()
    y[:, :2] = 255
    y[:, :, -1:] = 255
    inputs = keras.Input((16, 16, 1))
    z = layers.Conv2D(12, 3, padding="same", activation="relu")(inputs)
    outputs = layers.Conv2D(3, 1)(z)
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=255
    )
    model.compile(keras.optimizers.Adam(0.01), loss)
    fit = {"epochs": 10, "batch_size": 16}
    return Task(model, x, y, fit, scores.accuracy, (x, truth))


@healthy("dense targets", "functional", least=0.85)
def small_unet_with_a_last_axis():
    x, y = data.shapes(240)
    inputs = keras.Input((16, 16, 1))
    one = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    two = layers.MaxPooling2D()(one)
    two = layers.Conv2D(12, 3, padding="same", activation="relu")(two)
    z = layers.Conv2DTranspose(8, 2, strides=2)(two)
    z = layers.Concatenate()([one, z])
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(z)
    outputs = layers.Conv2D(3, 1, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    y = y[..., None]
    return Task(model, x, y, {"epochs": 8, "batch_size": 16}, scores.accuracy)


@healthy("dense targets", "add", least=0.9)
def tags_one_hot_time_distributed():
    x, _, tags = data.sentences()
    model = keras.Sequential()
    model.add(layers.Input((12,)))
    model.add(layers.Embedding(40, 12))
    model.add(layers.LSTM(12, return_sequences=True))
    model.add(layers.TimeDistributed(layers.Dense(4, activation="softmax")))
    model.compile(keras.optimizers.Adam(0.02), "categorical_crossentropy")
    y = data.one_hot(tags, 4)
    return Task(model, x, y, {"epochs": 6}, scores.accuracy)


@healthy("dense targets", "functional", least=0.9)
def tags_with_weights_for_each_step():
    x, _, tags = data.sentences()
    inputs = keras.Input((12,))
    z = layers.Embedding(40, 12)(inputs)
    z = layers.Conv1D(16, 3, padding="same", activation="relu")(z)
    outputs = layers.Dense(4, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy"
    )
    weights = np.where(tags == 0, 0.0, np.where(tags == 1, 5.0, 1.0))
    fit = {"epochs": 8, "sample_weight": weights.astype("float32")}

    def score(model, x, y):
        found = model.predict(x, verbose=0).argmax(-1)
        return float((found == y)[y > 0].mean())

    return Task(model, x, tags, fit, score)
