"""Remedies that put something else in the place of a part of a script."""

from collections.abc import Sequence
from typing import Any

from kerasbn.diagnosis._remedies_output import code, widen
from kerasbn.diagnosis._script import Script

_RECURRENT = ("SimpleRNN", "LSTM", "GRU", "Bidirectional")


def optimizer(
    script: Script,
    class_name: str = "Adam",
    clipnorm: float = 1.0,
    **options: Any,
) -> str:
    """Options: its `class_name`, and its arguments."""
    call = script.inner_optimizer()
    old = call.name.rpartition(".")[-1]
    options = {**options, "clipnorm": clipnorm}
    call.name, call.positional = f"keras.optimizers.{class_name}", []
    call.named = {key: code(each) for key, each in options.items()}
    script.replace(call)
    changed = (
        "" if old == class_name or script.is_example else f" instead of {old}"
    )
    return f"Use {call}{changed}."


def batch_size(script: Script, value: int = 32) -> str:
    """Option: `value`."""
    script.fit["batch_size"] = str(value)
    return f"Train on batches of {value} rows."


def remove(script: Script, layers: Sequence[str] = ()) -> str:
    """Option: the names of the `layers`."""
    blocks = [b for b in map(script.block, layers) if b]
    blocks = blocks or [b for b in script.blocks if "Dropout" in b.kind]
    for block in blocks:
        if block.has_kernel:
            block.edit(activation=None)
        else:
            block.call = None
    named = ", ".join(map(repr, layers)) or "the layer"
    return f"Leave out {named}."


def last_step(script: Script, layers: Sequence[str] = ()) -> str:
    """Option: the names of the recurrent `layers`."""
    blocks = [b for b in map(script.block, layers) if b]
    blocks = blocks or [b for b in script.blocks if b.kind in _RECURRENT]
    for block in blocks:
        block.edit(return_sequences="False")
    named = ", ".join(map(repr, layers)) or "the recurrent layer"
    return f"Let {named} return its last step only."


def more_units(
    script: Script, layers: Sequence[str] = (), units: int = 16
) -> str:
    """Options: the names of the `layers`, and their `units`."""
    blocks = [b for b in map(script.block, layers) if b] or script.hidden()
    for block in blocks:
        widen(block, str(units))
    named = ", ".join(map(repr, layers)) or "the narrowest layer"
    return f"Give {named} {units} units."


def gated_cells(script: Script) -> str:
    for block in script.blocks:
        call = block.call
        if call and block.kind in ("SimpleRNN", "LSTM"):
            call.name = "keras.layers.GRU"
            call.set(activation=None, recurrent_initializer=None)
    return "Use GRU layers, whose gates carry a gradient over many steps."


def reshape_output(script: Script, shape: Sequence[int] = (1,)) -> str:
    """Option: the `shape` of the targets of a row."""
    if script.output:
        layer = f"keras.layers.Reshape({tuple(shape)})"
        script.output.after.append(layer)
    return f"Give the outputs the shape of the targets, {tuple(shape)}."


def finite_inputs(script: Script) -> str:
    script.first.append("x = np.nan_to_num(x, posinf=0.0, neginf=0.0)")
    return "Put 0 in the place of NaN and Inf in the inputs."
