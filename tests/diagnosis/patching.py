"""A patch of a finding, applied to the script that it was found in."""

import ast
import copy
import re
from typing import Any

import keras
import numpy as np

import kerasbn
from kerasbn._graph import code

_BUILDS = ("keras.Sequential(", "Input(", "model = ")
NAMES = {"keras": keras, "layers": keras.layers, "kerasbn": kerasbn, "np": np}


def patched(
    script: str, patch: str, names: dict[str, Any] | None = None
) -> str:
    """Return the script with each place of a patch edited.

    Layers are recognized by evaluating their calls; `names` are those that
    the script is run with.
    """
    tree = ast.parse(script)
    names = NAMES | (names or {})
    for hunk in patch.split("\n\n"):
        tree = _edited(tree, hunk.splitlines(), names)
    return ast.unparse(ast.fix_missing_locations(tree))


def _edited(tree, lines, names):
    limit = None
    if lines[0].startswith("  #"):
        found = re.search(r"first (\d+) of", lines.pop(0))
        limit = int(found.group(1)) if found else None
    old = [each[2:] for each in lines if each[0] in "- "]
    new = [each[2:] for each in lines if each[0] in "+ "]
    if "model = ..." in old:
        return _around(tree, new[:-1], [], builds)
    for method in ("compile", "fit"):
        if f"model.{method}(...)" in old:
            place = next(
                i for i, e in enumerate(new) if e.startswith(f"model.{method}(")
            )
            _call(tree, method, new[place])
            before, after = new[:place], new[place + 1 :]
            return _around(tree, before, after, f"model.{method}(")
    old, new = (
        [re.sub(r"^x = (.*)\(x\)$", r"\1", e).rstrip(",") for e in each]
        for each in (old, new)
    )
    pairs = zip(old, ([e] for e in new), strict=True)
    if len(old) == 1:
        pairs = [(old[0], new)]
    for one, others in pairs:
        edit = _Layers(one, others, limit, names)
        tree = edit.visit(tree)
        assert edit.count, f"{one} is not in the script"
    return tree


def builds(text: str) -> bool:
    """Whether a statement is the first of those that build the model."""
    if text.startswith(("class ", "def ")):
        return False
    return any(each in text for each in _BUILDS)


def _around(tree, before, after, is_place):
    """Put statements around the first one that is the place."""
    if isinstance(is_place, str):
        start = is_place
        is_place = lambda text: text.startswith(start)  # noqa: E731
    for i, each in enumerate(tree.body):
        if is_place(ast.unparse(each)):
            parts = ["\n".join(lines) for lines in (before, after)]
            head, tail = (ast.parse(part).body for part in parts)
            tree.body[i : i + 1] = [*head, each, *tail]
            return tree
    raise AssertionError("no such place")


def _call(tree, method, text):
    """Give `model.<method>` the arguments of a call; "..." keeps the rest."""
    given: Any = ast.parse(text, mode="eval").body
    node: Any
    for node in ast.walk(tree):
        function = getattr(node, "func", None)
        if isinstance(function, ast.Attribute) and function.attr == method:
            if given.args and given.args[0].value is ...:
                names = {each.arg for each in given.keywords}
                kept = [e for e in node.keywords if e.arg not in names]
                if any(each.arg is None for each in kept):
                    # `**fit` may have them, too: the last one counts.
                    pairs = [(e.arg, e.value) for e in kept + given.keywords]
                    both = ast.Dict(
                        [ast.Constant(k) if k else None for k, _ in pairs],
                        [value for _, value in pairs],
                    )
                    node.keywords = [ast.keyword(None, both)]
                    continue
                node.keywords = kept + given.keywords
            else:
                node.args, node.keywords = given.args, given.keywords


class _Layers(ast.NodeTransformer):
    """Other layers in the place of each with some code."""

    def __init__(self, old, new, limit, names):
        self._old, self._limit, self.count = old, limit, 0
        self._names = names
        self._new = [ast.parse(each, mode="eval").body for each in new]

    def _is_old(self, node):
        if not isinstance(node, ast.Call) or self.count == self._limit:
            return False
        if ast.unparse(node) == ast.unparse(ast.parse(self._old)):
            found = True
        else:
            made = self._layer(node)
            found = made is not None and code.layer(made) == self._old
        self.count += found
        return found

    def _layer(self, node):
        """The layer that a call makes, `None` where it makes none."""
        name = ast.unparse(node.func)
        if not name.replace(".", "").isidentifier():
            return None
        try:
            kind = eval(name, dict(self._names))
            if isinstance(kind, type) and issubclass(kind, keras.layers.Layer):
                return eval(ast.unparse(node), dict(self._names))
        except (NameError, AttributeError, TypeError):
            pass  # of names that a function or a class has inside
        return None

    def visit_List(self, node):
        elements = []
        for each in node.elts:
            elements += (
                self._copies() if self._is_old(each) else [self.visit(each)]
            )
        node.elts = elements
        return node

    def visit_Expr(self, node):
        call: Any = node.value
        adds = isinstance(call, ast.Call) and ast.unparse(call.func).endswith(
            ".add"
        )
        if adds and self._is_old(call.args[0]):
            return [
                ast.Expr(ast.Call(call.func, [each], []))
                for each in self._copies()
            ]
        return self.generic_visit(node)

    def visit_Call(self, node):
        if self._is_old(node.func):
            x: Any = self.visit(node.args[0])
            for each in self._copies():
                x = ast.Call(each, [x], [])
            return x
        if self._is_old(node):  # as of a layer that has a name
            copies = self._copies()
            if len(copies) == 1:
                return copies[0]
            together: Any = ast.parse("keras.Sequential([])", mode="eval").body
            together.args[0].elts = copies
            return together
        return self.generic_visit(node)

    def _copies(self):
        return copy.deepcopy(self._new)
