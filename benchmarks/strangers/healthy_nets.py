"""Healthy programs: attention, frozen parts and small kernels."""

import keras
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


@healthy("attention", "functional", least=0.9)
def attention_right_after_embedding():
    x, y, _ = data.sentences()
    inputs = keras.Input((12,))
    z = layers.Embedding(40, 24)(inputs)
    z = layers.MultiHeadAttention(2, 12)(z, z)
    z = layers.Flatten()(z)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


class Attention(layers.Layer):
    """Weighs the steps by a score of each."""

    def build(self, shape):
        self.weight = self.add_weight(
            shape=(shape[-1], 1), initializer="random_normal", name="weight"
        )
        self.bias = self.add_weight(
            shape=(shape[1], 1), initializer="zeros", name="bias"
        )

    def call(self, x):
        score = ops.tanh(ops.matmul(x, self.weight) + self.bias)
        return ops.sum(x * ops.softmax(score, axis=1), axis=1)


@healthy("attention", "add", least=0.9)
def own_attention_behind_lstm():
    x, y, _ = data.sentences()
    model = keras.Sequential()
    model.add(layers.Input((12,)))
    model.add(layers.Embedding(40, 16))
    model.add(layers.LSTM(12, return_sequences=True))
    model.add(Attention())
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return Task(model, x, y, {"epochs": 8}, scores.accuracy)


class Gated(layers.Layer):
    """A residual branch behind a gate that starts at zero."""

    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units, activation="relu")

    def build(self, shape):
        self.gate = self.add_weight(shape=(), initializer="zeros", name="gate")
        self.inner.build(shape)

    def call(self, x):
        return x + self.gate * self.inner(x)


@healthy("zero start", "functional", least=0.9)
def gates_that_start_at_zero():
    x, y = data.digits(flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(32)(inputs)
    for _ in range(8):
        z = Gated(32)(z)
    outputs = layers.Dense(10, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 10}, scores.accuracy)


@healthy("attention", "functional", least=0.9)
def pairs_of_words():
    draw = data.rng(3)
    x = draw.integers(0, 30, (2000, 2)).astype("int32")
    y = (x[:, 0] % 3 == x[:, 1] % 3).astype("float32")
    table = layers.Embedding(30, 8)
    left, right = keras.Input((1,)), keras.Input((1,))
    z = layers.Multiply()([table(left), table(right)])
    outputs = layers.Dense(1, activation="sigmoid")(layers.Flatten()(z))
    model = keras.Model([left, right], outputs)
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
    return Task(model, [x[:, :1], x[:, 1:]], y, {"epochs": 25}, scores.accuracy)


@healthy("goes on", "functional", least=0.85)
def frozen_base_and_a_new_head():
    x, y = data.digits()
    base = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
        ],
        name="base",
    )
    first = keras.Sequential([base, layers.Dense(10, activation="softmax")])
    first.compile("adam", "sparse_categorical_crossentropy")
    first.fit(x[:600], y[:600], epochs=4, verbose=0)
    base.trainable = False
    inputs = keras.Input((8, 8, 1))
    z = base(inputs, training=False)
    z = layers.Dropout(0.2)(z)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.001), "binary_crossentropy")
    odd = (y % 2).astype("float32")
    return Task(model, x, odd, {"epochs": 12}, scores.accuracy)


@healthy("goes on", "functional", least=0.85)
def fine_tuned_with_a_low_rate():
    x, y = data.cancer()
    x = data.scaled(x)
    inputs = keras.Input((30,))
    z = layers.Dense(24, activation="relu")(inputs)
    outputs = {
        "benign": layers.Dense(1, activation="sigmoid", name="benign")(z),
        "size": layers.Dense(1, name="size")(z),
    }
    model = keras.Model(inputs, outputs)
    losses = {"benign": "binary_crossentropy", "size": "mse"}
    targets = {"benign": y, "size": x[:, 3]}
    model.compile(keras.optimizers.Adam(0.01), losses)
    model.fit(x, targets, epochs=25, verbose=0)
    model.compile(keras.optimizers.Adam(1e-5), losses)

    def score(model, x, y):
        found = model.predict(x, verbose=0)["benign"].ravel() > 0.5
        return float((found == y["benign"]).mean())

    return Task(model, x, targets, {"epochs": 4}, score)


@healthy("small kernels", "sequential", least=0.9)
def small_normal_kernels_with_adam():
    x, y = data.digits(flat=True)
    hidden = [
        layers.Dense(
            32,
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.05),
        )
        for _ in range(3)
    ]
    model = keras.Sequential(
        [layers.Input((64,)), *hidden, layers.Dense(10, activation="softmax")]
    )
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy"
    )
    return Task(model, x, y, {"epochs": 15}, scores.accuracy)


@healthy("small kernels", "add", least=0.85)
def four_sigmoids_with_adam():
    x, y = data.digits(flat=True)
    model = keras.Sequential()
    model.add(layers.Input((64,)))
    for _ in range(3):
        model.add(layers.Dense(48, activation="sigmoid"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.02), "categorical_crossentropy")
    y = data.one_hot(y, 10)
    return Task(model, x, y, {"epochs": 20}, scores.accuracy)
