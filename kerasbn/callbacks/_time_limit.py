"""How often a model is called at epoch ends, so that it costs little time."""

import contextlib
import time
from collections.abc import Iterator

# Calling the model at an epoch end takes at most this share of an epoch.
_SHARE = 0.02


class TimeLimit:
    """Measures what looking at the model takes, and allows it rarely enough."""

    def __init__(self):
        self._ended, self._seconds, self._looks = time.monotonic(), 0.0, 0

    def allows(self) -> bool:
        return self._seconds <= _SHARE * (time.monotonic() - self._ended)

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self._ended = time.monotonic()
        self._looks += 1
        if self._looks > 1:  # the first takes time to compile
            self._seconds = self._ended - begin
