"""Text as wide as the terminal."""

import shutil
import textwrap


def page(markdown: str) -> str:
    """Wrap Markdown; code keeps its lines."""
    lines, code = [], False
    for line in markdown.split("\n"):
        fence = line.startswith("```")
        code ^= fence
        kept = fence or code
        indent = "  " if line.startswith("- ") else ""
        lines.append(line if kept else wrapped(line, other=indent))
    return "\n".join(lines)


def wrapped(text: str, other: str = "") -> str:
    """Wrap one paragraph; lines after the first begin with `other`."""
    width = min(max(shutil.get_terminal_size().columns, 40), 100)
    return textwrap.fill(
        text,
        width,
        subsequent_indent=other,
        break_long_words=False,  # a path or an address is to be copied
        break_on_hyphens=False,
    )
