"""The base class of clipping rules, and functions that they share."""

import inspect
import numbers
from collections.abc import Callable
from typing import Any, TypeGuard

from keras import ops

TINY = 1e-30  # a gradient of exactly zero has nothing to clip


class Rule:
    """Base class of rules: override `clip`; with arguments, also `get_config`.

    Attributes:
        threshold: Limit on the L2 norm of the whole gradient at the last step,
            a number or a variable; `None` if the rule has no such limit.
    """

    threshold: Any = None
    _arguments: tuple[str, ...] = ()

    def build(self, add_variable: Callable[..., Any]) -> None:
        """Create variables by `add_variable(name, shape, initializer)`."""

    def clip(
        self, gradients: list, variables: list, norm: Any, applied: Any
    ) -> list:
        """Return the gradients to apply.

        Args:
            gradients: Tensors of one step, averaged under accumulation.
            variables: The variables that they belong to.
            norm: L2 norm of all `gradients` together, a scalar.
            applied: Boolean scalar; if `False`, keep the rule's variables.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`, which make a copy of the rule."""
        return {name: getattr(self, name) for name in self._arguments}

    def __str__(self) -> str:
        """Return the call that makes this rule."""
        config = self.get_config().items()
        arguments = (f"{name}={value!r}" for name, value in config)
        return f"{type(self).__name__}({', '.join(arguments)})"

    def copied(self) -> "Rule":
        """Return a fresh rule with the same arguments."""
        config = self.get_config()
        lost = inspect.getfullargspec(type(self).__init__)
        lost = {*lost.args[1:], *lost.kwonlyargs}.difference(config)
        if lost:
            raise ValueError(
                "`get_config` of a rule must return all arguments of its "
                f"`__init__`. Received: {type(self).__name__}, whose config "
                f"has no {', '.join(sorted(lost))}."
            )
        return self.from_config(config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Rule":
        return cls(**config)


def check_positive(advice: str = "", **arguments: float) -> None:
    for name, value in arguments.items():
        if not (is_number(value) and value > 0):
            raise ValueError(
                f"`{name}` must be a positive number. "
                f"Received: {name}={value!r}.{advice}"
            )


def is_number(value: object) -> TypeGuard[float]:
    """Return whether this is a real number; booleans do not count."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def remember(variable: Any, value: Any, applied: Any) -> None:
    """Assign a value if the step is applied."""
    variable.assign(ops.where(applied, value, variable.value))


def scaled(gradients: list, norm: Any, threshold: Any) -> list:
    """Return gradients of this norm, scaled to at most the threshold."""
    scale = ops.minimum(1.0, threshold / ops.maximum(norm, TINY))
    return [each * ops.cast(scale, each.dtype) for each in gradients]
