"""Hooks that note the gradients that optimizers receive.

This is the only file that knows how Keras applies gradients: on the instances,
`optimizer.apply` is replaced by a method that notes its arguments, for as long
as a step is traced.
"""

import contextlib
import dataclasses
import threading
import warnings
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasbn._graph import shadowing
from kerasbn._monitor import measures, optimizers
from kerasbn.optimizers import _gradients


class Noted(NamedTuple):
    """The gradient of one variable that an optimizer received."""

    variable: Any
    gradient: Any  # float32, unscaled; accumulated ones are averaged in
    absent: Any  # number of zeros left out of a sparse gradient
    before: Any  # the weights before a full step


@dataclasses.dataclass
class StepNotes:
    """Tensors noted while one train step is traced."""

    full: bool  # whether to note the weights before the step
    graph: Any  # the one that the step is traced in
    loss: Any = None  # `None` if the step computes it by itself
    learning_rate: Any = None
    # By column of the variable.
    gradients: dict[int, Noted] = dataclasses.field(default_factory=dict)
    # Columns, and half the squared norms after some rules, then the threshold:
    # a list of scalars, or a variable that will hold them.
    after_rules: list = dataclasses.field(default_factory=list)


class Hooks:
    """Hooks in a compiled model and its optimizers.

    In rows of numbers, each trainable variable has a column.
    """

    def __init__(self, model: keras.Model):
        self.paths: list[str] = []  # by column, in the order of the model
        self.shapes: list[tuple[int, ...]] = []
        self.owners: dict[int, Any] = {}  # the optimizer that clips a column
        self._variables: list[Any] = []  # by column
        self._columns: dict[int, int] = {}  # by `id` of the variable
        self._model = model
        self._optimizers = optimizers.applied_by(model)
        # Variables that carry values out of a loss scale's condition.
        self._carriers: dict[int, Any] = {}  # by `id` of the optimizer
        self._local = threading.local()  # each replica is traced in a thread

    @property
    def leaves(self) -> list:
        """The optimizers that clip and update."""
        inside = map(optimizers.leaves_of, self._optimizers)
        return [leaf for leaves in inside for leaf in leaves]

    @property
    def replicas(self) -> int:
        return self._model.distribute_strategy.num_replicas_in_sync

    @property
    def accumulates(self) -> bool:
        """Whether a step may only add to the gradients of the next."""
        return any(leaf.gradient_accumulation_steps for leaf in self.leaves)

    @property
    def scales_loss(self) -> bool:
        kind = keras.optimizers.LossScaleOptimizer
        return isinstance(self._model.optimizer, kind)

    def without_gradient(self, column: int) -> Noted:
        """Note a variable that no gradient reaches: all zeros, no update."""
        variable = self._variables[column]
        value = measures.value_of(variable)
        return Noted(variable, tf.zeros_like(value), 0.0, value)

    @contextlib.contextmanager
    def noting(self, full: bool):
        """Note what this thread traces inside, in `StepNotes`."""
        graph = tf.compat.v1.get_default_graph()
        self._local.notes = notes = StepNotes(full, graph)
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
            noted = {
                self._columns[id(variable)]: tf.nn.l2_loss(
                    tf.cast(gradient, "float32")
                )
                for variable, gradient in zip(variables, clipped, strict=True)
                if id(variable) in self._columns
            }
            limits = [rule.threshold for rule in leaf.rules]
            limit = [np.nan, *(e for e in limits if e is not None)][-1]
            values: Any = [*noted.values(), tf.cast(limit, "float32")]
            if self._noted_graph() is not tf.compat.v1.get_default_graph():
                if id(leaf) not in self._carriers:
                    with tf.init_scope():
                        new = tf.Variable(tf.zeros(len(values)))
                        self._carriers[id(leaf)] = new
                self._carriers[id(leaf)].assign(tf.stack(values))
                values = self._carriers[id(leaf)]
            self._local.notes.after_rules.append((list(noted), values))
            return clipped

        return noting_clip

    def _noted_graph(self):
        """The graph that this thread traces its step in."""
        notes = getattr(self._local, "notes", None)
        return notes and notes.graph

    def _lay_out(self):
        for variable in self._model.trainable_variables:
            path, number = variable.path, 1
            while path in self.paths:  # Keras does not promise unique paths
                path, number = f"{variable.path}_{number}", number + 1
            self._columns[id(variable)] = len(self.paths)
            self._variables.append(variable)
            self.paths.append(path)
            self.shapes.append(tuple(variable.shape))

    def _note(self, optimizer, grads, variables):
        if not self.paths:
            self._lay_out()
        notes = self._local.notes
        leaves = optimizers.leaves_of(optimizer)
        if not notes.gradients:
            notes.learning_rate = tf.cast(leaves[0].learning_rate, "float32")
        scale = tf.cast(optimizers.loss_scale(optimizer), "float32")
        owners, sums, found = {}, {}, {}
        for leaf in leaves:
            # Keras has no public name for them (3.15).
            owners |= dict.fromkeys(map(id, leaf._trainable_variables), leaf)
            sums |= _gradients.sums_of(leaf)
        for gradient, variable in zip(grads, variables, strict=True):
            column = self._columns.get(id(variable))
            if gradient is None or column is None:
                continue
            self.owners[column] = leaf = owners.get(id(variable), leaves[0])
            gradient, absent = self._dense(gradient)
            gradient = gradient / scale
            if id(variable) in sums:
                gradient += measures.value_of(sums[id(variable)])
                gradient /= leaf.gradient_accumulation_steps
            before = measures.value_of(variable) if notes.full else None
            found[column] = Noted(variable, gradient, absent, before)
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
        needs_all = self._model.jit_compile is True or self.accumulates
        sparse = isinstance(gradient, tf.IndexedSlices)
        if not sparse or needs_all or self.replicas > 1:
            return tf.cast(tf.convert_to_tensor(gradient), "float32"), 0.0
        dense_shape: Any = gradient.dense_shape
        rows, places = tf.unique(gradient.indices)
        values = tf.math.unsorted_segment_sum(
            tf.cast(gradient.values, "float32"), places, tf.size(rows)
        )
        size = tf.reduce_prod(tf.cast(dense_shape, "float32"))
        return values, size - tf.cast(tf.size(values), "float32")
