"""
Title: Train a deep network that does not train
Author: kerasbn
Date created: 2026/11/21
Last modified: 2026/11/21
Description: Twenty plain layers stay at chance, the builder's reach 0.97.
Accelerator: None
Seconds: 24
"""

"""
## Introduction

A deep plain network with sigmoid layers does not learn: each layer shrinks the
gradient on its way back, and next to nothing reaches the first layers. This
recipe trains such a network and the one that `kerasbn.models.mlp` builds by
default, and shows the gradients that `fit` applied to both.

This is one run on two CPU cores, with scikit-learn's 1,797 handwritten digits:

                validation   after     RMS gradient of hidden layer
    network     accuracy     epoch 1   first       last        seconds
    plain       0.102        0.102     2.1e-14     2.6e-03     8
    kerasbn     0.973        0.911     1.2e-03     4.5e-04     11
"""

"""
## Setup
"""

import os
import shutil
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow logs less
print("Starting TensorFlow ...", flush=True)

import keras
import kerasbn
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 0
HIDDEN_UNITS = [100] * 20  # deep enough for the plain network to fail
LEARNING_RATE = 0.02  # decays to 0 over the training
BATCH_SIZE = 32
EPOCHS = 20
LOG_DIR = "logs/train_deep_mlp"

"""
## Prepare the data

The pixel values go in raw, from 0 to 16: the first layer of the built network
normalizes them. A quarter of the images is kept for validation. The training
data is cut to whole batches: a last batch of three rows gives poor statistics,
and would show as a bright stripe at the end of each epoch.
"""

x, y = load_digits(return_X_y=True)
# x, y = keras.datasets.mnist.load_data()[0]  # 60,000 images, slower
x = x.reshape(len(x), -1)
x_train, x_val, y_train, y_val = train_test_split(
    x, y, train_size=0.75, random_state=SEED, stratify=y
)
whole = len(x_train) - len(x_train) % BATCH_SIZE
x_train, y_train = x_train[:whole], y_train[:whole]

"""
## Train both networks

Depth, width, data, seed, optimizer and learning rate are the same. The plain
network differs in the arguments listed under its name: sigmoid layers and no
normalization.
"""

networks = {
    "plain": {
        "activation": "sigmoid",
        "normalize_inputs": False,
        "normalization": None,
    },
    "kerasbn": {},  # the defaults of the builder
}
shutil.rmtree(LOG_DIR, ignore_errors=True)  # curves of an earlier run would mix
monitors, table = {}, []
for name, arguments in networks.items():
    keras.utils.set_random_seed(SEED)
    model = kerasbn.models.mlp(
        x_train.shape[1:],
        HIDDEN_UNITS,
        10,
        output_activation="softmax",
        name=name,
        **arguments,
    )
    schedule = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE, EPOCHS * -(-len(x_train) // BATCH_SIZE)
    )
    model.compile(
        kerasbn.optimizers.sgd(schedule),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    monitors[name] = kerasbn.callbacks.GradientMonitor(
        f"{LOG_DIR}/{name}/gradients", hparams={"network": name}
    )
    print(f"\nTraining the {name} network for {EPOCHS} epochs:", flush=True)
    start = time.perf_counter()
    history = model.fit(
        x_train,
        y_train,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(x_val, y_val),
        verbose=2,  # one line per epoch
        callbacks=[
            monitors[name],
            keras.callbacks.TensorBoard(f"{LOG_DIR}/{name}", write_graph=False),
        ],
    )
    seconds = time.perf_counter() - start
    accuracy = history.history["val_accuracy"]
    rms = monitors[name].history["gradient_rms"]
    table.append(
        (
            name,
            accuracy[-1],
            accuracy[0],
            np.median(rms["hidden_0/kernel"]),
            np.median(rms[f"hidden_{len(HIDDEN_UNITS) - 1}/kernel"]),
            seconds,
        )
    )

"""
## Read the gradients

There is a table, a picture, and the two runs in TensorBoard. In the picture a
row is a layer, with the first at the top, and a column is a step.
"""

print(
    "\n            validation   after     RMS gradient of hidden layer"
    "\nnetwork     accuracy     epoch 1   first       last        seconds"
)
for name, last, first, rms_first, rms_last, seconds in table:
    print(
        f"{name:<12}{last:<13.3f}{first:<10.3f}"
        f"{rms_first:<12.1e}{rms_last:<12.1e}{seconds:.0f}"
    )

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for monitor, where in zip(monitors.values(), axes, strict=True):
    monitor.plot(where)
figure.savefig(f"{LOG_DIR}/gradient_flow.png", dpi=80)
plt.close(figure)

print(f"\nThe gradient flow of both networks: {LOG_DIR}/gradient_flow.png")
print(
    "\nTo see the runs in your browser:"
    f"\n{sys.executable} -m tensorboard.main --logdir {LOG_DIR}"
)

"""
## Conclusion

The plain network stays at 0.10, which is chance. Its last hidden layer gets an
RMS gradient of 2.6e-03 and its first one of 2.1e-14: the loss cannot reach it,
and no learning rate can make up for that. In the network built by default the
gradients at both ends are of the same order, and the accuracy is 0.91 after one
epoch and 0.97 after twenty.

To see which part makes the difference, give the plain network one default back
at a time. `activation="elu"` alone, which also brings He initialization, lets
the gradient through but leaves the training at the mercy of the learning rate.
"""
