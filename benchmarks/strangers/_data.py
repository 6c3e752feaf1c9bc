"""Data of the programs: drawn with a seed, or bundled with scikit-learn."""

import numpy as np
from sklearn import datasets


def rng(seed=0):
    return np.random.default_rng(seed)


def scaled(x):
    return ((x - x.mean(0)) / (x.std(0) + 1e-8)).astype("float32")


def digits(rows=1200, flat=False, scale=16.0):
    """Digits of 8 x 8 pixels, from 0 to 16 divided by `scale`."""
    x, y = datasets.load_digits(return_X_y=True)
    x = (x[:rows] / scale).astype("float32")
    return (x if flat else x.reshape(-1, 8, 8, 1)), y[:rows].astype("int32")


def cancer():
    """30 features in their own units, to 4,254, and two classes."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return x.astype("float32"), y.astype("float32")


def wine():
    """13 features in their own units, to 1,680, and three classes, sorted."""
    x, y = datasets.load_wine(return_X_y=True)
    return x.astype("float32"), y.astype("int32")


def iris():
    x, y = datasets.load_iris(return_X_y=True)
    return x.astype("float32"), y.astype("int32")


def diabetes():
    """10 features of deviation 0.05 and a target from 25 to 346."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return x.astype("float32"), y.astype("float32")


def houses(rows=1000, seed=0):
    """Rooms, area, age, distance and income, and prices to 600,000."""
    draw = rng(seed)
    x = np.stack(
        [
            draw.integers(1, 9, rows),
            draw.normal(120, 40, rows),
            draw.uniform(0, 90, rows),
            draw.gamma(2, 6, rows),
            draw.normal(48_000, 12_000, rows),
        ],
        axis=1,
    )
    z = (x - x.mean(0)) / x.std(0)
    price = z @ [0.4, 0.8, -0.3, -0.5, 0.7] + 0.3 * z[:, 1] * z[:, 4]
    price = 250_000 + 70_000 * (price + 0.2 * draw.normal(size=rows))
    return x.astype("float32"), np.maximum(price, 30_000).astype("float32")


def blobs(rows=800, classes=3, features=8, seed=0, spread=1.0):
    x, y = datasets.make_blobs(
        rows,
        features,
        centers=classes,
        cluster_std=4 * spread,
        random_state=seed,
    )
    return scaled(x), y.astype("int32")


def moons(rows=600, seed=0):
    x, y = datasets.make_moons(rows, noise=0.15, random_state=seed)
    return x.astype("float32"), y.astype("float32")


def rare(rows=2000, share=0.04, features=10, distance=1.2, seed=0):
    """Two overlapping classes, one of them rare."""
    draw = rng(seed)
    y = (draw.uniform(size=rows) < share).astype("float32")
    x = draw.normal(size=(rows, features))
    x[:, :3] += distance * y[:, None]
    return x.astype("float32"), y


def shapes(rows=300, size=16, seed=0, largest=9):
    """Noisy pictures with a square and a disc, and classes of their pixels."""
    draw = rng(seed)
    x = draw.normal(0.1, 0.05, (rows, size, size, 1))
    y = np.zeros((rows, size, size), "int32")
    grid = np.arange(size)
    for i in range(rows):
        side = draw.integers(3, largest)
        top, left = draw.integers(0, size - side, 2)
        inside = ((grid >= top) & (grid < top + side))[:, None] & (
            (grid >= left) & (grid < left + side)
        )
        y[i][inside] = 1
        radius, (row, column) = draw.integers(2, 5), draw.integers(3, 13, 2)
        disc = (grid[:, None] - row) ** 2 + (grid - column) ** 2 < radius**2
        y[i][disc] = 2
    x[..., 0] += 0.4 * (y == 1) + 0.8 * (y == 2)
    return np.clip(x, 0, 1).astype("float32"), y


def one_hot(y, classes):
    return np.eye(classes, dtype="float32")[y]


def sentences(rows=600, length=12, words=40, seed=0):
    """Padded token numbers; a word's tag is 1 to 3 by its number.

    Of the rows half are positive: those in which a word below 4 occurs.
    """
    draw = rng(seed)
    x = draw.integers(4, words, (rows, length)).astype("int32")
    positive = draw.uniform(size=rows) < 0.5
    where = draw.integers(0, 5, rows)
    x[positive, where[positive]] = draw.integers(1, 4, positive.sum())
    lengths = draw.integers(6, length + 1, rows)
    x[np.arange(length) >= lengths[:, None]] = 0
    tags = np.where(x == 0, 0, 1 + x % 3).astype("int32")
    return x, positive.astype("float32"), tags


def waves(rows=500, length=16, ahead=1, seed=0, noise=0.05):
    """Windows of a noisy sine of two periods, and the values that follow."""
    draw = rng(seed)
    t = np.arange(rows + length + ahead)
    series = (
        np.sin(t / 3) + 0.5 * np.sin(t / 11) + noise * draw.normal(size=len(t))
    )
    x = np.stack([series[i : i + length] for i in range(rows)])
    y = np.stack([series[i + length : i + length + ahead] for i in range(rows)])
    return x[..., None].astype("float32"), y.astype("float32")


def linear(rows=600, features=6, noise=0.1, seed=0):
    """A standardized target, mostly linear in its features."""
    draw = rng(seed)
    x = draw.normal(size=(rows, features))
    y = x @ draw.normal(size=features) + np.sin(2 * x[:, 0])
    y = (y - y.mean()) / y.std() + noise * draw.normal(size=rows)
    return x.astype("float32"), y.astype("float32")
