"""The script of a run, as far as it is known, and one edit of it.

A monitor writes the code of each layer and of `compile` into the description
of a model. Remedies edit them here as text; the patch is what differs.
"""

import collections
import difflib
from typing import Any

from kerasbn._run.run import Run
from kerasbn.diagnosis._blocks import Block, Call

_RANGE = {None, "linear", "softmax", "sigmoid"}  # of an output, and hardly else
EDITABLE = {"Dense", "Conv1D", "Conv2D", "Conv3D"}
EDITABLE |= {f"Conv{n}DTranspose" for n in (1, 2, 3)}
EDITABLE |= {
    f"{kind}Conv{n}D" for kind in ("Depthwise", "Separable") for n in (1, 2)
}
_ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}
_EXAMPLE = {
    "style": "sequential",
    "compile": "model.compile(optimizer=keras.optimizers.Adam(), "
    'loss="mean_squared_error")',
    "outputs": [{"layer": "output"}],
    "flat_operations": [
        ("ops.round(x)", "x + keras.ops.stop_gradient(ops.round(x) - x)")
    ],
    "layers": [
        {
            "path": path,
            "type": kind,
            "code": f"keras.layers.{kind}({arguments})",
            "activation": activation,
            "kernel": f"{path}/kernel" if kernel else None,
            "after": "dropout" if path == "norm" else None,
        }
        for path, kind, arguments, activation, kernel in (
            ("hidden", "Dense", '64, activation="sigmoid"', "sigmoid", True),
            ("dropout", "Dropout", "0.5", None, False),
            ("norm", "BatchNormalization", "momentum=0.999", None, False),
            (
                "recurrent",
                "LSTM",
                '32, recurrent_initializer="zeros"',
                "tanh",
                True,
            ),
            ("output", "Dense", "1", None, True),
        )
    ],
}


