"""The history of a run: a flat dict of arrays."""

from collections.abc import Sequence

import numpy as np

from kerasbn._run.readings import GROUPS


class History(dict):
    """Arrays by name, all of one length.

    `history["gradient_norm/hidden_0/kernel"]` is an array over the recorded
    steps, and `history["gradient_norm"]` a dict of those whose name begins so.
    Being flat, it goes into a table as it is: `pandas.DataFrame(history)`.
    """

    def __missing__(self, name: str) -> dict[str, np.ndarray]:
        group = {
            key.removeprefix(f"{name}/"): array
            for key, array in self.items()
            if key.startswith(f"{name}/")
        }
        if not group and name not in GROUPS:
            raise KeyError(name)
        return group

    def __contains__(self, name: object) -> bool:
        """Whether there is an array or a group of that name."""
        return dict.__contains__(self, name) or any(
            key.startswith(f"{name}/") for key in self
        )


def of_layers(
    layers: Sequence[tuple[int, dict[str, dict[str, float]]]],
) -> History:
    """Return the readings of the layers, NaN where one was not read."""
    steps = [step for step, _ in layers]
    columns = {"step": np.array(steps, int)}
    for row, (_, groups) in enumerate(layers):
        for group, numbers in groups.items():
            for layer, number in numbers.items():
                column = columns.setdefault(
                    f"{group}/{layer}", np.full(len(steps), np.nan)
                )
                column[row] = number
    return History(columns)


def joined(*parts: History) -> History:
    """Join histories, NaN where a variable was not trained."""
    names = dict.fromkeys(name for part in parts for name in part)

    def column(part, name):
        return dict.get(part, name, np.full(len(part["step"]), np.nan))

    return History(
        {
            name: np.concatenate([column(part, name) for part in parts])
            for name in names
        }
    )
