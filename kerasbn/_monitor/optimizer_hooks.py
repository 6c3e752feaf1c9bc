"""Hooks that note the gradients that optimizers receive.

This is the only file that knows how Keras applies gradients: on the instances,
`optimizer.apply` is replaced by a method that notes its arguments, for as long
as a step is traced.
"""

import contextlib
import threading
import warnings
from typing import Any

import keras
import tensorflow as tf

from kerasbn._graph import shadowing
from kerasbn._monitor import columns, measures, optimizers, step_notes


class Hooks:
    """Hooks in a compiled model and its optimizers."""

    def __init__(self, model: keras.Model):
        self.columns = columns.Columns()
        self._model = model
        self._optimizers = optimizers.applied_by(model)
        self._carriers: dict[int, Any] = {}  # see `_carrier`
        self._local = threading.local()  # each replica is traced in a thread

    @property
    def leaves(self) -> list:
        """The optimizers that clip and update."""
        inside = map(optimizers.leaves_of, self._optimizers)
        return [leaf for leaves in inside for leaf in leaves]

    @property
    def replicas(self) -> int:
        """Number of devices that take part in a step."""
        return self._model.distribute_strategy.num_replicas_in_sync

    @property
    def accumulates(self) -> bool:
        """Whether a step may only add to the gradients of the next."""
        return any(leaf.gradient_accumulation_steps for leaf in self.leaves)

    @property
    def scales_loss(self) -> bool:
        """Whether a loss scale skips steps."""
        return optimizers.scales_loss(self._model)

    @contextlib.contextmanager
    def noting(self, full: bool):
        """Note what this thread traces inside, in `StepNotes`."""
        graph = tf.compat.v1.get_default_graph()
        self._local.notes = notes = step_notes.StepNotes(full, graph)
        try:
            yield notes
        finally:
            del self._local.notes

    @contextlib.contextmanager
    def installed(self):
        """Hook the loss of the model and the methods of its optimizers."""
        compute_loss = self._model.compute_loss

        def noting_loss(*args, **kwargs):
            self._local.notes.loss = loss = compute_loss(*args, **kwargs)
            return loss

        with contextlib.ExitStack() as hooks:

            def replace(instance, name, method):
                replaced = shadowing.replaced(instance, name, method)
                hooks.enter_context(replaced)

            replace(self._model, "compute_loss", noting_loss)
            for optimizer in self._optimizers:
                replace(optimizer, "apply", self._noting_gradients(optimizer))
                for leaf in optimizers.leaves_of(optimizer):
                    if optimizers.clips_by_rules(leaf):
                        replace(leaf, "clip", self._noting_rules(leaf))
            yield

    def _noting_gradients(self, optimizer):
        """`apply` that notes the gradients it receives."""
        apply = optimizer.apply

        def noting_apply(grads, trainable_variables=None):
            grads = list(grads)
            variables = list(
                self._model.trainable_variables
                if trainable_variables is None
                else trainable_variables
            )
            if not optimizer.built:
                optimizer.build(variables)
            if self._noted_graph() is tf.compat.v1.get_default_graph():
                self._note(optimizer, grads, variables)
            else:
                warnings.warn(
                    "GradientMonitor does not see gradients that a train step "
                    "applies inside a condition or a loop of the graph.",
                    stacklevel=2,
                )
            return apply(grads, trainable_variables and variables)

        return noting_apply

    def _noting_rules(self, leaf):
        """`clip` that notes the gradients after its rules."""
        clip = leaf.clip

        def noting_clip(gradients, variables, *args):
            clipped = clip(gradients, variables, *args)
            if self._noted_graph() is None:
                return clipped  # in a thread that a loss scale started
            numbers = map(self.columns.number, variables)
            noted = {
                column: measures.half_square(tf.cast(gradient, "float32"))
                for column, gradient in zip(numbers, clipped, strict=True)
                if column is not None
            }
            limit = tf.cast(optimizers.threshold(leaf), "float32")
            values: Any = [*noted.values(), limit]
            if self._noted_graph() is not tf.compat.v1.get_default_graph():
                carrier = self._carrier(leaf, len(values))
                carrier.assign(tf.stack(values))
                values = carrier
            self._local.notes.note_rules(list(noted), values)
            return clipped

        return noting_clip

    def _noted_graph(self):
        """The graph that this thread traces its step in."""
        notes = getattr(self._local, "notes", None)
        return notes and notes.graph

    def _carrier(self, optimizer, size):
        """The variable that carries values out of a loss scale's condition."""
        if id(optimizer) not in self._carriers:
            with tf.init_scope():
                self._carriers[id(optimizer)] = tf.Variable(tf.zeros(size))
        return self._carriers[id(optimizer)]

    def _note(self, optimizer, grads, variables):
        """Note the gradients that an optimizer receives."""
        self.columns.lay_out(self._model.trainable_variables)
        notes = self._local.notes
        leaves = optimizers.leaves_of(optimizer)
        if not notes.gradients:
            notes.learning_rate = tf.cast(leaves[0].learning_rate, "float32")
        scale = tf.cast(optimizers.loss_scale(optimizer), "float32")
        owners = optimizers.owners_of(optimizer)
        sums = optimizers.sums_of(optimizer)
        found = {}
        for gradient, variable in zip(grads, variables, strict=True):
            column = self.columns.number(variable)
            if gradient is None or column is None:
                continue
            leaf = owners.get(id(variable), leaves[0])
            self.columns.owners[column] = leaf
            gradient, absent = self._dense(gradient)
            gradient = gradient / scale
            if id(variable) in sums:
                gradient += measures.value_of(sums[id(variable)])
                gradient /= leaf.gradient_accumulation_steps
            before = measures.value_of(variable) if notes.full else None
            found[column] = step_notes.Noted(variable, gradient, absent, before)
        if self.replicas > 1:
            reduced = tf.distribute.get_replica_context().all_reduce(
                "SUM", [each.gradient for each in found.values()]
            )
            for column, gradient in zip(list(found), reduced, strict=True):
                found[column] = found[column]._replace(gradient=gradient)
        notes.gradients.update(found)

    def _dense(self, gradient: Any):
        """The gradient in float32, and how many zeros were left out of it.

        The rows of an embedding that no token looked up can be left out.
        """
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
