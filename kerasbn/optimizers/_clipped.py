"""An optimizer that clips by rules what another optimizer applies."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasbn import clipping
from kerasbn.optimizers import _accumulation, _gradients

CLIP_ARGUMENTS = ("clipnorm", "clipvalue", "global_clipnorm")
# What is done with gradients before they are clipped is done here.
TAKEN_OVER = ("loss_scale_factor", "gradient_accumulation_steps")


@keras.saving.register_keras_serializable("kerasbn")
class Clipped(keras.optimizers.Optimizer):
    """An optimizer whose gradients are clipped by rules, one after the other.

    Wraps any optimizer of Keras or of yours and leaves the update to it. Unlike
    the clip arguments of a stock optimizer, rules compose and may adapt; a step
    whose gradients hold NaN or Inf is skipped and counted, where stock clipping
    spreads it over all weights; under `tf.distribute.MirroredStrategy` the sum
    over the replicas is clipped, where stock clipping clips each part, so that
    two replicas take steps of up to twice the limit; and the gradient of an
    embedding is clipped after repeated rows were summed, for which it becomes
    dense.

    The order is that of Keras: the loss scale is undone, gradients are
    accumulated and averaged, clipped, and then handed to the inner optimizer
    for weight decay and update. For that the wrapper takes `loss_scale_factor`
    and `gradient_accumulation_steps` over from it; schedules and moving
    averages then count applied steps, where Keras's count micro-steps. With
    mixed precision the wrapper stands inside of
    `keras.optimizers.LossScaleOptimizer`, where `compile` puts it.

    With `ByGlobalNorm` a step takes 1.00 to 1.03 of one with the stock
    `global_clipnorm`, skipping included (`benchmarks/clipping_cost.py`).

    Args:
        inner_optimizer: An optimizer that has trained nothing yet and does not
            clip, or its name.
        rules: Rules of `kerasbn.clipping`, applied in this order; the optimizer
            keeps copies. `None` is `[AutoClip(percentile=10)]`, which needs no
            knowledge of the gradients' scale, but of a first step that does
            not explode. An empty list skips only.
        skip_non_finite: Whether a step is skipped where a gradient, or the norm
            of the whole, is not finite: weights, the inner optimizer's state
            and `iterations` stay. On by default, because the step could only
            do harm. A micro-step of an accumulation is skipped by itself.
        name: Name of the optimizer.

    Attributes:
        inner_optimizer: The optimizer that applies.
        rules: The copies of the rules, with what they remember; that of one
            that adapts has its limit in `threshold`.
        skipped_steps: How many steps were skipped, a variable.

    `learning_rate`, `iterations` and weight decay are those of the inner
    optimizer.

    Raises:
        ValueError: If the inner optimizer clips, wraps others, or is built.
        TypeError: If `rules` holds anything but rules.

    Example:
    >>> import keras, kerasbn
    >>> optimizer = kerasbn.optimizers.Clipped(
    ...     keras.optimizers.Adam(0.01),
    ...     [kerasbn.clipping.ByValue(0.5), kerasbn.clipping.ByGlobalNorm(1.0)])
    >>> weight = keras.Variable([1.0])
    >>> optimizer.apply([keras.ops.array([float("nan")])], [weight])
    >>> weight.numpy().tolist(), int(optimizer.skipped_steps.numpy())
    ([1.0], 1)
    """

    def __init__(
        self,
        inner_optimizer: keras.optimizers.Optimizer | str,
        rules: Sequence[clipping.Rule] | None = None,
        skip_non_finite: bool = True,
        name: str | None = None,
    ):
        inner: Any = keras.optimizers.get(inner_optimizer)
        _check(inner)
        rules = (clipping.AutoClip(),) if rules is None else rules
        if not isinstance(rules, list | tuple) or not all(
            isinstance(each, clipping.Rule) for each in rules
        ):
            raise TypeError(
                "`rules` must be a list of rules of `kerasbn.clipping`. "
                f"Received: rules={rules!r}."
            )
        # The base class clips nothing, and its learning rate is not used.
        super().__init__(
            learning_rate=0.0,
            name=name,
            **{each: getattr(inner, each) for each in TAKEN_OVER},
        )
        for each in TAKEN_OVER:
            setattr(inner, each, None)
        self.inner_optimizer = inner
        self._set("rules", [each.copied() for each in rules])
        self.skip_non_finite = skip_non_finite

    def build(self, variables):
        """Create the variables of the rules and of the inner optimizer."""
        if self.built:
            return

        def adding(rule):
            def add_variable(name, shape, initializer):
                return self.add_variable(
                    shape,
                    initializer,
                    dtype="float32",
                    aggregation="only_first_replica",
                    name=f"{rule}_{name}",
                )

            return add_variable

        self.skipped_steps = self.add_variable(
            (), dtype="int", aggregation="only_first_replica", name="skipped"
        )
        for number, rule in enumerate(self.rules):
            rule.build(adding(f"{type(rule).__name__.lower()}_{number}"))
        steps, micro_step = self.gradient_accumulation_steps, None
        if steps:
            micro_step = self.add_variable((), dtype="int", name="micro")
        self.inner_optimizer.build(variables)
        super().build(variables)
        self._set("_known", list(variables))
        self._accumulation = None
        if steps:
            self._accumulation = _accumulation.Accumulation(
                steps, micro_step, _accumulation.sums_of(self)
            )

    def _set(self, name, value):
        """Set past the tracking of TensorFlow, which wraps lists and dicts."""
        attributes: dict = self.__dict__
        attributes[name] = value

    @property
    def variables(self):
        """Those of the wrapper, then those of the inner optimizer."""
        return super().variables + self.inner_optimizer.variables

    def apply(self, grads, trainable_variables=None):
        """Clip the gradients and have the inner optimizer apply them."""
        grads = list(grads)
        if not grads:
            return
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    "`trainable_variables` must be passed to an optimizer that "
                    "is not built. Received: trainable_variables=None."
                )
            trainable_variables = self._known
        variables = list(trainable_variables)
        self.build(variables)
        grads, applied = self._prepare(grads, variables)

        def apply(grads):
            self.inner_optimizer.apply(grads, variables)

        if applied is True:
            apply(grads)
        else:
            _gradients.apply_if(applied, apply, grads)

    def apply_gradients(self, grads_and_vars):
        """As `apply`, of pairs; return `iterations`."""
        self.apply(*zip(*grads_and_vars, strict=True))
        return self.iterations

    def set_weights(self, weights):
        """Set the variables of the wrapper and of the inner optimizer."""
        own = len(super().variables)
        super().set_weights(weights[:own])
        self.inner_optimizer.set_weights(weights[own:])

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """Return trainable and optimizer variables after `apply`."""
        old = list(optimizer_variables)
        scope = keras.StatelessScope(
            [
                *zip(self._known, trainable_variables, strict=True),
                *zip(self.variables, old, strict=True),
            ]
        )
        with scope:
            grads, applied = self._prepare(list(grads), self._known)
        own = [scope.get_current_value(each) for each in super().variables]
        weights, inner = self.inner_optimizer.stateless_apply(
            old[len(own) :], grads, trainable_variables
        )

        def chosen(new, old):
            return [
                ops.where(applied, *pair) for pair in zip(new, old, strict=True)
            ]

        return (
            chosen(weights, trainable_variables),
            own + chosen(inner, old[len(own) :]),
        )

    def _prepare(self, grads, variables):
        """What the inner optimizer is handed, and whether it is."""
        places = [
            place
            for place, (gradient, variable) in enumerate(
                zip(grads, variables, strict=True)
            )
            # Keras writes a gradient of the second kind into the variable.
            if gradient is not None
            and not getattr(variable, "overwrite_with_gradient", False)
        ]
        if not places:
            return grads, True
        variables = [variables[place] for place in places]
        gradients = [_gradients.dense(grads[place]) for place in places]
        gradients, replicas = _gradients.summed(gradients)
        if self.loss_scale_factor:
            gradients = [each / self.loss_scale_factor for each in gradients]
        if self._accumulation:
            gradients = self._accumulation.averages(gradients, variables)
        norm = _gradients.norm(gradients)
        applied = finite = True
        if self.skip_non_finite:
            applied = finite = ops.isfinite(norm)
            self.skipped_steps.assign_add(
                ops.cast(~finite, self.skipped_steps.dtype)
            )
        if self._accumulation:
            applied = self._accumulation.advance(gradients, variables, finite)
        gradients = self.clip(gradients, variables, norm, applied)
        for place, gradient in zip(places, gradients, strict=True):
            grads[place] = gradient / replicas if replicas > 1 else gradient
        return grads, applied

    def clip(
        self, gradients: list, variables: list, norm: Any, applied: Any
    ) -> list:
        """Return gradients clipped by all rules, see `clipping.Rule.clip`."""
        for number, rule in enumerate(self.rules):
            if number:
                norm = _gradients.norm(gradients)  # computed only if used
            gradients = rule.clip(gradients, variables, norm, applied)
        return gradients

    @property
    def learning_rate(self):
        """That of the inner optimizer, as is its setter."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def weight_decay(self):
        """That of the inner optimizer, as is its setter."""
        return self.inner_optimizer.weight_decay

    @weight_decay.setter
    def weight_decay(self, weight_decay):
        if hasattr(self, "inner_optimizer"):  # else the base class begins
            self.inner_optimizer.weight_decay = weight_decay

    @property
    def iterations(self):
        """Steps that the inner optimizer applied."""
        return self.inner_optimizer.iterations

    @property
    def _model_variables_moving_average(self):
        # By this, nothing public, `SwapEMAWeights` knows an optimizer that
        # averages weights, inside of a LossScaleOptimizer.
        return self.inner_optimizer._model_variables_moving_average

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Exclude variables from the weight decay of the inner optimizer."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list):
        """Set variables to their moving averages, where they are kept."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self):
        """Return the arguments of `__init__`, serialized."""
        inner = keras.saving.serialize_keras_object(self.inner_optimizer)
        inner["config"] |= {
            each: getattr(self, each)
            for each in TAKEN_OVER
            if getattr(self, each) is not None
        }
        return {
            "name": self.name,
            "inner_optimizer": inner,
            "rules": [
                keras.saving.serialize_keras_object(each) for each in self.rules
            ],
            "skip_non_finite": self.skip_non_finite,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Make an optimizer from what `get_config` returned."""
        inner, *rules = (
            keras.saving.deserialize_keras_object(each, custom_objects)
            for each in (config["inner_optimizer"], *config["rules"])
        )
        return cls(**config | {"inner_optimizer": inner, "rules": rules})


