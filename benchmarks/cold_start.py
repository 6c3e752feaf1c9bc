"""Time until the moving statistics can be trusted.

Trains on scikit-learn's digits with SGD and prints the validation accuracy
after epochs 1, 2 and 3, and its gap to the accuracy on the training data with
batch statistics, which shows what the weights can do at that moment.

    python benchmarks/cold_start.py [SEEDS]

With two seeds, the default, validation accuracy after epoch 1 and epoch 3:

                                stock 0.99  stock 0.9   equal       kerasbn
    depth 3, elu, batch 32      .933 .972   .948 .974   .951 .974   .947 .974
    depth 10, elu, batch 32     .810 .920   .892 .932   .883 .927   .897 .934
    depth 20, elu, batch 32     .528 .839   .748 .870   .757 .857   .737 .901
    depth 50, elu, batch 32     .079 .412   .497 .650   .399 .522   .474 .668
    depth 10, relu, batch 32    .409 .778   .848 .919   .766 .858   .858 .934
    depth 10, sigmoid, batch 32 .100 .101   .902 .933   .862 .900   .913 .932
    depth 10, tanh, batch 32    .837 .923   .837 .929   .843 .940   .832 .944
    depth 10, elu, batch 8      .723 .857   .797 .862   .730 .894   .774 .894
    depth 10, elu, batch 256    .642 .836   .782 .950   .840 .946   .856 .958

Keeping t / (t + 9) of the old statistics at step t is best, or ties for it, in
eight of the nine rows at epoch 3. A constant 0.9 comes close, but never
averages over more than ten batches; equal weights hold on to the first steps,
in which the statistics change fast.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerasbn

EPOCHS = 3
CASES = [
    *((depth, "elu", 32) for depth in (3, 10, 20, 50)),
    *((10, activation, 32) for activation in ("relu", "sigmoid", "tanh")),
    *((10, "elu", batch_size) for batch_size in (8, 256)),
]


class EqualThenMomentum(kerasbn.layers.BatchNormalization):
    """Equal weights until `momentum`: keep t / (t + 1)."""

    warm_up_batches = 1


LAYERS = {
    "stock 0.99": keras.layers.BatchNormalization,
    "stock 0.9": lambda **options: keras.layers.BatchNormalization(
        momentum=0.9, **options
    ),
    "equal weights": EqualThenMomentum,
    "kerasbn": kerasbn.layers.BatchNormalization,
}


def network(layer, depth, activation):
    """Return the builder's network with `layer` as batch normalization."""
    built = kerasbn.models.mlp(
        (64,),
        [100] * depth,
        10,
        output_activation="softmax",
        activation=activation,
    )

    def replace(old):
        if type(old) is kerasbn.layers.BatchNormalization:
            return layer(name=old.name)
        return type(old).from_config(old.get_config())

    return keras.models.clone_model(built, clone_function=replace)


def scores(layer, depth, activation, batch_size, seed):
    """Return validation accuracy and gap after each epoch."""
    x, y = load_digits(return_X_y=True)
    x_train, x_val, y_train, y_val = train_test_split(
        x.astype("float32"), y, test_size=0.25, random_state=0, stratify=y
    )
    keras.utils.set_random_seed(seed)
    model = network(layer, depth, activation)
    model.compile(
        kerasbn.optimizers.sgd(0.05),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    results = []

    def measure(epoch, logs):
        # With batch statistics of all rows at once, instead of moving ones.
        able = model.stateless_call(
            model.trainable_variables,
            model.non_trainable_variables,
            x_train,
            training=True,
        )[0]
        able = np.mean(np.argmax(able, axis=1) == y_train)
        results.append((logs["val_accuracy"], able - logs["val_accuracy"]))

    model.fit(
        x_train,
        y_train,
        batch_size=batch_size,
        epochs=EPOCHS,
        validation_data=(x_val, y_val),
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=measure)],
    )
    return results


if __name__ == "__main__":
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    print(
        f"accuracy after epochs 1-{EPOCHS} and, in brackets, what the moving "
        f"statistics cost; mean of {seeds} seeds"
    )
    for case in CASES:
        print("depth {}, {}, batch {}".format(*case))
        for name, layer in LAYERS.items():
            mean = np.mean(
                [scores(layer, *case, seed) for seed in range(seeds)], axis=0
            )
            print(
                f"  {name:<15}"
                + "  ".join(f"{score:.3f} ({gap:+.3f})" for score, gap in mean),
                flush=True,
            )
