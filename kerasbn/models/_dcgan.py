"""The networks of a generative pair for images."""

import math
from collections.abc import Sequence

import keras

from kerasbn.models import _initializers, _options

# A layer with these halves an image; transposed, it doubles one.
_HALF = {
    "kernel_size": 4,
    "strides": 2,
    "padding": "same",
    "data_format": "channels_last",
}


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

    Both are those of the paper, for images of any size that can be halved. The
    generator doubles, from noise of shape `(latent_dim,)`:

        projection     Dense, to the smallest image; then as each layer below
        upsampling_i   Conv2DTranspose, 4 x 4, stride 2; normalization; ReLU
        image          the last Conv2DTranspose, tanh: images are in [-1, 1]

    The discriminator halves, with the same sizes in reverse:

        downsampling_i Conv2D, 4 x 4, stride 2; normalization; leaky ReLU, 0.2
        output         Dense, one logit: positive is real

    Where the paper leaves batch normalization out, so does this: in the
    generator's last layer, in the discriminator's first, and at its output.
    There it made samples oscillate. A kernel of 4 x 4, where the paper has
    5 x 5, is divided by the stride: 5 x 5 draws a checkerboard (Odena et al.,
    2016). Train the two with `kerasbn.models.GAN`.

    Args:
        image_shape: `(height, width, channels)`. Each side must be divisible by
            2 for each entry of `filters`.
        latent_dim: Size of the noise that a generator makes an image of. 100 is
            the paper's; fewer than 32 are enough for digits.
        filters: Filters of the discriminator's convolutions, first to last; the
            generator has them in reverse. Each entry halves the image:
            the default leaves 7 x 7 of 28 x 28. The paper has `(128, 256, 512,
            1024)` for 64 x 64.
        kernel_initializer: Initializer of all kernels. `None` is the paper's,
            normal with a standard deviation of 0.02.
        normalization: "batch", "layer", or `None`.
        name: Prefix of the names of both models.

    Returns:
        `(generator, discriminator)`, functional `keras.Model`s, not compiled.
        Under a mixed precision policy the outputs are float32.

    Raises:
        ValueError: If `image_shape` is not that of an image or cannot be
            halved for each entry of `filters`, `filters` is empty or not
            positive, `latent_dim` is not positive, or `normalization` is not
            known.

    Example:
    >>> import kerasbn
    >>> generator, discriminator = kerasbn.models.dcgan((28, 28, 1))
    >>> generator.output_shape, discriminator.output_shape
    ((None, 28, 28, 1), (None, 1))

    Reference:
        [Radford et al., 2016](https://arxiv.org/abs/1511.06434);
        [Odena et al., 2016](https://distill.pub/2016/deconv-checkerboard).
    """
    _options.check_integers("filters", filters)
    _options.check_integer("latent_dim", latent_dim)
    _options.check_choice(
        "normalization", normalization, ("batch", "layer", None)
    )
    _check_image(image_shape, filters)

    def kernel(label, layer, size, normalized=True, **options):
        """The layer that holds the kernel; beta replaces its bias."""
        return layer(
            size,
            use_bias=normalization != "batch" or not normalized,
            kernel_initializer=_initializers.redrawn(kernel_initializer)
            or keras.initializers.RandomNormal(stddev=0.02),
            name=label,
            **options,
        )

    def followers(label, negative_slope, normalized=True):
        layers = [
            keras.layers.ReLU(
                negative_slope=negative_slope, name=f"{label}_activation"
            )
        ]
        if normalized and normalization is not None:
            layers.insert(
                0,
                _options.normalization_layer(
                    normalization, f"{label}_normalization"
                ),
            )
        return layers

    *sides, channels = image_shape
    smallest = (*(side // 2 ** len(filters) for side in sides), filters[-1])
    generator = [
        kernel("projection", keras.layers.Dense, math.prod(smallest)),
        keras.layers.Reshape(smallest, name="reshape"),
        *followers("projection", 0.0),
    ]
    for index, count in enumerate(filters[-2::-1]):
        label = f"upsampling_{index}"
        generator += [
            kernel(label, keras.layers.Conv2DTranspose, count, **_HALF),
            *followers(label, 0.0),
        ]
    generator.append(
        kernel(
            "image",
            keras.layers.Conv2DTranspose,
            channels,
            normalized=False,
            activation="tanh",
            dtype="float32",
            **_HALF,
        )
    )
    discriminator = []
    for index, count in enumerate(filters):
        label = f"downsampling_{index}"
        discriminator += [
            kernel(label, keras.layers.Conv2D, count, index > 0, **_HALF),
            *followers(label, 0.2, index > 0),
        ]
    discriminator += [
        keras.layers.Flatten("channels_last", name="flatten"),
        kernel("output", keras.layers.Dense, 1, False, dtype="float32"),
    ]
    return (
        _chain((latent_dim,), generator, f"{name}_generator"),
        _chain(image_shape, discriminator, f"{name}_discriminator"),
    )


def _chain(input_shape, layers, name):
    inputs = x = keras.Input(input_shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x, name=name)


def _check_image(image_shape, filters):
    divisor = 2 ** len(filters)
    fits = len(image_shape) == 3 and all(
        isinstance(size, int) and size > 0 for size in image_shape
    )
    if not fits or any(side % divisor for side in image_shape[:2]):
        raise ValueError(
            "`image_shape` must be a height and a width divisible by "
            f"{divisor}, which is 2 ** len(filters), and the channels. "
            f"Received: image_shape={image_shape}, filters={filters}. Pass "
            "fewer filters, or pad or resize the images."
        )
