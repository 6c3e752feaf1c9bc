"""The kinds of things that hold a run, each with the way to it."""

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasbn._run.run import Run


@functools.singledispatch
def run_of(subject: Any, x: Any, y: Any, batch_size: int) -> "Run":
    """Return the numbers of a subject; rooms register the kinds they know."""
    raise TypeError(
        "`subject` must be a GradientMonitor, a log directory or a "
        f"compiled model. Received: {subject!r}."
    )
