"""Steps that batch normalization saves.

The plain network has stock layers without batch normalization and pixels scaled
to [0, 1]; the builder's network has the same layers with it: three of 100
sigmoid units, as in section 4.1 of the batch normalization paper, and a small
CNN. Both train with `kerasbn.optimizers.sgd` in batches of 60, at each learning
rate of one grid. The goal is the best that the plain network reaches: its
highest validation accuracy, and its lowest loss on 1,000 training images.

    python benchmarks/convergence.py [--seeds N] [--mnist FILE]

FILE is an `.npz` with MNIST's images x and labels y. With three seeds, the
default, the medians on digits are as follows: the best of each network, and the
learning rate and steps at which the plain network's best is reached.

                   plain   builder   plain       builder          at 0.01
    MLP, accuracy  .9694   .9889     0.3  1120   0.1   140   7.9   300   3.5
    MLP, loss      .0012   .0000     0.3  2000   1.0   660   3.0   never
    CNN, accuracy  .9778   .9889     0.1   400   0.1   120   1.3   340   0.5
    CNN, loss      .0010   .0001     0.1   480   0.1   380   1.2   never

The ratio is the median of the seeds' ratios, not that of the medians. It never
reaches the paper's 14, which is for a deeper network on ImageNet; here the
plain networks have a tuned learning rate and momentum. At its default rate the
builder's CNN is slower, and both its networks miss the plain ones' lowest loss.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerasbn

RATES = (0.01, 0.1, 0.3, 1.0)  # the first is the default of `sgd`
EVERY, BATCH_SIZE, SUBSET = 20, 60, 1000
PLAIN = {
    "normalize_inputs": False,
    "normalization": None,
    "kernel_initializer": "glorot_uniform",  # Keras's default
}


def mlp(shape, **options):
    """Return the network of the paper's section 4.1."""
    return kerasbn.models.mlp(
        shape,
        [100] * 3,
        10,
        output_activation="softmax",
        activation="sigmoid",
        **options,
    )


def cnn(shape, **options):
    """Return a CNN of four convolutions, which halves the image three times."""
    return kerasbn.models.cnn(
        shape, [8, 16, 32, 64], 10, output_activation="softmax", **options
    )


# Network and steps of training.
NETWORKS = {mlp: 2000, cnn: 600}


def digits():
    """Return images and labels of scikit-learn's digits."""
    x, y = load_digits(return_X_y=True)
    return x.reshape(-1, 8, 8, 1) / 16, y


def mnist(file):
    """Return images and labels of the file."""
    arrays = np.load(file)
    return arrays["x"][..., None] / 255, arrays["y"]


class Curve(keras.callbacks.Callback):
    """Validation accuracy and training loss after each epoch of `fit`."""

    def __init__(self, x, y, x_val, y_val):
        super().__init__()
        self.x, self.y_val = np.concatenate([x, x_val]), y_val
        self.y = y
        self.accuracy, self.loss = [], []

    def on_epoch_end(self, epoch, logs=None):
        """One forward pass over both."""
        output = self.model.predict_on_batch(self.x)
        guess = output[len(self.y) :].argmax(axis=1)
        likelihood = np.take_along_axis(
            output[: len(self.y)], self.y[:, None], axis=1
        )
        self.accuracy.append(np.mean(guess == self.y_val))
        self.loss.append(-np.mean(np.log(np.fmax(likelihood, 1e-7))))


def curves(network, options, data, seeds):
    """Return accuracy and loss, both of shape (rates, seeds, evaluations)."""
    x, x_val, y, y_val = data
    model = network(x.shape[1:], **options)
    optimizer = kerasbn.optimizers.sgd()
    model.compile(optimizer, "sparse_categorical_crossentropy")
    optimizer.build(model.trainable_variables)
    fresh = [variable.numpy() for variable in optimizer.variables]
    results = []
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        weights = network(x.shape[1:], **options).get_weights()
        order = np.random.default_rng(seed)
        steps = NETWORKS[network]
        rows = np.concatenate(
            [
                order.permutation(len(x))
                for _ in range(1 + steps * BATCH_SIZE // len(x))
            ]
        )[: steps * BATCH_SIZE]
        for rate in RATES:
            model.set_weights(weights)
            for variable, value in zip(optimizer.variables, fresh, strict=True):
                variable.assign(value)
            optimizer.learning_rate = rate
            curve = Curve(x[:SUBSET], y[:SUBSET], x_val, y_val)
            # One epoch is EVERY steps, whatever the number of rows.
            model.fit(
                batches(x, y, rows),
                steps_per_epoch=EVERY,
                epochs=steps // EVERY,
                shuffle=False,
                verbose=0,
                callbacks=[curve],
            )
            results.append([curve.accuracy, curve.loss])
    results = np.array(results).reshape(seeds, len(RATES), 2, -1)
    return results[:, :, 0].swapaxes(0, 1), results[:, :, 1].swapaxes(0, 1)


def batches(x, y, rows):
    """Yield the batches of the given rows."""
    for start in range(0, len(rows), BATCH_SIZE):
        chosen = rows[start : start + BATCH_SIZE]
        yield x[chosen], y[chosen]


def steps_to(goal, curve):
    """Return the steps until the curve of a seed reaches its goal, or inf."""
    reached = curve >= goal[..., None]
    first = EVERY * (1.0 + reached.argmax(axis=-1))
    return np.where(reached.any(axis=-1), first, np.inf)


def compare(plain, builder):
    """Print the best of both, and the steps to the plain network's best."""
    # The rate with the highest median of the seeds' best.
    rate = np.median(plain.max(axis=-1), axis=1).argmax()
    goal = plain[rate].max(axis=-1)
    needed = steps_to(goal, plain[rate])
    ours = steps_to(goal, builder)
    highest = np.median(builder.max(axis=-1), axis=1).max()
    print(
        f"{abs(np.median(goal)):<8.3g}{abs(highest):<9.3g}"
        f"{RATES[rate]:<6g}{np.median(needed):<8.0f}",
        end="",
    )
    for each in np.median(ours, axis=1).argmin(), 0:
        steps, ratio = np.median(ours[each]), np.median(needed / ours[each])
        found = f"{steps:<7.0f}{ratio:<8.1f}" if ratio else f"{'never':<15}"
        print(f"{RATES[each]:<6g}{found}", end="")
    print(flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mnist", metavar="FILE")
    arguments = parser.parse_args()
    sets = {"digits": digits()}
    if arguments.mnist:
        sets["MNIST"] = mnist(arguments.mnist)
    print(f"median of {arguments.seeds} seeds: the best of each; learning rate")
    print("and steps of plain, of the builder at its best rate and its default")
    print(
        f"{'':<23}plain   builder  rate  steps   "
        "rate  steps  ratio   rate  steps  ratio"
    )
    for name, (x, y) in sets.items():
        x, x_val, y, y_val = train_test_split(
            x.astype("float32"), y, test_size=0.2, random_state=0, stratify=y
        )
        for network in NETWORKS:
            data = x, x_val[:SUBSET], y.astype(int), y_val[:SUBSET]
            plain, builder = (
                curves(network, options, data, arguments.seeds)
                for options in (PLAIN, {})
            )
            for index, kind in enumerate(("accuracy", "loss")):
                sign = 1 - 2 * index  # the lowest loss is the highest -loss
                title = f"{name} {network.__name__}, {kind}"
                print(f"{title:<23}", end="")
                compare(sign * plain[index], sign * builder[index])
