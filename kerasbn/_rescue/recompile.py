"""A model compiled as another one, with some of its settings changed."""

from typing import Any

import keras

from kerasbn._monitor import optimizers

KEPT: Any = object()


def compile_as(result, model, loss, options):
    """Compile as `model` is, with another loss and optimizer."""
    # Keras has no public record of what `compile` was given; with Keras 3.15.
    given = model._compile_config.config
    result.compile(
        optimizer=optimizers.copied(
            model.optimizer,
            options.get("clipping"),
            options.get("learning_rate"),
        ),
        loss=model.loss if loss is KEPT else loss,
        loss_weights=given["loss_weights"],
        metrics=keras.tree.map_structure(_fresh, given["metrics"]),
        weighted_metrics=keras.tree.map_structure(
            _fresh, given["weighted_metrics"]
        ),
        run_eagerly=model.run_eagerly,
        steps_per_execution=model.steps_per_execution,
        jit_compile=model.jit_compile,
        auto_scale_loss=False,  # done in the optimizer that is copied
    )


def _fresh(metric):
    """A metric as the user gave it, without its state."""
    if not isinstance(metric, keras.metrics.Metric):
        return metric
    return type(metric).from_config(metric.get_config())
