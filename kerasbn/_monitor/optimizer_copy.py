"""A copy of an optimizer with other clipping or another learning rate."""

from typing import Any

import keras

from kerasbn import clipping as rules
from kerasbn.optimizers._clipped import CLIP_ARGUMENTS, TAKEN_OVER, Clipped

CLIPPING = CLIP_ARGUMENTS
_RULES = {
    "clipnorm": rules.ByNorm,
    "clipvalue": rules.ByValue,
    "global_clipnorm": rules.ByGlobalNorm,
}
# What of a schedule is a learning rate, and not a number of steps or a share.
_RATES = (
    "initial_learning_rate",
    "end_learning_rate",
    "warmup_target",
    "values",
)


def copied(
    optimizer: Any,
    clipping: dict[str, float | None] | None = None,
    learning_rate: dict[str, float] | None = None,
) -> Any:
    """Return a new optimizer of the same class, without its state.

    Args:
        optimizer: A stock one, a `Clipped`, or one in a loss scale.
        clipping: Arguments that replace all clipping; `None` keeps it.
        learning_rate: A `factor` for the learning rate, or its new `value`.
    """
    config = optimizer.get_config()
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        del config["inner_optimizer"]
        inner = copied(optimizer.inner_optimizer, clipping, learning_rate)
        return type(optimizer)(inner, **config)
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
        config |= dict.fromkeys(CLIPPING) | clipping
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
    numbers = [
        key for key, each in config.items() if type(each) in (int, float)
    ]
    rates = [key for key in _RATES if config.get(key) is not None]
    for key in rates or numbers[:1]:
        config[key] = keras.tree.map_structure(
            lambda number: factor * number, config[key]
        )
    return type(rate).from_config(config)
