import re
import runpy
from pathlib import Path

import pytest
import sklearn.datasets

_RECIPES = sorted(Path(__file__).parents[1].glob("recipes/*.py"))


@pytest.mark.filterwarnings("ignore:The figure layout has changed")
@pytest.mark.parametrize("recipe", _RECIPES, ids=lambda path: path.stem)
def test_recipe_runs_and_prints_its_table(
    recipe, tmp_path, monkeypatch, capsys
):
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    monkeypatch.setattr(
        sklearn.datasets, "load_digits", lambda return_X_y: (x[:160], y[:160])
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    runpy.run_path(str(recipe))
    output = capsys.readouterr().out
    for name in ("plain", "kerasbn"):
        row = rf"^{name} +\d\.\d{{3}} +\d\.\d{{3}} +\S+e-\d+ +\S+e-\d+ +\d+$"
        assert re.search(row, output, re.MULTILINE)
        assert list(tmp_path.glob(f"logs/*/{name}/gradients/*tfevents*"))
    command = re.search("tensorboard --logdir (.+)", output)
    assert command
    assert Path(command[1]).is_dir()
    assert list(tmp_path.glob("logs/*/gradient_flow.png"))
