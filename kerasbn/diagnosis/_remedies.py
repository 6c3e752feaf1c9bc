"""Every remedy: a sentence, and an edit of the script."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from kerasbn.diagnosis import _remedies_data as data
from kerasbn.diagnosis import _remedies_instead as instead
from kerasbn.diagnosis import _remedies_layers as layers
from kerasbn.diagnosis import _remedies_output as output
from kerasbn.diagnosis import _remedies_training as training
from kerasbn.diagnosis._script import Script


class Remedy(NamedTuple):
    """A thing to do: a sentence, and a patch of lines "-" and "+"."""

    sentence: str
    patch: str


class Named(str):
    """The name of a remedy, with options that a rule has chosen."""

    options: dict[str, Any]

    def __new__(cls, name: str, **options: Any):
        result = super().__new__(cls, name)
        result.options = options
        return result


# Each edits the script and returns its sentence, "" if it changes nothing.
# Up to "batch_size" they are kinds of changes in `kerasbn.rescue` as well.
REMEDIES: dict[str, Callable[..., str]] = {
    "finite_inputs": instead.finite_inputs,
    "remove": instead.remove,
    "last_step": instead.last_step,
    "widen": instead.more_units,
    "gated_cells": instead.gated_cells,
    "reshape_output": instead.reshape_output,
    "output": output.output,
    "scale_targets": data.scale_targets,
    "normalize_inputs": layers.normalize_inputs,
    "initializer": layers.initializer,
    "normalize_hidden": layers.normalize_hidden,
    "activation": layers.activation,
    "clipping": training.clipping,
    "learning_rate": training.learning_rate,
    "statistics": layers.statistics,
    "optimizer": instead.optimizer,
    "class_weight": data.class_weight,
    "batch_size": instead.batch_size,
    "recurrent_initializer": layers.recurrent_initializer,
    "drop_bias": layers.drop_bias,
    "move_dropout": layers.move_dropout,
    "output_bias": output.output_bias,
    "differentiable": layers.differentiable,
    "freeze_statistics": layers.freeze_statistics,
    "regularize": layers.regularize,
    "enlarge": layers.enlarge,
    "calibrate": training.calibrate,
    "decay": training.decay,
    "apply_gradients": training.apply_gradients,
    "recover": training.recover,
    "check_targets": training.check_targets,
    "watch_recall": training.watch_recall,
    "adapt": training.adapt,
    "finite_data": data.finite_data,
    "keep_rows": data.keep_rows,
    "divide_targets": data.divide_targets,
    "reshape_targets": data.reshape_targets,
    "shift_labels": data.shift_labels,
    "shuffle": data.shuffle,
    "drop_remainder": data.drop_remainder,
}
# What is edited first: an initializer fits the activation that is new, and
# normalization splits a layer whose arguments are done with.
_FIRST = ("output", "activation", "initializer")
_LAST = ("normalize_hidden", "move_dropout", "normalize_inputs", "regularize")


def remedy(name: str, script: Script | None = None, **options: Any) -> Remedy:
    """Return the remedy of that name, for a script or for an example."""
    script = script or Script.example()
    return together([(name, options)], script)


def together(
    remedies: Iterable[tuple[str, dict[str, Any]]], script: Script
) -> Remedy:
    """Return remedies as one edit; those that change nothing are left out."""
    given = list(remedies)
    sentences = {
        name: REMEDIES[name](script, **options)
        for name, options in sorted(given, key=_place)
    }
    said = [sentences[name] for name, _ in given]
    return Remedy(" ".join(filter(None, said)), script.patch())


def _place(remedy):
    name, _ = remedy
    if name in _FIRST:
        return _FIRST.index(name) - len(_FIRST)
    return _LAST.index(name) + 1 if name in _LAST else 0
