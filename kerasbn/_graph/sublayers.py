"""The layers inside a model that act as one each."""

import keras
from keras import layers

_ACTIVATIONS = (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)


def leaves(layer):
    """The layers that act as one, each with its activation or `None`."""
    for inner in layer._layers:  # Keras has no public list of sublayers
        core = inner
        if isinstance(inner, layers.RNN):  # calls its cell in a loop, unseen
            core = inner.cell
        elif isinstance(inner, layers.TimeDistributed):
            core = inner.layer
        activation = getattr(core, "activation", None)
        if isinstance(core, _ACTIVATIONS):
            activation = core
        if core is inner and set(inner._layers) - {activation}:
            yield from leaves(inner)
        else:
            yield inner, activation


def output_layers(model):
    last = []
    if isinstance(model, keras.Sequential):
        last = model.layers[-1:]
    elif isinstance(model, keras.Function):
        last = [output._keras_history.operation for output in model.outputs]
    for layer in last:
        yield layer
        yield from output_layers(layer)
