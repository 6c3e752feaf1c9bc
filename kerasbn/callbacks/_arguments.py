"""The arguments of `GradientMonitor`, checked before training starts."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasbn import diagnosis


def check(every: Any, on_reading: Any, stop_on: Any, hparams: Mapping) -> None:
    """Raise where an argument cannot be meant."""
    if every < 1:
        raise ValueError(
            "`every` must be at least 1 optimizer step. "
            f"Received: every={every}."
        )
    if on_reading is not None and not callable(on_reading):
        raise TypeError(
            "`on_reading` must be a function of a step and a dict. "
            f"Received: on_reading={on_reading!r}."
        )
    unknown = set(stop_on) - set(diagnosis.PROBLEMS)
    if isinstance(stop_on, str) or unknown:
        raise ValueError(
            "`stop_on` must hold names of problems. "
            f"Received: stop_on={stop_on!r}. "
            f"Use names of {list(diagnosis.PROBLEMS)}."
        )
    for name, value in hparams.items():
        _check_hparam(name, value)


def _check_hparam(name, value):
    kinds = bool | int | float | str | np.bool_ | np.integer | np.floating
    # TensorBoard leaves the cell of a NaN or Inf empty, and says nothing.
    shown = isinstance(value, str) or (
        isinstance(value, kinds) and math.isfinite(value)
    )
    if not (isinstance(name, str) and shown):
        raise TypeError(
            "`hparams` must map names to a bool, a finite int or float, or a "
            f"str: TensorBoard shows no other. Received: hparams[{name!r}]="
            f"{value!r}. Pass str({name}), or an entry for each part of it."
        )
