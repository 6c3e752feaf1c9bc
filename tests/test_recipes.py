"""Every recipe, with little data, and what is quoted in its text."""

import functools
import os
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import sklearn.datasets

_ROOT = Path(__file__).parents[1]
_RECIPES = sorted(_ROOT.glob("recipes/*.py"))
# Those that the default suite runs too: the one that the README begins with,
# and the one that ends in stock layers. They are among the quickest.
_TELLING = ("train_deep_mlp", "fold_for_inference")
_TOOL = runpy.run_path(str(_ROOT / "benchmarks" / "run_recipes.py"))
_FIELDS = (
    r"Title: .+\nAuthor: kerasbn\nDate created: \d{4}/\d\d/\d\d\n"
    r"Last modified: \d{4}/\d\d/\d\d\nDescription: .+\nAccelerator: None\n"
    r"Seconds: \d+\n"
)
_ROWS = 160
_LARGER = re.compile(r"(?m)^# (.*\bkeras\.datasets\.(\w+)\.load_data\(.*)$")
_SHAPES = {
    "mnist": (28, 28),
    "fashion_mnist": (28, 28),
    "cifar10": (32, 32, 3),
    "california_housing": (8,),
}


@pytest.fixture(autouse=True)
def _while_there_is_time(request):
    """Skip what is left of the recipes' own run after a time that CI sets."""
    until = float(os.environ.get("RECIPES_UNTIL", "inf"))
    if request.node.get_closest_marker("recipes") and time.time() > until:
        pytest.skip("RECIPES_UNTIL is past")


def _thin(loader):
    """The same loader, with so many of its rows, evenly drawn."""

    @functools.wraps(loader)
    def load(*, return_X_y=False, **options):
        found = loader(**options)
        rows = np.linspace(0, len(found.target) - 1, _ROWS).astype(int)
        found.update(
            {
                name: found[name][rows]
                for name in ("data", "target", "images")
                if name in found
            }
        )
        return (found.data, found.target) if return_X_y else found

    return load


def _thin_all(patch):
    names = ("load_breast_cancer", "load_diabetes", "load_digits", "load_wine")
    for name in names:
        thin = _thin(getattr(sklearn.datasets, name))
        patch.setattr(sklearn.datasets, name, thin)
    images = sklearn.datasets.load_sample_images

    def corners():
        found = images()
        found.images = [image[:96, :96] for image in found.images]
        return found

    patch.setattr(sklearn.datasets, "load_sample_images", corners)


def _larger(name):
    """What `load_data` of Keras returns, in its format, with few rows."""

    def part(rows):
        generator = np.random.default_rng(rows)
        shape = (rows, *_SHAPES[name])
        if name == "california_housing":
            x = generator.gamma(2.0, size=shape).astype("float32")
            return x, x[:, 0] * np.float32(1e5)
        y = (np.arange(rows) % 10).astype("uint8")
        x = generator.integers(0, 256, shape).astype("uint8")
        return x, y.reshape(-1, 1) if name == "cifar10" else y

    return lambda **options: (part(300), part(100))


