"""Remedies that edit the output layer and the loss."""

import json
import math
from typing import Any

from kerasbn.diagnosis._blocks import Call
from kerasbn.diagnosis._script import Script

_SHORT = {"mse": "mean_squared_error", "mae": "mean_absolute_error"}
_BIASES = {
    "binary": "np.log(y.mean() / (1 - y.mean()))",
    "one_hot": "np.log(y.reshape(-1, y.shape[-1]).mean(axis=0) + 1e-6)",
    "labels": "np.log(np.bincount(y.astype(int).ravel()) / y.size + 1e-6)",
}

_ARGUMENTS = ("apply_class_balancing", "alpha", "gamma", "from_logits")


def code(value: Any) -> str:
    """A number, a string, a function or a loss as a script writes it."""
    if hasattr(value, "get_config"):
        config = value.get_config()
        named = {name: config.get(name) for name in _ARGUMENTS}
        arguments = ", ".join(
            f"{name}={each}" for name, each in named.items() if each
        )
        return f"keras.losses.{type(value).__name__}({arguments})"
    value = getattr(value, "__name__", value)
    if isinstance(value, float):
        return repr(float(f"{value:.4g}"))
    return json.dumps(value) if isinstance(value, str) else repr(value)


def output(script: Script, **options: Any) -> str:
    """Options: any of `units`, `activation` and `loss`."""
    said, before = [], script.patch()
    for name, value in options.items():
        if name == "units":
            widen(script.output_kernel, code(value))
        elif name == "activation":
            _activate(script, value)
        else:
            _new_loss(script, value)
        if script.patch() != before:
            said.append(f"{name}={code(value)}")
            before = script.patch()
    return f"Change the output to {', '.join(said)}." if said else ""


def widen(block, units):
    call = block and block.call
    if call is None:
        return
    key = next((e for e in ("units", "filters") if e in call.named), None)
    if key:
        call.set(**{key: units})
    elif call.positional:
        call.positional[0] = units


def _activate(script, activation):
    linear = activation in (None, "linear")
    text = None if linear else code(activation)
    block = script.output
    if block is None:
        return
    if block.has_kernel or block.kind == "TimeDistributed":
        block.edit(activation=text)
    elif text is None:
        block.call = None
    else:
        block.call = Call(f"keras.layers.Activation({text})")


def _new_loss(script, loss):
    """Another loss, or the user's without `from_logits`."""
    old = script.compile.named.get("loss")
    if old is None:
        return
    names = {_plain(old), _plain(_SHORT.get(old.strip('"'), ""))}
    if _plain(code(loss)) in names and "from_logits" not in code(loss):
        if "from_logits" not in old:
            return
        call = Call(old)
        call.set(from_logits=None)
        script.compile.named["loss"] = str(call)
    else:
        script.compile.named["loss"] = code(loss)


def _plain(loss):
    """The name of a loss in whatever form."""
    name = loss.split("(")[0].split(".")[-1].strip('"')
    return name.replace("_", "").lower()


def output_bias(
    script: Script, targets: str = "binary", shares: Any = None
) -> str:
    """Options: `targets`, and the `shares` of the classes or the positives.

    `targets` is "binary", "one_hot" or "labels". Without shares the script
    computes them.
    """
    value = "bias"
    if shares is None:
        script.first.append(f"bias = {_BIASES[targets]}")
    elif isinstance(shares, float):
        value = code(math.log(shares / (1 - shares)))
    else:
        values = (code(math.log(max(each, 1e-6))) for each in shares)
        value = f"[{', '.join(values)}]"
    if script.output_kernel:
        constant = f"keras.initializers.Constant({value})"
        script.output_kernel.edit(bias_initializer=constant)
    return (
        "Start the bias of the output at the logarithms of the shares of the "
        "classes, so that training starts at the loss of a constant guess."
    )
