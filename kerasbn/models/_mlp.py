"""Dense networks for tables."""

from collections.abc import Sequence
from functools import partial

import keras

from kerasbn.layers import InputBatchNormalization
from kerasbn.models import _blocks, _checks


def mlp(
    input_shape: tuple[int, ...],
    hidden_units: Sequence[int],
    output_units: int,
    *,
    output_activation: str | None = None,
    activation: str | keras.layers.Layer = "elu",
    kernel_initializer: str | keras.initializers.Initializer | None = None,
    normalize_inputs: bool = True,
    normalization: str | None = "batch",
    placement: str = "before",
    dropout: float = 0.0,
    residual: bool = False,
    name: str = "mlp",
) -> keras.Model:
    """Build a multilayer perceptron that trains at any usual depth.

    Batch normalization as first layer replaces a scaler. Each hidden layer is

        hidden_i                Dense, whose bias is left to beta
        hidden_i_normalization  `kerasbn.layers.BatchNormalization`
        hidden_i_activation

    With the defaults, twenty layers of 100 units learn scikit-learn's digits to
    0.97, where a plain sigmoid network stays at chance.

    Args:
        input_shape: Shape of one sample, as in `keras.Input`. With more than
            one axis, inputs are normalized along the last and then flattened.
        hidden_units: Units of each hidden layer, first to last.
        output_units: Units of the output layer.
        output_activation: Activation of the output layer. `None` is linear.
        activation: Activation of the hidden layers: its Keras name, "prelu",
            or a layer, which is copied for each hidden layer. The default ELU
            keeps a gradient where ReLU units die (Clevert et al., 2016).
        kernel_initializer: Initializer of the hidden kernels. `None` chooses
            one that fits `activation`: Glorot for tanh, sigmoid, softmax and
            linear, LeCun for SELU, He (He et al., 2015) for all others.
        normalize_inputs: Whether `InputBatchNormalization` is the first layer.
        normalization: "batch", "layer", or `None`. With `None` and
            `normalize_inputs=False` the network is plain.
        placement: Normalization "before" the activation, as in the paper on
            batch normalization, or "after" it.
        dropout: Dropout rate after each activation, in [0, 1).
        residual: Whether every two hidden layers of one width get a shortcut.
            Such a block starts as the identity: its last gamma (without
            normalization, its last kernel) starts at 0 (Goyal et al., 2017),
            and no activation follows, because ReLU has no gradient at 0.
        name: Name of the model.

    Returns:
        A functional `keras.Model`, not compiled, with an output in float32.

    Raises:
        ValueError: If a shape, a number or a name is not valid.

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
    if not _checks.is_shape(input_shape):
        raise ValueError(
            "`input_shape` must hold the size of each axis of a sample. "
            f"Received: input_shape={input_shape!r}. Use (4,) for rows of 4 "
            "features, and `kerasbn.models.rnn` for sequences of any length."
        )
    _checks.check_integers("hidden_units", hidden_units)
    _checks.check_activation_name("output_activation", output_activation)
    hidden = _blocks.HiddenBlock(
        activation, kernel_initializer, normalization, placement
    ).check()

    inputs = keras.Input(input_shape)
    x = inputs
    if normalize_inputs:
        x = InputBatchNormalization(name="input_normalization")(x)
    if len(input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    shortcut = None
    for index, units in enumerate(hidden_units):
        ends_residual = (
            residual and shortcut is not None and shortcut.shape[-1] == units
        )
        label = f"hidden_{index}"
        dense = partial(keras.layers.Dense, units)
        layers = hidden.layers(dense, label, ends_residual)
        if dropout:
            layers += [keras.layers.Dropout(dropout, name=f"{label}_dropout")]
        before, x = x, _blocks.chained(x, layers)
        if ends_residual:
            x = keras.layers.Add(name=f"{label}_add")([shortcut, x])
            before = None
        shortcut = before
    outputs = _blocks.output_layer(output_units, output_activation)(x)
    return keras.Model(inputs, outputs, name=name)
