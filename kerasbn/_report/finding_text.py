"""The text of a finding, laid out once for the terminal, Markdown and HTML."""

from typing import TYPE_CHECKING

# Only for types: the commands that list and copy recipes need no numpy.
if TYPE_CHECKING:
    from kerasbn.diagnosis import Finding


def since(finding: "Finding") -> str:
    """Return when the problem began."""
    return f"from step {finding.step}" if finding.step else "before training"


def facts(finding: "Finding") -> dict[str, str]:
    """Return the sentences of a finding by label, in reading order."""
    found = {
        "evidence": finding.evidence,
        "cost": finding.cost,
        "remedy": finding.remedy,
    }
    return {label: text for label, text in found.items() if text}


def markdown(finding: "Finding") -> str:
    """Return a finding as Markdown."""
    lines = [f"- {label}: {text}" for label, text in facts(finding).items()]
    if finding.source:
        lines.append(f"- source: <{finding.source}>")
    parts = [
        f"### {finding.problem} in `{finding.where}`",
        f"{since(finding)} ({finding.severity}, {finding.confidence})",
        "\n".join(lines),
    ]
    if finding.patch:
        parts.append(f"```diff\n{finding.patch}\n```")
    return "\n\n".join(parts)
