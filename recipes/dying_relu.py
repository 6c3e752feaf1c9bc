"""
Title: Units that die, and three cures
Author: kerasbn
Date created: 2026/11/21
Last modified: 2026/11/21
Description: High rates kill units (0.29), but not with normalization (0.976).
Accelerator: None
Seconds: 29
"""

"""
## Introduction

Claim: ReLU units die: with a large learning rate or a negative bias they output
0 for every row, get no gradient and never come back. LeakyReLU and ELU units do
not (Géron, "Hands-On Machine Learning", chapter 11; Lu et al., 2019,
https://arxiv.org/abs/1903.06733), and batch normalization prevents it.

Holds for ReLU, and for LeakyReLU, whose units never die. Does not hold that
such a network therefore trains, nor that batch normalization prevents every
death: it does at a large learning rate, but not with a negative beta, which
takes the place of the bias.

The networks have four hidden layers and learn scikit-learn's handwritten
digits. A unit is dead if no row of a batch activates it:

                               validation   dead units
    network                    accuracy     epoch 1   last   NaN
    large_rate                 0.291        0.13      0.59   never
    large_rate_smaller         0.964        0.02      0.03   never
    large_rate_leaky_relu      0.793        0.00      0.00   never
    large_rate_elu             0.102        0.00      0.49   never
    large_rate_batch           0.976        0.00      0.00   never
    negative_bias              0.102        0.78      0.78   never
    negative_bias_zero         0.949        0.01      0.03   never
    negative_bias_leaky_relu   0.260        0.00      0.00   never
    negative_bias_elu          0.924        0.00      0.00   never
    negative_bias_batch        0.164        0.10      0.14   never
    leaky_relu_unclipped       0.100        0.00      nan    at step 10
"""

"""
## Setup
"""

import os
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow logs less
print("Starting TensorFlow ...", flush=True)

import keras
import kerasbn
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 0
HIDDEN_UNITS = [64] * 4
BATCH_SIZE = 128
EPOCHS = 10
LOG_DIR = "logs/dying_relu"

"""
## Prepare the data

The first layer of each network normalizes the pixel values, which go from 0 to
16. A quarter of the images is kept for validation.
"""

x, y = load_digits(return_X_y=True)
# (x, y), _ = keras.datasets.fashion_mnist.load_data()  # 60,000 images, slower
x = x.reshape(len(x), -1)
x_train, x_val, y_train, y_val = train_test_split(
    x, y, train_size=0.75, random_state=SEED, stratify=y
)

"""
## Train the networks

Two things kill units here: a learning rate of 0.5, and a bias of -2 in each
hidden layer (with batch normalization, a beta of -2). Each cure differs from
its failure in one argument. The last network is "large_rate_leaky_relu" without
`clipnorm`.
"""

large_rate = {
    "activation": "relu",
    "normalization": None,
    "learning_rate": 0.5,
    "bias": 0.0,
    "clipnorm": 1.0,
}
negative_bias = {**large_rate, "learning_rate": 0.02, "bias": -2.0}
networks = {
    "large_rate": large_rate,
    "large_rate_smaller": {**large_rate, "learning_rate": 0.05},
    "large_rate_leaky_relu": {**large_rate, "activation": "leaky_relu"},
    "large_rate_elu": {**large_rate, "activation": "elu"},
    "large_rate_batch": {**large_rate, "normalization": "batch"},
    "negative_bias": negative_bias,
    "negative_bias_zero": {**negative_bias, "bias": 0.0},
    "negative_bias_leaky_relu": {**negative_bias, "activation": "leaky_relu"},
    "negative_bias_elu": {**negative_bias, "activation": "elu"},
    "negative_bias_batch": {**negative_bias, "normalization": "batch"},
}
networks["leaky_relu_unclipped"] = {
    **networks["large_rate_leaky_relu"],
    "clipnorm": None,
}
shutil.rmtree(LOG_DIR, ignore_errors=True)  # curves of an earlier run would mix
table = []
for run, arguments in networks.items():
    keras.utils.set_random_seed(SEED)
    model = kerasbn.models.mlp(
        x_train.shape[1:],
        HIDDEN_UNITS,
        10,
        output_activation="softmax",
        activation=arguments["activation"],
        normalization=arguments["normalization"],
    )
    for variable in model.trainable_variables:
        # With batch normalization, beta takes the place of the bias.
        if variable.name in ("bias", "beta") and "hidden" in variable.path:
            variable.assign(variable + arguments["bias"])
    model.compile(
        kerasbn.optimizers.sgd(
            arguments["learning_rate"], clipnorm=arguments["clipnorm"]
        ),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    monitor = kerasbn.callbacks.GradientMonitor(
        f"{LOG_DIR}/{run}/gradients",
        every=1,
        hparams={"network": run, "bias": arguments["bias"]},
    )
    print(f"Training {run:<26}", end=" ", flush=True)
    history = model.fit(
        x_train,
        y_train,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(x_val, y_val),
        verbose=0,
        callbacks=[
            monitor,
            keras.callbacks.TensorBoard(f"{LOG_DIR}/{run}", write_graph=False),
        ],
    )
    dead = np.mean(list(monitor.layer_history["dead_units"].values()), axis=0)
    accuracy = history.history["val_accuracy"][-1]
    non_finite = monitor.first_non_finite
    table.append(
        (
            run,
            accuracy,
            dead[0],
            np.nan if non_finite else dead[-1],
            f"at step {non_finite.step}" if non_finite else "never",
        )
    )
    print(f"validation accuracy {accuracy:.3f}", flush=True)

"""
## Read the gradients

The share of dead units is measured at the end of an epoch and averaged over the
hidden layers. TensorBoard has a curve for each layer, `dead_units`.
"""

print(
    "\n                           validation   dead units"
    "\nnetwork                    accuracy     epoch 1   last   NaN"
)
for run, accuracy, first, last, non_finite in table:
    print(f"{run:<27}{accuracy:<13.3f}{first:<10.2f}{last:<7.2f}{non_finite}")

print(
    "\nTo see the runs in your browser:"
    f"\n{sys.executable} -m tensorboard.main --logdir {LOG_DIR}"
)

"""
## Conclusion

Dead units do not come back: with the large learning rate their share rises from
0.13 after one epoch to 0.59 after ten, and with the negative bias it is 0.78
from the first epoch to the last. The monitor's `dead_units` shows it while the
loss merely looks flat.

Two changes cure the large rate: a smaller one, 0.05 (0.964), and batch
normalization (0.976, with no dead unit). LeakyReLU reaches 0.793 without a dead
unit, but only because the optimizer clips; without clipping the same network is
NaN at step 10. Units that cannot die also let an oversized gradient through.
ELU ends at chance here: half its units sit at its flat end, which is death by
another name.

Two changes cure the negative bias: no bias (0.949), or ELU (0.924). LeakyReLU
keeps all units alive and still ends at 0.260, and batch normalization with a
beta of -2 ends at 0.164. Books say "use LeakyReLU or ELU", but a live unit does
not always learn, and the right cure depends on the cause.
"""
