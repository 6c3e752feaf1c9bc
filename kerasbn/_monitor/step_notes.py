"""Tensors noted while one train step is traced."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Noted(NamedTuple):
    """The gradient of one variable that an optimizer received."""

    variable: Any
    gradient: Any  # float32, unscaled; accumulated ones are averaged in
    absent: Any  # number of zeros left out of a sparse gradient
    before: Any  # the weights before a full step


class StepNotes:
    """Everything noted in one step."""

    def __init__(self, full: bool, graph: Any):
        self.full = full  # whether to note the weights before the step
        self.graph = graph  # the one that the step is traced in
        self.gradients: dict[int, Noted] = {}  # by column
        self.loss: Any = None  # `None` if the step computes it by itself
        self.learning_rate: Any = None
        self._after_rules: list[tuple[list[int], Any]] = []

    def note_rules(self, columns: list[int], values: Any) -> None:
        """Note half the squared norms after some rules, then the threshold.

        `values` is a list of scalars, or a variable that will hold them.
        """
        self._after_rules.append((columns, values))

    def after_rules(self) -> tuple[dict[int, Any], Any]:
        """Return half squares after the rules, by column, and the threshold."""
        found, threshold = {}, np.nan
        for columns, values in self._after_rules:
            if isinstance(values, tf.Variable):
                values = tf.unstack(values)
            *halves, threshold = values
            found |= dict(zip(columns, halves, strict=True))
        return found, threshold
