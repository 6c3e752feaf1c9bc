"""Pages that have their text elsewhere: README, recipes, docstrings."""

import inspect
import re
import shutil
import types
from pathlib import Path
from typing import Any

import kerasbn
from kerasbn import _recipes

_ROOT = Path(__file__).parents[1]
_ROOMS = (
    kerasbn,
    kerasbn.layers,
    kerasbn.models,
    kerasbn.optimizers,
    kerasbn.clipping,
    kerasbn.callbacks,
    kerasbn.diagnosis,
    kerasbn.inference,
)


def include_readme(app: Any, page: str, source: list[str]) -> None:
    """Put the README in the place of `<!-- README -->`, its links adapted."""
    text = (_ROOT / "README.md").read_text("utf-8")
    if page == "index":
        app.env.note_dependency(str(_ROOT / "README.md"))
        source[0] = source[0].replace("<!-- README -->", _adapted(text))


def _adapted(text):
    label = r"(?:!\[[^\]]*\]\([^)]*\)|[^\[\]])*"  # may be a picture
    return re.sub(rf"(!?)\[({label})\]\(([^)\s]+)\)", _adapted_link, text)


def _adapted_link(match):
    """Recipes and guides are pages here, pictures are copied, no more."""
    mark, label, target = match.groups()
    label = _adapted(label)
    parts = target.split("/")
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    path = next((each for each in tails if (_ROOT / each).is_file()), "")
    if mark:
        return f"![{label}](../{path})" if path else match[0]
    if path.startswith("recipes/") and path.endswith((".py", "README.md")):
        name = Path(path).stem.replace("README", "index")
        return f"[{label}](_generated/recipes/{name}.md)"
    if path.startswith("docs/") and path.endswith(".md"):
        return f"[{label}]({path.removeprefix('docs/')})"
    return match[0] if "://" in target or target[0] == "#" else label


def write_recipes(folder: Path) -> None:
    """Write a page for each recipe, and one that lists them."""
    recipes = _recipes.recipes()
    pages = {name: _recipe_page(recipe) for name, recipe in recipes.items()}
    rows = (
        f"| [{name}]({name}.md) | {recipe.header['Description']} "
        f"| {recipe.seconds} |"
        for name, recipe in recipes.items()
    )
    pages["index"] = "\n".join(
        [
            "# Recipes",
            "Each is one file of straight code on real data. It takes a claim, "
            "shows it failing or holding, prints a table and leaves runs for "
            "TensorBoard. `kerasbn copy NAME` puts one into your folder.",
            "",
            "| recipe | result | seconds on two CPU cores |",
            "|---|---|---|",
            *rows,
            _toctree(recipes),
        ]
    )
    _write(folder, pages)


def _recipe_page(recipe):
    """A recipe is prose in strings of its own, and code between them."""
    head = (
        f"# {recipe.header['Title']}\n\n{recipe.header['Description']}\n\n"
        f"`kerasbn copy {recipe.name}` puts this page into your folder, as a "
        "file to run and change, or with `--notebook` as a notebook."
    )
    blocks = {"markdown": "{}", "code": "```python\n{}\n```"}
    cells = [blocks[kind].format(text) for kind, text in recipe.cells()]
    return "\n\n".join([head, *cells])


def write_api(folder: Path) -> None:
    """Write a page for each room, with every public name in it."""
    pages = {room.__name__: _room_page(room) for room in _ROOMS}
    pages["index"] = "# API\n" + _toctree(pages, ":maxdepth: 1")
    _write(folder, pages)


def _room_page(room):
    page = [f"# {room.__name__}", "```{eval-rst}"]
    page += [f".. automodule:: {room.__name__}"]
    elsewhere = []
    for name, value in public_names(room).items():
        if room is not kerasbn and getattr(kerasbn, name, None) is value:
            elsewhere.append(f"`kerasbn.{name}`")
        elif inspect.isclass(value):
            page += [f".. autoclass:: {room.__name__}.{name}"]
            if members := _members(value):  # an empty list means all
                page += [f"   :members: {', '.join(members)}"]
        elif inspect.isroutine(value):
            page += [f".. autofunction:: {room.__name__}.{name}"]
        else:
            page += [f".. py:data:: {name}", f"   :module: {room.__name__}"]
            page += ["", f"   ``{value!r}``"]
    if elsewhere:
        page += ["", "Also under a shorter name: " + ", ".join(elsewhere) + "."]
    return "\n".join([*page, "```"])


def public_names(room: types.ModuleType) -> dict[str, Any]:
    """Return the classes, functions and tuples of names that a room offers."""
    return {
        name: value
        for name, value in inspect.getmembers(room)
        if name[0] != "_"
        and (
            isinstance(value, tuple)
            or getattr(value, "__module__", "").startswith("kerasbn.")
        )
    }


def to_rest(app, what, name, value, options, lines) -> None:
    """Rewrite the Markdown of a docstring in reStructuredText."""
    blocks = "\n".join(lines).split("\n\n")
    for index, block in enumerate(blocks):
        if ">>>" in block:  # not indented, which napoleon asks for
            block = block.replace("Example:\n", ".. rubric:: Example\n\n")
        elif block.startswith("    "):
            block = f"::\n\n{block}"
        else:
            block = block.replace("|", r"\|")
            block = re.sub(r"(?<!`)`([^`]+)`(\w?)", _code_or_name, block)
            block = re.sub(r"\[([^\]`]+)\]\((\S+?)\)", _link, block)
        blocks[index] = block
    lines[:] = "\n\n".join(blocks).split("\n")


def _code_or_name(match):
    """A name stays in single backticks, and is a link where it can be."""
    text, letter = match.groups()
    text = " ".join(text.split()).replace(r"\|", "|")
    code = f"`{text}`" if re.fullmatch(r"[\w.]+", text) else f"``{text}``"
    return rf"{code}\ {letter}" if letter else code


def _link(match):
    return f"`{' '.join(match[1].split())} <{match[2]}>`__"


def _members(value):
    """Methods and properties that are not described elsewhere."""
    ours, elsewhere = set(), set()
    described = [
        each for room in _ROOMS for each in public_names(room).values()
    ]
    for each in value.__mro__:
        is_ours = each.__module__.startswith("kerasbn.")
        is_ours &= each is value or each not in described
        (ours if is_ours else elsewhere).update(vars(each))
    return sorted(
        name
        for name in ours - elsewhere
        if name[0] != "_"
        and isinstance(
            inspect.getattr_static(value, name),
            types.FunctionType | property | classmethod,
        )
    )


def _toctree(names, *options):
    return "\n".join(
        ["", "```{toctree}", *(options or [":hidden:"]), *names, "```", ""]
    )


def _write(folder, pages):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, "utf-8")
