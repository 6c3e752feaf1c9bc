"""The place of each trainable variable in a row of numbers."""

from typing import Any


class Columns:
    """A column for each trainable variable, once the model is built."""

    def __init__(self):
        self.paths: list[str] = []  # in the order of the model
        self.shapes: list[tuple[int, ...]] = []
        self.owners: dict[int, Any] = {}  # the optimizer that clips a column
        self._numbers: dict[int, int] = {}  # by `id`

    def lay_out(self, variables: list) -> None:
        """Give each variable a column, the first time."""
        if self.paths:
            return
        for variable in variables:
            path, number = variable.path, 1
            while path in self.paths:  # Keras does not promise unique paths
                path, number = f"{variable.path}_{number}", number + 1
            self._numbers[id(variable)] = len(self.paths)
            self.paths.append(path)
            self.shapes.append(tuple(variable.shape))

    def number(self, variable: Any) -> int | None:
        """Return the column of a variable, `None` if it is not the model's."""
        return self._numbers.get(id(variable))

    def of(self, owner: Any) -> list[int]:
        """Return the columns of the variables that an optimizer clips."""
        return [c for c, each in self.owners.items() if each is owner]
