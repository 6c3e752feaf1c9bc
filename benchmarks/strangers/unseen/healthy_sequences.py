"""Healthy programs: letters, words and series."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy

SYLLABLES = [
    "ka ki ta ro mi shi na yo".split(),
    "ov ski nik gor bor ana lev dmi".split(),
    "son sen berg dal lund vik ulf ing".split(),
]


def surnames(rows, seed=0):
    """Surnames of three languages as numbers of letters, 0 behind the end."""
    draw = data.rng(seed)
    language = draw.integers(0, 3, rows)
    x = np.zeros((rows, 14), "int32")
    for i, each in enumerate(language):
        name = "".join(draw.choice(SYLLABLES[each], draw.integers(2, 5)))[:14]
        x[i, : len(name)] = [ord(letter) - 96 for letter in name]
        x[i, draw.integers(0, len(name))] = draw.integers(1, 27)
    return x, language.astype("int32")


@healthy("letters", "sequential", least=0.85)
def surnames_by_their_letters():
    x, y = surnames(700)
    model = keras.Sequential(
        [
            layers.Input((14,), dtype="int32"),
            layers.Embedding(27, 12, mask_zero=True),
            layers.SpatialDropout1D(0.1),
            layers.Bidirectional(layers.GRU(12, dropout=0.2), "sum"),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(0.01), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 5, "validation_split": 0.15}
    return Task(model, x, y, fit, scores.accuracy)


@healthy("series", "sequential", least=0.7)
def a_tank_that_leaks():
    streams, steps, chunk = 8, 300, 10
    flow = data.rng(3).normal(size=(streams, steps))
    level = np.zeros_like(flow)
    for t in range(1, steps):
        level[:, t] = 0.9 * level[:, t - 1] + flow[:, t]
    level /= level.std()

    def in_chunks(series):
        parts = series.reshape(streams, steps // chunk, chunk, 1)
        rows = parts.swapaxes(0, 1).reshape(-1, chunk, 1)
        return rows.astype("float32")

    model = keras.Sequential(
        [
            layers.Input(batch_shape=(streams, chunk, 1)),
            layers.GRU(16, stateful=True, return_sequences=True),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")

    def score(model, x, y):
        for each in model.layers:
            if hasattr(each, "reset_states"):
                each.reset_states()
        found = model.predict(x, batch_size=streams, verbose=0)
        return float(1 - np.mean((found - y) ** 2) / y.var())

    fit = {"epochs": 15, "batch_size": streams, "shuffle": False}
    return Task(model, in_chunks(flow), in_chunks(level), fit, score)


@healthy("letters", "functional", least=0.9)
def the_next_letter_of_a_drunkard():
    draw = data.rng(8)
    chances = draw.dirichlet(np.full(10, 0.6), size=10)
    text = [0]
    for _ in range(2400):
        text.append(int(draw.choice(10, p=chances[text[-1]])))
    text = np.array(text, "int32")
    x = np.stack([text[i : i + 3] for i in range(len(text) - 3)])
    y = text[3:]
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9)
    inputs = keras.Input((3,), dtype="int32")
    z = layers.Embedding(10, 8)(inputs)
    z = layers.Flatten()(z)
    z = layers.Dense(16, activation="tanh")(z)
    model = keras.Model(inputs, layers.Dense(10)(z))
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    best = chances.max(-1)

    def score(model, x, y):
        return scores.accuracy(model, x, y) / float(best[x[:, -1]].mean())

    fit = {"epochs": 8, "batch_size": 64}
    return Task(model, x[:2000], y[:2000], fit, score, (x[2000:], y[2000:]))


@healthy("letters", "functional", least=0.75)
def a_word_told_backwards():
    draw = data.rng(5)
    source = draw.integers(1, 8, (2000, 4)).astype("int32")
    target = source[:, ::-1]
    begun = np.concatenate([np.full((2000, 1), 8, "int32"), target], 1)[:, :-1]
    embed = layers.Embedding(9, 12)
    one = keras.Input((4,), dtype="int32", name="source")
    two = keras.Input((4,), dtype="int32", name="begun")
    _, state = layers.GRU(40, return_state=True)(embed(one))
    z = layers.GRU(40, return_sequences=True)(embed(two), initial_state=state)
    outputs = layers.Dense(9, activation="softmax")(z)
    model = keras.Model([one, two], outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    fit = {"epochs": 6, "batch_size": 64}
    return Task(model, [source, begun], target.copy(), fit, scores.accuracy)


@healthy("series", "add", least=0.85)
def a_pool_of_untrained_cells():
    x, y = data.waves(700, length=24, noise=0.1)
    pool = layers.SimpleRNN(
        80,
        kernel_initializer=keras.initializers.RandomUniform(-0.5, 0.5),
        recurrent_initializer=keras.initializers.Orthogonal(0.9),
    )
    pool.trainable = False
    model = keras.Sequential()
    model.add(layers.Input((24, 1)))
    model.add(pool)
    model.add(layers.Dense(1, kernel_regularizer=keras.regularizers.L2(1e-5)))
    model.compile(keras.optimizers.Adam(0.01), "mae")
    return Task(model, x, y, {"epochs": 10}, scores.r2)


def reviews(rows, seed=0):
    """Reviews of made-up words, of which 15 praise and 15 blame."""
    draw = data.rng(seed)
    words = [f"{a}{b}{c}" for a in "bdglm" for b in "aeiou" for c in "nrst"]
    chance = 1 / np.arange(1, len(words) + 1)
    texts, liked = [], []
    for _ in range(rows):
        text = list(draw.choice(words, 20, p=chance / chance.sum()))
        good = draw.uniform() < 0.5
        first = 60 if good else 75
        text += list(draw.choice(words[first : first + 15], 3))
        draw.shuffle(text)
        texts.append(" ".join(text))
        liked.append(float(good))
    return np.array(texts), np.array(liked, "float32")


@healthy("words", "sequential", least=0.9)
def weighted_words_of_reviews():
    texts, y = reviews(900)
    vectors = layers.TextVectorization(max_tokens=120, output_mode="tf_idf")
    vectors.adapt(texts)
    x = np.asarray(vectors(texts))
    model = keras.Sequential(
        [
            layers.Input((x.shape[1],)),
            layers.Dense(48, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)


class Positions(layers.Layer):
    """Adds sines and cosines of the places."""

    def call(self, inputs):
        length, width = inputs.shape[1:]
        place = np.arange(length)[:, None]
        rate = 1 / 100 ** (np.arange(0, width, 2) / width)
        waves = np.concatenate([np.sin(place * rate), np.cos(place * rate)], 1)
        return inputs + ops.convert_to_tensor(waves.astype("float32"))


@healthy("words", "functional", least=0.85)
def one_block_of_a_transformer():
    draw = data.rng(13)
    x = draw.integers(0, 20, (1000, 12)).astype("int32")
    y = ((x[:, :6] > 9).sum(1) >= 3).astype("int32")
    inputs = keras.Input((12,), dtype="int32")
    z = Positions()(layers.Embedding(20, 16)(inputs))
    heads = layers.MultiHeadAttention(2, 8, dropout=0.1)(z, z)
    z = layers.LayerNormalization()(z + heads)
    wide = layers.Dense(32, activation="gelu")(z)
    z = layers.LayerNormalization()(z + layers.Dense(16)(wide))
    z = layers.GlobalAveragePooling1D()(z)
    outputs = layers.Dense(2, activation="softmax")(z)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.AdamW(0.005, weight_decay=0.01),
        "sparse_categorical_crossentropy",
    )
    return Task(model, x, y, {"epochs": 12}, scores.accuracy)
