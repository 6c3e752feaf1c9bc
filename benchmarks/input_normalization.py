"""BN as first layer instead of a StandardScaler: what it costs in accuracy.

An MLP of 3 x 64 units on raw features, and on the same features rescaled by
10**U(-8, 8) and shifted, with four ways to normalize them. Prints the mean
over seeds of the validation score (accuracy, or loss over the variance of the
targets) after epochs 1, 5 and 20, and the gap of each way to the scaler.

    python benchmarks/input_normalization.py [SEEDS] [DATA ...]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys

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
WAYS = ("scaler", "Normalization", "stock BN", "kerasbn")


def prepare(name, rescaled):
    """Training and validation data in float32, and how many classes."""
    x, y = DATA[name](return_X_y=True)
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
    """The builder's network with its first layer replaced by `way`'s."""
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


def scores(way, name, rescaled, seeds):
    """Validation scores, shape (seeds, epochs asked for)."""
    x_train, x_val, y_train, y_val, classes = prepare(name, rescaled)
    if way == "scaler":
        scaler = StandardScaler().fit(x_train.astype("float64"))
        x_train, x_val = scaler.transform(x_train), scaler.transform(x_val)
    results = []
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        model = network(way, x_train.shape[1], classes)
        if way == "Normalization":
            model.layers[1].adapt(x_train)
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
    return np.array(results)


if __name__ == "__main__":
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    chosen = sys.argv[2:] or list(DATA)
    print(f"validation score after epochs {EPOCHS}, mean of {seeds} seeds")
    for name in chosen:
        for rescaled in (False, True):
            print(f"{name}, {'rescaled' if rescaled else 'raw'}")
            reference = None
            for way in WAYS:
                mean = scores(way, name, rescaled, seeds).mean(axis=0)
                reference = mean if reference is None else reference
                print(
                    f"  {way:<15}"
                    + "  ".join(f"{value:.3f}" for value in mean)
                    + "   gap "
                    + "  ".join(f"{g:+.3f}" for g in mean - reference),
                    flush=True,
                )
