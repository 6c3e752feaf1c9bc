"""A model compiled as another one, with some of its settings changed."""

from typing import Any

import keras

from kerasbn import clipping
from kerasbn.optimizers._clipped import CLIP_ARGUMENTS, TAKEN_OVER, Clipped

_RULES = {
    "clipnorm": clipping.ByNorm,
    "clipvalue": clipping.ByValue,
    "global_clipnorm": clipping.ByGlobalNorm,
}
# What of a schedule is a learning rate, and not a number of steps or a share.
_RATES = (
    "initial_learning_rate",
    "end_learning_rate",
    "warmup_target",
    "values",
)
KEPT: Any = object()


def compile_as(result, model, loss, options):
    """Compile as `model` is, with another loss and optimizer."""
    metrics = model._compile_metrics
    losses = model._compile_loss
    result.compile(
        optimizer=_optimizer(model.optimizer, options),
        loss=model.loss if loss is KEPT else loss,
        loss_weights=losses and losses._user_loss_weights,
        metrics=metrics and _fresh(metrics._user_metrics),
        weighted_metrics=metrics and _fresh(metrics._user_weighted_metrics),
        run_eagerly=model.run_eagerly,
        steps_per_execution=model.steps_per_execution,
        jit_compile=model.jit_compile,
        auto_scale_loss=False,  # done in the optimizer that is copied
    )


def _fresh(metrics):
    """Metrics as the user gave them, without their state."""

    def fresh(metric):
        if not isinstance(metric, keras.metrics.Metric):
            return metric
        return type(metric).from_config(metric.get_config())

    return keras.tree.map_structure(fresh, metrics)


def _optimizer(optimizer, options):
    """A new optimizer of the same class, with the changes of its options."""
    config = optimizer.get_config()
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        inner = _optimizer(optimizer.inner_optimizer, options)
        del config["inner_optimizer"]
        return type(optimizer)(inner, **config)
    if isinstance(optimizer, Clipped):
        rest = {k: v for k, v in options.items() if k != "clipping"}
        inner = _optimizer(optimizer.inner_optimizer, rest)
        for each in TAKEN_OVER:
            setattr(inner, each, getattr(optimizer, each))
        rules = optimizer.rules
        if "clipping" in options:
            ((name, limit),) = options["clipping"].items()
            rules = [_RULES[name](limit)]
        return type(optimizer)(inner, rules, optimizer.skip_non_finite)
    rate = getattr(optimizer, "_learning_rate", None)
    if isinstance(config.get("learning_rate"), dict):
        config["learning_rate"] = rate  # it has no state, and may be unnamed
    if "learning_rate" in options:
        rate = config.get("learning_rate")
        new = _learning_rate(optimizer, rate, **options["learning_rate"])
        config["learning_rate"] = new
    if "clipping" in options:
        config |= dict.fromkeys(CLIP_ARGUMENTS)
        config |= options["clipping"]
    result = type(optimizer).from_config(config)
    # `get_config` forgets what AdamW must not decay.
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    if pattern is not None:
        result.exclude_from_weight_decay(var_names=[pattern.pattern])
    return result


def _learning_rate(optimizer, rate, factor=1.0, value=None):
    if value is not None:
        return float(value)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        config = rate.get_config()
        known = [key for key in _RATES if config.get(key) is not None]
        for key in known or _first_number(config):
            numbers = config[key]
            config[key] = (
                [factor * each for each in numbers]
                if isinstance(numbers, list | tuple)
                else factor * numbers
            )
        return type(rate).from_config(config)
    return factor * float(optimizer.learning_rate)


def _first_number(config):
    numbers = [
        key for key, value in config.items() if type(value) in (int, float)
    ]
    return numbers[:1]
