"""
Title: Which activations lose the gradient over depth
Author: kerasbn
Date created: 2026/11/21
Last modified: 2026/11/21
Description: A sigmoid layer keeps 0.24 of the gradient, a tanh layer 0.99.
Accelerator: None
Seconds: 41
"""

"""
## Introduction

Claim: sigmoid and tanh let the gradient vanish in deep networks, ReLU and its
relatives do not (Glorot and Bengio, 2010; Géron, "Hands-On Machine Learning",
chapter 11), and batch normalization makes the choice matter less (Ioffe and
Szegedy, 2015, https://arxiv.org/abs/1502.03167).

Holds for sigmoid: a layer keeps 0.24 of the gradient, and the network stays at
chance. Does not hold for tanh, which keeps 0.99 with Glorot initialization and
ends level with the others. Holds for batch normalization: all six networks
train with it, although the gradient now grows on its way back, by a factor of
up to 1.25 per layer.

The networks have six hidden layers and learn scikit-learn's handwritten digits.
"Kept" is the share of the gradient's RMS that one layer passes back to the one
before it at the first step: 0.2 over ten layers leaves a ten-millionth.

                 plain                   batch normalization
    activation   accuracy   kept/layer   accuracy   kept/layer
    sigmoid      0.102      0.24         0.964      1.02
    tanh         0.976      0.99         0.971      1.08
    relu         0.956      0.97         0.969      1.25
    leaky_relu   0.964      1.02         0.973      1.14
    prelu        0.973      0.97         0.971      1.25
    elu          0.973      1.03         0.976      1.07
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
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 0
ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky_relu", "prelu", "elu"]
HIDDEN_UNITS = [64] * 6  # deep enough for sigmoid to fail
LEARNING_RATE = 0.02
BATCH_SIZE = 32
EPOCHS = 8
LOG_DIR = "logs/activations_against_depth"

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
whole = len(x_train) - len(x_train) % BATCH_SIZE
x_train, y_train = x_train[:whole], y_train[:whole]

"""
## Train the networks

Each activation is trained without and with batch normalization in the hidden
layers. The builder picks the initializer that fits the activation: Glorot for
sigmoid and tanh, He for the others. Input normalization, optimizer and learning
rate are the same for all.
"""

shutil.rmtree(LOG_DIR, ignore_errors=True)  # curves of an earlier run would mix
table = {}
for activation in ACTIVATIONS:
    for normalization in (None, "batch"):
        run = f"{activation}_{normalization or 'plain'}"
        keras.utils.set_random_seed(SEED)
        model = kerasbn.models.mlp(
            x_train.shape[1:],
            HIDDEN_UNITS,
            10,
            output_activation="softmax",
            activation=activation,
            normalization=normalization,
        )
        model.compile(
            kerasbn.optimizers.sgd(LEARNING_RATE),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        monitor = kerasbn.callbacks.GradientMonitor(
            f"{LOG_DIR}/{run}/gradients",
            every=1,
            layers=False,
            hparams={
                "activation": activation,
                "normalization": str(normalization),
            },
        )
        print(f"Training {run:<20}", end=" ", flush=True)
        history = model.fit(
            x_train,
            y_train,
            batch_size=BATCH_SIZE,
            epochs=EPOCHS,
            validation_data=(x_val, y_val),
            verbose=0,
            callbacks=[
                monitor,
                keras.callbacks.TensorBoard(
                    f"{LOG_DIR}/{run}", write_graph=False
                ),
            ],
        )
        rms = monitor.history["gradient_rms"]
        # Skip the first layer, which has another number of inputs.
        steps_back = len(HIDDEN_UNITS) - 2
        first = rms["hidden_1/kernel"][0]
        last = rms[f"hidden_{len(HIDDEN_UNITS) - 1}/kernel"][0]
        kept = (first / last) ** (1 / steps_back)
        accuracy = history.history["val_accuracy"][-1]
        table[activation, normalization] = accuracy, kept
        print(f"validation accuracy {accuracy:.3f}", flush=True)

"""
## Read the gradients
"""

print(
    "\n             plain                   batch normalization"
    "\nactivation   accuracy   kept/layer   accuracy   kept/layer"
)
for activation in ACTIVATIONS:
    plain, batch = table[activation, None], table[activation, "batch"]
    print(
        f"{activation:<13}{plain[0]:<11.3f}{plain[1]:<13.2f}"
        f"{batch[0]:<11.3f}{batch[1]:.2f}"
    )

print(
    "\nTo see the runs in your browser:"
    f"\n{sys.executable} -m tensorboard.main --logdir {LOG_DIR}"
)

"""
## Conclusion

Only sigmoid fails: 0.24 per layer is 0.003 over the four steps back from the
last layer to the second, and the accuracy is chance. The gradient of tanh
vanishes too if the kernels are too small or too large; with Glorot
initialization tanh keeps 0.99 and ends at 0.976, the best of the plain
networks. ReLU and its three relatives keep 0.97 to 1.03 and end within 0.017 of
each other. The standard error of an accuracy over 450 rows is 0.008, so at this
depth the choice among them hardly matters.

With batch normalization sigmoid trains (0.964), and no other activation changes
by more than 0.013. The gradients still differ: ReLU and PReLU pass back 1.25
times what they receive, a factor of 70,000 over fifty layers. A vanishing
gradient has been traded for a growing one, which does no harm over six layers.
"""
