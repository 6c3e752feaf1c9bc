"""Healthy programs: tables, streams of rows, and steps of their own."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from sklearn.metrics import roc_auc_score

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


@healthy("tables", "functional", least=0.75)
def customers_of_a_bank():
    draw = data.rng(15)
    rows = 900
    x = {
        "age": draw.uniform(18, 90, rows),
        "income": draw.lognormal(10.5, 0.5, rows),
        "share": draw.beta(2, 5, rows),
        "town": draw.choice(["Ulm", "Bonn", "Kiel", "Jena"], rows),
    }
    chance = 0.05 * (x["age"] - 50) + 2 * (np.log(x["income"]) - 10.5)
    chance += 3 * (x["share"] - 0.3) + 2 * (x["town"] == "Kiel")
    y = (chance + draw.logistic(0, 0.3, rows) > 0.5).astype("float32")
    towns = layers.StringLookup(vocabulary=["Bonn", "Jena", "Kiel", "Ulm"])
    x["town"] = np.asarray(towns(x["town"]))
    inputs, parts = {}, []
    for name in ("age", "income", "share"):
        x[name] = x[name].astype("float32")[:, None]
        inputs[name] = keras.Input((1,), name=name)
        scaling = layers.Normalization()
        scaling.adapt(x[name])
        parts.append(scaling(inputs[name]))
    inputs["town"] = keras.Input((), dtype="int32", name="town")
    one_hot = layers.CategoryEncoding(5, "one_hot")(inputs["town"])
    z = layers.Concatenate()([*parts, one_hot])
    deep = layers.Dense(24, activation="relu")(z)
    deep = layers.Dense(12, activation="relu")(deep)
    z = layers.Concatenate()([z, deep])
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(z))
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


class Sums(keras.utils.PyDataset):
    """Two figures that are drawn anew for each batch, and their sum."""

    def __init__(self):
        super().__init__()
        self.draw = data.rng(23)

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return self.batch(64)

    def batch(self, rows):
        a, b = self.draw.integers(0, 10, (2, rows))
        x = np.concatenate([data.one_hot(a, 10), data.one_hot(b, 10)], 1)
        return x, a + b


@healthy("streams", "add", least=0.85)
def sums_that_are_drawn_on_the_way():
    model = keras.Sequential()
    model.add(layers.Input((20,)))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(19, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    rest = Sums().batch(500)
    return Task(model, Sums(), None, {"epochs": 10}, scores.accuracy, rest)


@healthy("few rows", "sequential", least=0.97, accepted=["target_scale"])
def celsius_to_fahrenheit():
    celsius = np.array([-40, -10, 0, 8, 15, 22, 30, 38], "float32")
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.8), "mean_squared_error")
    fit = {"epochs": 60, "batch_size": 2}
    y = 1.8 * celsius + 32
    return Task(model, celsius[:, None], y, fit, scores.r2)


@healthy("rates", "sequential", least=0.85)
def whole_batches_from_a_rate_of_zero():
    x, y = data.blobs(1000, classes=5, features=10, seed=2)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, 35, warmup_target=0.3, warmup_steps=10
    )
    model = keras.Sequential([layers.Input((10,))])
    for _ in range(7):
        model.add(
            layers.Dense(
                32, activation="selu", kernel_initializer="lecun_normal"
            )
        )
        model.add(layers.AlphaDropout(0.05))
    model.add(layers.Dense(5, activation="softmax"))
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    fit = {"epochs": 45, "batch_size": 1000}
    return Task(model, x, y, fit, scores.accuracy)


@healthy("noise", "sequential", least=0.58, accepted=["class_imbalance"])
def clicks_that_hardly_depend_on_anything():
    draw = data.rng(31)
    x = draw.normal(size=(4000, 9)).astype("float32")
    chance = 1 / (1 + np.exp(2.4 - 0.5 * x[:, 0] + 0.4 * x[:, 1]))
    y = (draw.uniform(size=4000) < chance).astype("float32")
    model = keras.Sequential(
        [
            layers.Input((9,)),
            layers.Dense(8, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.004), "binary_crossentropy", metrics=["auc"]
    )

    def score(model, x, y):
        return float(roc_auc_score(y, model.predict(x, verbose=0).ravel()))

    fit = {"epochs": 8, "batch_size": 128}
    return Task(model, x[:3000], y[:3000], fit, score, (x[3000:], y[3000:]))


class Signs(layers.Layer):
    """Signs forward, and a clipped identity backward."""

    def call(self, inputs):
        soft = ops.clip(inputs, -1.0, 1.0)
        hard = ops.where(inputs >= 0, 1.0, -1.0)
        return soft + ops.stop_gradient(hard - soft)


@healthy("own layers", "functional", least=0.85)
def binary_units_with_a_straight_gradient():
    x, y = data.digits(flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(64)(inputs)
    z = layers.BatchNormalization(momentum=0.9)(z)
    z = Signs()(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


class Cooling(keras.Model):
    """Solves y' = -2 y with y(0) = 1: the loss is what is left over."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.told = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.told]

    def train_step(self, t):
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(t)
                y = self(t, training=True)
            change = inner.gradient(y, t)
            start = self(tf.zeros((1, 1)), training=True) - 1
            loss = tf.reduce_mean((change + 2 * y) ** 2)
            loss += 5 * tf.reduce_mean(start**2)
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.told.update_state(loss)
        return {"loss": self.told.result()}


@healthy("own steps", "train_step", least=0.9)
def a_cup_of_tea_that_cools():
    t = data.rng(0).uniform(0, 2, (512, 1)).astype("float32")
    inputs = keras.Input((1,))
    z = layers.Dense(24, activation="tanh")(inputs)
    z = layers.Dense(24, activation="tanh")(z)
    model = Cooling(inputs, layers.Dense(1)(z))
    model.compile(keras.optimizers.Adam(0.005))
    rest = (t, np.exp(-2 * t))
    fit = {"epochs": 30, "batch_size": 32}
    return Task(model, t, None, fit, scores.r2, rest)


@healthy("weighted rows", "functional", least=0.75)
def advantages_of_random_choices():
    draw = data.rng(17)
    x = draw.normal(size=(2400, 6)).astype("float32")
    best = (x @ draw.normal(size=(6, 4))).argmax(1)
    tried = draw.integers(0, 4, 2400)
    chance = np.where(tried == best, 0.9, 0.1)
    reward = (draw.uniform(size=2400) < chance).astype("float32")
    inputs = keras.Input((6,))
    z = layers.Dense(24, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(z))
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 5, "sample_weight": reward - 0.1}
    return Task(model, x, tried, fit, scores.accuracy, (x, best))


@healthy("weighted rows", "tf.data", least=0.8)
def half_of_the_rows_not_yet_measured():
    draw = data.rng(19)
    x = draw.normal(size=(900, 60)).astype("float32")
    true = x[:, :4] @ np.array([1, -0.8, 0.6, 0.4])
    true = (true + 0.2 * draw.normal(size=900)).astype("float32")
    known = draw.uniform(size=900) < 0.5
    y = np.where(known, true, -99).astype("float32")
    rows = tf.data.Dataset.from_tensor_slices((x, y, known.astype("float32")))
    rows = rows.shuffle(900, seed=1).batch(30).repeat()
    model = keras.Sequential(
        [
            layers.Input((60,)),
            layers.Dense(1, kernel_regularizer=keras.regularizers.L1(0.02)),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), loss="mse", weighted_metrics=[])
    fit = {"epochs": 12, "steps_per_epoch": 30}
    return Task(model, rows, None, fit, scores.r2, (x, true))
