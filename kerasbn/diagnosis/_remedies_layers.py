"""Remedies that edit the layers of a script."""

from typing import Any

from kerasbn.diagnosis._blocks import Call
from kerasbn.diagnosis._remedies_output import code, widen
from kerasbn.diagnosis._script import EDITABLE, Script

# Initializers that fit an activation, as in `kerasbn.models`; of others He's.
_INITIALIZERS = {
    **dict.fromkeys(("tanh", "sigmoid", "softmax", "linear"), None),
    **dict.fromkeys(("softsign", "hardsigmoid", "hardtanh"), None),
    "selu": "lecun_normal",
}
_RECURRENT = {"LSTM", "GRU", "SimpleRNN"}
_WITH_KERNEL = {each for each in EDITABLE if each[:4] in ("Dens", "Conv")}
_INTEGERS = {"Embedding", "InputLayer"}  # nothing to normalize before them


def normalize_inputs(script: Script, before: str = "") -> str:
    """Option: `before`, the path of the layer; else the first for numbers."""
    layer = "kerasbn.layers.InputBatchNormalization"
    block = script.block(before) if before else None
    if block is None:
        usual = (e for e in script.blocks if e.kind not in _INTEGERS)
        block = next(usual, None)
    if block:
        block.before.append(f"{layer}()")
    return f"Normalize the inputs with {layer}."


def initializer(script: Script) -> str:
    before = script.patch()
    for each in script.blocks:
        if not each.has_kernel or not each.layer.get("trainable", True):
            continue
        names = each.call.named if each.call else ()
        drawn = [e for e in names if e.endswith("_initializer")]
        each.edit(**dict.fromkeys(drawn))
        fitting = _INITIALIZERS.get(_activation_of(script, each), "he_normal")
        if fitting and each.kind in _WITH_KERNEL:
            each.edit(kernel_initializer=code(fitting))
    if script.patch() == before:
        return ""
    return (
        "Draw the kernels from an initializer that fits the activation: He for "
        "ReLU and ELU, LeCun for SELU, else Glorot. Start the biases at 0."
    )


def _activation_of(script, block):
    """The activation, as far as it is edited by now."""
    for each in [block, *script.following(block)]:
        if each.call is None:
            continue
        text = each.call.named.get("activation")
        if text is None and each.kind == "Activation":
            text = each.call.positional[0]
        elif text is None and each is not block:
            text = each.layer.get("activation")
        if text not in (None, '"linear"', "linear"):
            return text.strip('"').replace("_", "")
    return "linear"


def recurrent_initializer(script: Script) -> str:
    for each in script.blocks:
        if each.kind in (*_RECURRENT, "Bidirectional"):
            each.edit(recurrent_initializer='"orthogonal"')
    return "Draw the recurrent kernels as orthogonal matrices, whose gain is 1."


def normalize_hidden(script: Script) -> str:
    layer = "kerasbn.layers.BatchNormalization"
    before = script.patch()
    for each in script.hidden():
        if any(e.layer.get("normalizes") for e in script.following(each)):
            continue
        if each.kind in _RECURRENT:
            each.after.insert(0, "keras.layers.LayerNormalization()")
        elif each.kind in EDITABLE:
            activation = each.call and each.call.named.get("activation")
            each.edit(activation=None, use_bias="False", bias_initializer=None)
            after = [f"{layer}()"]
            if activation not in (None, '"linear"'):
                after.append(f"keras.layers.Activation({activation})")
            each.after[:0] = after
    if script.patch() == before:
        return ""
    return f"Normalize each hidden layer before its activation with {layer}."


def activation(script: Script, activation: Any = "elu") -> str:
    """Option: `activation`."""
    new = code(activation)
    before = script.patch()
    for each in script.hidden():
        old = each.call.named.get("activation") if each.call else None
        if old not in (None, '"linear"', '"softmax"') and each.kind in EDITABLE:
            each.edit(activation=new)
    for each in script.activations():
        if each.kind != "Softmax" and each.layer.get("activation") != "softmax":
            each.call = Call(f"keras.layers.Activation({new})")
    if script.patch() == before:
        return ""
    return f"Use activation={new} in the hidden layers."