class Script:
    """What a patch edits.

    Attributes:
        blocks: The layers, in their order.
        compile: The call of `compile`, without arguments if it is unknown.
        first: Lines to put before the model is built.
        swaps: Other lines, each with the one in its place.
        before_compile, before_fit, after_fit: Lines to put there.
        fit: Arguments of `fit` to add.
    """

    def __init__(self, model: dict[str, Any], settings: dict[str, Any]):
        self.model, self.settings = model, settings
        self.style = model.get("style", "sequential")
        written = (e for e in model.get("layers", []) if e.get("code") != "")
        self.blocks = [Block(each) for each in written]
        self._compile = model.get("compile") or "model.compile()"
        self.compile = Call(self._compile)
        self.where = ""  # of several outputs, the layer that is edited
        self.y = "y"  # and its targets
        self.predicted = "model.predict(x)"
        self.is_example = False
        self.first: list[str] = []
        self.swaps: list[tuple[str, str]] = []
        self.before_compile: list[str] = []
        self.before_fit: list[str] = []
        self.after_fit: list[str] = []
        self.fit: dict[str, str] = {}

    @classmethod
    def of(cls, run: Run, where: str = "") -> "Script":
        """Return the script of a run, for a finding about a place in it."""
        script = cls(run.model, run.settings)
        script.where = where
        names = run.data.get("target_names") or []
        for head, name in zip(
            run.model.get("outputs") or [], names, strict=False
        ):
            if where in (head["name"], head["layer"]):
                script.y = name
                script.predicted += name.removeprefix("y")
        return script

    @classmethod
    def example(cls) -> "Script":
        """A script for those who ask for a remedy without one."""
        result = cls(_EXAMPLE, {"optimizer": "Adam", "learning_rate": 0.001})
        result.is_example = True
        return result

    def _optimizer(self):
        rate = self.settings.get("learning_rate")
        known = isinstance(rate, float)
        rate = f"learning_rate={rate:.6g}" if known else ""
        return f"{self.settings.get('optimizer', 'Adam')}({rate})"

    def block(self, path: str) -> Block | None:
        """The layer of that path, or of the variable at it."""
        for each in self.blocks:
            place = each.layer.get("path", "")
            if path == place or path.startswith(f"{place}/"):
                return each
        return None

    @property
    def output(self) -> Block | None:
        """The layer that ends the model, if it is one."""
        outputs = self.model.get("outputs") or []
        alone = len(outputs) == 1
        path = outputs[0]["layer"] if alone else self.where
        found = self.block(path)
        with_kernel = [each for each in self.blocks if each.has_kernel]
        return found or (with_kernel[-1] if with_kernel else None)

    @property
    def output_kernel(self) -> Block | None:
        """The layer with a kernel that computes the output."""
        if self.output is None:
            return None
        inside = self.blocks[: self.blocks.index(self.output) + 1]
        return next((e for e in reversed(inside) if e.has_kernel), None)

    def hidden(self) -> list[Block]:
        """Layers with kernels that are trained, without the output's."""
        alone = len(self.model.get("outputs") or []) == 1
        return [
            each
            for each in self.blocks
            if each.has_kernel
            and each.layer.get("trainable", True)
            and each is not self.output_kernel
            and (alone or self.activation(each) not in _RANGE)
        ]

    def activation(self, block: Block) -> str | None:
        """The activation of a layer, or the one that follows it."""
        own = block.layer.get("activation")
        for each in self.following(block) if own in (None, "linear") else ():
            if each.layer.get("activation"):
                return each.layer["activation"]
        return own

    def following(self, block: Block) -> list[Block]:
        """The layers behind one, up to the next with a kernel."""
        found = []
        for each in self.blocks[self.blocks.index(block) + 1 :]:
            if each.has_kernel:
                break
            found.append(each)
        return found

    def activations(self) -> list[Block]:
        """Layers before the output that are an activation and nothing else."""
        last = self.output_kernel
        end = self.blocks.index(last) if last else len(self.blocks)
        return [e for e in self.blocks[:end] if e.kind in _ACTIVATIONS]

    def optimizer(self) -> Call:
        """The optimizer, a `Clipped` or one that scales the loss as well."""
        text = self.compile.named.get("optimizer", "")
        made = f"keras.optimizers.{self._optimizer()}"
        return Call(text if "(" in text else made)

    def inner_optimizer(self) -> Call:
        """The optimizer that others may be around."""
        call = self.optimizer()
        while call.positional and "ptimizers." in call.positional[0]:
            call = Call(call.positional[0])
        return call

    def replace(self, optimizer: Call) -> None:
        """Take over an optimizer that was edited."""
        text = self.optimizer().text
        text = text.replace(optimizer.text, str(optimizer))
        self.compile.named["optimizer"] = text

    def patch(self) -> str:
        """Return the lines to remove "-" and to add "+".

        An empty line stands between places, and each place has a line that
        the script has: one to remove, or one that stays.
        """
        hunks = [[*_added(self.first), "  model = ..."]] if self.first else []
        hunks += self._of_layers()
        hunks += [[f"- {old}", f"+ {new}"] for old, new in self.swaps]
        hunks += [self._of_compile(), self._of_fit()]
        return "\n\n".join("\n".join(each) for each in hunks if each)

    def _of_compile(self):
        before = _added(self.before_compile)
        if str(self.compile) == self._compile:
            return [*before, "  model.compile(...)"] if before else []
        if self.model.get("compile"):
            return [*before, "- model.compile(...)", f"+ {self.compile}"]
        new = self.compile.named.get("optimizer")  # of a loop of the user's
        old = f"keras.optimizers.{self._optimizer()}"
        return [f"- {old}", f"+ {new}"] if new not in (None, old) else []

    def _of_fit(self):
        before, after = _added(self.before_fit), _added(self.after_fit)
        if self.fit:
            new = ", ".join(f"{name}={code}" for name, code in self.fit.items())
            fit = ["- model.fit(...)", f"+ model.fit(..., {new})"]
            return [*before, *fit, *after]
        call = ["  model.fit(...)"] if before or after else []
        return [*before, *call, *after]

    def _of_layers(self):
        edits: dict[tuple, list[Block]] = collections.defaultdict(list)
        for group in self._groups():
            old = tuple(each.old for each in group)
            new = tuple(code for each in group for code in each.new)
            edits[old, new].append(group[0])
        for (old, new), blocks in edits.items():
            same = [each for each in self.blocks if each.old == old[0]]
            which = [f"  # {_which(blocks, same)}"] if len(same) > 1 else []
            yield which + _difference(self._written(old), self._written(new))

    def _groups(self):
        """The layers of each edit."""
        group, end = [], None
        for each in self.blocks:
            end = end or each.until
            if each.changed or end:
                group.append(each)
            if group and end in (None, each):
                yield group
                group, end = [], None

    def _written(self, codes):
        if self.style == "functional":
            return [f"x = {code}(x)" for code in codes]
        if self.style == "sequential":
            return [f"{code}," for code in codes]
        if len(codes) == 1:
            return list(codes)
        return [f"keras.Sequential([{', '.join(codes)}])"]


def _added(lines):
    return [f"+ {each}" for each in lines]


def _which(blocks, same):
    """Which of the layers of the same code are meant."""
    if len(blocks) == len(same):
        return f"in {len(same)} such layers"
    if blocks == same[:1]:
        return f"the first of {len(same)} such layers"
    if blocks == same[: len(blocks)]:
        return f"in the first {len(blocks)} of {len(same)} such layers"
    names = ", ".join(each.layer.get("path", "") for each in blocks)
    return f"in {names}"


def _difference(old, new):
    lines = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind == "equal":
            lines += [f"  {each}" for each in old[i:j]]
            continue
        lines += [f"- {each}" for each in old[i:j]]
        lines += [f"+ {each}" for each in new[k:m]]
    return lines
