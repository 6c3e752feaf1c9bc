"""The README's example, word for word."""

import pathlib
import re

import kerasbn


def test_example_runs_and_leaves_a_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = pathlib.Path(__file__).parents[1] / "README.md"
    (example,) = re.findall("```python\n(.*?)```", readme.read_text(), re.S)
    names = {}
    fit = "model.fit(x, y, "
    assert fit in example
    exec(example.replace(fit, f"fitted = {fit}verbose=0, "), names)
    assert isinstance(names["monitor"], kerasbn.callbacks.GradientMonitor)
    assert names["fitted"].history["accuracy"][-1] > 0.9
    assert list((tmp_path / "logs" / "gradients").glob("events*"))
