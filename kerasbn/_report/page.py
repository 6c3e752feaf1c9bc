"""The diagnosis of a run as one HTML page to send, keep and print."""

import base64
import re
from typing import Any

import jinja2
import markupsafe
import numpy as np

from kerasbn._report import finding_text, flows, heat_map, loss_curve
from kerasbn._run.run import Run
from kerasbn.diagnosis import Diagnosis

START = '<!DOCTYPE html>\n<html lang="en" data-from="kerasbn">'
"""The first lines of each report, by which a file is known to be one."""


def html(run: Run, diagnosis: Diagnosis, name: str) -> str:
    """Return the page, its pictures inside.

    Args:
        run: The run.
        diagnosis: Its diagnosis.
        name: Name of the run, where its model has none.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kerasbn", "_report"),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["code"] = _with_code
    model = run.name or name
    caption = loss_curve.caption(run) if len(run.steps) else ""
    return environment.get_template("page.html").render(
        model=model,
        span=_span(run, name),
        verdict=_verdict(len(diagnosis)),
        findings=list(diagnosis),
        healthy=diagnosis.healthy,
        since=finding_text.since,
        facts=finding_text.facts,
        caption=caption,
        curve="Loss" in caption and _base64(loss_curve.png(run)),
        maps={
            each["title"]: _base64(heat_map.png(**each)) for each in _flows(run)
        },
        settings=_settings(run),
    )


def _flows(run):
    if not len(run.steps):
        return []
    return [flows.gradient_flow(run), flows.update_flow(run)]


def _verdict(count):
    if not count:
        return "Nothing is wrong"
    return f"{count} finding{'s, first to mend first' * (count > 1)}"


def _with_code(value: object) -> markupsafe.Markup:
    """Escape a value, and set what stands in backticks as code."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return markupsafe.Markup(
        re.sub(r"`([^`]+)`", r"<code>\1</code>", str(markupsafe.escape(text)))
    )


def _base64(png):
    return base64.b64encode(png).decode()


def _span(run, name):
    if not len(run.steps):
        return f"Run {name}, before its first reading."
    planned = f" of {run.planned_steps}" if run.planned_steps else ""
    return (
        f"Run {name}, steps {run.steps[0]} to {run.steps[-1]}{planned}, "
        f"{len(run.steps)} readings."
    )


def _settings(run: Run) -> dict[str, Any]:
    entries = sum(int(np.prod(shape)) for shape in run.shapes)
    rows = {
        "model": run.name,
        "layers": len(run.model.get("layers") or []) or None,
        "trainable variables": f"{len(run.paths)}, of {entries:,} entries",
        "output activation": _of_outputs(run, "activation"),
        "loss": _of_outputs(run, "loss"),
        **run.settings,
    }
    return {
        name: value for name, value in rows.items() if value not in (None, "")
    }


def _of_outputs(run, name):
    outputs = run.model.get("outputs") or []
    return ", ".join(str(each[name]) for each in outputs if each[name])
