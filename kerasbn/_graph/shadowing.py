"""A method replaced on one instance, for a while."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def replaced(instance: Any, name: str, method: Callable) -> Iterator[None]:
    """Shadow a method on one instance, past Keras's attribute tracking."""
    attributes = vars(instance)
    before = attributes.get(name)
    attributes[name] = method
    try:
        yield
    finally:
        if before is None:
            del attributes[name]
        else:
            attributes[name] = before
