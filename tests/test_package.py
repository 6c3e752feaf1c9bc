"""What is built from a clone: the source archive, and the wheel from that."""

import email
import fnmatch
import inspect
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import kerasbn

_ROOT = Path(__file__).parents[1]
# What commands leave in a clone; `build` would also end up in the wheel.
_LEFT_BEHIND = (".*_cache", ".git", ".hypothesis", ".venv*", "__pycache__")
_LEFT_BEHIND += (
    "*.egg-info",
    "*.pyc",
    "_build",
    "_generated",
    "build",
    "dist",
    "logs",
)


def _build(kind, source, folder):
    """Build with the backend that pip calls, without a network."""
    code = f"build_meta.build_{kind}({str(folder)!r})"
    code = f"from setuptools import build_meta; {code}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The source archive, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    clone = folder / "clone"
    ignored = shutil.ignore_patterns(*_LEFT_BEHIND)
    shutil.copytree(_ROOT, clone, ignore=ignored)
    with tarfile.open(_build("sdist", clone, folder)) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"kerasbn-{kerasbn.__version__}"


@pytest.fixture(scope="module")
def wheel(unpacked, tmp_path_factory):
    """The wheel, as an open archive."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(_build("wheel", unpacked, folder)) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    name = f"kerasbn-{kerasbn.__version__}.dist-info/METADATA"
    return email.message_from_string(wheel.read(name).decode())


def _files(folder):
    """The files below a folder, without what commands leave there."""
    paths = [path.relative_to(_ROOT) for path in (_ROOT / folder).rglob("*")]
    return {
        path.as_posix()
        for path in paths
        if (_ROOT / path).is_file()
        and not any(fnmatch.filter(path.parts, each) for each in _LEFT_BEHIND)
    }


def test_wheel_holds_the_package_and_the_recipes(wheel):
    package = {name for name in _files("kerasbn") if name[-3:] != ".md"}
    recipes = {f"kerasbn/{name}" for name in _files("recipes")}
    assert "kerasbn/py.typed" in package
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    scripts = {name for name in recipes if name[-3:] == ".py"}
    assert held == package | scripts


def test_source_archive_holds_what_its_tests_read(unpacked):
    names = ["README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml"]
    folders = [".ci", "benchmarks", "docs", "kerasbn", "recipes", "tests"]
    held = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*")}
    assert held.issuperset([*names, *(n for f in folders for n in _files(f))])


def test_metadata_names_the_license_and_the_project(metadata):
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    labels = {url.partition(",")[0] for url in metadata.get_all("Project-URL")}
    assert labels >= {"Source", "Issues", "Changelog"}


def test_long_description_has_no_relative_link(metadata):
    description = str(metadata.get_payload())
    assert "](https://" in description
    assert "](recipes" not in description


def test_help_starts_with_every_public_name():
    done = subprocess.run(
        [sys.executable, "-m", "pydoc", "kerasbn"],
        capture_output=True,
        text=True,
        cwd=_ROOT,
    )
    start, _, _ = done.stdout.partition("PACKAGE CONTENTS")
    rooms = (kerasbn.callbacks, kerasbn.clipping, kerasbn.layers)
    rooms += (kerasbn.models, kerasbn.optimizers)
    for room in (kerasbn, *rooms):
        for name, value in inspect.getmembers(room):
            if name[0] != "_" and callable(value):
                assert re.search(rf"\b{name}\b", start), name


def test_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "kerasbn", "--version"],
        capture_output=True,
        text=True,
        cwd=_ROOT,
    )
    assert done.stdout == f"kerasbn {kerasbn.__version__}\n"
