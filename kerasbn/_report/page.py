"""The diagnosis of a run as one HTML page, with its pictures inside."""

import base64
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jinja2
import markdown
import markupsafe
import numpy as np
from markdown.util import Registry

from kerasbn._report import finding_text, flows
from kerasbn._run.run import Run
from kerasbn.diagnosis import Diagnosis

_TEMPLATE = pathlib.Path(__file__).with_name("page.html").read_text("utf-8")

START = _TEMPLATE.partition("\n<head>")[0]
"""The start of each report, by which it is recognized."""


class _Picture(NamedTuple):
    alt: str
    base64: str


def html(run: Run, diagnosis: Diagnosis, name: str) -> str:
    """Return the page.

    It refers to nothing outside itself: it can be sent, kept and printed.

    Args:
        run: The run.
        diagnosis: The findings about it.
        name: Name of the run, and of its model if that is not known.
    """
    # No name of a run or a model is HTML: the template escapes all of it.
    template = jinja2.Template(
        _TEMPLATE, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    losses = run.scalars["window/loss"]
    curve = _curve(run.steps, losses) if np.isfinite(losses).any() else None
    return template.render(
        title=f"Diagnosis of {run.name or name}",
        span=_span(run, name),
        verdict=finding_text.verdict(diagnosis),
        cards=[
            (f.severity, _html(finding_text.markdown(f))) for f in diagnosis
        ],
        healthy=_html(diagnosis.healthy),
        readings=len(run.steps),
        curve=curve,
        maps=list(_maps(run)) if len(run.steps) else [],
        settings=_settings(run),
    )


def _html(text: str) -> markupsafe.Markup:
    """Convert Markdown to HTML, with code and plain addresses alone inside.

    HTML in the text is shown as text, as is a link that hides its address.
    """
    converter = markdown.Markdown(extensions=["fenced_code"])
    converter.preprocessors.deregister("html_block")
    inline: Any = converter.treeprocessors["inline"]
    known, inline.inlinePatterns = inline.inlinePatterns, Registry()
    for priority, name in enumerate(("autolink", "backtick")):
        inline.inlinePatterns.register(known[name], name, priority)
    return markupsafe.Markup(converter.convert(text))


def _span(run, name):
    if not len(run.steps):
        return f"Run {name}, before its first reading."
    planned = f" of {run.planned_steps}" if run.planned_steps else ""
    return (
        f"Run {name}, steps {run.steps[0]} to {run.steps[-1]}{planned}, "
        f"{len(run.steps)} readings."
    )


def _curve(steps, losses):
    from kerasbn._report import loss_curve

    png, caption = loss_curve.png(steps, losses)
    return _Picture(caption, base64.b64encode(png).decode())


def _maps(run) -> Iterator[_Picture]:
    from kerasbn._report import heat_map

    for flow in (flows.gradient_flow(run), flows.update_flow(run)):
        png = base64.b64encode(heat_map.png(**flow)).decode()
        yield _Picture(f"Heat map: {flow['title']}", png)


def _settings(run: Run) -> dict[str, Any]:
    model = run.model
    entries = sum(int(size) for size in run.sizes)
    rows = {
        "model": run.name,
        "layers": len(model.get("layers") or []) or None,
        "trainable variables": f"{len(run.paths)}, of {entries:,} entries",
        "output activation": (model.get("output") or {}).get("activation"),
        "loss": model.get("loss"),
        **run.settings,
    }
    return {
        name.replace("_", " "): f"{x:.4g}" if isinstance(x, float) else x
        for name, x in rows.items()
        if x is not None
    }
