"""The gradients that `fit` applies, measured inside the compiled step.

The only file that knows how Keras applies gradients. The train step is traced
once more with `optimizer.apply` replaced on the instance, for the length of the
trace, by a method that also measures what it is handed. Every step writes a row
of norms into a ring buffer on the device; a step that is to be recorded runs a
second, fuller program. One program with a condition in it costs every step 3 %,
and 10 % under XLA (20 x 100 network, Keras 3.15, TensorFlow 2.21).
"""

import contextlib
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbn import _keeping, _measures, _shadowing, _unwrapping
from kerasbn._clipped import Clipped


class Window(NamedTuple):
    """Optimizer steps since the last read, oldest first.

    Attributes:
        steps: `optimizer.iterations` after each step, shape `(rows,)`.
        losses: Loss of each step's batch.
        learning_rates: Learning rate of each step.
        norms: L2 norms of the gradients, before clipping, shape
            `(rows, variables)`.
        clipped: The same after clipping.
        thresholds: Norm of the whole gradient that the last rule of a
            `Clipped` let pass, NaN where there is none.
        details: By step, `_measures.DETAILS` of each variable.
        histograms: By step, entries of each variable by log10 of their size.
        skipped: Steps that the loss scale made Keras skip.
        tells_loss: Whether `losses` are known.
    """

    steps: np.ndarray
    losses: np.ndarray
    learning_rates: np.ndarray
    norms: np.ndarray
    clipped: np.ndarray
    thresholds: np.ndarray
    details: dict[int, np.ndarray]
    histograms: dict[int, np.ndarray]
    skipped: int
    tells_loss: bool


class _Seen(NamedTuple):
    """What an optimizer was handed for one variable."""

    variable: Any
    gradient: Any  # with what was accumulated before
    absent: Any  # zeros left out of a sparse gradient
    before: Any  # the weights before a full step


