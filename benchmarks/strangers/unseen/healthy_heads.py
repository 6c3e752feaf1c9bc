"""Healthy programs: distances, ranks, counts, waiting times and margins."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.strangers import _data as data
from benchmarks.strangers import _scores as scores
from benchmarks.strangers._program import Task, healthy


class ThreesOfTheBatch(keras.losses.Loss):
    """Every row against each of its class and each of the others."""

    def call(self, y_true, y_pred):
        same = ops.cast(ops.equal(y_true[:, None], y_true[None]), "float32")
        distance = 2 - 2 * y_pred @ ops.transpose(y_pred)
        gap = distance[:, :, None] - distance[:, None] + 0.3
        valid = same[:, :, None] * (1 - same[:, None])
        total = ops.sum(valid * ops.maximum(gap, 0.0))
        return total / (ops.sum(valid) + 1e-6)


@healthy("distances", "functional", least=0.85)
def all_threes_of_each_batch():
    x, y = data.digits(1000, flat=True)
    inputs = keras.Input((64,))
    z = layers.Dense(64, activation="relu")(inputs)
    z = layers.Dense(8)(z)
    model = keras.Model(inputs, layers.UnitNormalization()(z))
    model.compile(keras.optimizers.Adam(0.003), ThreesOfTheBatch())

    def score(model, x, y):
        found = model.predict(x, verbose=0)
        centres = np.stack([found[y == c].mean(0) for c in range(10)])
        return float(((found @ centres.T).argmax(1) == y).mean())

    return Task(model, x, y, {"epochs": 12, "batch_size": 64}, score)


@healthy("distances", "functional", least=0.75)
def two_pictures_of_the_same_digit():
    x, y = data.digits(flat=True)
    draw = data.rng(2)
    one = draw.integers(0, len(y), 1600)
    two = draw.integers(0, len(y), 1600)
    for i in range(0, 1600, 2):
        two[i] = draw.choice(np.flatnonzero(y == y[one[i]]))
    alike = (y[one] == y[two]).astype("float32")[:, None]
    tower = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(48, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(12),
        ]
    )
    inputs = [keras.Input((64,)), keras.Input((64,))]
    distance = layers.Lambda(
        lambda both: ops.sqrt(
            ops.sum((both[0] - both[1]) ** 2, -1, keepdims=True) + 1e-7
        )
    )([tower(each) for each in inputs])
    model = keras.Model(inputs, distance)

    def contrast(y_true, y_pred):
        apart = ops.maximum(1 - y_pred, 0.0)
        return ops.mean(y_true * y_pred**2 + (1 - y_true) * apart**2, axis=-1)

    model.compile(keras.optimizers.Adam(0.002), contrast)

    def score(model, x, y):
        return float(((model.predict(x, verbose=0) < 0.5) == y).mean())

    return Task(model, [x[one], x[two]], alike, {"epochs": 12}, score)


class Steps(layers.Layer):
    """One score against rising thresholds."""

    def build(self, shape):
        self.first = self.add_weight((1,), "zeros")
        self.gaps = self.add_weight((3,), "zeros")

    def call(self, score):
        rest = self.first + ops.cumsum(ops.softplus(self.gaps))
        return ops.sigmoid(score - ops.concatenate([self.first, rest]))


@healthy("ranks", "functional", least=0.65)
def stars_from_one_to_five():
    draw = data.rng(7)
    x = draw.normal(size=(900, 7)).astype("float32")
    taste = x @ draw.normal(size=7) + 0.5 * np.abs(x[:, 0])
    taste += 0.3 * draw.normal(size=900)
    stars = np.digitize(taste, np.quantile(taste, [0.1, 0.3, 0.6, 0.85]))
    y = (stars[:, None] > np.arange(4)).astype("float32")
    inputs = keras.Input((7,))
    z = layers.Dense(16, activation="elu")(inputs)
    z = layers.Dense(1, use_bias=False)(z)
    model = keras.Model(inputs, Steps()(z))
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy")

    def score(model, x, y):
        found = (model.predict(x, verbose=0) > 0.5).sum(1)
        return float((found == y.sum(1)).mean())

    return Task(model, x, y, {"epochs": 15}, score)


@healthy("counts", "sequential", least=0.7)
def bicycles_lent_each_hour():
    draw = data.rng(1)
    hour = draw.integers(0, 24, 1200)
    warm, free = draw.normal(size=1200), draw.integers(0, 2, 1200)
    angle = 2 * np.pi * hour / 24
    x = np.stack([np.sin(angle), np.cos(angle), warm, free], 1)
    rate = 4.5 - np.cos(angle) + 0.5 * np.sin(2 * angle) * (1 - free)
    y = draw.poisson(np.exp(rate + 0.2 * warm))
    start = keras.initializers.Constant(float(np.log(y.mean())))
    model = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(32, activation="swish"),
            layers.Dense(1, activation="exponential", bias_initializer=start),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "poisson")
    x, y = x.astype("float32"), y.astype("float32")
    return Task(model, x, y, {"epochs": 20, "batch_size": 64}, scores.r2)


def survival(y_true, y_pred):
    """Of Weibull's waiting times, of which some ended unseen."""
    time, seen = y_true[:, 0], y_true[:, 1]
    scale, shape = y_pred[:, 0], y_pred[:, 1]
    past = (time / scale) ** shape
    density = ops.log(shape / scale) + (shape - 1) * ops.log(time / scale)
    return past - seen * density


