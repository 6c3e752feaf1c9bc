"""Train a tiny network with each problem, and draw what the monitor saw.

Run `python docs/make_pictures.py [PROBLEM ...]` after a change to the heat map
or to a rule. It writes `docs/pictures/PROBLEM.png`, prints the findings, and
stops if the diagnosis does not name the problem that a network was built with.
It needs scikit-learn, and takes about three minutes on two cores.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras.initializers import Constant, RandomNormal
from keras.optimizers import SGD, Adam
from PIL import Image
from sklearn.datasets import load_digits, make_circles

import kerasbn

FOLDER = Path(__file__).parent / "pictures"
BATCH_SIZE, ROWS = 32, 1280  # whole batches: 40 steps an epoch
X, Y = (each[:1792] for each in load_digits(return_X_y=True))
X = X / 16
BLUE, ORANGE, GREY = "#31688e", "#d95f02", "#888888"


class Case(NamedTuple):
    """A network with one problem, its training, and what to look at.

    Attributes:
        build: Builds the network.
        left: Says what the heat map shows.
        right: Draws the panel on the right from axes, monitor and `History`.
        optimizer: Makes the optimizer.
        loss: Loss to compile with.
        x: Inputs.
        y: Targets.
        epochs: Epochs of 40 steps.
        metrics: Metrics to compile with.
    """

    build: Callable[[], keras.Model]
    left: str
    right: Callable[[Any, Any, Any], None]
    optimizer: Callable[[], keras.optimizers.Optimizer] = Adam
    loss: Any = "sparse_categorical_crossentropy"
    x: np.ndarray = X
    y: np.ndarray = Y
    epochs: int = 5
    metrics: tuple[str, ...] = ("accuracy",)


class HandWritten(keras.losses.Loss):
    """A loss that takes the difference of whatever it is given."""

    def call(self, y_true, y_pred):
        """Return the square of the difference."""
        return keras.ops.square(y_true - y_pred)


def healthy() -> keras.Model:
    """Build the network that the others are compared with."""
    return kerasbn.models.mlp((64,), [64] * 6, 10, output_activation="softmax")


def plain(
    depth: int = 6,
    activation: str = "relu",
    kernel: Callable[[], Any] = lambda: "he_normal",
    bias: Any = "zeros",
    units: int = 10,
    output_activation: str = "softmax",
    momentum: float | None = None,
    inserted: tuple[int, Callable[[Any], Any]] | None = None,
    features: int = 64,
) -> Callable[[], keras.Model]:
    """Return a function that builds a stack of `Dense` layers.

    `inserted` is a function with the number of the layer that it precedes.
    """

    def build():
        inputs = x = keras.Input((features,))
        for index in range(depth):
            if inserted and inserted[0] == index:
                x = keras.layers.Lambda(inserted[1])(x)
            x = keras.layers.Dense(
                64,
                activation,
                kernel_initializer=kernel(),
                bias_initializer=bias,
                name=f"hidden_{index}",
            )(x)
            if momentum:
                x = keras.layers.BatchNormalization(momentum=momentum)(x)
        outputs = keras.layers.Dense(units, output_activation, name="output")
        return keras.Model(inputs, outputs(x))

    return build


def biased() -> keras.Model:
    """Build layers whose biases a batch normalization subtracts."""
    layers = [
        layer
        for index in range(3)
        for layer in (
            keras.layers.Dense(64, name=f"hidden_{index}"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Activation("relu"),
        )
    ]
    output = keras.layers.Dense(10, "softmax", name="output")
    return keras.Sequential([keras.Input((64,)), *layers, output])


def loss(axes, monitor, history):
    """Draw the loss of each step and that of a constant guess."""
    steps, losses = monitor.history["step"], monitor.history["loss"]
    axes.plot(steps, losses, color=BLUE, linewidth=1)
    lost = steps[~np.isfinite(losses)]
    if len(lost):
        axes.axvspan(lost[0], steps[-1], color="red")
        axes.text(
            np.mean(lost), 1, "the loss is NaN", color="white", ha="center"
        )
    guess = monitor.run.data["losses"]["guess"]
    level(axes, guess)
    axes.set_title("loss (dashed: a constant guess)", fontsize=10)
    highest = np.nanmax(losses)
    if highest > 30 * guess:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.1 * max(guess, highest))


def clipping(axes, monitor, history):
    """Draw the norm of the gradient before and after clipping."""
    for name, colour, label in (
        ("global_norm", BLUE, "before clipping"),
        ("clipped/global_norm", ORANGE, "after clipping"),
    ):
        norms = monitor.history[name]
        axes.plot(monitor.history["step"], norms, color=colour, label=label)
    axes.set_yscale("log")
    axes.set_title("norm of the whole gradient", fontsize=10)


def updates(axes, monitor, history):
    """Draw what share of its norm a typical kernel moves by in each step."""
    ratios = np.median(kernels(monitor, "update_ratio"), axis=0)
    axes.plot(monitor.history["step"], ratios, color=BLUE, linewidth=1)
    level(axes, 1e-3)
    axes.set_yscale("log")
    axes.set_title("step / weights (dashed: usual)", fontsize=10)


def profile(axes, monitor, history):
    """Draw the gradient over depth, with that of a healthy network."""
    other, _ = trained(Case(healthy, "", loss))
    for each, colour, label in (
        (other, GREY, "a healthy network"),
        (monitor, BLUE, "this network"),
    ):
        rms = np.median(kernels(each, "gradient_rms"), axis=1)
        depth = np.linspace(0, 1, len(rms))
        axes.plot(depth, rms, "o-", color=colour, markersize=3, label=label)
    axes.set_yscale("log")
    axes.set_xticks([0, 1], ["first layer", "last layer"])
    axes.set_xlabel(" ")
    axes.set_title("median gradient, layer by layer", fontsize=10)


def saturation(axes, monitor, history):
    """Draw the share of outputs on the flat part of the activation."""
    bars(axes, monitor, "saturation", "outputs on the flat part")


def dead(axes, monitor, history):
    """Draw the share of dead units."""
    bars(axes, monitor, "dead_units", "units that are never active")


def scales(axes, monitor, history):
    """Draw the deviation of each input feature."""
    deviations = np.std(UNEVEN, axis=0)
    axes.plot(deviations, "o", color=BLUE, markersize=3)
    level(axes, 1.0)
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_ylim(-0.05, 1e5)
    axes.set_xlabel("input feature", fontsize=8, loc="left")
    axes.set_title("deviations (dashed: normalized)", fontsize=10)


def columns(axes, monitor, history):
    """Draw a trained kernel, a column for each unit."""
    weights = history.model.get_layer("hidden_0").kernel.numpy()
    axes.imshow(weights, aspect="auto", interpolation="nearest")
    axes.set_xlabel("unit", fontsize=8, loc="left")
    axes.set_ylabel("input", fontsize=8, loc="top")
    axes.set_title("hidden_0/kernel: all columns equal", fontsize=10)


def accuracies(axes, monitor, history):
    """Draw the accuracy on the training and on the validation rows."""
    by_epoch(axes, history, accuracy="training", val_accuracy="validation")
    axes.set_ylim(0, 1)
    axes.set_title("accuracy", fontsize=10)


def both_losses(axes, monitor, history):
    """Draw the loss of the training and of the validation rows."""
    by_epoch(axes, history, loss="training", val_loss="validation")
    axes.set_ylim(0)
    axes.set_title("loss", fontsize=10)


def recall(axes, monitor, history):
    """Draw accuracy and loss, and the share of the rare rows that are found."""
    by_epoch(
        axes,
        history,
        accuracy="accuracy",
        recall="recall of the rare class",
        loss="loss",
    )
    axes.set_ylim(-0.05, 1.05)
    axes.set_title("on the training rows", fontsize=10)


def predictions(axes, monitor, history):
    """Draw predictions over targets."""
    predicted = history.model.predict(X[:ROWS], verbose=0)[:, 0]
    axes.plot(Y[:ROWS], predicted, "o", color=BLUE, markersize=2)
    axes.plot([0, 9], [0, 9], color=ORANGE, linestyle="--", linewidth=1)
    axes.set_xticks(range(10))
    axes.set_xlabel("target", fontsize=8, loc="left")
    axes.set_title("prediction (dashed: right)", fontsize=10)


def moved(axes, monitor, history):
    """Draw what share of its norm each kernel moved by in all steps."""
    ratios = monitor.history["update_ratio"]
    layers = [path for path in ratios if path.endswith("/kernel")]
    names = [path.split("/")[-2] for path in layers]
    axes.barh(names, [ratios[path].sum() for path in layers], color=BLUE)
    axes.invert_yaxis()
    axes.set_xlabel(" ")
    axes.set_title("sum of all steps / weights", fontsize=10)


def biases(axes, monitor, history):
    """Draw the gradients of kernels and of the biases beside them."""
    steps, rms = monitor.history["step"], monitor.history["gradient_rms"]
    for name, colour in (("kernel", BLUE), ("bias", ORANGE)):
        numbers = [rms[path] for path in rms if path.endswith(f"0/{name}")]
        axes.plot(steps, numbers[0], color=colour, label=f"hidden_0/{name}")
    axes.set_yscale("log")
    axes.set_title("RMS of the gradient", fontsize=10)


def kernels(monitor, group):
    """Return a group of the history, a row for each kernel."""
    return [
        numbers
        for path, numbers in monitor.history[group].items()
        if path.endswith("/kernel")
    ]


def by_epoch(axes, history, **labels):
    """Draw metrics by their names in the history, each with its label."""
    colours = (BLUE, ORANGE, GREY)
    for (name, label), colour in zip(labels.items(), colours, strict=False):
        numbers = history.history[name]
        epochs = range(1, len(numbers) + 1)
        axes.plot(epochs, numbers, "o-", color=colour, label=label)
    axes.set_xticks(epochs[:: max(1, len(epochs) // 5)])
    axes.set_xlabel("epoch", fontsize=8, loc="left")


def bars(axes, monitor, measure, title):
    """Draw the last reading of each layer."""
    shares = {k: v[-1] for k, v in monitor.layer_history[measure].items()}
    axes.barh(list(shares), list(shares.values()), color=BLUE)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_xlabel(" ")
    axes.set_title(title, fontsize=10)


def level(axes, height):
    """Draw a dashed line."""
    axes.axhline(height, color=ORANGE, linestyle="--", linewidth=1)


POISONED, UNEVEN = X.copy(), X.copy()
POISONED[900, 20] = np.nan
UNEVEN[:, 20:24] *= 20_000
DRAW = np.random.default_rng(0)
WRONG = np.where(DRAW.random(len(Y)) < 0.2, DRAW.integers(0, 10, len(Y)), Y)
NOISY = X + DRAW.normal(0.0, 0.7, X.shape)
CIRCLES = make_circles(len(Y), noise=0.08, factor=0.5, random_state=0)
CASES = {
    "healthy": Case(healthy, "even from top to bottom", loss),
    "output_mismatch": Case(
        plain(units=1, output_activation="sigmoid"),
        "fades although nothing was learnt",
        loss,
        loss="mean_squared_error",
        y=10.0 * Y,
    ),
    "target_shape": Case(
        plain(2, units=1, output_activation="linear"),
        "healthy",
        predictions,
        loss=HandWritten(),
        y=Y.astype("float32"),
    ),
    "non_finite": Case(
        plain(activation="elu"), "red from one step on", loss, x=POISONED
    ),
    "symmetric_units": Case(
        plain(3, kernel=lambda: Constant(0.03)), "nothing unusual", columns
    ),
    "input_scale": Case(plain(), "off the scale", scales, x=UNEVEN),
    "target_scale": Case(
        plain(2, units=1, output_activation="linear"),
        "off the scale",
        loss,
        loss="mean_squared_error",
        y=50_000.0 * (1 + Y),
    ),
    "exploding_gradient": Case(
        plain(10, kernel=lambda: RandomNormal(stddev=0.5)),
        "off the scale",
        loss,
    ),
    "learning_rate_too_high": Case(
        plain(), "bursts, then dead", updates, lambda: Adam(1.0)
    ),
    "saturated_activation": Case(
        plain(6, "tanh", lambda: RandomNormal(stddev=2.0)),
        "each layer differs from the next",
        saturation,
    ),
    "dead_units": Case(plain(bias=Constant(-1.5)), "exactly 0", dead),
    "no_gradient": Case(
        plain(inserted=(3, keras.ops.sign)),
        "exactly 0 above one layer",
        moved,
    ),
    "vanishing_gradient": Case(
        plain(12, "sigmoid", lambda: "glorot_uniform"),
        "fades towards the first layer",
        profile,
    ),
    "clipping_always_on": Case(
        plain(),
        "does not change",
        clipping,
        lambda: SGD(0.01, global_clipnorm=1e-3),
    ),
    "class_imbalance": Case(
        plain(1, units=1, output_activation="sigmoid"),
        "healthy",
        recall,
        loss="binary_crossentropy",
        x=NOISY,
        y=Y == 8,
        epochs=3,
        metrics=("accuracy", "recall"),
    ),
    "learning_rate_too_low": Case(
        plain(), "does not change", updates, lambda: Adam(1e-7)
    ),
    "oscillating_loss": Case(
        plain(1, "leaky_relu"),
        "restless, not fading",
        loss,
        lambda: SGD(0.4, 0.9),
        epochs=3,
    ),
    "batch_statistics_mismatch": Case(
        plain(momentum=0.9999), "healthy", accuracies
    ),
    "not_learning": Case(
        plain(3, "tanh", inserted=(0, keras.ops.ones_like)),
        "healthy",
        loss,
    ),
    "overfitting": Case(
        plain(3),
        "healthy",
        both_losses,
        lambda: Adam(3e-3),
        y=WRONG,
        epochs=35,
    ),
    "underfitting": Case(
        plain(0, units=1, output_activation="sigmoid", features=2),
        "healthy",
        loss,
        lambda: Adam(0.01),
        loss="binary_crossentropy",
        x=CIRCLES[0],
        y=CIRCLES[1],
    ),
    "dead_bias": Case(biased, "healthy, of the kernels", biases),
}


def trained(case: Case) -> tuple[Any, Any]:
    """Train the network of a case, and return its monitor and history."""
    keras.utils.set_random_seed(0)
    model = case.build()
    model.compile(case.optimizer(), case.loss, metrics=[*case.metrics])
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    history = model.fit(
        case.x[:ROWS],
        case.y[:ROWS],
        batch_size=BATCH_SIZE,
        epochs=case.epochs,
        validation_data=(case.x[ROWS:], case.y[ROWS:]),
        shuffle=False,
        verbose=0,
        callbacks=[monitor],
    )
    return monitor, history


def draw(name: str) -> None:
    """Train the network of a case and write its picture."""
    case = CASES[name]
    monitor, history = trained(case)
    # A note on how a network is built is written before training.
    findings = monitor.findings or kerasbn.diagnose(
        history.model, case.x[:ROWS], case.y[:ROWS]
    )
    print(f"\n{name}\n{findings}")
    if [each.problem for each in findings] != [name][: name != "healthy"]:
        raise SystemExit(f"The diagnosis of {name!r} is another.")
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 3), width_ratios=(1.3, 1), layout="constrained"
    )
    monitor.plot(left).set_title(f"gradient flow: {case.left}", fontsize=10)
    case.right(right, monitor, history)
    right.spines[["top", "right"]].set_visible(False)
    right.tick_params(labelsize=8)
    if not right.get_xlabel():
        right.set_xlabel("optimizer step", fontsize=8, loc="left")
    if right.get_legend_handles_labels()[0]:
        right.legend(fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    plt.close(figure)
    # 128 colours take a third of the bytes.
    image = Image.open(buffer).convert("RGB").quantize(128)
    image.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    plt.switch_backend("agg")
    FOLDER.mkdir(exist_ok=True)
    for each in sys.argv[1:] or CASES:
        draw(each)