def _check(inner):
    """Raise where an optimizer cannot be wrapped."""
    kind = type(inner).__name__
    if not isinstance(inner, keras.optimizers.Optimizer):
        raise TypeError(
            "`inner_optimizer` must be an optimizer or the name of one. "
            f"Received: {inner!r}."
        )
    if isinstance(inner, Clipped):
        raise ValueError(
            "`inner_optimizer` must not be clipped already. Received: a "
            "Clipped. Pass all rules to one Clipped."
        )
    if isinstance(inner, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "`inner_optimizer` must be the optimizer that applies. Received: "
            "a LossScaleOptimizer. Use LossScaleOptimizer(Clipped(...))."
        )
    if isinstance(inner, keras.optimizers.MultiOptimizer):
        raise ValueError(
            "`inner_optimizer` must be one optimizer. Received: a "
            "MultiOptimizer. Use Clipped for each optimizer inside of it."
        )
    set_ = {each: getattr(inner, each) for each in CLIP_ARGUMENTS}
    clips = {name: value for name, value in set_.items() if value is not None}
    if clips:
        name, value = next(iter(clips.items()))
        raise ValueError(
            "`inner_optimizer` must not clip, because `rules` do. Received: "
            f"{kind} with {name}={value}. Pass {name}=None to it."
        )
    if inner.built:
        raise ValueError(
            "`inner_optimizer` must be new, because its variables belong to "
            f"the wrapper's. Received: a {kind} that is built. Use "
            f"{kind}.from_config(optimizer.get_config())."
        )
