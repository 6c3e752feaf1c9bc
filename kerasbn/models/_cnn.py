"""Networks of convolutions for images."""

from collections.abc import Sequence

import keras

from kerasbn.layers import InputBatchNormalization
from kerasbn.models import _initializers, _options


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

    Pixels are normalized per channel by the first layer. Each entry of
    `filters` is one convolution, and wherever the number grows the image is
    halved: `[32, 32, 64, 64]` is two convolutions at full size and two at half
    of it.

        conv_i                Conv2D, 3 x 3, without the bias that beta replaces
        conv_i_normalization  `kerasbn.layers.BatchNormalization`
        conv_i_activation

    Two 3 x 3 kernels see what a 5 x 5 sees, with fewer weights and one more
    activation (Simonyan and Zisserman, 2015). The image is halved by stride 2
    of the convolution that adds filters, as in residual networks: a step costs
    a quarter of convolving first and pooling then, at equal accuracy
    (Springenberg et al., 2015). Global average pooling in front of the output
    has no weights that overfit, and takes images of any size (Lin et al.,
    2014).

    Args:
        input_shape: `(height, width, channels)`, as in `keras.Input`. `None`
            as height or width takes images of any size.
        filters: Filters of each convolution, first to last. Each growth halves
            the image, by half doing twice the work per pixel (He et al., 2016).
        output_units: Units of the output layer.
        output_activation: Activation of the output layer. `None` is linear.
        activation: Activation of the hidden layers; see `mlp`. "prelu" learns
            one slope per channel.
        kernel_initializer: Initializer of the hidden kernels. `None` chooses
            it to fit `activation`; see `mlp`.
        normalize_inputs: Whether `kerasbn.layers.InputBatchNormalization` is
            the first layer.
        normalization: "batch", "layer", or `None`. With `None` and
            `normalize_inputs=False` this is the plain network.
        placement: Normalization "before" the activation, or "after" it.
        dropout: Dropout rate in front of the output layer, in [0, 1). Not
            between convolutions: dropout in front of batch normalization
            changes the variance from training to inference (Li et al., 2019).
        residual: Whether every two convolutions after the first get a
            shortcut: 100 and more then train from the first step. The block
            starts as the identity, because its last normalization starts with
            gamma 0 (without normalization: its last kernel with 0; Goyal et
            al., 2017), and its last convolution has no activation, whose
            gradient at 0 may be 0. Where the shape changes, the shortcut is
            averaged, projected by a 1 x 1 convolution and normalized (He et
            al., 2019).
        name: Name of the model.

    Returns:
        A functional `keras.Model`, not compiled, of output shape
        `(batch, output_units)`. Under a mixed precision policy the output is
        float32.

    Raises:
        ValueError: If `input_shape` is not that of an image, `filters` is
            empty, not positive, or grows more often than the image can be
            halved, or `normalization`, `placement` or `activation` is not
            known.

    Example:
    >>> import kerasbn
    >>> model = kerasbn.models.cnn((28, 28, 1), [8, 16, 16], 10)
    >>> [model.get_layer(f"conv_{index}").output.shape for index in range(3)]
    [(None, 28, 28, 8), (None, 14, 14, 16), (None, 14, 14, 16)]

    Reference:
        [Simonyan and Zisserman, 2015](https://arxiv.org/abs/1409.1556);
        [Springenberg et al., 2015](https://arxiv.org/abs/1412.6806);
        [Lin et al., 2014](https://arxiv.org/abs/1312.4400);
        [He et al., 2016](https://arxiv.org/abs/1512.03385);
        [Goyal et al., 2017](https://arxiv.org/abs/1706.02677);
        [He et al., 2019](https://arxiv.org/abs/1812.01187);
        [Li et al., 2019](https://arxiv.org/abs/1801.05134).
    """
    _options.check_integers("filters", filters)
    _check_image(input_shape, filters)
    if output_activation is not None:
        _options.check_activation_name("output_activation", output_activation)
    hidden = _options.Hidden(
        activation, kernel_initializer, normalization, placement, [1, 2]
    ).check()

    inputs = keras.Input(input_shape)
    x = inputs
    if normalize_inputs:
        x = InputBatchNormalization(name="input_normalization")(x)
    start, halvings = x, 0
    for index, count in enumerate(filters):
        # After the first convolution, which lifts the channels to filters.
        ends_block = residual and index > 0 and index % 2 == 0
        if residual and index % 2:
            start, halvings = x, 0
        halves = _grows(filters, index)
        halvings += halves
        label = f"conv_{index}"
        x = _convolution(count, 3, 1 + halves, label, hidden, ends_block)(x)
        for layer in hidden.followers(label, ends_block):
            x = layer(x)
        if ends_block:
            shortcut = _shortcut(start, count, halvings, label, hidden)
            x = keras.layers.Add(name=f"{label}_add")([shortcut, x])
    x = keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", name="pooling"
    )(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    outputs = _options.output_layer(output_units, output_activation)(x)
    return keras.Model(inputs, outputs, name=name)


def _grows(filters, index):
    return index > 0 and filters[index] > filters[index - 1]


def _convolution(filters, kernel_size, strides, label, hidden, ends_block):
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        data_format="channels_last",
        **hidden.arguments(ends_block),
        name=label,
    )


def _shortcut(x, filters, halvings, label, hidden):
    """What enters the block, in the shape of what leaves it."""
    if not halvings and x.shape[-1] == filters:
        return x
    if halvings:
        # Stride 2 of the 1 x 1 kernel would drop three quarters of the pixels.
        x = keras.layers.AveragePooling2D(
            2**halvings,
            padding="same",
            data_format="channels_last",
            name=f"{label}_shortcut_pooling",
        )(x)
    x = keras.layers.Conv2D(
        filters,
        1,
        data_format="channels_last",
        use_bias=hidden.normalization != "batch",
        kernel_initializer=_initializers.initializer("linear"),
        name=f"{label}_shortcut",
    )(x)
    if hidden.normalization is None:
        return x
    return _options.normalization_layer(
        hidden.normalization, f"{label}_shortcut_normalization"
    )(x)


def _check_image(input_shape, filters):
    if not _options.is_shape(input_shape, 3, may_vary=True):
        raise ValueError(
            "`input_shape` must be the height, the width and the channels of "
            f"an image. Received: input_shape={input_shape!r}. Use (28, 28, 1) "
            "for gray images of 28 x 28, and give the data a last axis: "
            "x[..., None]."
        )
    sides = input_shape[:-1]
    halvings = sum(_grows(filters, index) for index in range(len(filters)))
    # A side of 5 becomes 3, 2, 1: as often as 5 - 1 has binary digits.
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
