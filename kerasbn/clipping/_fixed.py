"""Rules with a fixed limit."""

import keras
from keras import ops

from kerasbn.clipping import _rule


@keras.saving.register_keras_serializable("kerasbn")
class ByValue(_rule.Rule):
    """Bound each entry of a gradient, as Keras's `clipvalue` does.

    Changes the direction of the step, as only large entries shrink.

    Args:
        clipvalue: Largest absolute value of an entry, more than 0.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.ByValue(0.5).clipvalue
    0.5
    """

    _arguments = ("clipvalue",)

    def __init__(self, clipvalue: float):
        _rule.check_positive(clipvalue=clipvalue)
        self.clipvalue = clipvalue

    def clip(self, gradients, variables, norm, applied):
        return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]


@keras.saving.register_keras_serializable("kerasbn")
class ByNorm(_rule.Rule):
    """Bound the L2 norm of each variable's gradient, as Keras's `clipnorm`.

    Keeps the direction of each variable's step, not that of the whole.

    Args:
        clipnorm: Largest L2 norm of the gradient of one variable, more than 0.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.ByNorm(1.0).clipnorm
    1.0
    """

    _arguments = ("clipnorm",)

    def __init__(self, clipnorm: float):
        _rule.check_positive(clipnorm=clipnorm)
        self.clipnorm = clipnorm

    def clip(self, gradients, variables, norm, applied):
        clipped = []
        for gradient in gradients:
            # The square of 256 overflows float16.
            square = ops.sum(ops.square(ops.cast(gradient, "float32")))
            clipped += _rule.scaled([gradient], ops.sqrt(square), self.clipnorm)
        return clipped


@keras.saving.register_keras_serializable("kerasbn")
class ByGlobalNorm(_rule.Rule):
    """Bound the L2 norm of the whole gradient, as Keras's `global_clipnorm`.

    Keeps the direction of the step: the usual choice for recurrent networks
    ([Pascanu et al., 2013](https://arxiv.org/abs/1211.5063)).

    Args:
        global_clipnorm: Largest L2 norm of all gradients together, more than 0.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.ByGlobalNorm(1.0).threshold
    1.0
    """

    _arguments = ("global_clipnorm",)

    def __init__(self, global_clipnorm: float):
        _rule.check_positive(global_clipnorm=global_clipnorm)
        self.threshold = self.global_clipnorm = global_clipnorm

    def clip(self, gradients, variables, norm, applied):
        return _rule.scaled(gradients, norm, self.global_clipnorm)
