"""The `model.train_function` of a model while its gradients are monitored."""

import time
import types
from collections.abc import Callable
from typing import Any

import keras

from kerasbn._monitor import optimizers
from kerasbn._monitor.model_description import has_call
from kerasbn._run.readings import is_recorded

# The host reads after this many steps or seconds, whichever comes first: a read
# takes a millisecond, and a run should be on screen, and survive a crash, up to
# now. The first windows are shorter: first steps reveal much about a run.
_FIRST_WINDOW, _LONGEST_WINDOW, _LONGEST_WAIT = 10, 100, 1.0


class GradientRecorder:
    """Runs the measured train step and passes the steps to its listeners.

    It lives as long as the train function that Keras made: a second `fit`
    traces nothing again, and a model that is compiled again gets a new one.
    A listener has `every`, `histograms`, and `receive`, which takes a `Window`.
    """

    def __init__(self, model: keras.Model, plain: Callable):
        self._model = model
        self._plain = plain
        self._step: Any = None  # made for the first listener
        self._functions: dict[bool, Callable] = {}
        # By listener: whether it announced the next call, `None` if it never
        # announces any, because `train_on_batch` is called by hand.
        self._listeners: dict[Any, bool | None] = {}
        self._probe: Any = None
        self._output_probe: Any = None
        self._pending, self._next_step, self._flushed = 0, 1, 0.0
        self._window = _FIRST_WINDOW

    @property
    def is_traced(self) -> bool:
        """Whether a step was run, so that none is to be traced."""
        return bool(self._functions)

    def attach(self, listener: Any) -> None:
        from kerasbn._monitor import train_step  # imports TensorFlow

        self._listeners[listener] = None
        if self._step is None or listener.histograms > self._step.histograms:
            self._step = train_step.MeasuredStep(
                self._model,
                _LONGEST_WINDOW + self._model.steps_per_execution,
                listener.histograms,
            )
            self._functions = {}
            # Of each trainable variable, once a step was run.
            hooks = self._step.hooks
            self.paths, self.shapes = hooks.paths, hooks.shapes
        self._model.train_function = self

    def announce(self, listener: Any) -> None:
        """Say that the next call of the train function is one of `fit`."""
        if listener in self._listeners:
            self._listeners[listener] = True

    def detach(self, listener: Any) -> None:
        """Deliver the last steps; with the last listener, restore the model."""
        if listener in self._listeners:
            self.flush()
            self._listeners.pop(listener, None)
        if not self._listeners and self._model.train_function is self:
            self._model.train_function = self._plain

    def __call__(self, iterator: Any) -> Any:
        by_hand = isinstance(iterator, types.GeneratorType)  # train_on_batch
        for listener, announced in list(self._listeners.items()):
            if announced:
                self._listeners[listener] = False
            elif not (by_hand and announced is None):
                self.detach(listener)  # its `fit` was interrupted
        if not self._listeners:
            return self._plain(iterator)
        steps = 1 if by_hand else self._model.steps_per_execution
        start = self._coming_step()
        full = any(
            is_recorded(step, listener.every)
            for step in range(start, start + steps)
            for listener in self._listeners
        )
        if full not in self._functions:
            self._functions[full] = self._step.train_function(full)
        try:
            outputs = self._functions[full](iterator)
        except BaseException as error:
            from tensorflow import errors

            if not isinstance(error, StopIteration | errors.OutOfRangeError):
                for listener in list(self._listeners):
                    self.detach(listener)
            raise
        self._pending += steps
        if (
            self._pending >= self._window
            or time.monotonic() - self._flushed > _LONGEST_WAIT
        ):
            self._window = min(2 * self._window, _LONGEST_WINDOW)
            self.flush()
        return outputs

    def flush(self) -> None:
        self._pending, self._flushed = 0, time.monotonic()
        window = self._step.read()
        if window is not None:
            for listener in list(self._listeners):
                listener.receive(window)

    def kept_batch(self) -> tuple[Any, Any, Any] | None:
        return self._step.kept.value()

    def read_layers(self) -> dict[str, dict[str, float]] | None:
        """Read the hidden layers on the kept inputs, if there are any.

        A GAN, say, has no `call`, or one that its train step never uses: there
        is nothing to be read.
        """
        kept, model = self.kept_batch(), self._model
        if kept is None or not is_called(model):
            return None
        if self._probe is None:
            from kerasbn._monitor import layer_probe  # imports TensorFlow

            self._probe = layer_probe.ActivationProbe(self._model)
        return self._probe.read(kept[0])

    def output_probe(self) -> Any:
        """Return what reads the outputs; `None` if they cannot be read.

        It is compiled once, and lives as long as the train function.
        """
        if self._output_probe is None and is_called(self._model):
            from kerasbn._monitor import output_probe  # imports TensorFlow

            self._output_probe = output_probe.OutputProbe(self._model)
        return self._output_probe

    def _coming_step(self):
        hooks = self._step.hooks
        may_pause = hooks.scales_loss or hooks.accumulates
        if not self._pending or may_pause:  # a step may apply nothing
            self._next_step = 1 + self._step.iterations()
            return self._next_step
        return self._next_step + self._pending


def is_called(model: keras.Model) -> bool:
    """Whether a model can be called, and was."""
    return model.built and has_call(model)


def recorder_of(model: keras.Model) -> GradientRecorder:
    """Return the recorder of a compiled model's train function."""
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "The backend must be TensorFlow to record gradients. Received: "
            f'backend={keras.backend.backend()!r}. Set KERAS_BACKEND="'
            'tensorflow" before keras is imported.'
        )
    if not model.compiled or not optimizers.applied_by(model):
        raise RuntimeError(
            "`model` must be compiled before its gradients are monitored. "
            f"Received: model={model.name!r}. Call `model.compile` first."
        )
    leaf = optimizers.leaves_of(model.optimizer)[0]
    if model.built and isinstance(leaf, keras.optimizers.MultiOptimizer):
        model.optimizer.build(model.trainable_variables)  # makes its leaves
    model.make_train_function()
    plain = model.train_function
    if isinstance(plain, GradientRecorder):
        return plain  # of another listener, or of an interrupted `fit`
    if not hasattr(plain, "kerasbn_recorder"):
        plain.kerasbn_recorder = GradientRecorder(model, plain)
    return plain.kerasbn_recorder
