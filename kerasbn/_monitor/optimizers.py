"""The optimizers of a model: their settings, their clipping, and copies.

A train step applies the optimizers of `applied_by`; inside each are the
"leaves", which clip and update.
"""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasbn import clipping as rules
from kerasbn.optimizers._clipped import CLIP_ARGUMENTS, TAKEN_OVER, Clipped

_RULES = {
    "clipnorm": rules.ByNorm,
    "clipvalue": rules.ByValue,
    "global_clipnorm": rules.ByGlobalNorm,
}
# What of a schedule is a learning rate, and not a number of steps or a share.
_RATES = "initial_learning_rate end_learning_rate warmup_target values".split()


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


def settings(model: keras.Model) -> dict[str, bool | int | float | str]:
    """Return the arguments of the compiled optimizer, for comparing runs."""
    leaf = leaves_of(applied_by(model)[0])[0]
    clipped = {}
    if isinstance(leaf, Clipped):
        clipped = {
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
    return {"optimizer": type(leaf).__name__, **kept, **clipped}


def is_bounded(model: keras.Model) -> bool:
    """Whether the length of a step does not follow that of the gradient."""
    leaf = leaves_of(applied_by(model)[0])[0]
    clips = leaf.clipnorm or leaf.clipvalue or leaf.global_clipnorm
    plain = type(leaf) is keras.optimizers.SGD
    return bool(clips) or not plain


def step_number(leaves: list) -> Any:
    """Return how many steps were applied, an integer scalar or variable."""
    # Where gradients are accumulated `iterations` is no variable.
    counts = [getattr(e.iterations, "value", e.iterations) for e in leaves]
    return functools.reduce(ops.maximum, counts)


def loss_scale(optimizer: Any) -> Any:
    """Return the factor in the gradients that an optimizer receives."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.dynamic_scale
    return optimizer.loss_scale_factor or 1.0


def clips_by_rules(leaf: Any) -> bool:
    """Whether a leaf clips in a method `clip`, by rules of `kerasbn`."""
    return isinstance(leaf, Clipped)


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


def peak_rate(optimizer: Any) -> float:
    """Return the learning rate of an optimizer, of a schedule the largest."""
    leaf = leaves_of(optimizer)[0]
    leaf = leaf.inner_optimizer if isinstance(leaf, Clipped) else leaf
    rate = leaf.get_config().get("learning_rate")
    if isinstance(rate, int | float):
        return float(rate)
    config = rate.get("config") if isinstance(rate, dict) else None
    if isinstance(config, dict):  # and not the name of a function
        found = [config[key] for key in _rates_in(config)]
        if found:
            return float(np.max(np.hstack(found)))
    return float(optimizer.learning_rate)


def twin(optimizer: Any, variables: list) -> Any:
    """Return a copy of an optimizer in the same state, with a constant rate.

    One that has no state yet is built for the variables.
    """
    result = copied(optimizer, None, {"value": 0.0})
    if optimizer.built:  # maybe for some of them; with Keras 3.15
        variables = leaves_of(optimizer)[0]._trainable_variables
    if variables:
        result.build(variables)
    if optimizer.built:
        pairs = zip(_slots(optimizer), _slots(result), strict=True)
        for old, new in pairs:
            new.assign(old.numpy())
    return result


def _slots(optimizer):
    """The variables of an optimizer but for its learning rate."""
    return [v for v in optimizer.variables if v.name != "learning_rate"]


def copied(
    optimizer: Any,
    clipping: dict[str, float | None] | None = None,
    learning_rate: dict[str, float] | None = None,
    instead: dict[str, Any] | None = None,
) -> Any:
    """Return a new optimizer of the same class, without its state.

    `clipping` replaces all clipping; `None` keeps it. `learning_rate` holds a
    `factor` for the learning rate, or its new `value`. `instead` is another
    optimizer: its `class_name` and arguments.
    """
    config = optimizer.get_config()
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        del config["inner_optimizer"]
        inner = optimizer.inner_optimizer
        inner = copied(inner, clipping, learning_rate, instead)
        return type(optimizer)(inner, **config)
    if instead is not None:
        arguments = {k: v for k, v in instead.items() if k != "class_name"}
        made = getattr(keras.optimizers, instead["class_name"])(**arguments)
        return copied(made, clipping, learning_rate)
    if isinstance(optimizer, Clipped):
        inner = copied(optimizer.inner_optimizer, None, learning_rate)
        for each in TAKEN_OVER:
            setattr(inner, each, getattr(optimizer, each))
        kept = optimizer.rules
        if clipping is not None:
            limits = clipping.items()
            kept = [_RULES[key](limit) for key, limit in limits if limit]
        return type(optimizer)(inner, kept, optimizer.skip_non_finite)
    if isinstance(config.get("learning_rate"), dict):
        # A schedule has no state, and a function may have no name.
        config["learning_rate"] = optimizer._learning_rate
    if learning_rate is not None:
        rate = config.get("learning_rate")
        config["learning_rate"] = _changed(optimizer, rate, **learning_rate)
    if clipping is not None:
        config |= dict.fromkeys(CLIP_ARGUMENTS) | clipping
    result = type(optimizer).from_config(config)
    # `get_config` forgets what AdamW must not decay.
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    if pattern is not None:
        result.exclude_from_weight_decay(var_names=[pattern.pattern])
    return result


def _changed(optimizer, rate, factor=1.0, value=None):
    if value is not None:
        return float(value)
    if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return factor * float(optimizer.learning_rate)
    config = rate.get_config()
    for key in _rates_in(config):
        config[key] = keras.tree.map_structure(
            lambda number: factor * number, config[key]
        )
    return type(rate).from_config(config)


def _rates_in(config):
    """The names in the configuration of a schedule that hold its rates."""
    numbers = (k for k, each in config.items() if type(each) in (int, float))
    rates = [key for key in _RATES if config.get(key) is not None]
    return rates or [*numbers][:1]
