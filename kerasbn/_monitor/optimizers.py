"""The optimizers of a model: how they scale, accumulate, skip and clip.

This is the only file that tells one kind of optimizer from another. A train
step applies the optimizers of `applied_by`; inside each are the "leaves", which
clip and update.
"""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasbn.optimizers import _gradients
from kerasbn.optimizers._clipped import Clipped


def applied_by(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Return the compiled optimizer and those in attributes, as of a GAN."""
    found = [getattr(model, "optimizer", None)]
    for value in vars(model).values():
        value = list(value.values()) if isinstance(value, dict) else value
        found.extend(value if isinstance(value, list | tuple) else [value])
    optimizers = (
        each for each in found if isinstance(each, keras.optimizers.Optimizer)
    )
    return list({id(each): each for each in optimizers}.values())


def leaves_of(optimizer: Any) -> list:
    """Return the optimizers inside another one that clip and update."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return leaves_of(optimizer.inner_optimizer)
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        return list(optimizer.optimizers) or [optimizer]  # not built
    return [optimizer]


def build_leaves(model: keras.Model) -> None:
    """Build a `MultiOptimizer`, which makes its leaves only then."""
    (leaf, *_) = leaves_of(model.optimizer)
    if model.built and isinstance(leaf, keras.optimizers.MultiOptimizer):
        model.optimizer.build(model.trainable_variables)


def settings(model: keras.Model) -> dict[str, bool | int | float | str]:
    """Return the arguments of the compiled optimizer, for comparing runs."""
    leaf = leaves_of(applied_by(model)[0])[0]
    rules = {}
    if isinstance(leaf, Clipped):
        rules = {
            "rules": ", ".join(map(str, leaf.rules)),
            "skip_non_finite": leaf.skip_non_finite,
        }
        leaf = leaf.inner_optimizer
    config = leaf.get_config()
    rate = config.get("learning_rate")
    if isinstance(rate, dict):
        config["learning_rate"] = str(rate["class_name"])
    elif not isinstance(rate, int | float):
        config["learning_rate"] = type(rate).__name__
    kept = {
        name: value
        for name, value in config.items()
        if isinstance(value, bool | int | float | str) and name != "name"
    }
    return {"optimizer": type(leaf).__name__, **kept, **rules}


def step_number(leaves: list) -> Any:
    """Return how many steps were applied, an integer scalar or variable."""
    counts = [
        # Where gradients are accumulated `iterations` is no variable.
        getattr(each.iterations, "value", each.iterations)
        for each in leaves
    ]
    return functools.reduce(ops.maximum, counts)


def loss_scale(optimizer: Any) -> Any:
    """Return the factor in the gradients that an optimizer receives."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.dynamic_scale
    return optimizer.loss_scale_factor or 1.0


def scales_loss(model: keras.Model) -> bool:
    """Whether a loss scale skips steps whose gradients are not finite."""
    return isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def skips_non_finite(leaf: Any) -> bool:
    """Whether a leaf skips steps whose gradients are not finite."""
    return isinstance(leaf, Clipped) and leaf.skip_non_finite


def owners_of(optimizer: Any) -> dict[int, Any]:
    """Return the leaf that updates each variable, by `id` of the variable."""
    return {
        id(variable): leaf
        for leaf in leaves_of(optimizer)
        # Keras has no public name for them (3.15).
        for variable in leaf._trainable_variables
    }


def sums_of(optimizer: Any) -> dict[int, Any]:
    """Return the accumulated gradients, by `id` of the variable."""
    return {
        key: total
        for leaf in leaves_of(optimizer)
        for key, total in _gradients.sums_of(leaf).items()
    }


def clips_by_rules(leaf: Any) -> bool:
    """Whether a leaf clips in a method `clip`, by rules of `kerasbn`."""
    return isinstance(leaf, Clipped)


def threshold(leaf: Any) -> Any:
    """Return the limit that the last of the rules used, NaN without any."""
    limits = [rule.threshold for rule in leaf.rules]
    return [np.nan, *(each for each in limits if each is not None)][-1]


def norms_tell_clipping(leaf: Any) -> bool:
    """Whether `clipped_norms` knows the norms after clipping."""
    return not (leaf.clipvalue or clips_by_rules(leaf))


def clipped_by_value(leaf: Any, gradient: Any) -> Any:
    """Return a gradient after the `clipvalue` of a leaf."""
    limit = leaf.clipvalue
    return ops.clip(gradient, -limit, limit) if limit else gradient


def clipped_norms(leaf: Any, norms: np.ndarray, replicas: int) -> np.ndarray:
    """Return norms, one step a row, after `clipnorm` or `global_clipnorm`."""
    clips = leaf.clipnorm or leaf.clipvalue or leaf.global_clipnorm
    if replicas > 1 and clips:  # before the sum over the replicas: unknown
        return np.full_like(norms, np.nan)
    if leaf.clipnorm:
        return np.minimum(norms, leaf.clipnorm)
    if leaf.global_clipnorm:
        total = np.sqrt(np.square(norms).sum(1, keepdims=True))
        limit = leaf.global_clipnorm
        return norms * (limit / np.maximum(total, limit))
    return norms
