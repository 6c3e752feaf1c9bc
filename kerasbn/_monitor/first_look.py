"""A model on one batch, before it is trained."""

import math
from typing import Any

import keras
import numpy as np

from kerasbn._monitor import inspection, model_description, optimizers
from kerasbn._monitor.inspection import Rows
from kerasbn._run.readings import Reading
from kerasbn._run.run import Run

_ROWS = 256


def before_training(
    model: keras.Model, x: Any, y: Any = None, batch_size: int = 32
) -> Run:
    """Return a run of no steps: model, data and first gradients.

    All rows are looked at for what is rare or not finite; the model is called
    on 256 of them, from all over the data.
    """
    if not model.compiled:
        raise RuntimeError(
            "`model` must be compiled before it is judged. "
            f"Received: model={model.name!r}. Call `model.compile` first."
        )
    own_step = model_description.has_own_step(model)
    compiled = getattr(model, "loss", None) is not None
    if x is None or (y is None and compiled and not own_step):
        raise ValueError(
            "`x` and `y` must be given with a model that is compiled with a "
            f"loss. Received: x={'None' if x is None else 'data'}, "
            f"y={'None' if y is None else 'data'}. "
            "Pass the training data."
        )
    count = len(keras.tree.flatten(x)[0])
    if count == 0:
        raise ValueError(
            "`x` must hold at least one row. Received: none. Pass the training "
            "data."
        )
    rows = Rows(*inspection.take((x, y), slice(None)))
    batch = Rows(*inspection.take((x, y), _spread(model, count)))
    probe = _probe(model, batch.x)
    description = model_description.describe_model(model)
    for layer in description["layers"]:
        layer["last_rows"] = count % batch_size
    variables = model.trainable_variables
    loss, norms, layers = math.nan, np.full(len(variables), math.nan), {}
    data = inspection.describe_data(model, rows)
    if probe is not None:
        from kerasbn._monitor import layer_probe  # imports TensorFlow

        try:
            data = inspection.describe_data(model, rows, probe, batch)
            if math.isfinite(data["losses"]["training"]):
                loss, norms = _gradients(model, batch)
            layers = layer_probe.ActivationProbe(model, False).read(batch.x)
        except Exception as error:
            # A model and data that contradict each other may not compute. The
            # descriptions can still be judged; the diagnosis quotes the error.
            data["error"] = inspection.readable(error)
    sizes = np.array([np.prod(each.shape) for each in variables])
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
            "weight_norm": np.array([_norm(each) for each in variables]),
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
        data=data,
    )


def _norm(variable):
    return float(np.linalg.norm(variable.numpy().astype("float32").ravel()))


def _spread(model, count):
    """Rows from all over the data, as many as the model takes."""
    shapes = [each.shape for each in getattr(model, "inputs", None) or ()]
    fixed = shapes[0][0] if shapes else None
    return np.linspace(0, count - 1, fixed or min(count, _ROWS)).astype(int)


def _probe(model, x):
    """Reads the outputs; `None` for a model that cannot be called."""
    from kerasbn._monitor import output_probe  # imports TensorFlow

    if not model_description.has_call(model):
        return None
    if not model.built:
        model(x)
    return output_probe.OutputProbe(model, compiled=False)


def _gradients(model, batch):
    """Loss and norms of the gradients in training, without moving state.

    The norm is NaN where there is no gradient, infinite where it is not finite.
    """
    import tensorflow as tf

    variables = model.trainable_variables
    values = [(each, each.value) for each in variables]
    x, y, _ = batch
    with (
        tf.GradientTape() as tape,
        keras.StatelessScope(values, collect_losses=True),
    ):
        loss = model.compute_loss(x, y, model(x, training=True))
    gradients = tape.gradient(loss, [each.value for each in variables])
    norms = np.array(
        [
            math.nan
            if each is None
            else np.linalg.norm(tf.convert_to_tensor(each).numpy().ravel())
            for each in gradients  # slices, if of an embedding
        ]
    )
    absent = np.array([each is None for each in gradients], bool)
    return float(loss), np.where(np.isnan(norms) & ~absent, np.inf, norms)
