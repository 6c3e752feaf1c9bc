"""The hidden layers, read at epoch ends where it is cheap."""

import time
from typing import Any

from kerasbn._run.run import Run

# Reading the layers takes a forward pass: at most this share of an epoch.
_SHARE = 0.02


class LayerReader:
    """Reads the layers on the inputs of the last reading, in 2 % of the time.

    Args:
        recorder: The `GradientRecorder` of the model.
    """

    def __init__(self, recorder: Any):
        self._recorder = recorder
        self._ended, self._seconds = time.monotonic(), 0.0

    def read(self, run: Run, last: bool) -> bool:
        """Add to the layers of a run that has a reading; return whether."""
        begin, step = time.monotonic(), run.readings[-1].step
        if not last and self._seconds > _SHARE * (begin - self._ended):
            return False
        if run.layers and run.layers[-1][0] == step:
            return False
        found = self._recorder.read_layers()
        if found is None:
            return False
        self._ended = time.monotonic()
        if run.layers:  # the first takes time to compile
            self._seconds = self._ended - begin
        run.layers.append((step, found))
        return True
