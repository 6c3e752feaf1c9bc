"""What stands inside the optimizers that a train step applies."""

import functools
from typing import Any

import keras

from kerasbn.optimizers._clipped import Clipped


def settings(model: keras.Model) -> dict[str, bool | int | float | str]:
    """What the compiled optimizer is set to, for comparing runs."""
    leaf = leaves_of(optimizers(model)[0])[0]
    rules = {}
    if isinstance(leaf, Clipped):
        rules = {
            "rules": ", ".join(map(str, leaf.rules)),
            "skip_non_finite": leaf.skip_non_finite,
        }
        leaf = leaf.inner_optimizer
    config = leaf.get_config()
    rate = config.get("learning_rate")
    config["learning_rate"] = (
        rate
        if isinstance(rate, int | float)
        else str(rate["class_name"])
        if isinstance(rate, dict)
        else type(rate).__name__
    )
    kept = {
        name: value
        for name, value in config.items()
        if isinstance(value, bool | int | float | str) and name != "name"
    }
    return {"optimizer": type(leaf).__name__, **kept, **rules}


def optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Those a train step may apply: the compiled one, or those of a GAN."""
    found = [getattr(model, "optimizer", None)]
    for value in vars(model).values():
        value = list(value.values()) if isinstance(value, dict) else value
        found.extend(value if isinstance(value, list | tuple) else [value])
    return list(
        {
            id(each): each
            for each in found
            if isinstance(each, keras.optimizers.Optimizer)
        }.values()
    )


def step_number(leaves: list) -> Any:
    """Optimizer steps so far, as a tensor of float32."""
    import tensorflow as tf

    counts = [tf.convert_to_tensor(count(each)) for each in leaves]
    counts = [tf.cast(count, "float32") for count in counts]
    return functools.reduce(tf.maximum, counts)


def count(optimizer: Any) -> Any:
    """Optimizer steps so far; no variable where gradients are accumulated."""
    return getattr(optimizer.iterations, "value", optimizer.iterations)


def leaves_of(optimizer: Any) -> list:
    """The optimizers that clip and update."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return leaves_of(optimizer.inner_optimizer)
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        return list(optimizer.optimizers) or [optimizer]  # not built
    return [optimizer]


def loss_scale(optimizer: Any) -> Any:
    """What the gradients that it is handed were multiplied by."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.dynamic_scale
    return optimizer.loss_scale_factor or 1.0


def clips(optimizer: Any) -> bool:
    """Whether an optimizer clips."""
    return bool(
        optimizer.clipnorm or optimizer.clipvalue or optimizer.global_clipnorm
    )
