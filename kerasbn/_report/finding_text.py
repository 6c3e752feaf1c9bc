"""The text of a finding: Markdown for terminal, TensorBoard and page alike."""

import re
from collections.abc import Sequence

from kerasbn.diagnosis import Finding

_ADDRESS = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:)]")


def verdict(findings: Sequence[Finding]) -> str:
    """Return the number of findings, or that there are none."""
    if not findings:
        return "Nothing is wrong"
    return (
        f"{len(findings)} findings, most urgent first"
        if len(findings) > 1
        else "1 finding"
    )


def markdown(finding: Finding) -> str:
    """Return a heading, a list of facts and the code to change."""
    since = f"from step {finding.step}" if finding.step else "before training"
    facts = {
        "Evidence": finding.evidence,
        "Cost": finding.cost,
        "Remedy": finding.remedy,
        "Source": _ADDRESS.sub(r"<\g<0>>", finding.source),
    }
    parts = [
        f"### {finding.problem} in `{finding.where}`",
        f"{finding.severity}, {finding.confidence}, {since}",
        "\n".join(f"- {name}: {text}" for name, text in facts.items() if text),
    ]
    if patch := finding.patch.strip("\n"):
        parts.append(f"```diff\n{patch}\n```")
    return "\n\n".join(parts)
