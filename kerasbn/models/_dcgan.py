"""Generator and discriminator for images."""

import math
from collections.abc import Sequence
from functools import partial

import keras

from kerasbn.models import _blocks, _checks

_HALF = {
    "kernel_size": 4,
    "strides": 2,
    "padding": "same",
    "data_format": "channels_last",
}
_halving = partial(keras.layers.Conv2D, **_HALF)
_doubling = partial(keras.layers.Conv2DTranspose, **_HALF)
# The paper's, by its configuration: an instance would repeat its weights.
_NORMAL = {"class_name": "RandomNormal", "config": {"stddev": 0.02}}


def dcgan(
    image_shape: tuple[int, ...],
    latent_dim: int = 100,
    *,
    filters: Sequence[int] = (64, 128),
    kernel_initializer: str | keras.initializers.Initializer | None = None,
    normalization: str | None = "batch",
    name: str = "dcgan",
) -> tuple[keras.Model, keras.Model]:
    """Build the generator and the discriminator of a DCGAN.

    Both follow the paper, for images of any size. The generator starts from
    noise of shape `(latent_dim,)` and doubles an image:

        projection     Dense, to the smallest image; normalization; ReLU
        upsampling_i   Conv2DTranspose, 4 x 4, stride 2; normalization; ReLU
        image          Conv2DTranspose, tanh: images are in [-1, 1]

    The discriminator halves it, with the same sizes in reverse:

        downsampling_i Conv2D, 4 x 4, stride 2; normalization; leaky ReLU, 0.2
        output         Dense, one logit: positive means real

    As in the paper, the generator's last layer and the discriminator's first
    have no normalization. The kernels are 4 x 4, because the paper's 5 x 5 with
    a stride of 2 draw a checkerboard (Odena et al., 2016). Train both with
    `kerasbn.models.GAN`.

    Args:
        image_shape: `(height, width, channels)`. Both sides must be divisible
            by 2 once per entry of `filters`.
        latent_dim: Size of the noise from which an image is made. 100 is the
            paper's; 16 is enough for digits.
        filters: Filters of the discriminator's convolutions; the generator has
            them in reverse. Each halves the image: 28 x 28 to 7 x 7 by default.
        kernel_initializer: Initializer of all kernels. `None` is the paper's,
            normal with a standard deviation of 0.02.
        normalization: "batch", "layer", or `None`.
        name: Prefix of the names of both models.

    Returns:
        `(generator, discriminator)`, functional `keras.Model`s, not compiled,
        with outputs that are float32 even in mixed precision.

    Raises:
        ValueError: If a size is not positive, or a side cannot be halved so
            often, or `normalization` is unknown.

    Example:
    >>> import kerasbn
    >>> generator, discriminator = kerasbn.models.dcgan((28, 28, 1))
    >>> generator.output_shape, discriminator.output_shape
    ((None, 28, 28, 1), (None, 1))

    Reference:
        [Radford et al., 2016](https://arxiv.org/abs/1511.06434);
        [Odena et al., 2016](https://distill.pub/2016/deconv-checkerboard).
    """
    _checks.check_integers("filters", filters)
    _checks.check_integer("latent_dim", latent_dim)
    _checks.check_normalization(normalization)
    _check_image(image_shape, filters)

    def block(negative_slope, normalization=normalization):
        activation = keras.layers.ReLU(
            negative_slope=negative_slope, name="act"
        )
        return _blocks.HiddenBlock(
            activation, kernel_initializer or _NORMAL, normalization, "before"
        )

    relu, leaky, plain = block(0.0), block(0.2), block(0.2, None)
    *sides, channels = image_shape
    smallest = (*(side // 2 ** len(filters) for side in sides), filters[-1])
    projection = partial(keras.layers.Dense, math.prod(smallest))
    generator = [
        relu.kernel(projection, "projection"),
        keras.layers.Reshape(smallest, name="reshape"),
        *relu.layers_after("projection"),
    ]
    for index, count in enumerate(filters[-2::-1]):
        label = f"upsampling_{index}"
        generator += relu.layers(partial(_doubling, count), label)
    image = partial(_doubling, channels, activation="tanh", dtype="float32")
    generator.append(plain.kernel(image, "image"))

    discriminator = []
    for index, count in enumerate(filters):
        label, hidden = f"downsampling_{index}", leaky if index else plain
        discriminator += hidden.layers(partial(_halving, count), label)
    output = partial(keras.layers.Dense, 1, dtype="float32")
    discriminator += [
        keras.layers.Flatten("channels_last", name="flatten"),
        plain.kernel(output, "output"),
    ]
    noise, images = keras.Input((latent_dim,)), keras.Input(image_shape)
    made = _blocks.chained(noise, generator)
    judged = _blocks.chained(images, discriminator)
    return (
        keras.Model(noise, made, name=f"{name}_generator"),
        keras.Model(images, judged, name=f"{name}_discriminator"),
    )


def _check_image(image_shape, filters):
    divisor = 2 ** len(filters)
    if not _checks.is_shape(image_shape, 3) or any(
        side % divisor for side in image_shape[:2]
    ):
        raise ValueError(
            "`image_shape` must be a height and a width divisible by "
            f"{divisor}, which is 2 ** len(filters), and the channels. "
            f"Received: image_shape={image_shape}, filters={filters}. Pass "
            "fewer filters, or pad or resize the images."
        )
