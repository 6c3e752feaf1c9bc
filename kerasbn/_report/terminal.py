"""The text of a run for the terminal."""

import shutil
import textwrap
from typing import TYPE_CHECKING

from kerasbn._report import finding_text

if TYPE_CHECKING:
    from kerasbn.diagnosis import Finding

_MARGIN = " " * 13


def page(number: int, finding: "Finding") -> str:
    """Return one finding, a labelled paragraph for each fact."""
    lines = [
        f"{number}. {finding.problem} in {finding.where} "
        f"({finding.severity}, {finding.confidence})",
        _fact("since", finding_text.since(finding).removeprefix("from ")),
        *(_fact(*each) for each in finding_text.facts(finding).items()),
    ]
    if finding.patch:
        lines.append(textwrap.indent(finding.patch.strip("\n"), _MARGIN))
    if finding.source:
        lines.append(_fact("source", finding.source))
    return "\n".join(lines)


def _fact(label, text):
    return wrapped(text, f"   {label:<10}", _MARGIN)


def wrapped(text: str, first: str = "", other: str = "") -> str:
    """Text as wide as the terminal, after `first` and then `other`."""
    width = min(max(shutil.get_terminal_size().columns, 40), 100)
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=other,
        break_long_words=False,  # a path or an address is to be copied
        break_on_hyphens=False,
    )
