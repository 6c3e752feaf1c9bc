"""The packages and the long description: what setup.cfg cannot say."""

import pathlib
import re

import setuptools

# The only place that names the repository.
URL = "https://github.com/kerasbn/kerasbn"


def _absolute(markdown):
    """Turn the README's relative links into those that an index can follow."""
    image, link = r"(!\[[^]]*\]\()(?!\w+:|#)", r"(\]\()(?!\w+:|#)"
    markdown = re.sub(image, rf"\1{URL}/raw/main/", markdown)
    return re.sub(link, rf"\1{URL}/blob/main/", markdown)


setuptools.setup(
    # The recipes are beside `kerasbn` in a clone, and inside it in the wheel.
    packages=[
        *setuptools.find_packages(include=["kerasbn*"]),
        "kerasbn.recipes",
    ],
    package_dir={"kerasbn.recipes": "recipes"},
    long_description=_absolute(pathlib.Path("README.md").read_text("utf-8")),
    long_description_content_type="text/markdown",
    url=URL,
    project_urls={
        "Source": URL,
        "Issues": f"{URL}/issues",
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
    },
)
