"""Operations on gradients: by backend, and over micro-steps."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def dense(gradient: Any) -> Any:
    """Return a dense tensor; repeated rows of an embedding are summed."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.convert_to_tensor(gradient)
    return ops.convert_to_tensor(gradient, sparse=False)


def norm(gradients: list) -> Any:
    """Return the L2 norm of all gradients together, a float32 scalar."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Any operation costs a microsecond: one per kernel and one for all
        # vectors together, where Keras needs two for each.
        gradients = [tf.cast(each, "float32") for each in gradients]
        vectors = [each for each in gradients if each.shape.rank == 1]
        others = [each for each in gradients if each.shape.rank != 1]
        if vectors:
            others.append(tf.concat(vectors, axis=0))
        return tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(g) for g in others]))
    squares = [ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients]
    return ops.sqrt(ops.sum(ops.stack(squares)))


def summed(gradients: list) -> tuple[list, int]:
    """Return gradients summed over the replicas, and how many there are."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        replica = tf.distribute.get_replica_context()
        if replica and replica.num_replicas_in_sync > 1:
            gradients = replica.all_reduce("SUM", gradients)
            return list(gradients), replica.num_replicas_in_sync
    return gradients, 1


def apply_if(
    condition: Any, apply: Callable[[list], object], gradients: list
) -> None:
    """Call `apply(gradients)` if a boolean scalar is true."""
    if keras.backend.backend() != "tensorflow":
        ops.cond(condition, lambda: apply(gradients), lambda: None)
        return
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica and tf.distribute.has_strategy():  # even of one replica
        # An update inside a condition is only allowed across replicas.
        def apply_replicas(strategy, condition, gradients):
            tf.cond(
                strategy.experimental_local_results(condition)[0],
                lambda: strategy.extended.call_for_each_replica(
                    apply, args=(gradients,)
                ),
                lambda: None,
            )

        replica.merge_call(apply_replicas, args=(condition, gradients))
    elif tf.executing_eagerly():
        tf.cond(condition, lambda: apply(gradients), lambda: None)
    else:
        # `tf.cond` adds an operation for each input of a branch: 4 % of a
        # small step, where the operation below costs 2 %.
        update = _concrete(lambda: apply(gradients))
        inputs = update.captured_inputs
        specs = [tf.TensorSpec(each.shape, each.dtype) for each in inputs]
        tf.raw_ops.If(
            cond=condition,
            input=inputs,
            Tout=[],
            then_branch=update,
            else_branch=_concrete(lambda *inputs: None, *specs),
            output_shapes=[],
        )


def _concrete(function, *specs):
    import tensorflow as tf

    concrete = tf.function(function, autograph=False).get_concrete_function(
        *specs
    )
    concrete.add_to_graph()
    return concrete


def sums_of(optimizer: Any) -> dict[int, Any]:
    """Return the accumulated gradients, if any, by `id` of the variable."""
    if not optimizer.built or not optimizer.gradient_accumulation_steps:
        return {}
    # Keras has no public names (3.15); both lists are in the order of building.
    keys = map(id, optimizer._trainable_variables)
    return dict(zip(keys, optimizer._accumulated_gradients, strict=True))


def add_sums(optimizer: Any, gradients: list, variables: list) -> list:
    """Return the averages to apply if this micro-step is the last one."""
    sums = sums_of(optimizer)
    for variable in variables:
        if id(variable) not in sums:
            raise ValueError(
                "`trainable_variables` must be those that the optimizer was "
                f"built with. Received: {variable.name}. Compile with a new "
                "optimizer after changing what is trainable."
            )
    return [
        (gradient + sums[id(variable)]) / optimizer.gradient_accumulation_steps
        for gradient, variable in zip(gradients, variables, strict=True)
    ]


def advance(
    optimizer: Any, averages: list, variables: list, finite: Any
) -> Any:
    """Update the sums, if finite; return whether to apply the averages."""
    sums, steps = sums_of(optimizer), optimizer.gradient_accumulation_steps
    micro_step = optimizer.micro_step.value
    last = ops.equal(micro_step, steps - 1)
    for average, variable in zip(averages, variables, strict=True):
        total = sums[id(variable)]
        after = ops.where(last, 0.0, average * steps)
        total.assign(ops.where(finite, after, total.value))
    after = (micro_step + 1) % steps
    optimizer.micro_step.assign(ops.where(finite, after, micro_step))
    return ops.logical_and(finite, last)
