"""Changes of a compiled model, made in a copy of it."""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from kerasbn._graph import graph, keras_internals, kinds, rebuild
from kerasbn._monitor import optimizers
from kerasbn._rescue import layer_edits, normalization_edits
from kerasbn._rescue.anatomy import Anatomy
from kerasbn.diagnosis._remedies import REMEDIES, remedy

# In this order: what is drawn last is drawn for the final activations.
_EDITS: dict[str, Callable[..., dict[Any, rebuild.Edit]]] = {
    "not_finite": layer_edits.draw_not_finite,
    "output": layer_edits.replace_output,
    "scale_targets": layer_edits.scale_output,
    "activation": layer_edits.replace_activations,
    "statistics": normalization_edits.trust_statistics,
    "normalize_hidden": normalization_edits.normalize_hidden,
    "normalize_inputs": normalization_edits.normalize_inputs,
    "initializer": layer_edits.draw_kernels,
}
# A model that trains in its own way would be copied without it.
_TRAINING = ("train_step", "test_step", "compute_loss", "fit", "compile")
# Remedies that change a model, in the order of the table.
KINDS = tuple(
    name for name in REMEDIES if name in {*_EDITS, "clipping", "learning_rate"}
)


class Change(NamedTuple):
    """One thing that is done to a model.

    Attributes:
        kind: Name of a remedy: "output", "scale_targets", "normalize_inputs",
            "initializer", "normalize_hidden", "activation", "clipping",
            "learning_rate" or "statistics".
        options: Of "activation": `activation`. Of "clipping": one of
            `clipnorm`, `clipvalue`, `global_clipnorm`. Of "learning_rate":
            `factor` or `value`. Of "output": any of `activation`, `units`,
            `loss`. Of "scale_targets": their `mean` and `deviation`. The
            others have none.
    """

    kind: str
    options: dict[str, Any] = {}  # noqa: RUF012, never written to

    def __str__(self) -> str:
        """Return what to do, in a sentence."""
        return remedy(self.kind, **self.options).sentence

    @property
    def patch(self) -> str:
        """The code to write for it: lines to remove "-" and to add "+"."""
        return remedy(self.kind, **self.options).patch


def apply(
    model: keras.Model, changes: Sequence[Change], seed: int = 0
) -> keras.Model:
    """Return a compiled copy of a model with changes in it.

    Weights are taken over where their shape is the same and where they are
    finite; the state of the optimizer is not. Frozen layers are neither
    normalized nor initialized nor given another activation: someone chose to
    keep them. Models nested in the copy become functional.
    """
    check(model)
    options: dict[str, dict[str, Any]] = {"not_finite": {}}
    for change in changes:
        options.setdefault(change.kind, {}).update(change.options)
    loss = options.get("output", {}).pop("loss", model.loss)
    if options.get("output") == {}:
        del options["output"]
    if "scale_targets" in options and not optimizers.is_bounded(model):
        options.setdefault("clipping", {"clipnorm": 1.0})
    result = graph.plain(model)
    # An initializer without a seed takes one from Python's generator.
    state = random.getstate()
    random.seed(seed)
    try:
        for kind in filter(options.__contains__, _EDITS):
            anatomy = Anatomy(result)
            edits = _EDITS[kind](anatomy, **options[kind])
            result = rebuild.rebuild(anatomy, edits)
    finally:
        random.setstate(state)  # the caller's numbers go on undisturbed
    if isinstance(model, keras.Sequential):
        result = keras.Sequential(result.layers, name=model.name)
    # Keras has no public record of what `compile` was given; with Keras 3.15.
    given = model._compile_config.config
    result.compile(
        optimizer=optimizers.copied(
            model.optimizer,
            options.get("clipping"),
            options.get("learning_rate"),
        ),
        loss=loss,
        loss_weights=given["loss_weights"],
        metrics=keras.tree.map_structure(_fresh, given["metrics"]),
        weighted_metrics=keras.tree.map_structure(
            _fresh, given["weighted_metrics"]
        ),
        run_eagerly=model.run_eagerly,
        steps_per_execution=model.steps_per_execution,
        jit_compile=model.jit_compile,
        auto_scale_loss=False,  # done in the optimizer that is copied
    )
    return result


def _fresh(metric):
    """A metric as the user gave it, without its state."""
    if not isinstance(metric, keras.metrics.Metric):
        return metric
    return type(metric).from_config(metric.get_config())


def check(model: Any) -> None:
    """Raise an error if a model cannot be copied with changes."""
    if obstacle := _obstacle(model):
        raise ValueError(
            "`model` must be a functional or sequential model, compiled and "
            f"built. Received: model={getattr(model, 'name', model)!r}, "
            f"{obstacle}. Change it by hand; `kerasbn.diagnose` says what."
        )


def _obstacle(model):
    if not isinstance(model, keras.Model):
        return "which is not a Keras model"
    if not getattr(model, "compiled", False) or model.optimizer is None:
        return "which is not compiled"
    plain = graph.plain(model)
    if plain is None:
        return "which is subclassed or not built"
    for name in _TRAINING:
        if getattr(type(model), name) is not getattr(keras.Model, name):
            return f"whose class has its own `{name}`"
    for tensor in plain.inputs:
        if getattr(tensor, "ragged", False):
            return f"whose input {tensor.name!r} is ragged"
    for layer in keras_internals.all_layers(model):
        if kinds.is_adapted(layer):
            return f"whose layer {layer.name!r} is quantized or has LoRA"
    for operation in graph.Graph(plain).operations:
        try:
            operation.get_config()
        except NotImplementedError:
            return f"whose layer {operation.name!r} has no `get_config`"
    return ""
