"""What a rule is."""

import inspect
import numbers
from collections.abc import Callable
from typing import Any, TypeGuard

from keras import ops

TINY = 1e-30  # a gradient of exactly zero has nothing to clip


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
        """Return the arguments of `__init__`, by which a rule is copied."""
        return {}

    def __str__(self) -> str:
        """The call that makes this rule."""
        config = self.get_config().items()
        arguments = ", ".join(f"{name}={value!r}" for name, value in config)
        return f"{type(self).__name__}({arguments})"

    def copied(self) -> "Rule":
        """Return a rule of the same arguments, that remembers nothing.

        Raises:
            ValueError: If `get_config` leaves an argument out.
        """
        config = self.get_config()
        kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        arguments = inspect.signature(type(self)).parameters.values()
        lost = [
            each.name
            for each in arguments
            if each.name not in config and each.kind not in kinds
        ]
        if lost:
            raise ValueError(
                "`get_config` of a rule must return all arguments of its "
                f"`__init__`. Received: {type(self).__name__}, whose config "
                f"has no {', '.join(lost)}."
            )
        return self.from_config(config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Rule":
        """Make a rule from what `get_config` returned."""
        return cls(**config)


def check_positive(**arguments: float) -> None:
    """Refuse anything but positive numbers."""
    for name, value in arguments.items():
        if not is_positive(value):
            raise ValueError(
                f"`{name}` must be a positive number. "
                f"Received: {name}={value!r}."
            )


def is_positive(value: object) -> bool:
    """Whether it is a positive number."""
    return is_number(value) and value > 0


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number; `True` is a slip."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def remember(variable: Any, value: Any, applied: Any) -> None:
    """Assign a value, if the step is applied."""
    variable.assign(ops.where(applied, value, variable.value))


def scaled(gradients: list, norm: Any, threshold: Any) -> list:
    """Return gradients of that norm, scaled to the threshold at most."""
    scale = ops.minimum(1.0, threshold / ops.maximum(norm, TINY))
    return [each * ops.cast(scale, each.dtype) for each in gradients]
