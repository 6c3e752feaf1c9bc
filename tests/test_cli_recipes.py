"""The commands that list the recipes and copy one."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from kerasbn import _recipes, cli

_ROOT = Path(__file__).parents[1]
_NAME = "train_deep_mlp"
_SOURCE = (_ROOT / "recipes" / f"{_NAME}.py").read_text("utf-8")


def _run(*arguments, path, cwd):
    """Run the command in a process of its own, with `path` before all."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "kerasbn", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={
            **os.environ,
            "PATH": os.path.dirname(sys.executable),
            "PYTHONPATH": str(path),
        },
    )


def test_every_recipe_is_listed_with_its_seconds_and_description(
    capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main(["recipes"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    names = [path.stem for path in (_ROOT / "recipes").glob("*.py")]
    assert names
    for name in names:
        header = _recipes.find(name).header
        line = f"{name} {header['Seconds']} s {header['Description']}"
        assert line in said
    assert said.endswith("kerasbn copy NAME")


def test_copy_is_the_recipe_and_says_what_is_next(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    assert cli.main(["copy", _NAME]) == 0
    assert Path(f"{_NAME}.py").read_text("utf-8") == _SOURCE
    seconds = _recipes.find(_NAME).seconds
    assert capsys.readouterr().out.splitlines() == [
        f"{_NAME}.py: Train a deep network that does not train",
        f"Next: python {_NAME}.py",
        f"It takes some {seconds} seconds on two CPU cores.",
        "It needs scikit-learn: python -m pip install scikit-learn",
    ]


def test_copy_names_the_interpreter_where_it_is_not_the_first_python(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["copy", _NAME, str(tmp_path)]) == 0
    (command,) = re.findall("Next: (.*)", capsys.readouterr().out)
    path = str(tmp_path / f"{_NAME}.py")
    assert shlex.split(command) == [sys.executable, path]


@pytest.mark.parametrize("name", [_NAME, f"{_NAME}.py"])
def test_copy_goes_into_a_folder_that_it_makes(name, tmp_path, capsys):
    folder = tmp_path / "my scripts"
    assert cli.main(["copy", name, str(folder)]) == 0
    path = folder / f"{_NAME}.py"
    assert path.read_text("utf-8") == _SOURCE
    assert f" '{path}'\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", _recipes.recipes())
def test_notebook_is_valid_and_has_the_code_of_the_recipe(name, tmp_path):
    recipe = _recipes.find(name)
    path = _recipes.copy(recipe, str(tmp_path), notebook=True)
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook, relax_add_props=False)
    start, *cells = notebook.cells
    assert start.source == (
        f"# {recipe.header['Title']}\n\n{recipe.header['Description']}"
    )
    assert '"""' not in "".join(each.source for each in cells)
    # Back in one file, with each prose cell in quotes, it is the recipe.
    quotes = {"markdown": '"""\n{}\n"""', "code": "{}"}
    blocks = [quotes[each.cell_type].format(each.source) for each in cells]
    found = "\n\n".join(blocks).split("\n")
    body = recipe.source.split('"""\n', 2)[2].split("\n")
    assert list(filter(None, found)) == list(filter(None, body))


def test_notebook_is_said_to_be_opened_and_not_run(tmp_path, capsys):
    assert cli.main(["copy", _NAME, str(tmp_path), "--notebook"]) == 0
    path = tmp_path / f"{_NAME}.ipynb"
    assert path.is_file()
    assert f"Next: open {path} in Jupyter\n" in capsys.readouterr().out
    assert cli.main(["copy", _NAME, str(tmp_path), "--notebook"]) == 2
    assert f"which holds {_NAME}.ipynb." in capsys.readouterr().err


def test_copy_replaces_nothing_unless_told(tmp_path, capsys):
    path = tmp_path / f"{_NAME}.py"
    path.write_text("mine")
    assert cli.main(["copy", _NAME, str(tmp_path)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error == (
        "kerasbn: error: FOLDER must not hold the recipe yet. Received: "
        f"{str(tmp_path)!r}, which holds {_NAME}.py. Pass another folder, or "
        "--force to replace what is there.\n"
    )
    assert path.read_text() == "mine"
    assert cli.main(["copy", _NAME, str(tmp_path), "--force"]) == 0
    assert path.read_text("utf-8") == _SOURCE


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("train_deep_mpl", f"Pass {_NAME!r}, or another that"),
        ("zzz", "Pass one that"),
        ("../setup", "Pass one that"),
    ],
)
def test_unknown_name_is_an_error_with_the_nearest(
    name, advice, tmp_path, capsys
):
    assert cli.main(["copy", name, str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "kerasbn: error: NAME must be that of a recipe. "
        f"Received: {name!r}. {advice} `kerasbn recipes` lists.\n"
    )
    assert not list(tmp_path.iterdir())


def test_folder_that_is_a_file_is_an_error(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main(["copy", _NAME, str(tmp_path / "file")]) == 2
    assert "FOLDER must be one that can be" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["installed", "cloned"])
def test_recipes_are_found_without_keras_where_they_are(place, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(_ROOT / "kerasbn", site / "kerasbn")
    below = site / "kerasbn" if place == "installed" else site
    (below / "recipes").mkdir()
    (below / "recipes" / "my_recipe.py").write_text('"""\nSeconds: 7\n"""\n')
    for name in ("keras", "tensorflow", "numpy", "sklearn"):
        (site / f"{name}.py").write_text(f"raise SystemError({name!r})")
    listed = _run("recipes", path=site, cwd=tmp_path)
    assert listed.stderr == ""
    assert listed.stdout.startswith("my_recipe    7 s\n")
    copied = _run("copy", "my_recipe", "here", path=site, cwd=tmp_path)
    assert copied.stderr == ""
    assert copied.stdout == (
        f"{Path('here/my_recipe.py')}: my_recipe\n"
        f"Next: python {Path('here/my_recipe.py')}\n"
        "It takes some 7 seconds on two CPU cores.\n"
    )
    assert (tmp_path / "here" / "my_recipe.py").is_file()


def test_what_a_recipe_imports_is_named_as_it_is_installed():
    source = "import os, keras\nfrom sklearn import svm\nimport pandas.api\n"
    recipe = _recipes.Recipe("r", source, {})
    assert recipe.packages() == ["pandas", "scikit-learn"]
