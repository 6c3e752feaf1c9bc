"""Gradients that are summed over micro-steps before they are applied."""

from typing import Any

from keras import ops


def sums_of(optimizer: Any) -> dict[int, Any]:
    """The variables that Keras sums gradients in, by `id` of what is trained.

    Empty where an optimizer sums none. Keras does not say which is whose
    (3.15): they stand in the order that it was built with.
    """
    if not optimizer.built or not optimizer.gradient_accumulation_steps:
        return {}
    sums = [
        variable
        for variable in optimizer.variables
        if variable.path.endswith("gradient_accumulator")
    ]
    keys = map(id, optimizer._trainable_variables)
    return dict(zip(keys, sums, strict=True))


class Accumulation:
    """The sums of one optimizer, and its place in a step.

    Args:
        steps: Micro-steps that make one step.
        micro_step: Variable that counts them.
        sums: See `sums_of`.
    """

    def __init__(self, steps: int, micro_step: Any, sums: dict[int, Any]):
        self._steps = steps
        self._micro_step = micro_step
        self._sums = sums

    def averages(self, gradients: list, variables: list) -> list:
        """Return what would be applied if this micro-step were the last."""
        return [
            (gradient + self._sum(variable)) / self._steps
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def advance(self, averages: list, variables: list, finite: Any) -> Any:
        """Keep the sums, and return whether the averages are to be applied.

        A micro-step that is not finite is forgotten.
        """
        micro_step = self._micro_step.value
        last = ops.equal(micro_step, self._steps - 1)
        for average, variable in zip(averages, variables, strict=True):
            total = self._sum(variable)
            after = ops.where(last, 0.0, average * self._steps)
            total.assign(ops.where(finite, after, total.value))
        after = (micro_step + 1) % self._steps
        self._micro_step.assign(ops.where(finite, after, micro_step))
        return ops.logical_and(finite, last)

    def _sum(self, variable):
        if id(variable) not in self._sums:
            raise ValueError(
                "`trainable_variables` must be those that the optimizer was "
                f"built with. Received: {variable.name}. Compile with a new "
                "optimizer after changing what is trainable."
            )
        return self._sums[id(variable)]
