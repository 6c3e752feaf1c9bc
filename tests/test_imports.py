"""Which room may import which: see kerasbn/README.md."""

import ast
import pathlib

import pytest

_PACKAGE = pathlib.Path(__file__).parents[1] / "kerasbn"
_ARROWS = {
    "__init__": "_rescue _learning_rate inference",
    "__main__": "cli",
    "cli": "_recipes _report",
    "_recipes": "",
    "_rescue": "callbacks models _learning_rate",
    "_learning_rate": "_monitor",
    "callbacks": "_monitor _report",
    "_report": "diagnosis",
    "diagnosis": "_run",
    "_run": "_events",
    "_events": "",
    "_monitor": "_run _graph optimizers",
    "inference": "_graph",
    "_graph": "layers",
    "models": "layers",
    "optimizers": "clipping",
    "clipping": "",
    "layers": "",
}


def _room(path):
    return path.relative_to(_PACKAGE).parts[0].removesuffix(".py")


def _within_reach(room):
    """The room itself, and those behind its arrows."""
    return {room}.union(*map(_within_reach, _ARROWS[room].split()))


@pytest.mark.parametrize("room", _ARROWS)
def test_room_imports_only_what_is_behind_its_arrows(room):
    found = set()
    for path in _PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and _room(path) == room:
                module = str(node.module)
                names = [f"{module}.{each.name}" for each in node.names]
                found |= {n for n in names if n.startswith("kerasbn.")}
    rooms = {name.split(".")[1] for name in found} - {"__version__"}
    assert rooms <= _within_reach(room)


def test_every_room_has_its_arrows():
    rooms = {_room(path) for path in _PACKAGE.rglob("*.py")}
    assert rooms == set(_ARROWS)
