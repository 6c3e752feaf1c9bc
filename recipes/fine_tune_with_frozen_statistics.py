"""
Title: Fine-tune on few rows with frozen statistics
Author: kerasbn
Date created: 2026/11/21
Last modified: 2026/11/21
Description: On 40 images, frozen statistics reach 0.895, trainable ones 0.839.
Accelerator: None
Seconds: 55
"""

"""
## Introduction

Claim: keep batch normalization in inference mode while fine-tuning, or the
updates of its statistics "will suddenly destroy what the model has learned"
(Keras guide "Transfer learning & fine-tuning",
https://keras.io/guides/transfer_learning).

Holds, although "destroy" is too strong: trainable statistics cost 0.056.

A network that knows the digits 0 to 4 learns 5 to 9 from 40 images, in batches
of 4. The accuracy is that on the 856 images it did not see, as the mean of
three seeds:

    batch            validation accuracy         distance of
    normalization    fine-tuned    calibrated    statistics
    trainable        0.839         0.824         0.29
    frozen           0.895         0.873         0.73
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

SEEDS = [0, 1, 2]
HIDDEN_UNITS = [100] * 5
FEW_ROWS = 40
BATCH_SIZE = 4  # as small as large rows force it to be
PRETRAINING_EPOCHS = 15
EPOCHS = 20
LOG_DIR = "logs/fine_tune_with_frozen_statistics"

"""
## Prepare the data

The digits 0 to 4 are for pretraining, a few images of the other digits for
fine-tuning, and the rest of those for validation.
"""

x, y = load_digits(return_X_y=True)
# x, y = keras.datasets.mnist.load_data()[0]  # 60,000 images, slower
x = x.reshape(len(x), -1)
x_old, x_old_val, y_old, y_old_val = train_test_split(
    x[y < 5], y[y < 5], train_size=0.8, random_state=0, stratify=y[y < 5]
)
x_train, x_val, y_train, y_val = train_test_split(
    x[y >= 5],
    y[y >= 5] - 5,
    train_size=FEW_ROWS,
    random_state=0,
    stratify=y[y >= 5],
)

"""
## Build the model

The pretrained network stands for one that others have trained on a large data
set.
"""


def compiled(model):
    model.compile(
        kerasbn.optimizers.adam(),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def callbacks(run, **hparams):
    return [
        kerasbn.callbacks.GradientMonitor(f"{run}/gradients", hparams=hparams),
        keras.callbacks.TensorBoard(run, write_graph=False),
    ]


shutil.rmtree(LOG_DIR, ignore_errors=True)  # curves of an earlier run would mix
keras.utils.set_random_seed(SEEDS[0])
pretrained = kerasbn.models.mlp(
    x.shape[1:], HIDDEN_UNITS, 5, output_activation="softmax"
)
print("Pretraining on the digits 0 to 4:", end=" ", flush=True)
history = compiled(pretrained).fit(
    x_old,
    y_old,
    epochs=PRETRAINING_EPOCHS,
    validation_data=(x_old_val, y_old_val),
    verbose=0,
    callbacks=callbacks(f"{LOG_DIR}/pretraining"),
)
print(f"validation accuracy {history.history['val_accuracy'][-1]:.3f}")

"""
## Train the model

The network is fine-tuned twice per seed, from the same weights and with a new
output layer. The runs differ in one argument, `trainable` of the normalization
layers: a frozen layer normalizes with its statistics and does not update them.
Afterwards `kerasbn.calibrate` gives each network the exact statistics of the 40
images, to see whether that repairs the damage.
"""

results = {True: [], False: []}
for trainable, rows in results.items():
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        body = keras.models.clone_model(pretrained)
        body.set_weights(pretrained.get_weights())
        for layer in body.layers:
            if layer.name.endswith("normalization"):
                layer.trainable = trainable
        output = keras.layers.Dense(5, "softmax", name="new_output")
        model = keras.Model(body.input, output(body.layers[-2].output))
        run = "trainable" if trainable else "frozen"
        monitor, *others = callbacks(
            f"{LOG_DIR}/{run}_{seed}", trainable=trainable
        )
        print(f"Fine-tuning {run}, seed {seed}:", end=" ", flush=True)
        history = compiled(model).fit(
            x_train,
            y_train,
            batch_size=BATCH_SIZE,
            epochs=EPOCHS,
            validation_data=(x_val, y_val),
            verbose=0,
            callbacks=[monitor, *others],
        )
        distances = [
            column[-1]
            for name, column in monitor.layer_history.items()
            if name.startswith("statistics_distance/hidden")
        ]
        for layer in model.layers:
            layer.trainable = True  # calibration leaves frozen layers alone
        kerasbn.calibrate(model, x_train, verbose=0)
        calibrated = model.predict(x_val, verbose=0).argmax(axis=1) == y_val
        accuracy = history.history["val_accuracy"][-1]
        rows.append((accuracy, calibrated.mean(), np.mean(distances)))
        print(f"validation accuracy {accuracy:.3f}", flush=True)

"""
## Read the gradients

The distance is that between the moving statistics and those of a batch, in
deviations, as the monitor reads it at the end of an epoch.
"""

print(
    "\nbatch            validation accuracy         distance of"
    "\nnormalization    fine-tuned    calibrated    statistics"
)
for trainable, rows in results.items():
    accuracy, calibrated, distance = np.mean(rows, axis=0)
    name = "trainable" if trainable else "frozen"
    print(f"{name:<17}{accuracy:<14.3f}{calibrated:<14.3f}{distance:.2f}")
print(
    "\nTo see the runs in your browser:"
    f"\n{sys.executable} -m tensorboard.main --logdir {LOG_DIR}"
)

"""
## Conclusion

With statistics that follow batches of four images, the network reaches 0.839.
Frozen layers keep the statistics of the 720 images of the other digits, and the
network reaches 0.895, although those statistics lie 0.73 deviations from those
of the new batches. Trainable statistics do harm, but "destroy" is too strong a
word here.

Exact statistics of the forty images do not repair the damage afterwards: 0.824
where the layers were trainable, 0.873 where they were frozen.
`kerasbn.calibrate` is for plenty of data, and for weights that were averaged or
copied.
"""
