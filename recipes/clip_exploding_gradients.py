"""
Title: Clip exploding gradients of a recurrent network
Author: kerasbn
Date created: 2026/11/21
Last modified: 2026/11/21
Description: Every run ends in NaN without clipping, none with global_clipnorm.
Accelerator: None
Seconds: 94
"""

"""
## Introduction

A gradient that goes back through 192 steps is multiplied by the recurrent
kernel 192 times. If each multiplication makes it only slightly larger, it
explodes. This recipe trains one network on the adding problem: a sequence of
numbers with two of them marked, whose sum is the target.

Claim: clipping the gradient keeps a recurrent network from diverging (Pascanu
et al., 2013, https://arxiv.org/abs/1211.5063), whichever way it is clipped.

Holds for fixed limits, although only a limit on the norm of the whole gradient
keeps its direction. Does not hold for learned limits: the first gradient
already explodes, before there is anything to learn from.

Each row is three seeds on two CPU cores. "direction" is the cosine between the
first step and the gradient itself. Always predicting the mean gives a loss of
0.23:

    clipping            direction   diverged   median loss
    none                1.00        3 of 3     nan
    clipvalue 0.1       0.51        0 of 3     0.298
    clipnorm 1          0.48        0 of 3     0.547
    global_clipnorm 1   1.00        0 of 3     0.288
    Adaptive            0.01        3 of 3     nan
    ZClip               1.00        3 of 3     nan
    global, AutoClip    1.00        0 of 3     0.291
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

SEEDS = 3
LENGTH = 192  # steps: three images of 64 pixels
UNITS = 32
LEARNING_RATE = 0.005
MOMENTUM = 0.9
BATCH_SIZE = 32
EPOCHS = 10
LOG_DIR = "logs/clip_exploding_gradients"

"""
## Prepare the data

The numbers are the pixels of scikit-learn's handwritten digits, three images to
a sequence. One pixel in the first half and one in the second are marked.
"""

x, _ = load_digits(return_X_y=True)
numbers = x[: len(x) // 3 * 3].reshape(-1, LENGTH) / 16
random = np.random.default_rng(0)
marks = np.zeros_like(numbers)
rows = np.arange(len(numbers))
marks[rows, random.integers(0, LENGTH // 2, len(rows))] = 1
marks[rows, random.integers(LENGTH // 2, LENGTH, len(rows))] = 1
x = np.stack([numbers, marks], axis=-1).astype("float32")
y = (numbers * marks).sum(axis=1).astype("float32")
split = len(x) * 3 // 4
x_train, x_val, y_train, y_val = x[:split], x[split:], y[:split], y[split:]

"""
## Build the model

The recurrent kernel of the ReLU units starts as the identity (Le et al., 2015,
https://arxiv.org/abs/1504.00941): nothing is forgotten, and everything adds up.
"""


def build(optimizer, seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((LENGTH, 2)),
            keras.layers.SimpleRNN(
                UNITS, activation="relu", recurrent_initializer="identity"
            ),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mean_squared_error", jit_compile=True)
    return model


"""
## Train the model

The runs differ only in the clipping rules. First, one step at a learning rate
of 1 without clipping gives the gradient, with which the first step of each rule
is compared.
"""

clipping = kerasbn.clipping
runs = {
    "none": [],
    "clipvalue 0.1": [clipping.ByValue(0.1)],
    "clipnorm 1": [clipping.ByNorm(1.0)],
    "global_clipnorm 1": [clipping.ByGlobalNorm(1.0)],
    "Adaptive": [clipping.Adaptive()],
    "ZClip": [clipping.ZClip()],
    "global, AutoClip": [clipping.ByGlobalNorm(1.0), clipping.AutoClip()],
}
shutil.rmtree(LOG_DIR, ignore_errors=True)  # curves of an earlier run would mix
model = build(keras.optimizers.SGD(1.0), seed=0)
weights = model.get_weights()
model.fit(x_train[:BATCH_SIZE], y_train[:BATCH_SIZE], verbose=0)
gradients = [
    old - new for old, new in zip(weights, model.get_weights(), strict=True)
]
table = []
for name, rules in runs.items():
    model.set_weights(weights)
    optimizer = kerasbn.optimizers.Clipped(keras.optimizers.SGD(1.0), rules)
    optimizer.apply(
        [keras.ops.array(each) for each in gradients], model.trainable_variables
    )
    steps = zip(weights, model.get_weights(), strict=True)
    clipped = np.concatenate([np.ravel(old - new) for old, new in steps])
    whole = np.concatenate([np.ravel(each) for each in gradients])
    cosine = clipped @ whole / np.linalg.norm(clipped) / np.linalg.norm(whole)
    losses = []
    print(f"Training with {name:<18}", end=" ", flush=True)
    for seed in range(SEEDS):
        optimizer = kerasbn.optimizers.Clipped(
            keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM),
            rules,
            skip_non_finite=False,  # as stock optimizers do
        )
        run = f"{LOG_DIR}/{name.replace(', ', '_').replace(' ', '_')}"
        history = build(optimizer, seed).fit(
            x_train,
            y_train,
            batch_size=BATCH_SIZE,
            epochs=EPOCHS,
            validation_data=(x_val, y_val),
            verbose=0,
            # The runs of one seed are enough to look at.
            callbacks=[
                kerasbn.callbacks.GradientMonitor(
                    f"{run}/gradients", hparams={"clipping": name}
                ),
                keras.callbacks.TensorBoard(run, write_graph=False),
            ]
            if seed == 0
            else [],
        )
        losses.append(history.history["val_loss"][-1])
    diverged = sum(not loss < 1 for loss in losses)
    table.append((name, cosine, diverged, np.median(losses)))
    print(f"validation losses {np.round(losses, 3)}", flush=True)

"""
## Read the gradients
"""

print("\nclipping            direction   diverged   median loss")
for name, cosine, diverged, loss in table:
    print(f"{name:<20}{cosine:<12.2f}{diverged} of {SEEDS}     {loss:.3g}")

print(
    "\nTo see the runs in your browser:"
    f"\n{sys.executable} -m tensorboard.main --logdir {LOG_DIR}"
)

"""
## Conclusion

Clipping keeps the runs finite. It does not solve the adding problem, for which
ten epochs of SGD are too few: the loss stays near that of predicting the mean.

`clipvalue` and `clipnorm` turn the first step by 60 degrees: they cut down the
large entries, or the large variables, and leave the small ones as they are.
`global_clipnorm` keeps the direction and shortens the step. ZClip learns the
usual norm from earlier steps, so it lets the first ones pass. Adaptive allows
each unit a share of its weights, so its limit grows with the weights. After a
fixed limit, AutoClip does no harm.

In TensorBoard, compare `window/global_norm_max` of the runs under Scalars.
"""
