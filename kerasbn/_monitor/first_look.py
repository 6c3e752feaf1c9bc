"""A model on one batch, before it is trained."""

import contextlib
import math
from typing import Any

import keras
import numpy as np

from kerasbn._monitor import inspection, model_description, optimizers
from kerasbn._run.readings import Reading
from kerasbn._run.run import Run

_ROWS = 256


def before_training(model: keras.Model, x: Any, y: Any, batch_size: int) -> Run:
    """Return a run of no steps: model, data and first gradients."""
    if x is None or y is None:
        raise ValueError(
            "`x` and `y` must be given with a model. Received: "
            f"x={'None' if x is None else 'data'}, "
            f"y={'None' if y is None else 'data'}. "
            "Pass some hundred rows of the training data."
        )
    if not model.compiled:
        raise RuntimeError(
            "`model` must be compiled before it is judged. "
            f"Received: model={model.name!r}. Call `model.compile` first."
        )
    rows = len(keras.tree.flatten(x)[0])
    x, y = keras.tree.map_structure(lambda e: np.asarray(e)[:_ROWS], (x, y))
    with keras.StatelessScope() if model.built else contextlib.nullcontext():
        model(keras.tree.map_structure(lambda each: each[:2], x))
    description = model_description.describe_model(model)
    for layer in description["layers"]:
        layer["last_rows"] = rows % batch_size
    variables = model.trainable_variables
    loss, norms = math.nan, np.full(len(variables), math.nan)
    # A model and data that contradict each other may not compute; then rules
    # judge the descriptions alone.
    with contextlib.suppress(Exception):
        loss, norms = _gradients(model, x, y)
    sizes = np.array([np.prod(each.shape) for each in variables])
    layers = {}
    with contextlib.suppress(Exception):
        from kerasbn._monitor import layer_probe  # imports TensorFlow

        layers = layer_probe.ActivationProbe(model).read(x)
    total = float(np.sqrt(np.nansum(np.square(norms))))
    reading = Reading(
        step=0,
        scalars={
            "loss": loss,
            "window/loss": loss,
            "learning_rate": math.nan,
            "global_norm": total,
            "clipped/global_norm": total,
            "window/global_norm_max": total,
        },
        groups={
            "gradient_rms": norms / np.sqrt(sizes),
            "update_ratio": np.zeros(len(variables)),
        },
    )
    return Run(
        name=model.name,
        paths=[each.path for each in variables],
        shapes=[tuple(each.shape) for each in variables],
        readings=[reading],
        layers=[(0, layers)] if layers else [],
        settings=optimizers.settings(model),
        model=description,
        data=inspection.describe_data(model, x, y),
    )


def _gradients(model, x, y):
    """Loss and norms of the gradients in training, without moving state."""
    import tensorflow as tf

    with tf.GradientTape() as tape, keras.StatelessScope():
        loss = model.compute_loss(x, y, model(x, training=True))
    gradients = tape.gradient(
        loss, [each.value for each in model.trainable_variables]
    )
    norms = [
        math.nan
        if each is None
        else np.linalg.norm(tf.convert_to_tensor(each).numpy().ravel())
        for each in gradients  # slices, if of an embedding
    ]
    return float(loss), np.array(norms)
