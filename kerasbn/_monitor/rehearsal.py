"""Train steps of a model that leave no trace in it."""

import contextlib
from typing import Any

import keras
import numpy as np

from kerasbn._graph import shadowing
from kerasbn._monitor import model_description, optimizers


class Rehearsal:
    """A compiled model in training, which its context ends by undoing it all.

    A model with a train step of its own cannot be copied in general, but what
    its steps change can be put back. Its optimizers are replaced by copies of a
    constant learning rate, which is a variable: one traced step serves all.

    Args:
        model: A compiled model; one that is not built is built.
        batch: Data of a train step.
    """

    def __init__(self, model: keras.Model, batch: Any):
        if not model.built and model_description.has_call(model):
            model(keras.utils.unpack_x_y_sample_weight(batch)[0])
        self._model = model
        self._before = _values(model.variables)
        self._twins: dict[int, Any] = {}  # by `id` of the optimizer
        self._shares: list[tuple[Any, float]] = []
        self._start: dict[int, np.ndarray] = {}  # by `id` of the variable
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        model = self._model
        main = optimizers.peak_rate(model.optimizer)
        with contextlib.ExitStack() as stack:
            for each in optimizers.applied_by(model):
                is_main = each is model.optimizer
                variables = model.trainable_variables if is_main else []
                twin = self._twins[id(each)] = optimizers.twin(each, variables)
                rate = optimizers.peak_rate(each)
                self._shares.append((twin, rate / main if main else 1.0))
            for name, value in list(vars(model).items()):
                new = self._with_twins(value)
                if new is not value:
                    stack.enter_context(shadowing.replaced(model, name, new))
            step = shadowing.replaced(model, "train_function", None)
            stack.enter_context(step)
            stack.callback(self._put_back)
            model.make_train_function(force=True)
            self._start = _values(self._variables())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def step(self, batch: Any, rate: float) -> float:
        """Train on a batch and return its loss before the step."""
        for twin, share in self._shares:
            twin.learning_rate = rate * share
        self._model.reset_metrics()  # the loss in the logs is a running mean
        logs: Any
        if keras.backend.backend() == "jax":  # its function takes the state
            parts = keras.utils.unpack_x_y_sample_weight(batch)
            logs = self._model.train_on_batch(*parts, return_dict=True)
        else:
            logs = self._model.train_function([batch])
        if "loss" not in logs:
            raise ValueError(
                "`model.train_step` must return a `loss` by which to choose a "
                f"learning rate. Received: {', '.join(logs) or 'nothing'}. "
                'Return what is to become small as "loss".'
            )
        return float(logs["loss"])

    def restart(self) -> None:
        """Put everything back as it was when the context began."""
        for variable in self._variables():
            # A slot of an optimizer that was built since begins at 0.
            zero = np.zeros(variable.shape)
            variable.assign(self._start.get(id(variable), zero))

    def _variables(self):
        slots = [v for twin, _ in self._shares for v in twin.variables]
        return [*self._model.variables, *slots]

    def _with_twins(self, value):
        if isinstance(value, keras.optimizers.Optimizer):
            return self._twins.get(id(value), value)
        if isinstance(value, dict):
            new: Any = {key: self._with_twins(e) for key, e in value.items()}
            changed = any(new[key] is not value[key] for key in new)
        elif isinstance(value, list | tuple):
            new = [self._with_twins(each) for each in value]
            changed = any(a is not b for a, b in zip(new, value, strict=True))
        else:
            return value
        return new if changed else value

    def _put_back(self):
        self._model.reset_metrics()  # those that the first step created
        for variable in self._model.variables:
            if id(variable) in self._before:
                variable.assign(self._before[id(variable)])


def _values(variables):
    return {id(each): each.numpy() for each in variables}
