"""The diagnosis of a run as one HTML page, with its pictures inside."""

import base64
import html as escaping
import re
from typing import Any

import numpy as np

from kerasbn._run.run import Run
from kerasbn.diagnosis import Diagnosis, Finding

START = '<!DOCTYPE html>\n<html lang="en" data-from="kerasbn">'
"""What each report begins with, so that it is known for one."""

# A curve is some 600 pixels wide: of more readings, extremes are drawn.
_POINTS = 300
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 220, 80, 34, 14
# A loss that falls by more than this factor is drawn by its logarithm.
_LOGARITHMIC = 30


def html(run: Run, diagnosis: Diagnosis, name: str) -> str:
    """Return the page.

    It needs nothing beside itself: it can be sent, kept and printed.

    Args:
        run: The run.
        diagnosis: What is wrong with it.
        name: What to call the run if its model is not known.
    """
    model = run.model.get("name") or name
    title = f"Diagnosis of {model}"
    count = len(diagnosis)
    verdict = (
        f"{count} finding{'s, first to mend first' * (count > 1)}"
        if count
        else "Nothing is wrong"
    )
    body = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="quiet">{_text(_span(run, name))}</p>',
        f"<h2>{verdict}</h2>",
        *map(_card, diagnosis),
    ]
    if not diagnosis and diagnosis.healthy:
        body.append(f'<p class="healthy">{_text(diagnosis.healthy)}</p>')
    if len(run.steps):
        body += [
            "<h2>Loss</h2>",
            _loss(run),
            "<h2>Gradients and updates</h2>",
            '<p class="quiet">Layers down, steps across. Black is exactly '
            "zero, red is NaN or Inf.</p>",
            '<div class="maps">',
            *map(_picture, flows(run, model)),
            "</div>",
        ]
    body += ["<h2>Settings</h2>", _settings(run)]
    return (
        f'{START}\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src '
        "'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{chr(10).join(body)}\n</main>\n</body>\n</html>\n"
    )


def flows(run: Run, name: str) -> list[dict[str, Any]]:
    """What the heat maps draw, those of the run in TensorBoard."""
    kernels = [i for i, shape in enumerate(run.shapes) if len(shape) > 1]
    shown = kernels or list(range(len(run.shapes)))
    sizes = [np.prod(shape) for shape in run.shapes]
    rows = {
        "steps": run.steps,
        "labels": [run.paths[i].removesuffix("/kernel") for i in shown],
    }
    gradients = run.tables["gradient_norm_max"] / np.sqrt(sizes)
    return [
        {
            **rows,
            "rms": gradients[:, shown].T,
            "title": f"Gradient flow of {name!r}",
            "label": "RMS of the gradient",
            "limits": (-9.0, 1.0),
        },
        {
            **rows,
            "rms": run.tables["update_ratio"][:, shown].T,
            "title": f"Updates of {name!r}",
            "label": "update / weights",
            "limits": (-7.0, 0.0),
        },
    ]


def _text(text: object) -> str:
    """Text as HTML, with `code` set as such."""
    quoted = escaping.escape(str(text))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", quoted)


def _linked(source: str) -> str:
    """Text as HTML, each address in it a link."""
    parts = re.split(r"(https?://[^\s<>\"'`]*[^\s<>\"'`.,;:)])", source)
    for i, part in enumerate(parts):
        quoted = escaping.escape(part)
        parts[i] = f'<a href="{quoted}">{quoted}</a>' if i % 2 else _text(part)
    return "".join(parts)


def _span(run, name):
    if not len(run.steps):
        return f"Run {name}, before its first reading."
    planned = f" of {run.planned_steps}" if run.planned_steps else ""
    return (
        f"Run {name}, steps {run.steps[0]} to {run.steps[-1]}{planned}, "
        f"{len(run.steps)} readings."
    )


def _card(finding: Finding) -> str:
    since = f"from step {finding.step}" if finding.step else "before training"
    facts = {
        "Evidence": finding.evidence,
        "Cost": finding.cost,
        "Remedy": finding.remedy,
    }
    lines = [
        f'<section class="card {_text(finding.severity)}">',
        f"<h3>{_text(finding.problem.replace('_', ' '))} in "
        f"<code>{_text(finding.where)}</code></h3>",
        f'<p class="quiet"><b>{_text(finding.severity)}</b>, '
        f"{_text(finding.confidence)}, {since}</p>",
        "<dl>",
        *(
            f"<dt>{label}</dt><dd>{_text(text)}</dd>"
            for label, text in facts.items()
            if text
        ),
        "</dl>",
    ]
    if patch := escaping.escape(finding.patch.strip("\n")):
        lines.append(f"<pre>{patch}</pre>")
    if finding.source:
        source = _linked(finding.source)
        lines.append(f'<p class="quiet source">Source: {source}</p>')
    return "\n".join([*lines, "</section>"])


def _picture(flow):
    from kerasbn._report import heat_map

    data = base64.b64encode(heat_map.png(**flow)).decode()
    source = f"data:image/png;base64,{data}"
    return f'<img alt="Heat map: {_text(flow["title"])}" src="{source}">'


