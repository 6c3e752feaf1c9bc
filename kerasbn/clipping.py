"""Rules that clip gradients, to be composed in `kerasbn.optimizers.Clipped`.

A rule is given the gradients of one step, all together, and returns what is to
be applied. Fixed limits are for those who know them: `ByValue`, `ByNorm`,
`ByGlobalNorm`. The others find theirs: `Adaptive` in the weights, `AutoClip`
and `ZClip` in the norms of the steps before. What a rule remembers stands in
variables of the optimizer, and is saved and loaded with it.

Example:
>>> import keras, kerasbn
>>> optimizer = kerasbn.optimizers.Clipped(
...     keras.optimizers.SGD(1.0), [kerasbn.clipping.ByGlobalNorm(1.0)])
>>> first, second = keras.Variable([0.0, 0.0]), keras.Variable([0.0])
>>> gradients = [keras.ops.array([3.0, 0.0]), keras.ops.array([4.0])]
>>> optimizer.apply(gradients, [first, second])  # the whole norm is 5
>>> [round(float(v), 6) for v in (first.numpy()[0], second.numpy()[0])]
[-0.6, -0.8]
"""

import collections
import math
import re
from collections.abc import Callable, Collection
from typing import Any

import keras
from keras import ops

_TINY = 1e-30  # a gradient of exactly zero has nothing to clip
# Variables of one shape up to this size are clipped together: an operation
# costs a microsecond or two, whatever its size. Larger ones cost more to stack.
_SMALL = 1000


