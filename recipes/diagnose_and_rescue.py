"""
Title: Have a broken script diagnosed and mended
Author: kerasbn
Date created: 2026/11/21
Last modified: 2026/11/21
Description: A silent script of two faults reaches 0.902, and 0.958 once mended.
Accelerator: None
Seconds: 26
"""

"""
## Introduction

Claim: "when your network does not work, it fails silently": the loss is a
number and says nothing of the reason (Karpathy, 2019,
https://karpathy.github.io/2019/04/25/recipe).

Holds with Keras: no error, no warning, 0.902. kerasbn names both faults before
the first step.

Eight sigmoid layers on the measurements of 569 breast tumours, in raw units,
and a last layer that was forgotten an activation:

    script     validation    loss, last    findings    findings
               accuracy      epoch         before      after training
    broken     0.902         0.303         2           2
    mended     0.958         0.006         0           0
"""

"""
## Setup
"""

import shutil

import keras
import kerasbn
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

SEED = 0
BATCH_SIZE = 32
EPOCHS = 15
LOG_DIR = "logs/diagnose_and_rescue"

"""
## Prepare the data

As it comes, in units from 0.001 to 4,000. A quarter is kept for validation.
"""

x, y = load_breast_cancer(return_X_y=True)
x_train, x_val, y_train, y_val = train_test_split(
    x, y, train_size=0.75, random_state=SEED, stratify=y
)

"""
## Build the model

As a script might: Keras takes it without a word.
"""

keras.utils.set_random_seed(SEED)
broken = keras.Sequential(
    [
        keras.Input(x_train.shape[1:]),
        *(keras.layers.Dense(50, "sigmoid") for _ in range(8)),
        keras.layers.Dense(1),
    ],
    name="broken",
)
broken.compile(
    keras.optimizers.Adam(), "binary_crossentropy", metrics=["accuracy"]
)

"""
## Ask before training, and have it mended

`kerasbn.diagnose` looks at the model and the data; nothing is trained.
`kerasbn.rescue` tries remedies on copies, in short runs on the same batches,
and keeps the smallest set that helps. Printed, it is the patch for the script.
"""

print("Before training:\n")
for finding in kerasbn.diagnose(broken, x_train, y_train):
    print(f"- {finding}")
result = kerasbn.rescue(broken, x_train, y_train, epochs=EPOCHS)
print(f"\nThe rescue, by {len(result.trials)} short runs:\n\n{result}")

"""
## Train the models

Both are trained anew: the broken one as it stands above, and the mended one.
"""

shutil.rmtree(LOG_DIR, ignore_errors=True)  # curves of an earlier run would mix
table = []
for name, model in (("broken", broken), ("mended", result.model)):
    before = kerasbn.diagnose(model, x_train, y_train)
    run = f"{LOG_DIR}/{name}"
    monitor = kerasbn.callbacks.GradientMonitor(
        f"{run}/gradients", hparams={"script": name}
    )
    history = model.fit(
        x_train,
        y_train,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(x_val, y_val),
        verbose=0,
        callbacks=[
            monitor,
            keras.callbacks.TensorBoard(run, write_graph=False),
        ],
    ).history
    accuracy, loss = history["val_accuracy"][-1], history["loss"][-1]
    table.append((name, accuracy, loss, len(before), len(monitor.findings)))
    print(f"\nThe {name} script, after training:\n")
    for finding in monitor.findings:
        print(f"- {finding}")
    if not monitor.findings:
        print(monitor.findings.healthy)

"""
## Read the gradients

The gradients, and what was found in them, stand under Images and Text in
TensorBoard; the last line but one reads the findings from the files alone.
"""

print(
    "\nscript     validation    loss, last    findings    findings"
    "\n           accuracy      epoch         before      after training"
)
for name, accuracy, loss, before, after in table:
    print(f"{name:<11}{accuracy:<14.3f}{loss:<14.3f}{before:<12}{after}")
print(f"\nThe same from the files: kerasbn diagnose {LOG_DIR}/broken/gradients")
print(f"In your browser: tensorboard --logdir {LOG_DIR}")

"""
## Conclusion

The script runs through and reaches 0.902, which looks like a result. Two faults
are found before a step is taken: the loss wants probabilities and the last
layer gives none, and the inputs are far from normalized. With the patch that
`kerasbn.rescue` prints it reaches 0.958, its loss 0.006 instead of 0.303, and
the diagnosis has nothing to say any more.
"""
