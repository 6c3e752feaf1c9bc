"""A patch of a finding, applied to the script that it was found in."""

import ast
import copy
import re
from typing import Any

import keras
import numpy as np

import kerasbn
from kerasbn._graph import code

_NAMES = {"keras": keras, "layers": keras.layers, "kerasbn": kerasbn, "np": np}


def patched(script: str, patch: str) -> str:
    """Return the script with each place of a patch edited."""
    tree = ast.parse(script)
    for hunk in patch.split("\n\n"):
        tree = _edited(tree, hunk.splitlines())
    return ast.unparse(ast.fix_missing_locations(tree))


def _edited(tree, lines):
    limit = None
    if lines[0].startswith("  #"):
        found = re.search(r"first (\d+) of", lines.pop(0))
        limit = int(found.group(1)) if found else None
    old = [each[2:] for each in lines if each[0] in "- "]
    new = [each[2:] for each in lines if each[0] in "+ "]
    if "model = ..." in old:
        return _around(tree, new[:-1], [], _builds)
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
        edit = _Layers(one, others, limit)
        tree = edit.visit(tree)
        assert edit.count, f"{one} is not in the script"
    return tree


def _builds(text):
    return "keras.Sequential(" in text or "keras.Input(" in text


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
                node.keywords = kept + given.keywords
            else:
                node.args, node.keywords = given.args, given.keywords


class _Layers(ast.NodeTransformer):
    """Other layers in the place of each with some code."""

    def __init__(self, old, new, limit):
        self._old, self._limit, self.count = old, limit, 0
        self._new = [ast.parse(each, mode="eval").body for each in new]

    def _is_old(self, node):
        if not isinstance(node, ast.Call) or self.count == self._limit:
            return False
        text = ast.unparse(node)
        if text == ast.unparse(ast.parse(self._old)):
            found = True
        else:
            try:
                made = eval(text, dict(_NAMES))
            except Exception:  # a call of something else
                return False
            found = isinstance(made, keras.layers.Layer)
            found = found and code.layer(made) == self._old
        self.count += found
        return found

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
        self.generic_visit(node)
        if self._is_old(node.func):
            x: Any = node.args[0]
            for each in self._copies():
                x = ast.Call(each, [x], [])
            return x
        return node

    def _copies(self):
        return copy.deepcopy(self._new)