def statistics(script: Script) -> str:
    layer = "kerasbn.layers.BatchNormalization"
    before = script.patch()
    for each in script.blocks:
        if each.call and each.call.name == "keras.layers.BatchNormalization":
            each.call.name = layer
            each.call.set(momentum=None)
    if script.patch() == before:
        return ""
    return (
        f"Use {layer}, whose moving statistics settle within the first steps."
    )


def drop_bias(script: Script, layer: str = "") -> str:
    """Option: `layer`, its path."""
    block = script.block(layer) or next(iter(script.hidden()), None)
    if block:
        block.edit(use_bias="False", bias_initializer=None)
    return "Leave the bias out."


def move_dropout(script: Script, layer: str = "") -> str:
    """Option: `layer`, the path of the normalization behind the dropout."""
    blocks = [script.block(layer)] if layer else script.blocks
    for block in filter(None, blocks):
        dropout = script.block(block.layer.get("after") or "")
        if dropout is None or "Dropout" not in dropout.kind:
            continue
        behind = script.following(block)[:1]
        behind = [e for e in behind if e in script.activations()]
        last = (behind or [block])[0]
        last.after.append(str(dropout.call))
        dropout.call, dropout.until = None, last
    return "Put the dropout after the normalization and the activation."


def differentiable(script: Script, before: str = "", after: str = "") -> str:
    """Options: paths of the layers around the operation."""
    one, other = script.block(before), script.block(after)
    inside = []
    if one and other:
        places = script.blocks.index(one) + 1, script.blocks.index(other)
        inside = [e for e in script.blocks[slice(*places)] if _is_unknown(e)]
    for each in inside:
        each.call = None
    if not inside:
        script.swaps += map(tuple, script.model.get("flat_operations", []))
    between = f" between {before!r} and {after!r}" if before and after else ""
    return (
        f"Leave out the operation{between} that has no gradient, or let the "
        "gradient pass straight through it."
    )


def _is_unknown(block):
    """Whether a layer computes what only the user knows."""
    if block.has_kernel:
        return False
    own = block.kind == "Activation" and '"' not in block.old
    return own or block.kind == "Lambda" or not block.old.startswith("keras")


def freeze_statistics(script: Script, base: str = "base") -> str:
    """Option: `base`, the name of the model that was trained before."""
    if script.style == "functional":
        script.swaps.append(
            (f"x = {base}(x)", f"x = {base}(x, training=False)")
        )
        return f"Call {base!r} with training=False: its statistics are kept."
    script.before_compile += [
        f"for layer in model.get_layer({code(base)}).layers:",
        "    if isinstance(layer, keras.layers.BatchNormalization):",
        "        layer.trainable = False",
    ]
    return (
        f"Freeze the batch normalization of {base!r}: it keeps its statistics."
    )


def regularize(script: Script, rate: float = 0.3) -> str:
    """Option: `rate` of the dropout before the output."""
    block = script.output_kernel
    if block:
        block.before.append(f"keras.layers.Dropout({rate:g})")
    return f"Drop {rate:.0%} of the inputs of the output layer in training."


def enlarge(script: Script, factor: int = 2) -> str:
    """Option: `factor`, by which each hidden layer is wider."""
    if not script.hidden() and script.output_kernel:
        script.output_kernel.before.append(
            'keras.layers.Dense(64, activation="relu")'
        )
        return "Add a hidden layer with an activation."
    for each in script.hidden():
        width = each.call.positional[:1] if each.call else []
        if width and width[0].isdigit() and not each.kind.startswith("Depth"):
            widen(each, str(factor * int(width[0])))
    return f"Make the hidden layers {factor} times as wide."
