"""What the terminal shows of a run."""

import shutil
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasbn.diagnosis import Finding

_MARGIN = " " * 13


def page(number: int, finding: "Finding") -> str:
    """One finding, a line for each thing to know."""
    since = f"step {finding.step}" if finding.step else "before training"
    lines = [
        f"{number}. {finding.problem} in {finding.where} "
        f"({finding.severity}, {finding.confidence})",
        _fact("since", since),
        _fact("evidence", finding.evidence),
        _fact("cost", finding.cost),
        _fact("remedy", finding.remedy),
        textwrap.indent(finding.patch.strip("\n"), _MARGIN),
        _fact("source", finding.source),
    ]
    return "\n".join(filter(None, lines))


def _fact(label, text):
    return text and wrapped(text, f"   {label:<10}", _MARGIN)


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