class MeasuredStep:
    """The train step of a model, and what it leaves in rings on the device.

    Args:
        model: A compiled model.
        capacity: Steps that the rings hold between two reads.
        histograms: Whether full steps count entries by size as well.

    Attributes:
        paths: Path of each trainable variable, in the order of the model.
        shapes: Shape of each.
        kept: Inputs and targets of the last full step.
        histograms: Whether full steps count entries by size as well.
    """

    def __init__(
        self, model: keras.Model, capacity: int, histograms: bool = False
    ):
        self.paths: list[str] = []
        self.shapes: list[tuple[int, ...]] = []
        self.kept = _keeping.KeptBatch(model.jit_compile is True)
        self.histograms = histograms
        self._model = model
        self._capacity = capacity
        self._optimizers = _unwrapping.optimizers(model)
        self._columns: dict[int, int] = {}
        self._owners: dict[int, Any] = {}  # the optimizer that clips a column
        self._rings: dict[str, _measures.Ring] = {}
        self._carriers: dict[int, Any] = {}  # of what a condition hides
        self._tells_loss = False
        self._losses: list[float] = []  # of micro-steps not applied yet
        self._local = threading.local()  # a replica is traced by its own thread

    def train_function(self, full: bool) -> Callable:
        """Make a train function that measures; the model keeps its own."""
        model, train_step = self._model, self._model.train_step
        before = model.train_function
        with _shadowing.replaced(
            model, "train_step", lambda data: self._run(train_step, data, full)
        ):
            model.make_train_function(force=True)
        function, model.train_function = model.train_function, before
        if self._replicas() == 1:
            return function

        def hooked(iterator):
            with self._hooked():  # around all replicas, which trace in threads
                return function(iterator)

        return hooked

    def iterations(self) -> int:
        """Return how many optimizer steps there were so far."""
        import tensorflow as tf

        counts = map(_unwrapping.count, self._optimizers)
        return max(int(tf.convert_to_tensor(each).numpy()) for each in counts)

    def may_pause(self) -> bool:
        """Whether the model can run a step that applies nothing."""
        return self._scales_loss() or self._accumulates()

    def read(self) -> Window | None:
        """Return the steps since the last call, `None` if there were none."""
        if "rows" not in self._rings:
            return None
        rows = self._rings["rows"].read()
        if not len(rows):
            return None
        head, halves = rows[:, :4], rows[:, 4:].astype("float64")
        blocks = np.sqrt(2.0 * halves)
        blocks = blocks.reshape(len(rows), -1, len(self.paths))
        applied = head[:, 0] > 0
        overflown = ~applied & ~np.isfinite(blocks[:, 0]).all(axis=1)
        steps = head[applied, 0].astype(int)
        losses = []
        for step, loss, *_ in head:
            self._losses.append(loss)
            if step > 0:
                losses.append(np.mean(self._losses))
                self._losses = []
        details = {}
        if "details" in self._rings:
            found = {
                int(each[0, 0]): each for each in self._rings["details"].read()
            }
            details = {s: found[s][:, 1:] for s in steps.tolist() if s in found}
        blocks, width = blocks[applied], len(_measures.DETAILS)
        return Window(
            steps,
            np.array(losses),
            head[applied, 2],
            blocks[:, 0],
            self._clipped(blocks[:, -1]),
            head[applied, 3],
            {step: each[:, :width] for step, each in details.items()},
            {step: each[:, width:] for step, each in details.items()},
            int(overflown.sum()) if self._scales_loss() else 0,
            self._tells_loss,
        )

    def _clipped(self, norms):
        """What `clipnorm` and `global_clipnorm` make of these norms."""
        norms = norms.copy()
        for leaf in self._leaves:
            mine = [c for c, owner in self._owners.items() if owner is leaf]
            if self._replicas() > 1 and _unwrapping.clips(leaf):
                norms[:, mine] = np.nan  # per replica, before the sum: unseen
            elif leaf.clipnorm:
                norms[:, mine] = np.minimum(norms[:, mine], leaf.clipnorm)
            elif leaf.global_clipnorm:
                total = np.sqrt(np.square(norms[:, mine]).sum(1, keepdims=True))
                limit = leaf.global_clipnorm
                norms[:, mine] *= limit / np.maximum(total, limit)
        return norms

    @property
    def _leaves(self):
        return [
            leaf
            for each in self._optimizers
            for leaf in _unwrapping.leaves_of(each)
        ]

    def _replicas(self):
        return self._model.distribute_strategy.num_replicas_in_sync

    def _clips_unforeseen(self):
        """Whether the norms do not tell what clipping makes of them."""
        return any(
            leaf.clipvalue or isinstance(leaf, Clipped) for leaf in self._leaves
        )

    def _accumulates(self):
        leaves = self._leaves
        return any(leaf.gradient_accumulation_steps for leaf in leaves)

    def _scales_loss(self):
        return isinstance(
            self._model.optimizer, keras.optimizers.LossScaleOptimizer
        )

    def _ring(self, name, shape):
        """The ring of that name, made when it is first needed."""
        import tensorflow as tf

        if name not in self._rings:
            with tf.init_scope():
                self._rings[name] = _measures.Ring(self._capacity, shape)
        return self._rings[name]

    def _carrier(self, optimizer, size):
        """The variable that leads out of a condition."""
        import tensorflow as tf

        if id(optimizer) not in self._carriers:
            with tf.init_scope():
                self._carriers[id(optimizer)] = tf.Variable(tf.zeros(size))
        return self._carriers[id(optimizer)]

    def _lay_out(self):
        """Give each trainable variable a column."""
        for variable in self._model.trainable_variables:
            path, number = variable.path, 1
            while path in self.paths:  # Keras does not promise unique paths
                path, number = f"{variable.path}_{number}", number + 1
            self._columns[id(variable)] = len(self.paths)
            self.paths.append(path)
            self.shapes.append(tuple(variable.shape))

    def _run(self, train_step, data, full):
        """One train step, and a row of what it did."""
        import tensorflow as tf

        if full:
            self.kept.keep(data)
        local = self._local
        local.graph, local.full = tf.compat.v1.get_default_graph(), full
        local.seen, local.loss, local.told = {}, None, []
        before = _unwrapping.step_number(self._optimizers)
        if self._replicas() == 1:
            with self._hooked():
                outputs = train_step(data)
        else:
            outputs = train_step(data)
        after = _unwrapping.step_number(self._optimizers)
        step = tf.where(after > before, after, -after)  # only if applied
        seen, local.graph = local.seen, None
        self._tells_loss = local.loss is not None  # a step of the user may not
        loss: Any = local.loss if self._tells_loss else np.nan
        loss = tf.cast(loss, "float32")
        if self._replicas() > 1:
            loss = tf.distribute.get_replica_context().all_reduce("SUM", loss)
        if seen:
            self._write([step, loss, local.rate], seen, full)
        return outputs

    @contextlib.contextmanager
    def _hooked(self):
        """Have the model tell its loss, and its optimizers their gradients."""
        local, compute_loss = self._local, self._model.compute_loss

        def noting_loss(*args, **kwargs):
            local.loss = compute_loss(*args, **kwargs)
            return local.loss

        with contextlib.ExitStack() as hooks:
            hooks.enter_context(
                _shadowing.replaced(self._model, "compute_loss", noting_loss)
            )
            for optimizer in self._optimizers:
                apply = self._measuring(optimizer)
                hooks.enter_context(
                    _shadowing.replaced(optimizer, "apply", apply)
                )
                for leaf in _unwrapping.leaves_of(optimizer):
                    if isinstance(leaf, Clipped):
                        clip = self._noting_clip(leaf)
                        hooks.enter_context(
                            _shadowing.replaced(leaf, "clip", clip)
                        )
                    if leaf is not optimizer:
                        noting = self._noting(leaf)
                        hooks.enter_context(
                            _shadowing.replaced(leaf, "apply", noting)
                        )
            yield

    def _measuring(self, optimizer):
        """`apply` that takes up what it is handed."""
        apply = optimizer.apply

        def measuring_apply(grads, trainable_variables=None):
            import tensorflow as tf

            grads = list(grads)
            variables = list(
                self._model.trainable_variables
                if trainable_variables is None
                else trainable_variables
            )
            if not optimizer.built:
                optimizer.build(variables)
            if self._local.graph is tf.compat.v1.get_default_graph():
                self._see(optimizer, grads, variables)
            else:
                warnings.warn(
                    "GradientMonitor does not see gradients that a train step "
                    "applies inside a condition or a loop of the graph.",
                    stacklevel=2,
                )
            return apply(grads, trainable_variables and variables)

        return measuring_apply

    def _noting(self, leaf):
        """`apply` of an inner optimizer that notes the variables it gets."""
        apply = leaf.apply

        def noting_apply(grads, trainable_variables=None):
            for variable in trainable_variables or ():
                self._owners[self._columns[id(variable)]] = leaf
            return apply(grads, trainable_variables)

        return noting_apply

    def _noting_clip(self, leaf):
        """`clip` of a `Clipped` that notes what it makes of the gradients."""
        clip = leaf.clip

        def noting_clip(gradients, variables, *args):
            import tensorflow as tf

            clipped, local = clip(gradients, variables, *args), self._local
            if self._replicas() > 1 and not hasattr(local, "told"):
                return clipped  # in threads that a loss scale began
            columns = [self._columns[id(each)] for each in variables]
            limits = [np.nan, *(rule.threshold for rule in leaf.rules)]
            told: Any = [
                *(
                    _measures.half_square(tf.cast(g, "float32"))
                    for g in clipped
                ),
                tf.cast(
                    [each for each in limits if each is not None][-1], "float32"
                ),
            ]
            if local.graph is not tf.compat.v1.get_default_graph():
                # Only a variable leads out of the condition of a loss scale.
                carrier = self._carrier(leaf, len(told))
                carrier.assign(tf.stack(told))
                told = carrier
            local.told.append((columns, told))
            return clipped

        return noting_clip

    def _see(self, optimizer, grads, variables):
        """Take up what an optimizer is handed, and the weights before."""
        import tensorflow as tf

        if not self.paths:
            self._lay_out()
        leaves = _unwrapping.leaves_of(optimizer)
        if not self._local.seen:
            self._local.rate = tf.cast(leaves[0].learning_rate, "float32")
        scale = tf.cast(_unwrapping.loss_scale(optimizer), "float32")
        sums = _unwrapping.accumulated(leaves[0]) if len(leaves) == 1 else []
        sums = sums if len(sums) == len(variables) else [None] * len(variables)
        handed = []
        for gradient, variable, total in zip(
            grads, variables, sums, strict=True
        ):
            column = self._columns.get(id(variable))
            if gradient is None or column is None:
                continue
            self._owners.setdefault(column, leaves[0])
            gradient, absent = self._dense(gradient)
            gradient = gradient / scale
            if total is not None:
                gradient += _value(total)
                gradient /= leaves[0].gradient_accumulation_steps
            before = _value(variable) if self._local.full else None
            handed.append((column, _Seen(variable, gradient, absent, before)))
        if self._replicas() > 1:
            reduced = tf.distribute.get_replica_context().all_reduce(
                "SUM", [each.gradient for _, each in handed]
            )
            handed = [
                (column, each._replace(gradient=gradient))
                for (column, each), gradient in zip(
                    handed, reduced, strict=True
                )
            ]
        self._local.seen.update(handed)

    def _dense(self, gradient: Any):
        """The gradient in float32, and how many zeros were left out of it.

        The rows of an embedding that no token looked up.
        """
        import tensorflow as tf

        if not isinstance(gradient, tf.IndexedSlices):
            return tf.cast(gradient, "float32"), 0.0
        if (
            self._model.jit_compile is True
            or self._replicas() > 1
            or self._accumulates()
        ):
            return tf.cast(tf.convert_to_tensor(gradient), "float32"), 0.0
        dense_shape: Any = gradient.dense_shape
        rows, places = tf.unique(gradient.indices)
        values = tf.math.unsorted_segment_sum(
            tf.cast(gradient.values, "float32"), places, tf.size(rows)
        )
        size = tf.reduce_prod(tf.cast(dense_shape, "float32"))
        return values, size - tf.cast(tf.size(values), "float32")

    def _write(self, head, seen, full):
        """Put a row, and of a full step the details, into the rings."""
        import tensorflow as tf

        limited, threshold = {}, np.nan
        for columns, told in self._local.told:
            *halves, threshold = (
                tf.unstack(told) if isinstance(told, tf.Variable) else told
            )
            limited |= dict(zip(columns, halves, strict=True))

        def row(half):
            return [
                half(column, seen[column].gradient)
                if column in seen
                else 0.0  # no gradient reaches it
                for column in range(len(self.paths))
            ]

        def clipped(column, gradient):
            owner = self._owners[column]
            if isinstance(owner, Clipped):
                return limited.get(column, np.nan)
            if owner.clipvalue:
                limit = owner.clipvalue
                gradient = tf.clip_by_value(gradient, -limit, limit)
            return _measures.half_square(gradient)

        values = [*head, threshold]
        values += row(lambda _, gradient: _measures.half_square(gradient))
        if self._clips_unforeseen():
            values += row(clipped)
        self._ring("rows", (len(values),)).put(tf.stack(values))
        if not full:
            return
        count = len(self.paths)
        columns = sorted(seen)
        found = [seen[column] for column in columns]
        gradients = [each.gradient for each in found]
        details = _measures.details(
            gradients,
            [each.before for each in found],
            [_value(each.variable) for each in found],
        )
        absent = tf.stack([tf.cast(each.absent, "float32") for each in found])
        details += absent[:, None] * tf.one_hot(1, details.shape[1])
        if self.histograms:
            details = tf.concat(
                [details, _measures.histograms(gradients)], axis=1
            )
        if len(columns) < count:
            details = tf.scatter_nd(
                np.array(columns)[:, None], details, (count, details.shape[1])
            )
        details = tf.concat([tf.fill((count, 1), head[0]), details], axis=1)
        self._ring("details", tuple(details.shape)).put(details)


def _value(variable):
    """What a variable holds now, in float32."""
    import tensorflow as tf

    # `tf.cast` hands a variable of the right type back, to be read later.
    return tf.cast(tf.convert_to_tensor(variable.value), "float32")