@healthy("waiting times", "functional", least=0.8)
def patients_who_left_the_study():
    draw = data.rng(11)
    x = draw.normal(size=(1000, 8)).astype("float32")
    scale = np.exp(x @ [0.6, -0.4, 0.3, 0, 0, 0, 0, 0] + 1.5)
    time = scale * draw.weibull(1.6, 1000)
    left = draw.exponential(8, 1000)
    y = np.stack([np.minimum(time, left), time <= left], 1)
    inputs = keras.Input((8,))
    z = layers.Dense(12, activation="tanh")(inputs)
    outputs = layers.Dense(2, activation="softplus")(z)
    outputs = layers.Lambda(lambda z: z + 0.05)(outputs)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), survival)

    def score(model, x, y):
        found = np.log(model.predict(x, verbose=0)[:, 0])
        return float(np.corrcoef(found, np.log(scale))[0, 1])

    return Task(model, x, y.astype("float32"), {"epochs": 18}, score)


@healthy("rare classes", "sequential", least=0.8)
def defects_by_a_focal_loss():
    x, y = data.rare(2400, 0.03, features=12, distance=2.2, seed=5)
    model = keras.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(12, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.004),
        keras.losses.BinaryFocalCrossentropy(True, alpha=0.9, gamma=2),
        metrics=["auc"],
    )
    return Task(model, x, y, {"epochs": 10}, scores.balanced)


class Fourier(layers.Layer):
    """Random waves that are never trained: a kernel method in disguise."""

    def __init__(self, units, width):
        super().__init__()
        draw = data.rng(21)
        self.units = units
        self.directions = draw.normal(0, 1 / width, (2, units))
        self.phases = draw.uniform(0, 2 * np.pi, units)

    def call(self, inputs):
        turned = inputs @ ops.cast(self.directions, "float32")
        waves = ops.cos(turned + ops.cast(self.phases, "float32"))
        return waves * (2 / self.units) ** 0.5


@healthy("margins", "add", least=0.93)
def support_vectors_of_two_moons():
    x, y = data.moons(500, seed=3)
    schedule = keras.optimizers.schedules.InverseTimeDecay(0.5, 100, 0.5)
    model = keras.Sequential()
    model.add(layers.Input((2,)))
    model.add(Fourier(120, 0.4))
    model.add(layers.Dense(1, kernel_regularizer=keras.regularizers.L2(1e-4)))
    model.compile(keras.optimizers.SGD(schedule), "squared_hinge")
    fit = {"epochs": 25}
    return Task(model, x, 2 * y - 1, fit, scores.logit_accuracy)
