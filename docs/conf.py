"""Settings of the documentation.

Build it with `python -m sphinx -W --keep-going -b html docs docs/_build`.
"""

import sys
from pathlib import Path

_DOCS = Path(__file__).parent
sys.path[:0] = [str(_DOCS.parent), str(_DOCS)]

import generate  # noqa: E402

import kerasbn  # noqa: E402
from kerasbn.diagnosis._thresholds import LIMITS  # noqa: E402

project = author = "kerasbn"
version = release = kerasbn.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "kerasbn"
html_copy_source = html_show_copyright = False
highlight_language = "none"
pygments_style = "friendly"
pygments_dark_style = "monokai"

myst_enable_extensions = ["substitution"]
myst_heading_anchors = 3
# `{{ dead }}` in a page is the threshold of that name, as the rules use it.
_SHARES = {
    "stuck",
    "learning",
    "patience",
    "dead",
    "saturated",
    "clipped",
    "cold",
    "oscillation",
    "rare",
    "majority",
    "rare_found",
    "lag",
    "learnable",
    "underfits",
}
myst_substitutions = {
    name: f"{limit:.0%}" if name in _SHARES else f"{limit:g}"
    for name, limit in LIMITS._asdict().items()
    if name != "target_scale_before"
}
_by_optimizer = LIMITS.target_scale_before
myst_substitutions["target_scale_before_sgd"] = f"{_by_optimizer[0]:g}"
myst_substitutions["target_scale_before_adaptive"] = f"{_by_optimizer[1]:g}"

# A name in single backticks becomes a link where the name is documented.
default_role = "py:obj"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_custom_sections = ["Reference", ("Attributes", "params_style")]


def setup(app):
    """Write the pages that have their text elsewhere."""
    generate.write_recipes(_DOCS / "_generated/recipes")
    generate.write_api(_DOCS / "_generated/api")
    app.connect("source-read", generate.include_readme)
    # Before napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", generate.to_rest, 400)
