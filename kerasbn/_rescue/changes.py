"""Changes of a compiled model, made in a copy of it."""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbn._graph import graph, keras_internals, kinds, rebuild
from kerasbn._monitor import heads, optimizers
from kerasbn._rescue import (
    layer_edits,
    normalization_edits,
    structure_edits,
)
from kerasbn._rescue.anatomy import Anatomy
from kerasbn.diagnosis._remedies import REMEDIES, remedy

# In this order: what is drawn last is drawn for the final activations.
_EDITS: dict[str, Callable[..., dict[Any, rebuild.Edit]]] = {
    "not_finite": layer_edits.draw_not_finite,
    "remove": structure_edits.remove,
    "last_step": structure_edits.last_step,
    "widen": structure_edits.widen,
    "gated_cells": structure_edits.gate_cells,
    "output": layer_edits.replace_output,
    "scale_targets": layer_edits.scale_output,
    "reshape_output": structure_edits.reshape_output,
    "activation": layer_edits.replace_activations,
    "statistics": normalization_edits.trust_statistics,
    "normalize_hidden": normalization_edits.normalize_hidden,
    "normalize_inputs": normalization_edits.normalize_inputs,
    "initializer": layer_edits.draw_kernels,
    # It comes before what normalizes the inputs, so it is added after that.
    "finite_inputs": structure_edits.replace_not_finite,
}
# A model that trains in its own way would be copied without it.
_TRAINING = ("train_step", "test_step", "compute_loss", "fit", "compile")
# Remedies that change a model, in the order of the table.
_OF_COMPILE = ("clipping", "learning_rate", "optimizer")
_OF_FIT = ("class_weight", "batch_size")
KINDS = tuple(
    name for name in REMEDIES if name in {*_EDITS, *_OF_COMPILE, *_OF_FIT}
)
# They choose numbers that the compiled step reads from variables.
_NUMBERS = ("initializer", "class_weight", "batch_size")


class Change(NamedTuple):
    """One thing that is done to a model, or to how it is trained.

    Attributes:
        kind: Name of a remedy: one of `KINDS`.
        options: Of "activation": `activation`. Of "clipping": one of
            `clipnorm`, `clipvalue`, `global_clipnorm`. Of "learning_rate":
            `factor` or `value`. Of "optimizer": its `class_name` and arguments.
            Of "output": any of `activation`, `units`, `loss`. Of
            "scale_targets": their `mean` and `deviation`, and `output` if there
            are several. Of "remove", "last_step" and "widen": names of
            `layers`, and `units`. Of "reshape_output": `shape`. Of
            "batch_size": `value`. Of "class_weight": `weights` by class,
            `targets` and `per_element`. The others have none.
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
    bounded = optimizers.is_bounded(model) or "optimizer" in options
    if "scale_targets" in options and not bounded:
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
    if isinstance(model, keras.Sequential) and "finite_inputs" not in options:
        result = keras.Sequential(result.layers, name=model.name)
    # Keras has no public record of what `compile` was given; with Keras 3.15.
    given = model._compile_config.config
    result.compile(
        optimizer=optimizers.copied(
            model.optimizer,
            options.get("clipping"),
            options.get("learning_rate"),
            options.get("optimizer"),
        ),
        loss=loss,
        loss_weights=_loss_weights(
            model, given["loss_weights"], **options.get("scale_targets", {})
        ),
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


def is_edit(model: keras.Model, change: Change) -> bool:
    """Return whether a change has something to do in a model."""
    if change.kind not in _EDITS:
        return True
    options = {k: v for k, v in change.options.items() if k != "loss"}
    if options != change.options and not options:
        return True
    try:
        return bool(_EDITS[change.kind](Anatomy(graph.plain(model)), **options))
    except ValueError:  # of several outputs, say
        return False


def fit_arguments(changes: Sequence[Change], y: Any) -> dict[str, Any]:
    """Return the arguments of `fit` that belong to changes."""
    found = {}
    for change in changes:
        if change.kind == "batch_size":
            found["batch_size"] = change.options["value"]
        elif change.kind == "class_weight":
            weights = change.options["weights"]
            if not change.options["per_element"]:
                found["class_weight"] = dict(enumerate(weights))
                continue
            (labels,) = keras.tree.flatten(y)
            if change.options["targets"] == "one_hot":
                labels = labels.argmax(axis=-1)
            elif labels.shape[-1] == 1:
                labels = labels[..., 0]
            weights = np.asarray(weights, "float32")
            found["sample_weight"] = weights[labels.astype(int)]
            found["class_weight"] = None  # Keras takes one of them
    return found


def step_key(changes: Sequence[Change], made: keras.Model) -> Any:
    """Return what tells the compiled steps of changed models apart.

    Models that differ in initial weights or in a learning rate that is a
    variable take the same step.
    """
    kept = []
    for change in changes:
        options = dict(change.options)
        if change.kind in ("learning_rate", "optimizer"):
            plain = has_plain_rate(made)
            for name in ("value", "factor", "learning_rate"):
                if plain and name in options:
                    options[name] = None
        if change.kind not in _NUMBERS:
            kept.append((change.kind, repr(sorted(options.items(), key=str))))
    if has_plain_rate(made):
        kept = [each for each in kept if each[0] != "learning_rate"]
    return tuple(kept), has_plain_rate(made)


def has_plain_rate(model: keras.Model) -> bool:
    """Whether the learning rate is a variable, and no schedule."""
    leaf = optimizers.leaves_of(model.optimizer)[0]
    leaf = getattr(leaf, "inner_optimizer", leaf)
    return isinstance(leaf._learning_rate, keras.Variable)  # Keras 3.15


def _loss_weights(model, given, mean=0.0, deviation=1.0, output=""):
    """Weights under which a scaled output counts no more than the others."""
    names = heads.names_of(model)
    losses = heads.parts_of(model.loss, names)
    if not output or len(set(names)) != len(losses):
        return given
    weights = [1.0 if e is None else e for e in heads.parts_of(given, names)]
    place = names.index(output)
    power = 2 if "squared" in str(heads.loss_name(losses[place])[0]) else 1
    weights[place] /= float(np.mean(deviation)) ** power
    if isinstance(model.loss, dict):
        return dict(zip(names, weights, strict=True))
    return weights


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
