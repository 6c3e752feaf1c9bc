"""Exact statistics from a pass over data."""

import contextlib
from typing import Any

import keras

from kerasbn._graph import shadowing, sublayers
from kerasbn.inference._batches import Batches
from kerasbn.inference._pooled_statistics import PooledStatistics


def calibrate(
    model: keras.Model,
    data: Any,
    steps: int | None = None,
    *,
    batch_size: int = 256,
    verbose: int = 1,
) -> None:
    """Set the moving statistics of a model to the exact ones of `data`.

    Each batch normalization layer gets the mean and variance of what really
    reaches it at inference: layers are taken in the order in which the model
    calls them, a pass over `data` each, the earlier ones already calibrated.
    For weights that did not grow together with their statistics: averaged
    (EMA), copied, fine-tuned, or trained with gradient accumulation. A frozen
    layer (`trainable=False`) keeps its statistics.

    Args:
        model: A built model, of any kind. Only moving statistics change.
        data: Inputs as for `predict`: an array or a structure of arrays, a
            `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator. Of an
            element `(x, y, ...)` of the last three, only `x` is used.
        steps: Batches to take; `None` takes all. A generator needs it.
        batch_size: Rows per batch where `data` is made of arrays.
        verbose: 1 shows a progress bar, 0 is silent.

    Raises:
        ValueError: If the model has no batch normalization that can move, or
            `data` holds no batch or a non-finite value. The statistics are
            then as they were.

    Example:
    >>> import keras, kerasbn, numpy as np
    >>> model = keras.Sequential(
    ...     [keras.Input((1,)), keras.layers.BatchNormalization()])
    >>> kerasbn.calibrate(model, np.array([[1.0], [3.0]]), verbose=0)
    >>> model.layers[0].moving_mean.numpy().tolist()
    [2.0]
    """
    batches = Batches(data, steps, batch_size)
    if not model.built:
        model(batches.first, training=False)
    inside = sublayers.batch_normalizations(model)
    layers = [layer for layer in inside if layer.trainable]
    if not layers:
        raise ValueError(
            "`model` must have a batch normalization layer that is not frozen. "
            f"Received: model={model.name!r}."
        )
    order = _call_order(model, layers, batches.first)
    before = [layer.get_weights() for layer in order]
    total = len(order) * len(batches) or None
    progress = keras.utils.Progbar(total, verbose=verbose)
    try:
        for layer in order:
            pooled = PooledStatistics(layer)
            with _watched(layer, pooled.add):
                for batch in batches:
                    model(batch, training=False)
                    progress.add(1)
            pooled.assign()
    except BaseException:
        for layer, weights in zip(order, before, strict=True):
            layer.set_weights(weights)
        raise


def _watched(layer, see):
    """Pass the inputs and the mask of each call of a layer to `see`."""
    call = layer.call

    def watched(inputs, *args, mask=None, **kwargs):
        see(inputs, mask)
        return call(inputs, *args, mask=mask, **kwargs)

    return shadowing.replaced(layer, "call", watched)


def _call_order(model, layers, batch):
    """The layers that `model` calls, first call first, then the others."""
    called = []
    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.enter_context(
                _watched(layer, lambda *_, each=layer: called.append(each))
            )
        model(batch, training=False)
    return list(dict.fromkeys([*called, *layers]))