class Rule:
    """What all rules have in common, and what a rule of your own overrides.

    Attributes:
        threshold: L2 norm of the whole gradient that the rule let pass at the
            last step, a number or a variable; `None` where it has no such
            limit.
    """

    threshold: Any = None

    def build(self, add_variable: Callable[..., Any]) -> None:
        """Create variables to remember by.

        Args:
            add_variable: Called with `name`, `shape`, `initializer`.
        """

    def clip(
        self, gradients: list, variables: list, norm: Any, applied: Any
    ) -> list:
        """Return the gradients that are to be applied.

        Args:
            gradients: Tensors of one step; under accumulation their average.
            variables: What they are gradients of.
            norm: L2 norm of all `gradients` together, a scalar.
            applied: Whether this step will be applied, a boolean scalar. What
                is remembered must not change where it is `False`.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {}

    def __str__(self) -> str:
        """The call that makes this rule."""
        config = self.get_config().items()
        arguments = ", ".join(f"{name}={value!r}" for name, value in config)
        return f"{type(self).__name__}({arguments})"

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Rule":
        """Make a rule from what `get_config` returned."""
        return cls(**config)


def _positive(**arguments):
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(
                f"`{name}` must be a positive number. Received: {name}={value}."
            )


def _remember(variable, value, applied):
    variable.assign(ops.where(applied, value, variable.value))


def _scaled(gradients, norm, threshold):
    scale = ops.minimum(1.0, threshold / ops.maximum(norm, _TINY))
    return [each * ops.cast(scale, each.dtype) for each in gradients]


@keras.saving.register_keras_serializable("kerasbn")
class ByValue(Rule):
    """Bound each entry of a gradient, as Keras's `clipvalue` does.

    Changes the direction of the step: the large entries lose, the small ones
    do not.

    Args:
        clipvalue: Largest absolute value of an entry.

    Raises:
        ValueError: If `clipvalue` is not positive.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.ByValue(0.5).clipvalue
    0.5
    """

    def __init__(self, clipvalue: float):
        _positive(clipvalue=clipvalue)
        self.clipvalue = clipvalue

    def clip(self, gradients, variables, norm, applied):
        """Return each entry within `[-clipvalue, clipvalue]`."""
        return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {"clipvalue": self.clipvalue}


@keras.saving.register_keras_serializable("kerasbn")
class ByNorm(Rule):
    """Bound the L2 norm of each variable's gradient, as Keras's `clipnorm`.

    Keeps the direction of each variable's step, and changes that of the whole.

    Args:
        clipnorm: Largest L2 norm of the gradient of one variable.

    Raises:
        ValueError: If `clipnorm` is not positive.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.ByNorm(1.0).clipnorm
    1.0
    """

    def __init__(self, clipnorm: float):
        _positive(clipnorm=clipnorm)
        self.clipnorm = clipnorm

    def clip(self, gradients, variables, norm, applied):
        """Return each gradient scaled to a norm of at most `clipnorm`."""
        return [
            _scaled([g], ops.sqrt(ops.sum(ops.square(g))), self.clipnorm)[0]
            for g in gradients
        ]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {"clipnorm": self.clipnorm}


@keras.saving.register_keras_serializable("kerasbn")
class ByGlobalNorm(Rule):
    """Bound the L2 norm of the whole gradient, as Keras's `global_clipnorm`.

    Keeps the direction of the step: the usual choice for recurrent networks
    ([Pascanu et al., 2013](https://arxiv.org/abs/1211.5063)).

    Args:
        global_clipnorm: Largest L2 norm of all gradients together.

    Raises:
        ValueError: If `global_clipnorm` is not positive.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.ByGlobalNorm(1.0).threshold
    1.0
    """

    def __init__(self, global_clipnorm: float):
        _positive(global_clipnorm=global_clipnorm)
        self.threshold = self.global_clipnorm = global_clipnorm

    def clip(self, gradients, variables, norm, applied):
        """Return all gradients scaled by one number."""
        return _scaled(gradients, norm, self.global_clipnorm)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {"global_clipnorm": self.global_clipnorm}


@keras.saving.register_keras_serializable("kerasbn")
class Adaptive(Rule):
    """Bound the gradient of each unit by the norm of the unit's weights.

    The weights of a unit are to change by at most a share of themselves, times
    the learning rate:

        limit = clipping * max(norm(weights), epsilon)
        gradient = gradient * min(1, limit / norm(gradient))

    A unit is a column of a kernel, that is all weights that lead to one output,
    or a filter; a vector, such as a bias, counts as one unit. Made for networks
    without batch normalization.

    Args:
        clipping: Largest norm of a gradient relative to that of the weights.
            The paper takes 0.01 for batches of 4096 and more for smaller ones.
        epsilon: What the norm of weights counts for at least, so that those
            that begin at zero can move; 1e-3 in the paper.
        exclude: Regular expressions; a variable in whose path one is found is
            left as it is. `None` excludes the layer of the last variable, the
            output layer of most models: clipping it does harm, by the paper.

    Raises:
        ValueError: If `clipping` or `epsilon` is not positive.
        TypeError: If `exclude` is a string.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.Adaptive(exclude=["^head/"]).clipping
    0.01

    Reference:
        [Brock et al., 2021](https://arxiv.org/abs/2102.06171).
    """

    def __init__(
        self,
        clipping: float = 0.01,
        epsilon: float = 1e-3,
        exclude: Collection[str] | None = None,
    ):
        _positive(clipping=clipping, epsilon=epsilon)
        if isinstance(exclude, str):
            raise TypeError(
                "`exclude` must be a list of regular expressions. "
                f"Received: exclude={exclude!r}. Pass [{exclude!r}]."
            )
        self.clipping = clipping
        self.epsilon = epsilon
        self.exclude = None if exclude is None else list(exclude)

    def clip(self, gradients, variables, norm, applied):
        """Return the gradients with each unit's scaled by itself."""
        clipped = list(gradients)
        groups = collections.defaultdict(list)
        for place, variable in enumerate(variables):
            if not self._is_excluded(variable, variables):
                shape = tuple(variable.shape)
                small = math.prod(shape) <= _SMALL
                groups[shape if small else place].append(place)
        for places in groups.values():
            together = [gradients[place] for place in places]
            weights = [
                ops.cast(variables[place], together[0].dtype)
                for place in places
            ]
            new = self._clip_units(ops.stack(together), ops.stack(weights))
            for place, gradient in zip(places, ops.unstack(new), strict=True):
                clipped[place] = gradient
        return clipped

    def _is_excluded(self, variable, variables):
        if self.exclude is None:
            layer, _, _ = variables[-1].path.rpartition("/")
            return variable.path.rpartition("/")[0] == layer
        return any(re.search(each, variable.path) for each in self.exclude)

    def _clip_units(self, gradients, weights):
        """Clip variables of one shape, stacked."""
        axes = tuple(range(1, len(gradients.shape)))
        if sum(size > 1 for size in gradients.shape[1:]) > 1:
            axes = axes[:-1]  # a kernel: its last axis is that of the units

        def square(x):
            return ops.sum(ops.square(x), axes, keepdims=True)

        # Of squares: one root per unit instead of two.
        limit = self.clipping**2 * ops.maximum(square(weights), self.epsilon**2)
        ratio = limit / ops.maximum(square(gradients), _TINY)
        return gradients * ops.sqrt(ops.minimum(1.0, ratio))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {
            "clipping": self.clipping,
            "epsilon": self.epsilon,
            "exclude": self.exclude,
        }


@keras.saving.register_keras_serializable("kerasbn")
class AutoClip(Rule):
    """Bound the norm of the whole gradient by a percentile of its history.

    At each step the norm joins the history, and the gradient is scaled to the
    percentile of it, interpolated linearly. With 10 most steps are clipped:
    what is chosen is the length of a typical good step, whatever the scale of
    the loss.

    Args:
        percentile: From 0 to 100; 10 in the paper.
        window: Steps that the history holds. The paper keeps all of them; 1000
            bounds memory and time, and forgets the first steps.

    Raises:
        ValueError: If `percentile` is not within 0 and 100, or `window` is
            below 1.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.AutoClip().percentile
    10

    Reference:
        [Seetharaman et al., 2020](https://arxiv.org/abs/2007.14469).
    """

    def __init__(self, percentile: float = 10, window: int = 1000):
        if not 0 <= percentile <= 100:
            raise ValueError(
                "`percentile` must be within 0 and 100. "
                f"Received: percentile={percentile}."
            )
        _positive(window=window)
        self.percentile = percentile
        self.window = window

    def build(self, add_variable):
        """Create the history, a ring, and the count of steps."""
        # Infinite where nothing is known: sorted, it comes last.
        history = keras.initializers.Constant(float("inf"))
        self._history = add_variable("history", (self.window,), history)
        self._count = add_variable("count", (), "zeros")
        self.threshold = add_variable("threshold", (), "zeros")

    def clip(self, gradients, variables, norm, applied):
        """Return all gradients scaled by one number."""
        history, count = self._history.value, self._count.value
        place = ops.cast(ops.mod(count, self.window), "int32")
        here = ops.equal(ops.arange(self.window, dtype="int32"), place)
        history, count = ops.where(here, norm, history), count + 1.0
        rank = (ops.minimum(count, self.window) - 1.0) * self.percentile / 100
        below = ops.floor(rank)
        ordered = ops.sort(history)
        low, high = (
            ops.take(ordered, ops.cast(each, "int32"))
            for each in (below, ops.ceil(rank))
        )
        threshold = low + (high - low) * (rank - below)
        _remember(self._history, history, applied)
        _remember(self._count, count, applied)
        _remember(self.threshold, threshold, applied)
        return _scaled(gradients, norm, threshold)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {"percentile": self.percentile, "window": self.window}


@keras.saving.register_keras_serializable("kerasbn")
class ZClip(Rule):
    """Clip a spike: a norm far above the running mean of the norms.

        z = (norm - mean) / deviation
        if z > z_threshold: norm = mean + z_threshold**2 / z * deviation
        mean = momentum * mean + (1 - momentum) * norm
        variance = momentum * variance + (1 - momentum) * (norm - mean)**2

    The further out the spike, the less is left of it; ordinary steps pass
    unchanged. Mean and variance begin as those of the first steps, which pass
    unchanged too: put `ByGlobalNorm` in front where these can spike already.

    Args:
        z_threshold: Deviations above the mean where a spike begins; 2.5 in the
            paper.
        momentum: Of the running mean and variance; 0.97 in the paper.
        warmup_steps: Steps that mean and variance begin with; 25 in the paper.

    Raises:
        ValueError: If `z_threshold` is not positive, `momentum` is not within
            0 and 1, or `warmup_steps` is below 2.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.ZClip(z_threshold=3.0).warmup_steps
    25

    Reference:
        [Kumar et al., 2025](https://arxiv.org/abs/2504.02507).
    """

    def __init__(
        self,
        z_threshold: float = 2.5,
        momentum: float = 0.97,
        warmup_steps: int = 25,
    ):
        _positive(z_threshold=z_threshold)
        if not 0 <= momentum < 1:
            raise ValueError(
                "`momentum` must be at least 0 and below 1. "
                f"Received: momentum={momentum}."
            )
        if warmup_steps < 2:
            raise ValueError(
                "`warmup_steps` must be at least 2, for a deviation. "
                f"Received: warmup_steps={warmup_steps}."
            )
        self.z_threshold = z_threshold
        self.momentum = momentum
        self.warmup_steps = warmup_steps

    def build(self, add_variable):
        """Create mean, variance and the count of steps."""
        self._mean = add_variable("mean", (), "zeros")
        self._variance = add_variable("variance", (), "zeros")
        self._count = add_variable("count", (), "zeros")
        self.threshold = add_variable("threshold", (), "zeros")

    def clip(self, gradients, variables, norm, applied):
        """Return all gradients scaled by one number."""
        mean, variance = self._mean.value, self._variance.value
        count = self._count.value
        is_warm = count >= self.warmup_steps
        excess = ops.maximum(norm - mean, _TINY)
        is_spike = excess > self.z_threshold * ops.sqrt(variance)
        # deviation / z is variance / excess
        limit = mean + self.z_threshold**2 * variance / excess
        threshold = ops.where(is_warm & is_spike, limit, norm)
        # Of the first steps, plain averages.
        share = ops.where(is_warm, 1.0 - self.momentum, 1.0 / (count + 1.0))
        new_mean = mean + share * (threshold - mean)
        square = (threshold - new_mean) * (
            threshold - ops.where(is_warm, new_mean, mean)
        )
        new_variance = variance + share * (square - variance)
        _remember(self._mean, new_mean, applied)
        _remember(self._variance, new_variance, applied)
        _remember(self._count, count + 1.0, applied)
        _remember(self.threshold, threshold, applied)
        return _scaled(gradients, norm, threshold)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {
            "z_threshold": self.z_threshold,
            "momentum": self.momentum,
            "warmup_steps": self.warmup_steps,
        }
