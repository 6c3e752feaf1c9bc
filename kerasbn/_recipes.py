"""The recipes that come with the package: their list and their copies."""

import ast
import difflib
import itertools
import json
import os
import re
import sys
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

# A block of prose is a string of its own, with its quotes at the margin.
_PROSE = re.compile(r'(?ms)^"""\n(.*?)\n"""$')
# Where the name to install is not the name to import.
_PACKAGES = {"sklearn": "scikit-learn"}


class Recipe(NamedTuple):
    """A recipe, and what its header says."""

    name: str
    source: str
    header: dict[str, str]

    @property
    def seconds(self) -> str:
        """Return its duration on two CPU cores, or "" if not measured."""
        return self.header.get("Seconds", "")

    def packages(self) -> list[str]:
        imported = set()
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.Import):
                imported |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module))
        own = {"kerasbn", "keras", "tensorflow", "numpy", "matplotlib"}
        own |= sys.stdlib_module_names
        imported = {name.partition(".")[0] for name in imported} - own
        return sorted(_PACKAGES.get(name) or name for name in imported)

    def cells(self) -> list[tuple[str, str]]:
        """Return what follows the header: "code" and "markdown" in turn."""
        _, _, *parts = _PROSE.split(self.source)
        kinds = itertools.cycle(("code", "markdown"))
        cells = zip(kinds, map(str.strip, parts), strict=False)
        return [(kind, text) for kind, text in cells if text]

    def notebook(self) -> str:
        title, description = map(self.header.get, ("Title", "Description"))
        start = ("markdown", f"# {title}\n\n{description}")
        cells = []
        for number, (kind, text) in enumerate([start, *self.cells()]):
            cell = {"cell_type": kind, "id": str(number), "source": text}
            if kind == "code":
                cell |= {"execution_count": None, "outputs": []}
            cells.append(cell | {"metadata": {}})
        kernel = {"display_name": "Python 3", "name": "python3"}
        notebook = {"cells": cells, "metadata": {"kernelspec": kernel}}
        return json.dumps(notebook | {"nbformat": 4, "nbformat_minor": 5})


def recipes() -> dict[str, Recipe]:
    """Return the recipes by name, without running or importing any."""
    found = sorted(
        (each.name.removesuffix(".py"), each.read_text("utf-8"))
        for each in _folder().iterdir()
        if each.name.endswith(".py")
    )
    return {name: Recipe(name, text, _header(text)) for name, text in found}


def copy(
    recipe: Recipe, folder: str, force: bool = False, notebook: bool = False
) -> str:
    """Write a recipe into a folder, made if missing, and return its path."""
    name = f"{recipe.name}.{'ipynb' if notebook else 'py'}"
    path = os.path.join(folder, name)
    if os.path.exists(path) and not force:
        raise ValueError(
            "FOLDER must not hold the recipe yet. "
            f"Received: {folder!r}, which holds {name}. "
            "Pass another folder, or --force to replace what is there."
        )
    os.makedirs(folder, exist_ok=True)
    text = recipe.notebook() if notebook else recipe.source
    Path(path).write_text(text, "utf-8")
    return os.path.normpath(path)


def find(name: str) -> Recipe:
    """Return the recipe of that name, with or without `.py`."""
    known = recipes()
    recipe = known.get(name.removesuffix(".py"))
    if recipe is None:
        near = difflib.get_close_matches(name.removesuffix(".py"), known, 1)
        advice = f"Pass {near[0]!r}, or another" if near else "Pass one"
        raise ValueError(
            "NAME must be that of a recipe. "
            f"Received: {name!r}. {advice} that `kerasbn recipes` lists."
        )
    return recipe


def _folder() -> Traversable:
    """Return the folder: in the installed package, or next to it in a clone."""
    package = resources.files("kerasbn")
    inside = package / "recipes"
    return inside if inside.is_dir() else Path(str(package)).parent / "recipes"


def _header(source):
    docstring = ast.get_docstring(ast.parse(source)) or ""
    lines = (line.partition(":") for line in docstring.splitlines())
    return {name: text.strip() for name, _, text in lines if text}
