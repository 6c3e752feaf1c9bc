"""Gradients that are summed over micro-steps before they are applied."""

from typing import Any

from keras import ops


def sums_of(optimizer: Any) -> dict[int, Any]:
    """Return the variables that hold the sums, by `id` of the trained one.

    Empty if the optimizer accumulates nothing. Keras has no public name for
    them (3.15); both lists are in the order that the optimizer was built with.
    """
    if not optimizer.built or not optimizer.gradient_accumulation_steps:
        return {}
    keys = map(id, optimizer._trainable_variables)
    return dict(zip(keys, optimizer._accumulated_gradients, strict=True))


def add_sums(optimizer: Any, gradients: list, variables: list) -> list:
    """Return the averages to apply if this micro-step is the last one."""
    sums = sums_of(optimizer)
    for variable in variables:
        if id(variable) not in sums:
            raise ValueError(
                "`trainable_variables` must be those that the optimizer was "
                f"built with. Received: {variable.name}. Compile with a new "
                "optimizer after changing what is trainable."
            )
    return [
        (gradient + sums[id(variable)]) / optimizer.gradient_accumulation_steps
        for gradient, variable in zip(gradients, variables, strict=True)
    ]


def advance(
    optimizer: Any, averages: list, variables: list, finite: Any
) -> Any:
    """Update the sums and return whether the averages are to be applied.

    A micro-step that is not finite changes nothing.
    """
    sums, steps = sums_of(optimizer), optimizer.gradient_accumulation_steps
    micro_step = optimizer.micro_step.value
    last = ops.equal(micro_step, steps - 1)
    for average, variable in zip(averages, variables, strict=True):
        total = sums[id(variable)]
        after = ops.where(last, 0.0, average * steps)
        total.assign(ops.where(finite, after, total.value))
    after = (micro_step + 1) % steps
    optimizer.micro_step.assign(ops.where(finite, after, micro_step))
    return ops.logical_and(finite, last)
