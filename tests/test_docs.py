"""The documentation: its pages against the names, and its snippets run."""

import pathlib
import re

import matplotlib
import pytest

from kerasbn.diagnosis import PROBLEMS

_DOCS = pathlib.Path(__file__).parents[1] / "docs"
_GUIDES = sorted((_DOCS / "guides").glob("*.md"))


def test_every_problem_has_a_section_and_every_section_a_problem():
    page = (_DOCS / "problems.md").read_text("utf-8")
    assert sorted(re.findall("^## (.*)", page, re.M)) == sorted(PROBLEMS)


def test_every_problem_has_a_picture_that_is_shown():
    page = (_DOCS / "pictures.md").read_text("utf-8")
    shown = set(re.findall(r"\(pictures/(\w+)\.png\)", page))
    files = {path.stem for path in (_DOCS / "pictures").glob("*.png")}
    assert shown == files == {"healthy", *PROBLEMS}
    assert set(re.findall(r"\(problems\.md#(\w+)\)", page)) == set(PROBLEMS)


@pytest.mark.parametrize("guide", _GUIDES, ids=lambda path: path.stem)
def test_snippets_of_a_guide_run(guide, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    snippets = re.findall("```python\n(.*?)```", guide.read_text("utf-8"), re.S)
    assert snippets
    exec("\n".join(snippets), {})
