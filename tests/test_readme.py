"""The READMEs: the example, the links, and the figures that they quote."""

import functools
import itertools
import pathlib
import re
import runpy

import numpy as np
import pytest

import kerasbn
from kerasbn import _recipes
from kerasbn._report import terminal

_ROOT = pathlib.Path(__file__).parents[1]
_PAGES = [*_ROOT.glob("*.md"), *_ROOT.glob("*/README.md")]
_TOOL = runpy.run_path(str(_ROOT / "benchmarks" / "run_recipes.py"))
_DECIMAL = r"(?<![\w.])\d*\.\d+|\b\de-\d+"


def _text(path="."):
    return (_ROOT / path / "README.md").read_text("utf-8")


def _rows(page, heading):
    """The cells of each row of the first table after a heading."""
    lines = page.partition(heading)[2].splitlines()
    lines = itertools.dropwhile(lambda line: line[:1] != "|", lines)
    table = itertools.takewhile(lambda line: line[:1] == "|", lines)
    rows = [line[1:-1].split("|") for line in table]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def _without_zero(text):
    return re.sub(r"\b0\.(?=\d)", ".", text)


def _name(page):
    return page.relative_to(_ROOT).as_posix()


def test_example_runs_and_leaves_a_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall("```python\n(.*?)```", _text(), re.S)
    names = {}
    fit = "model.fit(x, y, "
    assert fit in example
    exec(example.replace(fit, f"fitted = {fit}verbose=0, "), names)
    assert isinstance(names["monitor"], kerasbn.callbacks.GradientMonitor)
    assert names["fitted"].history["accuracy"][-1] > 0.9
    assert list((tmp_path / "logs" / "gradients").glob("events*"))


def test_front_page_is_short():
    assert len(_text().splitlines()) <= 150


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_every_link_leads_to_a_file_or_a_heading(page):
    text = page.read_text("utf-8")
    headings = re.findall("(?m)^#+ (.*)", text)
    anchors = {f"#{each.lower().replace(' ', '-')}" for each in headings}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in target:
            found = target in anchors or (page.parent / target).exists()
            assert found, target


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_every_named_file_exists(page):
    for path in re.findall(
        r"(?<![\w./])[\w/]+/\w+\.py\b", page.read_text("utf-8")
    ):
        found = (_ROOT / path).is_file() or (page.parent / path).is_file()
        assert found, path


def test_every_name_in_the_api_table_exists():
    for cell, _ in _rows(_text(), "## The API"):
        first, *others = re.findall("`([^`]+)`", cell)
        room = first.rpartition(".")[0]
        for name in [first, *others]:
            path = name if name.startswith("kerasbn.") else f"{room}.{name}"
            assert callable(
                functools.reduce(getattr, path.split(".")[1:], kerasbn)
            )


def test_front_page_quotes_the_table_of_its_recipe():
    name = "train_deep_mlp"
    table = _TOOL["table_of"](name, _recipes.find(name).source)
    assert "\n".join(table) in _text()


def test_front_page_quotes_a_finding_as_the_command_prints_it(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    plain = {"normalize_inputs": False, "normalization": None}
    model = kerasbn.models.mlp(
        (8,), [16] * 20, 1, activation="sigmoid", **plain
    )
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    (finding,) = kerasbn.diagnose(model, x, x[:, :1])
    ((start, quoted),) = re.findall(
        r"```\n(1\. .*)\n.*\n( +evidence [^`]*?) +\.\.\.\n```", _text()
    )
    page = terminal.page(1, finding)
    assert page.startswith(start)
    number = r"\d[\de.-]*"
    assert re.sub(number, "", quoted) in re.sub(number, "", page)


def test_figures_on_the_front_page_are_those_of_the_other_pages():
    prose = re.sub("(?s)```.*?```", "", _text())
    others = " ".join(p.read_text("utf-8") for p in _PAGES if p.parent != _ROOT)
    figures = set(re.findall(_DECIMAL, prose)) - {"3.11"}  # of Python
    assert len(figures) >= 3
    assert figures <= set(re.findall(_DECIMAL, others))


def test_every_recipe_is_listed_as_its_header_has_it():
    rows = _rows(_text("recipes"), "# Recipes")
    assert rows == [
        [f"[`{name}`]({name}.py)", recipe.header["Description"], recipe.seconds]
        for name, recipe in _recipes.recipes().items()
    ]
    seconds = [int(row[-1]) for row in rows]
    said = f"takes {min(seconds)} to {max(seconds)} seconds"
    assert said in _text("recipes")
    assert f"take {sum(seconds) / 60:.0f} minutes" in _text("recipes")


def test_every_recipe_has_a_claim_and_every_number_of_a_claim_a_recipe():
    rows = _rows(_text("recipes"), "## What is claimed")
    names = [row[-1].strip("`") for row in rows]
    # The first picture of the front page is this one's.
    assert set(names) == set(_recipes.recipes()) - {"train_deep_mlp"}
    for name, (*_, numbers, _) in zip(names, rows, strict=True):
        source = _without_zero(_recipes.find(name).source)
        for number in re.findall(_DECIMAL, numbers):
            assert _without_zero(number) in source, (name, number)


def test_every_benchmark_is_on_the_page_of_measurements():
    command = r"python (?:benchmarks/|-m benchmarks\.)(\w+)"
    files = {p.stem for p in _ROOT.glob("benchmarks/*.py")}
    assert (
        set(re.findall(command, _text("benchmarks"))) - {"strangers"} == files
    )


def test_rooms_have_the_arrows_that_are_enforced():
    arrows = runpy.run_path(str(_ROOT / "tests" / "test_imports.py"))["_ARROWS"]
    found = {
        room.strip("`"): " ".join(re.findall(r"\w+", behind))
        for room, _, behind in _rows(_text("kerasbn"), "## The rooms")
    }
    assert found == arrows