def _run(recipe, folder, capsys):
    """Run a recipe and return what it prints."""
    if "set_logical_device_configuration" not in recipe.read_text("utf-8"):
        runpy.run_path(str(recipe))
        return capsys.readouterr().out
    # Devices are divided before the first of them is used.
    code = (
        "import sys, runpy; sys.path[:0] = sys.argv[2:]; import test_recipes; "
        "import pytest; test_recipes._thin_all(pytest.MonkeyPatch()); "
        "runpy.run_path(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, recipe, _ROOT / "tests", _ROOT],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to run a recipe in, with little data at hand."""
    _thin_all(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    yield tmp_path
    keras.utils.enable_interactive_logging()  # a recipe may have silenced it


@pytest.mark.parametrize("recipe", _RECIPES, ids=lambda path: path.stem)
def test_recipe_begins_with_all_that_a_list_of_recipes_tells(recipe):
    source = recipe.read_text("utf-8")
    assert re.match(f'"""\n{_FIELDS}"""\n', source)
    for section in ("Introduction", "Setup", "Conclusion"):
        assert source.count(f'"""\n## {section}\n') == 1


@pytest.mark.filterwarnings("ignore:The figure layout has changed")
@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(
            path,
            id=path.stem,
            marks=[] if path.stem in _TELLING else pytest.mark.recipes,
        )
        for path in _RECIPES
    ],
)
def test_recipe_prints_the_table_it_quotes_and_leaves_its_runs(
    recipe, folder, capsys
):
    source = recipe.read_text("utf-8")
    output = _run(recipe, folder, capsys)
    quoted = _TOOL["table_of"](recipe.stem, source)
    new = _TOOL["quoted"](recipe.stem, source, output, 1)
    printed = _TOOL["table_of"](recipe.stem, new)
    assert printed[0] == quoted[0]
    columns = [
        [len(re.split(" {2,}", line.strip())) for line in table]
        for table in (printed, quoted)
    ]
    assert columns[0] == columns[1]
    runs = list(folder.glob(f"logs/{recipe.stem}/*/gradients/*tfevents*"))
    assert runs
    last = output.rstrip().splitlines()[-1]
    command = re.search(r"tensorboard\.main --logdir (.+)", last)
    assert command
    assert Path(command[1]).is_dir()
    if recipe.stem == "train_deep_mlp":
        for name in ("plain", "kerasbn"):
            accuracy, rms = r" +\d\.\d{3}", r" +\S+e-\d+"
            row = rf"^{name}({accuracy}){{2}}({rms}){{2}} +\d+$"
            assert re.search(row, output, re.MULTILINE)
            assert list(folder.glob(f"logs/*/{name}/gradients/*tfevents*"))
        assert list(folder.glob("logs/*/gradient_flow.png"))


def _recipes_with_larger_data():
    """One recipe per set of data, the one whose source is shortest."""
    found = {}
    for recipe in sorted(_RECIPES, key=lambda path: path.stat().st_size):
        for line in _LARGER.finditer(recipe.read_text("utf-8")):
            found.setdefault(line[2], recipe)
    return sorted(found.items())


@pytest.mark.recipes
@pytest.mark.filterwarnings("ignore:The figure layout has changed")
@pytest.mark.parametrize(
    ("data", "recipe"), _recipes_with_larger_data(), ids=str
)
def test_larger_data_takes_the_place_of_what_is_at_hand(
    data, recipe, folder, monkeypatch, capsys
):
    module = getattr(keras.datasets, data)
    monkeypatch.setattr(module, "load_data", _larger(data))
    source, count = _LARGER.subn(r"\1", recipe.read_text("utf-8"))
    assert count == 1
    source = re.sub(r"(?m)^EPOCHS = \d+", "EPOCHS = 1", source)
    path = folder / recipe.name
    path.write_text(source, "utf-8")
    output = _run(path, folder, capsys)
    assert _TOOL["table_of"](recipe.stem, source)[0] in output.splitlines()


def test_printed_table_and_seconds_take_the_place_of_those_quoted():
    source = (
        '"""\nTitle: t\nSeconds: 1\n"""\n\n"""\n## Introduction\n\nText.\n\n'
        '        head\n    a   1\n    b   2\n"""\n\nx = 1\n'
    )
    output = "epoch\n    head\na   3\nb   4\nc   5\n\nlogs\n"
    assert _TOOL["table_of"]("r", source) == ["    head", "a   1", "b   2"]
    assert _TOOL["quoted"]("r", source, output, 6.6) == (
        '"""\nTitle: t\nSeconds: 7\n"""\n\n"""\n## Introduction\n\nText.\n\n'
        '        head\n    a   3\n    b   4\n    c   5\n"""\n\nx = 1\n'
    )
    with pytest.raises(ValueError, match=r"r: the header .* is not printed"):
        _TOOL["quoted"]("r", source, "a   3\n", 1)
    with pytest.raises(ValueError, match="r: no table in the Introduction"):
        _TOOL["table_of"]("r", source.replace("    ", ""))


def test_telling_recipes_are_there():
    assert set(_TELLING) <= {path.stem for path in _RECIPES}
