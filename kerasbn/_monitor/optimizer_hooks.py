"""What optimizers are handed, taken up while a train step is traced.

The only file that knows how Keras applies gradients: `optimizer.apply` is
replaced on the instance, for the length of the run, by a method that also
notes what it is handed.
"""

import contextlib
import threading
import warnings
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbn._graph import shadowing
from kerasbn._monitor import measures, optimizers
from kerasbn.optimizers import _accumulation
from kerasbn.optimizers._clipped import Clipped


class Seen(NamedTuple):
    """What an optimizer was handed for one variable."""

    variable: Any
    gradient: Any  # with what was accumulated before
    absent: Any  # zeros left out of a sparse gradient
    before: Any  # the weights before a full step


class Handed:
    """What the optimizers were handed in one step, and what they made of it.

    Attributes:
        full: Whether the weights before are to be kept.
        graph: Graph that the step is traced in.
        seen: By column, what there was of that variable.
        loss: Loss of the batch, `None` if the step did not compute it.
        rate: Learning rate.
        told: Of each `Clipped` the columns of its variables, and half the
            squared norm of each gradient after it with the threshold behind, as
            a list or as the variable that will hold them.
    """

    def __init__(self, full: bool, graph: Any):
        self.full = full
        self.graph = graph
        self.seen: dict[int, Seen] = {}
        self.loss: Any = None
        self.rate: Any = None
        self.told: list[tuple[list[int], Any]] = []

    def clipped(self) -> tuple[dict[int, Any], Any]:
        """Return half squares after `Clipped`, by column, and the threshold."""
        import tensorflow as tf

        found, threshold = {}, np.nan
        for columns, told in self.told:
            *halves, threshold = (
                tf.unstack(told) if isinstance(told, tf.Variable) else told
            )
            found |= dict(zip(columns, halves, strict=True))
        return found, threshold


