"""Batch normalization folded away, or said in stock layers."""

from typing import NamedTuple

import keras

from kerasbn._graph import cloning
from kerasbn.inference import _folding
from kerasbn.layers import BatchNormalization, InputBatchNormalization


class Fold(NamedTuple):
    """What became of one batch normalization layer.

    Attributes:
        layer: Name of the batch normalization layer.
        into: Name of the layer that does its work now, or `None` if it stays.
        reason: Why it stays; empty if it was folded.
    """

    layer: str
    into: str | None
    reason: str = ""

    def __str__(self) -> str:
        """Return a line such as "hidden_0_normalization: in hidden_0"."""
        state = f"in {self.into}" if self.into else f"kept, {self.reason}"
        return f"{self.layer}: {state}"


def fold(model: keras.Model) -> keras.Model:
    """Return a model for inference with batch normalization folded away.

    A batch normalization layer at inference is a scale and an offset per
    feature. They are multiplied into the kernel and the bias of the Dense or
    convolution before it, or, where an activation stands between, into the one
    after it, wherever that is exact. What cannot be folded stays, as a stock
    layer. `result.fold_report` is a tuple of `Fold`, one per batch
    normalization layer, that says what happened and why.

    Args:
        model: A built functional or sequential model. It is not changed.

    Returns:
        A functional `keras.Model` of stock layers (and those of the user),
        not compiled, whose output equals that of `model` at inference up to
        rounding. Do not train it. Layers that compute in half precision
        are not folded: their kernels have no digits to spare.

    Raises:
        ValueError: If the model is not built, or is subclassed.

    Example:
    >>> import kerasbn
    >>> model = kerasbn.models.mlp((4,), [8], 2)
    >>> folded = kerasbn.fold(model)
    >>> for each in folded.fold_report:
    ...     print(each)
    input_normalization: kept, its output is bounded
    hidden_0_normalization: in hidden_0

    Reference:
        [Jacob et al., 2018](https://arxiv.org/abs/1712.05877), section 3.2.
    """
    folded, outcomes = _folding.folded(_plain(model))
    folded.fold_report = tuple(Fold(*outcome) for outcome in outcomes)
    return folded


def to_keras(model: keras.Model) -> keras.Model:
    """Return the same model in stock layers, loadable without kerasbn.

    `kerasbn.layers.BatchNormalization` becomes the stock layer with the same
    weights. `InputBatchNormalization` becomes a `Rescaling` by powers of two
    and a `Normalization`, which hold its statistics fixed from there on.

    Args:
        model: A built functional or sequential model. It is not changed.

    Returns:
        A functional `keras.Model`, not compiled, that gives the same output
        and can be trained on.

    Raises:
        ValueError: If the model is not built, or is subclassed.

    Example:
    >>> import kerasbn
    >>> stock = kerasbn.to_keras(kerasbn.models.mlp((4,), [8], 2))
    >>> {type(layer).__module__.split(".")[0] for layer in stock.layers}
    {'keras'}
    """
    stock = _folding.converted(_plain(model))
    for layer in stock._flatten_layers():
        if isinstance(layer, BatchNormalization | InputBatchNormalization):
            raise ValueError(
                "`model` must hold the layers of kerasbn in its graph, as they "
                f"are. Received: layer={layer.name!r}, inside another layer or "
                "subclassed. Replace it there by "
                "`keras.layers.BatchNormalization`."
            )
    return stock


def _plain(model):
    graph = cloning.plain(model)
    if graph is None:
        raise ValueError(
            "`model` must be a built functional or sequential model. "
            f"Received: model={model!r}. Give a sequential model a "
            "`keras.Input`; a subclassed model shows no graph to change."
        )
    return graph
