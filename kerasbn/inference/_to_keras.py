"""A model in stock layers."""

import keras

from kerasbn._graph import rebuild, sublayers
from kerasbn.inference import _fold_reasons, _stock
from kerasbn.layers import BatchNormalization, InputBatchNormalization


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
    graph = _fold_reasons.graph_of(model)
    stock = rebuild.rebuild(graph, _stock.edits(graph))
    for layer in sublayers.batch_normalizations(stock):
        if isinstance(layer, BatchNormalization | InputBatchNormalization):
            raise ValueError(
                "`model` must hold the layers of kerasbn in its graph, as they "
                f"are. Received: layer={layer.name!r}, inside another layer or "
                "subclassed. Replace it there by "
                "`keras.layers.BatchNormalization`."
            )
    return stock
