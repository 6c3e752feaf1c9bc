"""Initializers that fit an activation: He unless the table has another."""

import keras

_INITIALIZERS = {
    # Saturating and linear activations: Glorot and Bengio, 2010.
    "tanh": "glorot_uniform",
    "sigmoid": "glorot_uniform",
    "softmax": "glorot_uniform",
    "linear": "glorot_uniform",
    # Self-normalizing networks: Klambauer et al., 2017.
    "selu": "lecun_normal",
}


def initializer(activation):
    """Return the name of the kernel initializer that fits an activation."""
    if isinstance(activation, keras.layers.Activation):
        activation = activation.activation
    name = getattr(activation, "__name__", activation)
    return _INITIALIZERS.get(name, "he_normal")


def fitting(kernel_initializer, activation):
    """Return a copy of the user's, as an instance would repeat its weights."""
    if isinstance(kernel_initializer, keras.initializers.Initializer):
        return kernel_initializer.clone()
    return kernel_initializer or initializer(activation)
