"""An optimizer that leaves the update to another optimizer."""

from typing import Any

import keras


def _of_inner(name):
    """A property that is that of the inner optimizer."""

    def get(self):
        return getattr(self.inner_optimizer, name)

    def set_(self, value):
        if hasattr(self, "inner_optimizer"):  # not yet in Keras's `__init__`
            setattr(self.inner_optimizer, name, value)

    return property(get, set_)


class Wrapper(keras.optimizers.Optimizer):
    """Passes on to `inner_optimizer` everything but the gradients.

    A subclass sets `inner_optimizer`, after `super().__init__`, and defines
    `apply`.
    """

    inner_optimizer: Any
    iterations = _of_inner("iterations")
    learning_rate = _of_inner("learning_rate")
    weight_decay = _of_inner("weight_decay")
    # By this alone `SwapEMAWeights` recognizes an optimizer that averages
    # weights, where it is inside a LossScaleOptimizer.
    _model_variables_moving_average = _of_inner(
        "_model_variables_moving_average"
    )

    @property
    def own_variables(self) -> list:
        """Variables of the wrapper."""
        return super().variables

    @property
    def variables(self):
        """Variables of the wrapper, then those of the inner optimizer."""
        return self.own_variables + self.inner_optimizer.variables

    def set_weights(self, weights):
        """Set the variables of the wrapper and of the inner optimizer."""
        own = len(self.own_variables)
        super().set_weights(weights[:own])
        self.inner_optimizer.set_weights(weights[own:])

    def apply_gradients(self, grads_and_vars):
        """Apply pairs of gradient and variable; return `iterations`."""
        self.apply(*zip(*grads_and_vars, strict=True))
        return self.iterations

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Exclude variables from the weight decay of the inner optimizer."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list):
        """Set variables to their moving averages, if the inner keeps any."""
        self.inner_optimizer.finalize_variable_values(var_list)
