"""An optimizer that leaves the update to another optimizer."""

import operator
from typing import Any

import keras


def _of_inner(name):
    """A property that is that of the inner optimizer."""

    def set_(self, value):
        if hasattr(self, "inner_optimizer"):  # not yet in Keras's `__init__`
            setattr(self.inner_optimizer, name, value)

    return property(operator.attrgetter(f"inner_optimizer.{name}"), set_)


class Wrapper(keras.optimizers.Optimizer):
    """Passes on to `inner_optimizer` everything but the gradients."""

    inner_optimizer: Any  # set by a subclass after `super().__init__`
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
        return super().variables

    @property
    def variables(self):
        return self.own_variables + self.inner_optimizer.variables

    def set_weights(self, weights):
        own = len(self.own_variables)
        super().set_weights(weights[:own])
        self.inner_optimizer.set_weights(weights[own:])

    def apply_gradients(self, grads_and_vars):
        self.apply(*zip(*grads_and_vars, strict=True))
        return self.iterations

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list):
        self.inner_optimizer.finalize_variable_values(var_list)
