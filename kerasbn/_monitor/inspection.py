"""The model and the data of a run, described while it trains."""

from typing import Any

import keras
import numpy as np

from kerasbn._monitor import data_description, model_description

# With a few dozen targets the loss of a constant guess is off by some 20 %.
_TARGET_ROWS = 4096


class Inspection:
    """Descriptions that a monitor collects of its model and data."""

    def __init__(self):
        self.model: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self._targets: list[np.ndarray] = []

    def see_model(self, model: keras.Model) -> None:
        """Describe the model, once: its kernels are best seen untrained."""
        if not self.model and model.built:
            self.model = model_description.describe_model(model)

    def see_batch(self, kept: tuple[Any, Any] | None) -> None:
        """Collect the targets of a batch."""
        y = kept and kept[1]
        if y is None or keras.tree.is_nested(y):
            return
        if sum(map(len, self._targets)) < _TARGET_ROWS:
            self._targets.append(y.numpy())

    def see_data(self, model: keras.Model, kept: tuple[Any, Any]) -> None:
        """Describe the inputs, and the targets of all batches seen so far."""
        y = np.concatenate(self._targets) if self._targets else None
        self.data = data_description.describe_data(model, kept[0], y)
