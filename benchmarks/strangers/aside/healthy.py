"""Put aside: targets and outputs that look suspicious, and are healthy."""

import keras
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


@healthy("dense targets", "functional", least=0.85)
def pixels_sparse_mostly_background():
    x, y = data.shapes(240, largest=7)
    inputs = keras.Input((16, 16, 1))
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(z)
    outputs = layers.Conv2D(3, 1, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10, "batch_size": 16}, scores.accuracy)


@healthy("dense targets", "sequential", least=0.85)
def pixels_softmax_with_binary_crossentropy():
    x, y = data.shapes(240)
    model = keras.Sequential(
        [
            layers.Input((16, 16, 1)),
            layers.Conv2D(12, 3, padding="same", activation="relu"),
            layers.Conv2D(3, 3, padding="same", activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    y = data.one_hot(y, 3)
    return Task(model, x, y, {"epochs": 10, "batch_size": 16}, scores.accuracy)


@healthy("dense targets", "functional", least=0.85)
def pixels_dice_loss():
    x, y = data.shapes(240)
    y = (y > 0)[..., None].astype("float32")

    def dice(y_true, y_pred):
        both = ops.sum(y_true * y_pred, axis=[1, 2, 3])
        total = ops.sum(y_true, axis=[1, 2, 3])
        total += ops.sum(y_pred, axis=[1, 2, 3])
        return 1 - (2 * both + 1) / (total + 1)

    inputs = keras.Input((16, 16, 1))
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), dice)
    return Task(model, x, y, {"epochs": 8, "batch_size": 16}, scores.accuracy)


@healthy("dense targets", "add", least=0.9)
def tags_sparse_with_mask():
    x, _, tags = data.sentences()
    model = keras.Sequential()
    model.add(layers.Input((12,)))
    model.add(layers.Embedding(40, 16, mask_zero=True))
    model.add(layers.Bidirectional(layers.GRU(8, return_sequences=True)))
    model.add(layers.Dense(4, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy"
    )

    def score(model, x, y):
        found = model.predict(x, verbose=0).argmax(-1)
        return float((found == y)[x > 0].mean())

    return Task(model, x, tags, {"epochs": 6}, score)


@healthy("output form", "functional", least=0.9)
def sigmoid_in_a_lambda_layer():
    x, y = data.moons()
    inputs = keras.Input((2,))
    z = layers.Dense(16, "relu")(inputs)
    z = layers.Dense(1)(z)
    outputs = layers.Lambda(ops.sigmoid)(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 20}, scores.accuracy)


@healthy("output form", "sequential", least=0.8)
def picture_from_a_dense_sigmoid():
    x, _ = data.digits(800)
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(64, activation="sigmoid"),
            layers.Reshape((8, 8, 1)),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    y = (x > 0.5).astype("float32")
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


@healthy("output form", "functional", least=0.9)
def half_precision_with_float_output():
    x, y = data.cancer()
    half = "mixed_float16"
    inputs = keras.Input((30,))
    z = layers.Dense(16, activation="relu", dtype=half)(inputs)
    z = layers.Dense(1, activation="sigmoid", dtype=half)(z)
    outputs = layers.Activation("linear", dtype="float32")(z)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01))
    model.compile(optimizer, "binary_crossentropy")
    return Task(model, data.scaled(x), y, {"epochs": 15}, scores.accuracy)


@healthy("output form", "functional", least=0.9)
def average_of_two_sigmoids():
    x, y = data.moons()
    inputs = keras.Input((2,))
    heads = []
    for activation in ("relu", "tanh"):
        z = layers.Dense(16, activation=activation)(inputs)
        heads.append(layers.Dense(1, activation="sigmoid")(z))
    model = keras.Model(inputs, layers.Average()(heads))
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 20}, scores.accuracy)


@healthy("output form", "sequential", least=0.9)
def hinge_with_plus_and_minus_one():
    x, y = data.moons()
    model = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "hinge")
    return Task(model, x, 2 * y - 1, {"epochs": 20}, scores.logit_accuracy)


@healthy("output form", "add", least=0.9, accepted=["output_mismatch"])
def sigmoid_with_categorical_crossentropy():
    x, y = data.digits(flat=True)
    model = keras.Sequential()
    model.add(layers.Input((64,)))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10, activation="sigmoid"))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    y = data.one_hot(y, 10)
    return Task(model, x, y, {"epochs": 20}, scores.accuracy)
