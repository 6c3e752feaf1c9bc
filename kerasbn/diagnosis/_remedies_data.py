"""Remedies that edit the arrays `x` and `y` of a script."""

from collections.abc import Sequence
from typing import Any

from kerasbn.diagnosis._script import Script


def scale_targets(
    script: Script, mean: Any = None, deviation: Any = None, output: str = ""
) -> str:
    """Options: their `mean` and `deviation`, for a layer instead of new `y`.

    `output` is the name of one of several.
    """
    script.where = output or script.where
    if deviation is not None and script.output:
        layer = f"keras.layers.Rescaling({deviation}, offset={mean})"
        script.output.after.append(layer)
        which = f"output {output!r} to its" if output else "outputs to the"
        return f"Let a last layer scale the {which} targets."
    y = script.y
    script.first += [
        f"y_mean, y_std = {y}.mean(axis=0), {y}.std(axis=0)",
        f"{y} = ({y} - y_mean) / y_std  # those for validation likewise",
    ]
    script.after_fit.append(
        f"predictions = {script.predicted} * y_std + y_mean"
    )
    return (
        "Scale the targets to mean 0 and deviation 1, and scale the "
        "predictions back."
    )


def divide_targets(script: Script, by: float = 255) -> str:
    """Option: `by`, the largest target."""
    y = script.y
    script.first.append(f"{y} = {y} / {by:g}  # those for validation likewise")
    return f"Divide the targets by {by:g}."


def reshape_targets(script: Script, shape: Sequence[int] = (1,)) -> str:
    """Option: `shape` of the outputs of a row."""
    sizes = ", ".join(map(str, shape))
    script.first.append(f"{script.y} = {script.y}.reshape(-1, {sizes})")
    return f"Give the targets the shape of the outputs, (rows, {sizes})."


def shift_labels(script: Script, first: int = 1) -> str:
    """Option: `first`, the smallest label."""
    step = f"- {first}" if first > 0 else f"+ {-first}"
    script.first.append(f"{script.y} = {script.y} {step}")
    return f"Count the classes from 0: y {step}."


def keep_rows(script: Script, rows: Sequence[int] = ()) -> str:
    """Option: `rows`, the numbers of those with NaN or Inf."""
    script.first += [
        "finite = [np.isfinite(each).reshape(len(each), -1).all(axis=1) "
        "for each in keras.tree.flatten((x, y))]",
        "kept = np.all(finite, axis=0)",
        "x, y = keras.tree.map_structure(lambda each: each[kept], (x, y))",
    ]
    named = ", ".join(map(str, rows[:5])) + ", ..." * (len(rows) > 5)
    which = f"row{'s' * (len(rows) > 1)} {named}" if rows else "rows"
    return f"Leave out the {which} with NaN or Inf in it, or fill the gaps."


def finite_data(script: Script) -> str:
    script.before_fit.append(
        "print(np.isfinite(x).all(), np.isfinite(y).all())  # must be True"
    )
    return (
        "Look for NaN and Inf in the data, and for logarithms of 0 and "
        "divisions by 0 in the loss."
    )


def shuffle(script: Script) -> str:
    script.first += [
        "order = np.random.default_rng(0).permutation(len(x))",
        "x, y = x[order], y[order]",
    ]
    return "Shuffle the rows before they are split and trained on."


def drop_remainder(script: Script, batch_size: int = 32) -> str:
    """Option: `batch_size`."""
    script.before_fit += [
        f"rows = len(x) // {batch_size} * {batch_size}",
        "x, y = x[:rows], y[:rows]",
    ]
    return "Drop the last rows of an epoch, or use another batch size."


def class_weight(
    script: Script,
    targets: str = "labels",
    per_element: bool = False,
    several: bool = False,
    weights: Sequence[float] | None = None,
) -> str:
    """Options: `targets`, `per_element`, `several`, `weights` of the classes.

    `targets` is "binary", "one_hot" or "labels"; `per_element` is for labels
    per pixel or step, where `fit` takes no `class_weight`, and `several` for
    several labels of a row, where it takes no weights at all. Without weights
    the script computes them.
    """
    if several:
        loss = (
            "keras.losses.BinaryFocalCrossentropy("
            "apply_class_balancing=True, alpha=0.95)"
        )
        if script.compile.named:
            script.compile.set(loss=loss)
        return "Weight the rare labels in the loss."
    one_hot = targets == "one_hot"
    labels = "y.argmax(axis=-1)" if one_hot else "y.astype(int)"
    if weights is not None and not per_element:
        by_class = {i: float(f"{e:.3g}") for i, e in enumerate(weights)}
        script.fit["class_weight"] = repr(by_class)
        return "Weight the classes by their rarity."
    script.before_fit += [
        f"labels = {labels}",
        "counts = np.maximum(np.bincount(labels.ravel()), 1)",
        "weights = counts.sum() / (len(counts) * counts)",
    ]
    if per_element:
        script.fit["sample_weight"] = "weights[labels]"
        return "Weight each element by the rarity of its class."
    script.fit["class_weight"] = "dict(enumerate(weights))"
    return "Weight the classes by their rarity."
