"""Builders: networks with the input and every hidden layer normalized."""

from collections.abc import Sequence

import keras

from kerasbn.layers import BatchNormalization, InputBatchNormalization

_INITIALIZERS = {
    # Saturating and linear activations: Glorot and Bengio, 2010.
    "tanh": "glorot_uniform",
    "sigmoid": "glorot_uniform",
    "softmax": "glorot_uniform",
    "linear": "glorot_uniform",
    # Self-normalizing networks: Klambauer et al., 2017.
    "selu": "lecun_normal",
}


def mlp(
    input_shape: tuple[int | None, ...],
    hidden_units: Sequence[int],
    output_units: int,
    *,
    output_activation: str | None = None,
    activation: str = "elu",
    kernel_initializer: str | None = None,
    normalize_inputs: bool = True,
    normalization: str | None = "batch",
    placement: str = "before",
    dropout: float = 0.0,
    residual: bool = False,
    name: str = "mlp",
) -> keras.Model:
    """Build a multilayer perceptron that trains at any usual depth.

    Batch normalization is the first layer, in place of a scaler fitted to the
    data. Each hidden layer is Dense, batch normalization, activation:

        hidden_i                Dense, without the bias that beta replaces
        hidden_i_normalization  `kerasbn.layers.BatchNormalization`
        hidden_i_activation

    Twenty layers of 100 units on scikit-learn's digits end at 0.98 built by the
    defaults, and at chance as a plain sigmoid network; see
    `recipes/train_deep_mlp.py`.

    Args:
        input_shape: Shape of one sample, as in `keras.Input`. With more than
            one axis, inputs are normalized along the last and then flattened.
        hidden_units: Units of each hidden layer, first to last.
        output_units: Units of the output layer.
        output_activation: Activation of the output layer. `None` is linear.
        activation: Activation of the hidden layers, by its Keras name, or
            "prelu". ELU has a gradient where ReLU dies (Clevert et al., 2016).
        kernel_initializer: Initializer of the hidden kernels. `None` chooses
            it to fit `activation`: Glorot for tanh, sigmoid, softmax and
            linear, LeCun for SELU, He (He et al., 2015) for all others.
        normalize_inputs: Whether `kerasbn.layers.InputBatchNormalization` is
            the first layer.
        normalization: "batch", "layer", or `None`. With `None` and
            `normalize_inputs=False` this is the plain network.
        placement: Normalization "before" the activation, as in the batch
            normalization paper, or "after" it.
        dropout: Dropout rate after each activation, in [0, 1). 0.0 adds none.
        residual: Whether every two hidden layers of one width get a shortcut.
            The last normalization of a block starts with gamma 0 (without
            normalization: the last kernel starts at 0), so that the block
            starts as the identity (Goyal et al., 2017).
        name: Name of the model.

    Returns:
        A functional `keras.Model`, not compiled, of output shape
        `(batch, output_units)`. Under a mixed precision policy the output is
        float32.

    Raises:
        ValueError: If `hidden_units` is empty or not positive, or
            `normalization`, `placement` or `activation` is not known.

    Example:
    >>> import kerasbn
    >>> model = kerasbn.models.mlp((4,), [8, 8], 3, output_activation="softmax")
    >>> [layer.name for layer in model.layers[:5]]  # doctest: +ELLIPSIS
    ['...', 'input_normalization', 'hidden_0', 'hidden_0_normalization', ...]
    >>> model.count_params()  # kernels, gammas, betas, bias, statistics
    206

    Reference:
        [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167);
        [He et al., 2015](https://arxiv.org/abs/1502.01852);
        [Clevert et al., 2016](https://arxiv.org/abs/1511.07289).
    """
    _check_units(hidden_units)
    _check_choice("normalization", normalization, ("batch", "layer", None))
    _check_choice("placement", placement, ("before", "after"))
    _check_activation("activation", activation)
    if output_activation is not None:
        _check_activation("output_activation", output_activation)

    def hidden(x, index, ends_block):
        label = f"hidden_{index}"
        # Batch normalization next to it subtracts any bias again; without the
        # bias layer normalization would forget the length of its input.
        use_bias = normalization != "batch" or placement == "after"
        zero_kernel = ends_block and normalization is None
        dense = keras.layers.Dense(
            hidden_units[index],
            use_bias=use_bias,
            kernel_initializer="zeros"
            if zero_kernel
            else kernel_initializer or _initializer(activation),
            name=label,
        )
        steps = [_activation(activation, f"{label}_activation")]
        if normalization is not None:
            steps.insert(
                0 if placement == "before" else 1,
                _normalization(
                    normalization, f"{label}_normalization", ends_block
                ),
            )
        for step in [dense, *steps]:
            x = step(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"{label}_dropout")(x)
        return x

    inputs = keras.Input(input_shape)
    x = inputs
    if normalize_inputs:
        x = InputBatchNormalization(name="input_normalization")(x)
    if len(input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    shortcut = None
    for index, units in enumerate(hidden_units):
        ends_block = (
            residual and shortcut is not None and shortcut.shape[-1] == units
        )
        before = x
        x = hidden(x, index, ends_block)
        if ends_block:
            x = keras.layers.Add(name=f"hidden_{index}_add")([shortcut, x])
            shortcut = None
        else:
            shortcut = before
    outputs = keras.layers.Dense(
        output_units,
        activation=output_activation,
        kernel_initializer=_initializer(output_activation or "linear"),
        dtype="float32",  # softmax and loss lose too much in half precision
        name="output",
    )(x)
    return keras.Model(inputs, outputs, name=name)


def _initializer(activation):
    return _INITIALIZERS.get(activation, "he_normal")


def _activation(activation, name):
    if activation == "prelu":
        return keras.layers.PReLU(name=name)
    return keras.layers.Activation(activation, name=name)


def _normalization(kind, name, starts_at_zero):
    layer = {
        "batch": BatchNormalization,
        "layer": keras.layers.LayerNormalization,
    }[kind]
    gamma = "zeros" if starts_at_zero else "ones"
    return layer(gamma_initializer=gamma, name=name)


def _check_units(hidden_units):
    if not len(hidden_units) or not all(
        isinstance(units, int) and units > 0 for units in hidden_units
    ):
        raise ValueError(
            "`hidden_units` must hold at least one positive integer. "
            f"Received: hidden_units={hidden_units}."
        )


def _check_choice(argument, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(map(repr, choices))}. "
            f"Received: {argument}={value!r}."
        )


def _check_activation(argument, value):
    if value == "prelu":
        return
    try:
        keras.activations.get(value)
    except ValueError:
        raise ValueError(
            f"`{argument}` must be the name of a Keras activation. "
            f'Received: {argument}={value!r}. Use "elu", "relu", "gelu" or '
            "another name from `keras.activations`."
        ) from None
