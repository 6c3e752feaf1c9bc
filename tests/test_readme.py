"""The README's example, word for word."""

import pathlib
import re

import kerasbn
from kerasbn import _recipes

_README = pathlib.Path(__file__).parents[1] / "README.md"


def test_example_runs_and_leaves_a_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall("```python\n(.*?)```", _README.read_text(), re.S)
    names = {}
    fit = "model.fit(x, y, "
    assert fit in example
    exec(example.replace(fit, f"fitted = {fit}verbose=0, "), names)
    assert isinstance(names["monitor"], kerasbn.callbacks.GradientMonitor)
    assert names["fitted"].history["accuracy"][-1] > 0.9
    assert list((tmp_path / "logs" / "gradients").glob("events*"))


def test_every_recipe_is_listed_as_its_header_has_it():
    text = _README.read_text()
    for name, recipe in _recipes.recipes().items():
        description = recipe.header["Description"]
        assert f"| [`{name}`](recipes/{name}.py) | {description} |" in text


def test_every_recipe_has_a_row_in_the_table_of_claims():
    claims = _README.read_text().partition("## What is claimed")[2]
    quoted = set(re.findall(r"\| `(\w+)` \|\n", claims.partition("\n## ")[0]))
    # The picture at the top of the page is this one's.
    assert quoted == set(_recipes.recipes()) - {"train_deep_mlp"}