class Hooks:
    """Hooks in a compiled model and its optimizers.

    Attributes:
        optimizers: Those that a train step may apply.
        leaves: The optimizers inside of them, that clip and update.
        paths: Path of each trainable variable, in the order of the model.
        shapes: Shape of each.
        owners: By column, the place of a variable in `paths`: the optimizer
            that clips it.
    """

    def __init__(self, model: keras.Model):
        self.optimizers = optimizers.optimizers(model)
        self.paths: list[str] = []
        self.shapes: list[tuple[int, ...]] = []
        self.owners: dict[int, Any] = {}
        self._model = model
        self._columns: dict[int, int] = {}
        self._carriers: dict[int, Any] = {}  # of what a condition hides
        self._local = threading.local()  # a replica is traced by its own thread

    @property
    def leaves(self) -> list:
        """The optimizers that clip and update."""
        return [
            leaf
            for each in self.optimizers
            for leaf in optimizers.leaves_of(each)
        ]

    @property
    def replicas(self) -> int:
        """How many devices take part in a step."""
        return self._model.distribute_strategy.num_replicas_in_sync

    @property
    def accumulates(self) -> bool:
        """Whether a step may only add to the gradients of the next."""
        return any(leaf.gradient_accumulation_steps for leaf in self.leaves)

    @contextlib.contextmanager
    def noting(self, full: bool):
        """Note what is handed by this thread in what is done inside."""
        import tensorflow as tf

        graph = tf.compat.v1.get_default_graph()
        self._local.handed = handed = Handed(full, graph)
        try:
            yield handed
        finally:
            del self._local.handed

    @contextlib.contextmanager
    def set(self):
        """Have the model tell its loss, and its optimizers their gradients."""
        compute_loss = self._model.compute_loss

        def noting_loss(*args, **kwargs):
            self._local.handed.loss = loss = compute_loss(*args, **kwargs)
            return loss

        with contextlib.ExitStack() as hooks:

            def replace(instance, name, method):
                replaced = shadowing.replaced(instance, name, method)
                hooks.enter_context(replaced)

            replace(self._model, "compute_loss", noting_loss)
            for optimizer in self.optimizers:
                replace(optimizer, "apply", self._noting_gradients(optimizer))
                for leaf in optimizers.leaves_of(optimizer):
                    if isinstance(leaf, Clipped):
                        replace(leaf, "clip", self._noting_clip(leaf))
                    if leaf is not optimizer:
                        replace(leaf, "apply", self._noting_owner(leaf))
            yield

    def _noting_gradients(self, optimizer):
        """`apply` that takes up what it is handed."""
        apply = optimizer.apply

        def noting_apply(grads, trainable_variables=None):
            import tensorflow as tf

            grads = list(grads)
            variables = list(
                self._model.trainable_variables
                if trainable_variables is None
                else trainable_variables
            )
            if not optimizer.built:
                optimizer.build(variables)
            if self._noted_graph() is tf.compat.v1.get_default_graph():
                self._see(optimizer, grads, variables)
            else:
                warnings.warn(
                    "GradientMonitor does not see gradients that a train step "
                    "applies inside a condition or a loop of the graph.",
                    stacklevel=2,
                )
            return apply(grads, trainable_variables and variables)

        return noting_apply

    def _noting_owner(self, leaf):
        """`apply` of an inner optimizer that notes the variables it gets."""
        apply = leaf.apply

        def noting_apply(grads, trainable_variables=None):
            for variable in trainable_variables or ():
                if id(variable) in self._columns:
                    self.owners[self._columns[id(variable)]] = leaf
            return apply(grads, trainable_variables)

        return noting_apply

    def _noting_clip(self, leaf):
        """`clip` of a `Clipped` that notes what it makes of the gradients."""
        clip = leaf.clip

        def noting_clip(gradients, variables, *args):
            import tensorflow as tf

            clipped = clip(gradients, variables, *args)
            if self._noted_graph() is None:
                return clipped  # in a thread that a loss scale began
            seen = [
                (self._columns[id(variable)], gradient)
                for variable, gradient in zip(variables, clipped, strict=True)
                if id(variable) in self._columns
            ]
            limits = [np.nan, *(rule.threshold for rule in leaf.rules)]
            limit = [each for each in limits if each is not None][-1]
            told: Any = [
                measures.half_square(tf.cast(gradient, "float32"))
                for _, gradient in seen
            ]
            told.append(tf.cast(limit, "float32"))
            if self._noted_graph() is not tf.compat.v1.get_default_graph():
                # Only a variable leads out of the condition of a loss scale.
                carrier = self._carrier(leaf, len(told))
                carrier.assign(tf.stack(told))
                told = carrier
            self._local.handed.told.append(([c for c, _ in seen], told))
            return clipped

        return noting_clip

    def _noted_graph(self):
        """The graph that this thread traces its step in."""
        handed = getattr(self._local, "handed", None)
        return handed and handed.graph

    def _carrier(self, optimizer, size):
        """The variable that leads out of a condition, for one optimizer."""
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

    def _see(self, optimizer, grads, variables):
        """Take up what an optimizer is handed, and the weights before."""
        import tensorflow as tf

        if not self.paths:
            self._lay_out()
        handed = self._local.handed
        leaves = optimizers.leaves_of(optimizer)
        if not handed.seen:
            handed.rate = tf.cast(leaves[0].learning_rate, "float32")
        scale = tf.cast(optimizers.loss_scale(optimizer), "float32")
        sums = {}  # with the number of micro-steps
        for leaf in leaves:
            for key, total in _accumulation.sums_of(leaf).items():
                sums[key] = total, leaf.gradient_accumulation_steps
        found = []
        for gradient, variable in zip(grads, variables, strict=True):
            column = self._columns.get(id(variable))
            if gradient is None or column is None:
                continue
            self.owners.setdefault(column, leaves[0])
            gradient, absent = self._dense(gradient)
            gradient = gradient / scale
            if id(variable) in sums:
                total, steps = sums[id(variable)]
                gradient = (gradient + value_of(total)) / steps
            before = value_of(variable) if handed.full else None
            found.append((column, Seen(variable, gradient, absent, before)))
        if self.replicas > 1:
            reduced = tf.distribute.get_replica_context().all_reduce(
                "SUM", [each.gradient for _, each in found]
            )
            found = [
                (column, each._replace(gradient=gradient))
                for (column, each), gradient in zip(found, reduced, strict=True)
            ]
        handed.seen.update(found)

    def _dense(self, gradient: Any):
        """The gradient in float32, and how many zeros were left out of it.

        The rows of an embedding that no token looked up.
        """
        import tensorflow as tf

        if not isinstance(gradient, tf.IndexedSlices):
            return tf.cast(gradient, "float32"), 0.0
        if (
            self._model.jit_compile is True
            or self.replicas > 1
            or self.accumulates
        ):
            return tf.cast(tf.convert_to_tensor(gradient), "float32"), 0.0
        dense_shape: Any = gradient.dense_shape
        rows, places = tf.unique(gradient.indices)
        values = tf.math.unsorted_segment_sum(
            tf.cast(gradient.values, "float32"), places, tf.size(rows)
        )
        size = tf.reduce_prod(tf.cast(dense_shape, "float32"))
        return values, size - tf.cast(tf.size(values), "float32")


def value_of(variable: Any) -> Any:
    """What a variable holds now, in float32."""
    import tensorflow as tf

    # `tf.cast` hands a variable of the right type back, to be read later.
    return tf.cast(tf.convert_to_tensor(variable.value), "float32")
