"""The packages: the recipes stand beside `kerasbn` and travel inside it."""

import setuptools

setuptools.setup(
    packages=[*setuptools.find_packages(include=["kerasbn*"]), "kerasbn.recipes"],
    package_dir={"kerasbn.recipes": "recipes"},
)
