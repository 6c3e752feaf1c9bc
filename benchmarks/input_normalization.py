"""Batch normalization as the first layer, compared with a StandardScaler.

An MLP of 3 x 64 units learns raw features, and the same features rescaled by
10**U(-8, 8) and shifted, normalized in four ways. Printed are the mean over
seeds of the validation score (accuracy, or loss over the variance of the
targets) after epochs 1, 5 and 20, and the gap of each way to the scaler, in
accuracy or as a share of its loss. Data that needs no scaling is compared with
no input normalization: digits / 16, circles, moons, and flattened MNIST images
if a file `mnist.npz` with arrays x and y is given.

    python benchmarks/input_normalization.py [--seeds N] [--mnist FILE]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from functools import cache

import keras
import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import kerasbn

EPOCHS = (1, 5, 20)
DATA = {
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "diabetes": lambda **_: datasets.load_diabetes(
        return_X_y=True, scaled=False
    ),
    "classes": lambda **_: datasets.make_classification(
        1000, n_informative=8, n_classes=4, random_state=0
    ),
    "regression": lambda **_: datasets.make_regression(
        1000, n_features=10, noise=10.0, random_state=0
    ),
}
HARMLESS = {
    "digits / 16": lambda **_: _divided(datasets.load_digits, 16),
    "circles": lambda **_: datasets.make_circles(
        1000, noise=0.1, factor=0.5, random_state=0
    ),
    "moons": lambda **_: datasets.make_moons(1000, noise=0.2, random_state=0),
}
WAYS = ("scaler", "Normalization", "stock BN", "kerasbn")


def _divided(load, by):
    x, y = load(return_X_y=True)
    return x / by, y


def prepare(name, rescaled):
    """Return training and validation data in float32, and the class count."""
    x, y = {**DATA, **HARMLESS}[name](return_X_y=True)
    if rescaled:
        generator = np.random.default_rng(0)
        width = x.shape[1]
        x = x / (x.std(axis=0) + (x.std(axis=0) == 0))
        x = x + generator.uniform(-10, 10, width)
        x = x * 10 ** generator.uniform(-8, 8, width)
    classes = len(np.unique(y)) if y.dtype.kind == "i" else 0
    if not classes:
        y = (y - y.mean()) / y.std()
    x_train, x_val, y_train, y_val = train_test_split(
        x.astype("float32"),
        y.astype("int32" if classes else "float32"),
        test_size=0.3,
        random_state=0,
        stratify=y if classes else None,
    )
    return x_train, x_val, y_train, y_val, classes


def network(way, width, classes):
    """Return the builder's network with the first layer of `way`."""
    built = kerasbn.models.mlp(
        (width,),
        [64] * 3,
        classes or 1,
        output_activation="softmax" if classes else None,
        normalize_inputs=way == "kerasbn",
    )
    first = {
        "stock BN": keras.layers.BatchNormalization,
        "Normalization": keras.layers.Normalization,
    }.get(way)
    if first:
        inputs = keras.Input((width,))
        built = keras.Model(inputs, built(first()(inputs)))
    built.compile(
        kerasbn.optimizers.adam(),
        "sparse_categorical_crossentropy" if classes else "mean_squared_error",
        metrics=["accuracy"] if classes else [],
    )
    return built


@cache
def compiled(way, width, classes):
    """Return one network for all seeds: tracing takes longer than fitting."""
    model = network(way, width, classes)
    model.optimizer.build(model.trainable_variables)
    return model


def restarted(way, width, classes):
    """Return the compiled network with fresh weights and a fresh optimizer."""
    model = compiled(way, width, classes)
    fresh = network(way, width, classes)
    fresh.optimizer.build(fresh.trainable_variables)
    model.set_weights(fresh.get_weights())
    pairs = zip(
        model.optimizer.variables, fresh.optimizer.variables, strict=True
    )
    for variable, value in pairs:
        variable.assign(value)
    return model


def scores(way, name, rescaled, seeds):
    """Return validation scores of shape (seeds, chosen epochs)."""
    x_train, x_val, y_train, y_val, classes = prepare(name, rescaled)
    if way == "scaler":
        scaler = StandardScaler().fit(x_train.astype("float64"))
        x_train, x_val = scaler.transform(x_train), scaler.transform(x_val)
    results = []
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        model = restarted(way, x_train.shape[1], classes)
        if way == "Normalization":
            model.layers[1].adapt(x_train)
            model.make_train_function(force=True)  # the statistics are traced
            model.make_test_function(force=True)
        history = model.fit(
            x_train,
            y_train,
            batch_size=32,
            epochs=max(EPOCHS),
            validation_data=(x_val, y_val),
            verbose=0,
        ).history
        kept = history["val_accuracy" if classes else "val_loss"]
        results.append([kept[epoch - 1] for epoch in EPOCHS])
    return np.array(results), bool(classes)


def compare(name, rescaled, ways, seeds):
    """Print a row for each way, and return the worst gap of the last one."""
    reference = None
    for way in ways:
        values, is_accuracy = scores(way, name, rescaled, seeds)
        mean = values.mean(axis=0)
        reference = mean if reference is None else reference
        gap = mean - reference if is_accuracy else mean / reference - 1.0
        print(
            f"  {way:<15}"
            + "  ".join(f"{value:.3f}" for value in mean)
            + "   gap "
            + "  ".join(f"{value:+.3f}" for value in gap),
            flush=True,
        )
    return max(-gap) if is_accuracy else max(gap)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--mnist")
    parser.add_argument("data", nargs="*", default=[*DATA, *HARMLESS])
    arguments = parser.parse_args()
    if arguments.mnist:
        images = np.load(arguments.mnist)
        pixels = images["x"].reshape(len(images["x"]), -1) / 255.0
        labels = images["y"].astype(int)
        HARMLESS["MNIST"] = lambda **_: (pixels, labels)
        arguments.data.append("MNIST")
    print(
        f"validation score after epochs {EPOCHS}, mean of {arguments.seeds} "
        "seeds"
    )
    worst = {}
    for name in arguments.data:
        if name in DATA:
            for rescaled in (False, True):
                title = f"{name}, {'rescaled' if rescaled else 'raw'}"
                print(title)
                worst[title] = compare(name, rescaled, WAYS, arguments.seeds)
        else:
            print(f"{name}, against no input normalization")
            ways = ("none", "kerasbn")
            worst[name] = compare(name, False, ways, arguments.seeds)
    print("the largest loss of kerasbn against the first row of each:")
    for title, gap in worst.items():
        print(f"  {title:<26}{gap:+.4f}")
