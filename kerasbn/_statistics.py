"""The gradients that `fit` applies, measured inside the compiled step.

The only file that knows how Keras applies gradients. While a train function
runs, `optimizer.apply` is replaced on the instance by a method that first
writes one row of norms into a ring buffer on the device. The traced step keeps
the extra operations; the optimizer itself is as before when the step returns,
whether it returns or raises.
"""

import contextlib
from typing import Any, NamedTuple

import keras
import numpy as np


class Rows(NamedTuple):
    """Optimizer steps measured since the last read, oldest first.

    Attributes:
        steps: `optimizer.iterations` after each step, shape `(rows,)`.
        norms: L2 norms of the gradients, shape `(rows, variables)`.
        losses: Loss of each step's batch, shape `(rows,)`.
    """

    steps: np.ndarray
    norms: np.ndarray
    losses: np.ndarray


class GradientRecorder:
    """Records gradient norms of a compiled model while it is attached.

    Args:
        model: A compiled `keras.Model`.
        capacity: Steps that the ring buffer holds between two reads.

    Raises:
        RuntimeError: If the model is not compiled, or the backend is not
            TensorFlow.
    """

    def __init__(self, model: keras.Model, capacity: int):
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError(
                "The backend must be TensorFlow to record gradients. Received: "
                f'backend={keras.backend.backend()!r}. Set KERAS_BACKEND="'
                'tensorflow" before keras is imported.'
            )
        if not model.compiled or model.optimizer is None:
            raise RuntimeError(
                "`model` must be compiled before its gradients are monitored. "
                f"Received: model={model.name!r}. Call `model.compile` first."
            )
        self.model = model
        self.capacity = capacity
        self.paths: list[str] = []
        self.sizes: list[int] = []
        self._ring: Any = None
        self._count: Any = None
        self._read = 0
        self._loss: Any = None
        self._wrapper: _InstrumentedFunction | None = None

    @property
    def optimizer(self) -> Any:
        """The optimizer that sees gradients with the loss scale undone."""
        optimizer = self.model.optimizer
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            return optimizer.inner_optimizer
        return optimizer

    def attach(self) -> None:
        """Instrument the model's train function, tracing it anew once."""
        plain = self.model.make_train_function() or self.model.train_function
        if isinstance(plain, _InstrumentedFunction):  # a fit was broken off
            plain = plain.plain
        if self._wrapper is None or self._wrapper.plain is not plain:
            self.model.make_train_function(force=True)
            self._wrapper = _InstrumentedFunction(
                self, plain, self.model.train_function
            )
        self.model.train_function = self._wrapper

    def expect_step(self) -> None:
        """Announce that the next call of the train function is monitored."""
        if self._wrapper is not None:
            self._wrapper.expected = True

    def detach(self) -> None:
        """Give the model its own train function back."""
        if self.model.train_function is self._wrapper and self._wrapper:
            self.model.train_function = self._wrapper.plain

    def read(self) -> Rows:
        """Return the steps applied since the last read."""
        count = 0 if self._count is None else int(self._count.numpy())
        start = max(self._read, count - self.capacity)
        self._read = count
        if start == count:
            empty = np.empty(0, "float32")
            return Rows(np.empty(0, int), empty.reshape(0, 0), empty)
        ring = self._ring.numpy()[np.arange(start, count) % self.capacity]
        last_step = int(self.optimizer.iterations)
        steps = last_step - np.arange(count - start)[::-1]
        return Rows(steps, np.sqrt(2.0 * ring[:, :-1]), ring[:, -1])

    @contextlib.contextmanager
    def hooked(self):
        """Have `optimizer.apply` record what it is handed."""
        apply, scale_loss = (
            self.optimizer.apply,
            self.model.optimizer.scale_loss,
        )

        def recording_apply(grads, trainable_variables=None):
            grads = list(grads)
            variables = list(
                self.model.trainable_variables
                if trainable_variables is None
                else trainable_variables
            )
            self._record(grads, variables)
            return apply(grads, trainable_variables and variables)

        def recording_scale_loss(loss):
            self._loss = loss
            return scale_loss(loss)

        with (
            _replaced(self.optimizer, "apply", recording_apply),
            _replaced(self.model.optimizer, "scale_loss", recording_scale_loss),
        ):
            yield

    def _record(self, grads, variables):
        import tensorflow as tf

        if self._ring is None:
            self.paths = [variable.path for variable in variables]
            self.sizes = [int(np.prod(v.shape)) for v in variables]
            with tf.init_scope():
                width = len(variables) + 1
                self._ring = tf.Variable(tf.zeros((self.capacity, width)))
                self._count = tf.Variable(tf.zeros((), "int64"))
        # One `l2_loss` (half the squared norm) per variable is all that a step
        # can afford: 1 % of it. A maximum beside it costs 5 % more.
        halves = {
            variable.path: tf.nn.l2_loss(
                tf.cast(tf.convert_to_tensor(gradient), "float32")
            )
            for gradient, variable in zip(grads, variables, strict=True)
            if gradient is not None
        }
        row = [halves.get(path, 0.0) for path in self.paths]
        loss = np.nan if self._loss is None else self._loss
        row = tf.stack([*row, tf.cast(loss, "float32")])
        self._loss = None
        place = self._count % self.capacity
        self._ring.scatter_update(tf.IndexedSlices(row[None], place[None]))
        self._count.assign_add(1)


class _InstrumentedFunction:
    """What stands in `model.train_function` while a recorder is attached."""

    def __init__(self, recorder, plain, function):
        self.recorder = recorder
        self.plain = plain
        self.function = function
        self.expected = False

    def __call__(self, iterator):
        if not self.expected:  # an earlier monitored fit was broken off
            self.recorder.detach()
            return self.plain(iterator)
        self.expected = False
        try:
            with self.recorder.hooked():
                return self.function(iterator)
        except BaseException as error:
            if not _is_end_of_data(error):
                self.recorder.detach()
            raise


def _is_end_of_data(error):
    import tensorflow as tf

    return isinstance(error, (StopIteration, tf.errors.OutOfRangeError))


@contextlib.contextmanager
def _replaced(instance, name, method):
    """Shadow a method on one instance, past Keras's attribute tracking."""
    attributes = vars(instance)
    before = attributes.get(name)
    attributes[name] = method
    try:
        yield
    finally:
        if before is None:
            del attributes[name]
        else:
            attributes[name] = before