def _loss(run: Run) -> str:
    """The loss over the steps, a mean for each reading."""
    losses = run.scalars["window/loss"]
    finite = np.isfinite(losses)
    if not finite.any():
        return "<p>No reading holds a finite loss.</p>"
    low, high = losses[finite].min(), losses[finite].max()
    by_log = bool(low > 0 and high / low > _LOGARITHMIC)
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = np.log10(losses) if by_log else losses
    bottom, top = np.log10([low, high]) if by_log else (low, high)
    span = (top - bottom) or 1.0
    first, last = run.steps[0], run.steps[-1]
    across = (run.steps - first) / max(last - first, 1)
    x = _LEFT + across * (_WIDTH - _LEFT - 8)
    y = _TOP + (top - heights) / span * (_HEIGHT - _BOTTOM - _TOP)
    y0, y1 = _HEIGHT - _BOTTOM, _TOP
    ticks = "".join(
        f'<text x="{_LEFT - 8}" y="{place + 4}" text-anchor="end">'
        f"{value:.3g}</text>"
        f'<path class="rule" d="M{_LEFT} {place}H{_WIDTH - 8}"/>'
        for place, value in {y0: low, y1: high}.items()
    )
    lost = int((~finite).sum())
    note = f", NaN or Inf at {lost} of {len(losses)} readings" * bool(lost)
    caption = (
        f"Loss from {_number(losses[0])} to {_number(losses[-1])}, mean of the "
        f"steps up to each reading{', by its logarithm' * by_log}{note}."
    )
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Loss over the steps">{ticks}'
        f'<text x="{_LEFT}" y="{_HEIGHT - 12}">step {first}</text>'
        f'<text x="{_WIDTH - 8}" y="{_HEIGHT - 12}" text-anchor="end">{last}'
        f'</text><path class="curve" d="{_line(x, y)}"/></svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _line(x, y):
    """A path through the points, broken where one is not finite."""
    kept = np.arange(len(y))
    if len(y) > 2 * _POINTS:
        parts = np.array_split(kept, _POINTS)
        kept = np.unique([_extremes(part, y[part]) for part in parts])
    path, pen = [], "M"
    for i in kept:
        if np.isfinite(y[i]):
            path.append(f"{pen}{x[i]:.1f} {y[i]:.1f}")
            if pen == "M":
                path.append("h.01")  # seen even where it stands alone
            pen = "L"
        else:
            pen = "M"
    return "".join(path)


def _extremes(indices, y):
    """Of these points the lowest, the highest and the first that is none."""
    none = ~np.isfinite(y)
    lowest = np.where(none, np.inf, y).argmin()
    highest = np.where(none, -np.inf, y).argmax()
    return indices[[lowest, highest, none.argmax()]]


def _settings(run: Run) -> str:
    model, count = run.model, len(run.paths)
    entries = sum(int(np.prod(shape)) for shape in run.shapes)
    output = model.get("output") or {}
    rows = {
        "model": model.get("name"),
        "layers": len(model.get("layers") or []) or None,
        "trainable variables": f"{count}, of {entries:,} entries",
        "output activation": output.get("activation"),
        "loss": model.get("loss"),
        **run.settings,
    }
    lines = "".join(
        f"<tr><th>{_text(name.replace('_', ' '))}</th>"
        f"<td>{_text(_number(value))}</td></tr>"
        for name, value in rows.items()
        if value is not None
    )
    return f"<table>{lines}</table>"


def _number(value):
    return f"{value:.4g}" if isinstance(value, float) else value


_STYLE = """
:root { color-scheme: light dark; --text: #1c2128; --quiet: #59636e;
  --page: #fff; --card: #f6f8fa; --line: #d1d9e0; --curve: #0b63c5;
  --fatal: #c9252d; --serious: #b35900; --minor: #0b63c5; --good: #1a7f37; }
@media screen and (prefers-color-scheme: dark) { :root { --text: #e6edf3;
  --quiet: #9aa4af; --page: #0d1117; --card: #161b22; --line: #30363d;
  --curve: #6cb6ff; --fatal: #ff7b72; --serious: #f0a04b; --minor: #6cb6ff;
  --good: #4ac26b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 2rem 0 .75rem; font-size: 1.2rem; }
h3 { margin: 0; font-size: 1.05rem; }
h3::first-letter { text-transform: uppercase; }
.quiet, figcaption { margin: .2rem 0 .6rem; color: var(--quiet);
  font-size: .9rem; }
.card, .healthy { margin: 0 0 1rem; padding: .9rem 1rem;
  background: var(--card); border: 1px solid var(--line);
  border-left: 5px solid var(--minor); border-radius: 6px; }
.card b { color: var(--minor); }
.fatal { border-left-color: var(--fatal); }
.fatal b { color: var(--fatal); }
.serious { border-left-color: var(--serious); }
.serious b { color: var(--serious); }
.healthy { border-left-color: var(--good); }
dl { display: grid; grid-template-columns: 5.5rem 1fr; gap: .35rem 0;
  margin: .6rem 0 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, Consolas, monospace; font-size: .9em; }
pre { margin: .6rem 0 0; padding: .7rem .8rem; overflow-x: auto;
  background: var(--page); border: 1px solid var(--line); border-radius: 6px; }
.source { margin: .6rem 0 0; overflow-wrap: anywhere; }
a { color: var(--curve); }
figure { margin: 0; }
svg { display: block; width: 100%; max-width: 44rem; height: auto; }
svg text { fill: var(--quiet); font-size: 12px; }
.rule { stroke: var(--line); }
.curve { fill: none; stroke: var(--curve); stroke-width: 1.8;
  stroke-linejoin: round; stroke-linecap: round; }
.maps { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
.maps img { max-width: 100%; height: auto; background: #fff;
  border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; font-weight: normal;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--quiet); }
@media (max-width: 30rem) { dl { display: block; } dd { margin: 0 0 .5rem; }
  svg text { font-size: 18px; } }
@media print { main { max-width: none; padding: 0; } body { font-size: 11pt; }
  .card, .healthy, figure, .maps img, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; } pre { white-space: pre-wrap; } }
"""
