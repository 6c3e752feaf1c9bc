"""Operations without a gradient, in the source of a user's code."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import keras

from kerasbn._graph import keras_internals

_NAMES = {"sign", "round", "floor", "ceil", "trunc", "rint", "stop_gradient"}


def written(model: Any) -> list[tuple[str, str]]:
    """Return such operations as they are written, with what lets gradients by.

    They are looked for in `call` of the user's layers and models, in lambdas
    and in a loss of the user's.
    """
    found: dict[str, str] = {}
    for each in _functions(model):
        try:
            source = textwrap.dedent(inspect.getsource(each))
            tree = ast.parse(source)
        except (OSError, TypeError, SyntaxError):
            continue  # of a console, or a lambda in the middle of a line
        for node in ast.walk(tree):
            if _is_flat(node):
                found |= [_replaced(source, node)]
    return list(found.items())


def _functions(model) -> Iterator[Any]:
    for each in keras_internals.all_layers(model):
        if isinstance(each, keras.layers.Lambda):
            yield each.function
        elif type(each).__module__.split(".")[0] not in ("keras", "kerasbn"):
            yield type(each).call
    loss: Any = getattr(model, "loss", None)
    if inspect.isfunction(loss):
        yield loss
    elif isinstance(loss, keras.losses.Loss):
        yield loss.call


def _is_flat(node):
    if not isinstance(node, ast.Call) or len(node.args) != 1:
        return False
    function = node.func
    name = getattr(function, "attr", None) or getattr(function, "id", None)
    return name in _NAMES


def _replaced(source, node):
    old = ast.get_source_segment(source, node) or ""
    x = ast.get_source_segment(source, node.args[0]) or ""
    if "stop_gradient" in ast.unparse(node.func):
        return old, x
    return old, f"{x} + keras.ops.stop_gradient({old} - {x})"
