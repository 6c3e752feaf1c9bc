"""Calls and layers in code, to be edited."""

import ast
from typing import Any


class Call:
    """A call in code, whose arguments can be changed."""

    def __init__(self, text: str):
        def part(node):
            return ast.get_source_segment(text, node) or ""

        tree: Any = ast.parse(text, mode="eval").body
        self.text = text
        self.name = part(tree.func)
        self.positional = [part(each) for each in tree.args]
        self.named = {each.arg: part(each.value) for each in tree.keywords}

    def set(self, **arguments: str | None) -> None:
        """Set arguments to some code; `None` leaves one out."""
        for name, text in arguments.items():
            if text is None:
                self.named.pop(name, None)
            elif name == "name" or "name" not in self.named:
                self.named[name] = text
            else:  # a name comes last
                last = self.named.pop("name")
                self.named |= {name: text, "name": last}

    def __str__(self) -> str:
        named = (f"{name}={text}" for name, text in self.named.items())
        return f"{self.name}({', '.join([*self.positional, *named])})"


class Block:
    """A layer in the script, and what is to stand in its place.

    Attributes:
        layer: Its description.
        old: Its code.
        call: Its code to be edited, `None` to leave it out.
        before, after: Code of layers to put around it.
        until: A later layer that is part of the same edit.
    """

    def __init__(self, layer: dict[str, Any]):
        self.layer = layer
        unknown = f"keras.layers.{layer.get('type', 'Layer')}(...)"
        self.old = layer.get("code") or unknown
        self.call: Call | None = Call(self.old)
        self.before: list[str] = []
        self.after: list[str] = []
        self.until: Block | None = None

    @property
    def new(self) -> list[str]:
        main = [] if self.call is None else [str(self.call)]
        return [*self.before, *main, *self.after]

    def edit(self, **arguments: str | None) -> None:
        """Change arguments of the layer, or of the one that it wraps."""
        if self.call is None:
            return
        if self.call.name.endswith(("TimeDistributed", "Bidirectional")):
            inside = Call(self.call.positional[0])
            inside.set(**arguments)
            self.call.positional[0] = str(inside)
        else:
            self.call.set(**arguments)

    @property
    def changed(self) -> bool:
        return self.new != [self.old]

    @property
    def kind(self) -> str:
        return self.layer.get("type", "")

    @property
    def has_kernel(self) -> bool:
        inside = self.kind == "TimeDistributed" and "Dense(" in self.old
        return inside or bool(self.layer.get("kernel"))
