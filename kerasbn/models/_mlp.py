"""Networks of dense layers for tables."""

from collections.abc import Sequence

import keras

from kerasbn.layers import InputBatchNormalization
from kerasbn.models import _options


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
        activation: Activation of the hidden layers: its Keras name, "prelu",
            or a layer, of which each hidden layer gets its own copy. ELU has a
            gradient where ReLU dies (Clevert et al., 2016).
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
            starts as the identity (Goyal et al., 2017), and has no activation
            after it: at 0 the gradient of ReLU is 0, and would stay so.
        name: Name of the model.

    Returns:
        A functional `keras.Model`, not compiled, of output shape
        `(batch, output_units)`. Under a mixed precision policy the output is
        float32.

    Raises:
        ValueError: If `input_shape` is no shape, `hidden_units` is empty or not
            positive, or `normalization`, `placement` or `activation` is not
            known.

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
    if not _options.is_shape(input_shape):
        raise ValueError(
            "`input_shape` must hold the size of each axis of a sample. "
            f"Received: input_shape={input_shape!r}. Use (4,) for rows of 4 "
            "features, and `kerasbn.models.rnn` for sequences of any length."
        )
    _options.check_integers("hidden_units", hidden_units)
    if output_activation is not None:
        _options.check_activation_name("output_activation", output_activation)
    hidden = _options.Hidden(
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
        ends_block = (
            residual and shortcut is not None and shortcut.shape[-1] == units
        )
        before = x
        label = f"hidden_{index}"
        x = keras.layers.Dense(
            units, **hidden.arguments(ends_block), name=label
        )(x)
        for layer in hidden.followers(label, ends_block):
            x = layer(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"{label}_dropout")(x)
        if ends_block:
            x = keras.layers.Add(name=f"{label}_add")([shortcut, x])
            shortcut = None
        else:
            shortcut = before
    outputs = _options.output_layer(output_units, output_activation)(x)
    return keras.Model(inputs, outputs, name=name)
