"""Preconfigured optimizers: stock Keras objects with gradients clipped.

Each function takes every argument of the Keras optimizer of its name and
returns that optimizer. What differs is one default: `clipnorm=1.0`, which
rescales the gradient of a variable when its L2 norm exceeds 1. Ordinary
gradients of a normalized network pass unchanged; a spike cannot throw the
weights away. `clipvalue=...` or `global_clipnorm=...` replaces it and
`clipnorm=None` switches clipping off. `Clipped` wraps any of them, for rules
that compose and adapt (`kerasbn.clipping`).

Where a docstring gives scores, they are the best validation accuracies within
200 steps of batches of 32, or for diabetes R2, mean of 2 seeds, stock against
preset, each at its defaults (`python benchmarks/presets.py`).

Raises:
    ValueError: If a clip argument is not a positive number. Keras takes 0 and
        negative values to mean no clipping, silently.

Reference:
    [Pascanu et al., 2013](https://arxiv.org/abs/1211.5063).
"""

import keras

from kerasbn._clipped import CLIP_ARGUMENTS
from kerasbn._clipped import Clipped as Clipped

# An object of its own: `clipnorm is _DEFAULT_CLIPNORM` tells the default from a
# 1.0 that the user passed beside another clip argument, which Keras refuses.
_DEFAULT_CLIPNORM = float("1.0")


def sgd(
    learning_rate=0.01,
    *,
    momentum: float = 0.9,
    nesterov: bool = True,
    clipnorm: float | None = _DEFAULT_CLIPNORM,
    **kwargs,
) -> keras.optimizers.SGD:
    """Return SGD with Nesterov momentum 0.9 and clipped gradients.

    Built networks, scored as the module says; the worst gap is -0.007 with a
    standard error of 0.024:

               digits                         breast   diabetes,  raw
               cnn    3     10    50    wine  cancer   scaled     targets
        stock  .876   .886  .902  .737  .991  .906     .319       .000
        sgd    .968   .966  .969  .879  .991  .927     .313       .076

    Args:
        learning_rate: A float, a schedule or a callable, as in Keras. The
            default is Keras's.
        momentum: Share of the last step that is kept; 0.9 is the usual choice
            (Sutskever et al., 2013), where Keras's default is 0.
        nesterov: Whether the gradient is taken ahead of the step.
        clipnorm: L2 norm that the gradient of one variable may reach; see the
            module. `None` switches clipping off.
        **kwargs: The other arguments of `keras.optimizers.SGD`.

    Returns:
        A `keras.optimizers.SGD`.

    Example:
    >>> import kerasbn
    >>> kerasbn.optimizers.sgd().clipnorm
    1.0
    >>> optimizer = kerasbn.optimizers.sgd(0.1, clipvalue=0.5)
    >>> optimizer.clipvalue, optimizer.clipnorm
    (0.5, None)
    """
    return keras.optimizers.SGD(
        learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        **_with_clipping(clipnorm, kwargs),
    )


def adam(
    learning_rate=0.001,
    *,
    clipnorm: float | None = _DEFAULT_CLIPNORM,
    **kwargs,
) -> keras.optimizers.Adam:
    """Return Adam with clipped gradients.

    A gradient that is clipped at every step moves Adam as if it were not: the
    scale cancels. Clipping is here for the single spike, and for depth. Built
    networks, scored as the module says:

               digits                         breast   diabetes,  raw
               cnn    3     10    50    wine  cancer   scaled     targets
        stock  .969   .957  .960  .756  .991  .927     .327       .000
        adam   .969   .960  .964  .877  .991  .930     .318       .000

    On diabetes the clipping costs 0.007 (8 seeds, standard error 0.003);
    `clipnorm=10.0` does not.

    Args:
        learning_rate: A float, a schedule or a callable, as in Keras.
        clipnorm: See `sgd`.
        **kwargs: The other arguments of `keras.optimizers.Adam`.

    Returns:
        A `keras.optimizers.Adam`.

    Example:
    >>> import kerasbn
    >>> kerasbn.optimizers.adam(beta_2=0.99).clipnorm
    1.0
    """
    return keras.optimizers.Adam(
        learning_rate, **_with_clipping(clipnorm, kwargs)
    )


