"""The only code that reads private attributes of Keras's graph.

None of them has a public counterpart. Tried with Keras 3.15.
"""

from typing import Any

import keras


def made_by(tensor: Any) -> Any:
    """The node of the call that returned a symbolic tensor."""
    operation, index, _ = tensor._keras_history  # Keras 3.15
    return operation._inbound_nodes[index]  # Keras 3.15


def sublayers(layer: Any) -> list[Any]:
    """The direct sublayers of a layer."""
    return layer._layers  # Keras 3.15


def all_layers(layer: Any) -> list[Any]:
    """A layer and all layers inside it; none of an operation."""
    if not isinstance(layer, keras.layers.Layer):
        return []
    return list(layer._flatten_layers())  # Keras 3.15
