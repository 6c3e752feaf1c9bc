"""The changes that may help: by findings, by the look of a model, by habit."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from kerasbn._graph import graph
from kerasbn._graph.kinds import has_kernel
from kerasbn._monitor import heads
from kerasbn._rescue.anatomy import RECURRENT, SOFTMAX, Anatomy
from kerasbn._rescue.changes import KINDS, Change, is_edit
from kerasbn._rescue.data import Rows
from kerasbn.diagnosis import Finding, _advice
from kerasbn.diagnosis._symptoms import Symptoms

# Beyond these a layer hides more than it lets pass.
_DROPPED, _NARROW, _WIDE, _STEPS = 0.8, 3, 16, 20
# Of targets that a network starts near enough to.
_SIZE = 3.0
# Labels below that number stand for classes, wherever they begin.
_CLASSES = 1000
# What is chosen by the problem, not by the remedy of its name.
_BY_PROBLEM = {"remove", "last_step", "finite_inputs"}
# What moves values and is no fault.
_STOCK = "keras.src.layers"


class Candidates:
    """What may be changed in a model that is trained on some rows."""

    def __init__(self, model: keras.Model, rows: Rows):
        self._model, self._rows = model, rows
        self._anatomy = Anatomy(graph.plain(model))

    def of_findings(
        self, findings: Iterable[Finding], symptoms: Symptoms
    ) -> list[Change]:
        """Return a change for each remedy that changes a model.

        A learning rate is left open: it depends on the other changes.
        """
        found: dict[str, Change] = {}
        for finding in findings:
            if (
                finding.severity == "minor"
                and finding.problem != "class_imbalance"
            ):
                continue
            for change in self._of_finding(finding, symptoms):
                known = found.setdefault(change.kind, change)
                if known is not change and change.kind == "remove":
                    known.options["layers"] += change.options["layers"]
        return [each for each in found.values() if is_edit(self._model, each)]

    def _of_finding(self, finding, symptoms):
        if finding.problem == "target_shape":
            yield from self._fitting_shape(symptoms)
        elif finding.problem == "no_gradient":
            yield from self._passing(finding, symptoms)
        elif finding.problem == "non_finite" and finding.where == "inputs":
            yield Change("finite_inputs")
        elif finding.problem == "non_finite" and self._own_loss(symptoms):
            yield Change("output", self._fitting(symptoms))
        for name in finding.remedies:
            options = {}
            if name == "scale_targets":
                several = len(symptoms.heads) > 1
                options = self.target_scale(finding.where if several else "")
            elif name == "class_weight":
                options = self._class_weights(symptoms)
            elif name == "learning_rate":
                options = {"value": None}
            elif name == "output":
                options = self._output(symptoms)
            elif name in _BY_PROBLEM:
                continue
            elif name in KINDS:
                options = _advice.options_of(name, finding.problem, symptoms)
            if name == "class_weight" and options is None:
                yield from self._balanced_loss(symptoms)
            elif name in KINDS and options is not None:
                yield Change(name, options)

    def _output(self, symptoms):
        options = _advice.options_of("output", "output_mismatch", symptoms)
        (head, targets, seen), *_ = symptoms.heads
        named = head["activation"] in (*SOFTMAX, "sigmoid", "hardsigmoid")
        if head["from_logits"] and named:
            return {"activation": None}  # the loss was told what to expect
        sparse = head["loss"] == "sparse_categorical_crossentropy"
        if sparse and targets and targets["integers"]:
            if 0 <= targets["low"] and targets["high"] < _CLASSES:
                units = max(
                    int(targets["high"]) + 1, seen["units"] if seen else 0
                )
                options = {"activation": "softmax", "units": units}
                if head["from_logits"]:
                    options["activation"] = None
        return options or None

    def _fitting(self, symptoms):
        """Activation, units and loss by the targets alone."""
        from kerasbn.diagnosis import _rules_output

        _, targets, seen = symptoms.heads[0]
        units = seen["units"] if seen else 1
        return _rules_output._fitting(targets or {}, units)

    def _own_loss(self, symptoms):
        """Whether a function of the user computes the loss."""
        loss = str(symptoms.heads[0][0]["loss"])
        return len(symptoms.heads) == 1 and not hasattr(keras.losses, loss)

    def _fitting_shape(self, symptoms):
        (_, targets, seen), *others = symptoms.heads
        if others or not targets or not seen:
            return
        shape, size = targets["shape"], np.prod(seen["shape"], dtype=int)
        if np.prod(shape, dtype=int) == size:
            yield Change("reshape_output", {"shape": shape or [1]})
        elif targets["columns"] != seen["units"]:
            yield Change("output", {"units": targets["columns"]})
        else:
            last = [
                each.name
                for each in self._anatomy.operations
                if isinstance(each, RECURRENT) and each.return_sequences
            ]
            yield Change("last_step", {"layers": last[-1:]})
            if len(shape) > 1:
                yield Change("reshape_output", {"shape": shape})

    def _passing(self, finding, symptoms):
        """What lets a gradient pass: without an operation, or another loss."""
        kernels = [e for e in self._anatomy.operations if has_kernel(e)]
        names = []
        for each, calls in self._anatomy.operations.items():
            shapes = [[t.shape for t in (*e.inputs, *e.outputs)] for e in calls]
            same = all(len({*map(tuple, s)}) == 1 for s in shapes)
            unknown = type(each) is keras.layers.Lambda or not (
                isinstance(each, keras.layers.Layer)
                and type(each).__module__.startswith(_STOCK)
            )
            one = getattr(each, "path", each.name) == finding.where
            if same and each not in kernels and (unknown or one):
                names.append(each.name)
        if names:
            yield Change("remove", {"layers": names})
        elif self._own_loss(symptoms):
            yield Change("output", self._fitting(symptoms))

    def target_scale(self, output: str = "") -> dict[str, Any]:
        """Mean and deviation of each column of targets."""
        y: Any = self._rows.y
        if isinstance(y, dict):
            y = y[output] if output else next(iter(y.values()))
        elif isinstance(y, list | tuple):
            names = list(self._model.output_names)
            y = y[names.index(output) if output else 0]
        columns = np.asarray(y, "float64").reshape(
            -1, y.shape[-1] if y.ndim > 1 else 1
        )
        columns = columns[np.isfinite(columns).all(axis=1)]
        mean, deviation = columns.mean(axis=0), columns.std(axis=0)
        alike = deviation.max() < 10 * deviation.min() + 1e-12
        if alike and np.ptp(mean) < 3 * deviation.mean():
            mean, deviation = [columns.mean()], [columns.std()]
        deviation = np.where(np.asarray(deviation) > 0, deviation, 1.0)
        found = {"mean": mean, "deviation": deviation}
        options = {
            name: [float(f"{each:.4g}") for each in values]
            for name, values in found.items()
        }
        options = {k: v[0] if len(v) == 1 else v for k, v in options.items()}
        return {**options, **({"output": output} if output else {})}

    def _class_weights(self, symptoms):
        options = _advice.options_of("class_weight", "", symptoms)
        leaves = keras.tree.flatten(self._rows.y)
        if len(leaves) > 1 or not options:
            return None
        (y,) = leaves
        if options["targets"] == "one_hot":
            y = y.argmax(axis=-1)
        elif y.ndim > 1 and y.shape[-1] > 1 and options["targets"] == "binary":
            return None  # several questions, each with its own rare answer
        counts = np.bincount(np.maximum(y.astype(int).ravel(), 0))
        weights = counts.sum() / (
            np.count_nonzero(counts) * np.maximum(counts, 1)
        )
        return {**options, "weights": [float(f"{e:.4g}") for e in weights]}

    def _balanced_loss(self, symptoms):
        """Of questions with rare answers: `fit` takes no weights for them."""
        head, targets, _ = symptoms.heads[0]
        if len(symptoms.heads) > 1 or head["loss"] != "binary_crossentropy":
            return
        loss = keras.losses.BinaryFocalCrossentropy(
            apply_class_balancing=True,
            alpha=float(f"{1.0 - targets['mean']:.3g}"),
            gamma=1.0,  # the gradient of 0 is NaN where an output is sure
            from_logits=head["from_logits"],
        )
        yield Change("output", {"loss": loss})

    def by_look(self) -> list[Change]:
        """Return changes of what rarely belongs in a network."""
        dropped, narrow = [], []
        for each in self._anatomy.operations:
            if getattr(each, "rate", 0.0) >= _DROPPED and isinstance(
                each, keras.layers.Dropout | keras.layers.AlphaDropout
            ):
                dropped.append(each.name)
        for each in self._anatomy.hidden():
            units = getattr(each, "units", getattr(each, "filters", None))
            if has_kernel(each) and units and units <= _NARROW:
                narrow.append(each.name)
        ends = [
            e for e in self._anatomy.outputs if self._anatomy.activation_name(e)
        ]
        last = {
            name
            for name in map(self._anatomy.activation_name, ends)
            if name in SOFTMAX or name == "sigmoid"
        }
        if len(ends) > 1 and len(self._model.outputs) == 1 and last:
            # `outputs` begins with the last one.
            dropped += [each.name for each in ends[1:]]
        found = []
        if dropped:
            found.append(Change("remove", {"layers": dropped}))
        if narrow:
            found.append(Change("widen", {"layers": narrow, "units": _WIDE}))
        long = any(
            (t.shape[1] or _STEPS) >= _STEPS
            for t in self._model.inputs
            if len(t.shape) > 1
        )
        if long and is_edit(self._model, Change("gated_cells")):
            found.append(Change("gated_cells"))
        return found

    def _is_scaled(self):
        """Whether the targets are classes, or numbers of a usual size."""
        leaves = keras.tree.flatten(self._rows.y)
        (head, *others) = heads.heads_of(self._model)
        entropy = "entropy" in str(head.loss) or "hinge" in str(head.loss)
        if others or len(leaves) > 1 or entropy:
            return True
        scale = self.target_scale()
        sizes = np.abs(
            [*np.ravel(scale["mean"]), *np.ravel(scale["deviation"])]
        )
        return 0.1 < sizes[-1] and sizes.max() < _SIZE

    def by_habit(self) -> list[Change]:
        """Return the changes of a blind recipe that have something to do."""
        scaled = self._is_scaled()
        adam = {"class_name": "Adam", "learning_rate": None, "clipnorm": 1.0}
        recipe = [
            Change("normalize_inputs"),
            Change("statistics"),
            Change("initializer"),
            Change("normalize_hidden"),
            Change("activation", {"activation": "elu"}),
            Change("optimizer", adam),
        ]
        if not scaled:
            recipe.append(Change("scale_targets", self.target_scale()))
        return [each for each in recipe if is_edit(self._model, each)]