def adamw(
    learning_rate=0.001,
    *,
    clipnorm: float | None = _DEFAULT_CLIPNORM,
    **kwargs,
) -> keras.optimizers.AdamW:
    """Return AdamW with clipped gradients that decays kernels only.

    Three layers deep, its scores against stock AdamW are those of `adam`
    against stock Adam.

    Gamma, beta and biases are kept out of weight decay: pulling gamma to 0
    shrinks a normalized layer's output and prevents no overfitting. Keras
    decays them by default. It does not save the exclusion either: after
    `keras.models.load_model`, compile with a new `adamw()` or call
    `model.optimizer.exclude_from_weight_decay` again before training on.

    Args:
        learning_rate: A float, a schedule or a callable, as in Keras.
        clipnorm: See `sgd`.
        **kwargs: The other arguments of `keras.optimizers.AdamW`.

    Returns:
        A `keras.optimizers.AdamW`.

    Example:
    >>> import kerasbn
    >>> kerasbn.optimizers.adamw(weight_decay=0.01).weight_decay
    0.01
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate, **_with_clipping(clipnorm, kwargs)
    )
    # Keras searches these patterns in the name of the backend's variable:
    # "beta", or "hidden_0_normalization/beta:0" with TensorFlow.
    optimizer.exclude_from_weight_decay(
        var_names=[r"(^|/)(gamma|beta|bias)(:\d+)?$"]
    )
    return optimizer


def nadam(
    learning_rate=0.001,
    *,
    clipnorm: float | None = _DEFAULT_CLIPNORM,
    **kwargs,
) -> keras.optimizers.Nadam:
    """Return Nadam, Adam with Nesterov momentum, with clipped gradients.

    Built networks, scored as the module says:

               digits                         breast   diabetes,  raw
               cnn    3     10    50    wine  cancer   scaled     targets
        stock  .969   .958  .959  .767  .991  .912     .322       .000
        nadam  .969   .959  .963  .853  .991  .927     .309       .000

    On diabetes the clipping costs 0.010 (8 seeds, standard error 0.002);
    `clipnorm=10.0` does not.

    Args:
        learning_rate: A float, a schedule or a callable, as in Keras.
        clipnorm: See `sgd`.
        **kwargs: The other arguments of `keras.optimizers.Nadam`.

    Returns:
        A `keras.optimizers.Nadam`.

    Example:
    >>> import kerasbn
    >>> kerasbn.optimizers.nadam(clipnorm=None).clipnorm is None
    True
    """
    return keras.optimizers.Nadam(
        learning_rate, **_with_clipping(clipnorm, kwargs)
    )


def rmsprop(
    learning_rate=0.001,
    *,
    clipnorm: float | None = _DEFAULT_CLIPNORM,
    **kwargs,
) -> keras.optimizers.RMSprop:
    """Return RMSprop with clipped gradients.

    Built networks, scored as the module says; the worst gap is -0.016 with a
    standard error of 0.026:

                 digits                         breast   diabetes,  raw
                 cnn    3     10    50    wine  cancer   scaled     targets
        stock    .968   .966  .962  .728  .991  .947     .307       .000
        rmsprop  .967   .965  .961  .807  .991  .942     .291       .000

    Args:
        learning_rate: A float, a schedule or a callable, as in Keras.
        clipnorm: See `sgd`.
        **kwargs: The other arguments of `keras.optimizers.RMSprop`.

    Returns:
        A `keras.optimizers.RMSprop`.

    Example:
    >>> import kerasbn
    >>> kerasbn.optimizers.rmsprop(global_clipnorm=2.0).global_clipnorm
    2.0
    """
    return keras.optimizers.RMSprop(
        learning_rate, **_with_clipping(clipnorm, kwargs)
    )


def lion(
    learning_rate=0.001,
    *,
    clipnorm: float | None = _DEFAULT_CLIPNORM,
    **kwargs,
) -> keras.optimizers.Lion:
    """Return Lion with clipped gradients.

    Built networks on digits, scored as the module says:

                       cnn    3     10    50
        stock          .972   .968  .961  .740
        lion           .974   .968  .967  .773
        lion(0.001/3)  .948   .944  .969  .879

    Args:
        learning_rate: A float, a schedule or a callable, as in Keras. Lion
            moves by the sign of its momentum and wants a learning rate 3 to 10
            times smaller than Adam's (Chen et al., 2023). The default is
            Keras's all the same: a third of it is better at 50 layers and
            behind in the first 200 steps of shallow networks.
        clipnorm: See `sgd`.
        **kwargs: The other arguments of `keras.optimizers.Lion`.

    Returns:
        A `keras.optimizers.Lion`.

    Example:
    >>> import kerasbn
    >>> kerasbn.optimizers.lion(1e-4).clipnorm
    1.0
    """
    return keras.optimizers.Lion(
        learning_rate, **_with_clipping(clipnorm, kwargs)
    )


def _with_clipping(clipnorm, kwargs):
    """The stock arguments: the default clipnorm steps aside for another."""
    others = (kwargs.get("clipvalue"), kwargs.get("global_clipnorm"))
    if clipnorm is _DEFAULT_CLIPNORM and others != (None, None):
        clipnorm = None
    arguments = {"clipnorm": clipnorm, **kwargs}
    for name in CLIP_ARGUMENTS:
        value = arguments.get(name)
        if value is not None and not value > 0:
            raise ValueError(
                f"`{name}` must be a positive number. Received: {name}={value}."
                f" Pass {name}=None for no clipping."
            )
    return arguments
