"""Convolutional networks for images."""

from collections.abc import Sequence
from functools import partial

import keras

from kerasbn.layers import InputBatchNormalization
from kerasbn.models import _blocks, _checks, _initializers

_convolution = partial(keras.layers.Conv2D, data_format="channels_last")


def cnn(
    input_shape: tuple[int | None, ...],
    filters: Sequence[int],
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
    name: str = "cnn",
) -> keras.Model:
    """Build a convolutional network that trains at any usual depth.

    The first layer normalizes the pixels per channel. Each entry of `filters`
    is one convolution, and the image is halved wherever the number grows:
    `[32, 32, 64, 64]` is two convolutions at full size and two at half of it.

        conv_i                Conv2D, 3 x 3, whose bias is left to beta
        conv_i_normalization  `kerasbn.layers.BatchNormalization`
        conv_i_activation

    The convolution that adds filters halves the image by a stride of 2, at a
    quarter of the cost of pooling (Springenberg et al., 2015). Global average
    pooling before the output has no weights to overfit (Lin et al., 2014).

    Args:
        input_shape: `(height, width, channels)`, as in `keras.Input`. With
            `None` as height or width, images may have any size.
        filters: Filters of each convolution, first to last.
        output_units: Units of the output layer.
        output_activation: Activation of the output layer. `None` is linear.
        activation: Activation of the hidden layers; see `mlp`. "prelu" learns
            one slope per channel.
        kernel_initializer: Initializer of the hidden kernels; see `mlp`.
        normalize_inputs: Whether `InputBatchNormalization` is the first layer.
        normalization: "batch", "layer", or `None`; see `mlp`.
        placement: Normalization "before" the activation, or "after" it.
        dropout: Dropout rate before the output layer, in [0, 1). Before batch
            normalization it would distort the statistics (Li et al., 2019).
        residual: Whether every two convolutions after the first get a shortcut;
            see `mlp`. Where the shape changes, it is averaged, projected by a
            1 x 1 convolution and normalized (He et al., 2019).
        name: Name of the model.

    Returns:
        A functional `keras.Model`, not compiled, with an output in float32.

    Raises:
        ValueError: If a shape, a number of filters or a name is not valid, or
            `filters` grows more often than the image can be halved.

    Example:
    >>> import kerasbn
    >>> model = kerasbn.models.cnn((28, 28, 1), [8, 16, 16], 10)
    >>> [model.get_layer(f"conv_{index}").output.shape for index in range(3)]
    [(None, 28, 28, 8), (None, 14, 14, 16), (None, 14, 14, 16)]

    Reference:
        [Springenberg et al., 2015](https://arxiv.org/abs/1412.6806);
        [Lin et al., 2014](https://arxiv.org/abs/1312.4400);
        [He et al., 2019](https://arxiv.org/abs/1812.01187);
        [Li et al., 2019](https://arxiv.org/abs/1801.05134).
    """
    _checks.check_integers("filters", filters)
    _check_image(input_shape, filters)
    _checks.check_activation_name("output_activation", output_activation)
    hidden = _blocks.HiddenBlock(
        activation, kernel_initializer, normalization, placement, [1, 2]
    ).check()

    inputs = keras.Input(input_shape)
    x = inputs
    if normalize_inputs:
        x = InputBatchNormalization(name="input_normalization")(x)
    start, halvings = x, 0
    for index, count in enumerate(filters):
        # Blocks start after the first convolution, which widens the channels.
        ends_residual = residual and index > 0 and index % 2 == 0
        if residual and index % 2:
            start, halvings = x, 0
        halves = _grows(filters, index)
        halvings += halves
        label = f"conv_{index}"
        convolution = partial(
            _convolution, count, 3, strides=1 + halves, padding="same"
        )
        x = _blocks.chained(x, hidden.layers(convolution, label, ends_residual))
        if ends_residual:
            shortcut = _shortcut(start, count, halvings, label, hidden)
            x = keras.layers.Add(name=f"{label}_add")([shortcut, x])
    x = keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", name="pooling"
    )(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    outputs = _blocks.output_layer(output_units, output_activation)(x)
    return keras.Model(inputs, outputs, name=name)


def _grows(filters, index):
    return index > 0 and filters[index] > filters[index - 1]


def _shortcut(x, filters, halvings, label, hidden):
    """Bring the input of a block to the shape of its output."""
    if not halvings and x.shape[-1] == filters:
        return x
    if halvings:
        # A 1 x 1 kernel of stride 2 would drop three quarters of the pixels.
        x = keras.layers.AveragePooling2D(
            2**halvings,
            padding="same",
            data_format="channels_last",
            name=f"{label}_shortcut_pooling",
        )(x)
    x = _convolution(
        filters,
        1,
        use_bias=hidden.normalization != "batch",
        kernel_initializer=_initializers.initializer("linear"),
        name=f"{label}_shortcut",
    )(x)
    name = f"{label}_shortcut_normalization"
    layers = _blocks.normalization_layers(hidden.normalization, name)
    return _blocks.chained(x, layers)


def _check_image(input_shape, filters):
    if not _checks.is_shape(input_shape, 3, may_vary=True):
        raise ValueError(
            "`input_shape` must be the height, the width and the channels of "
            f"an image. Received: input_shape={input_shape!r}. Use (28, 28, 1) "
            "for gray images of 28 x 28, and give the data a last axis: "
            "x[..., None]."
        )
    sides = input_shape[:-1]
    halvings = sum(_grows(filters, index) for index in range(len(filters)))
    # A side of 5 becomes 3, 2, 1: as many halvings as 5 - 1 has binary digits.
    possible = min(
        (int(side - 1).bit_length() for side in sides if side is not None),
        default=halvings,
    )
    if halvings > possible:
        raise ValueError(
            "`filters` must grow no more often than the image can be halved, "
            f"here {possible} times. Received: filters={filters}, "
            f"input_shape={input_shape}. Repeat a number to keep the size, as "
            "in [32, 32, 64, 64]."
        )
