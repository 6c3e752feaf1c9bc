"""What a program is, and how it is entered: `@healthy` or `@broken`."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import keras


class Task(NamedTuple):
    """A compiled model, and what its owner hands to `fit`."""

    model: keras.Model
    x: Any
    y: Any = None
    fit: dict = {}  # noqa: RUF012, never written to
    score: Callable | None = None  # of (model, x, y), what the owner looks at
    validation: tuple | None = None  # scored instead of x and y, where given


class Program(NamedTuple):
    """A program and the truth about it.

    Attributes:
        name: Name of the function.
        make: Makes a `Task`. Its arguments are booleans, one for each
            independent fault, all of them true as the stranger has it: with
            all of them false it makes the mended twin.
        truth: "healthy", or the problems that must be named: for each the
            names that it may be called by, first what must be told first.
        accepted: Names that are right too. In a healthy program as minor notes
            only.
        style: How the program is written.
        group: What kind of program it is, for the table.
        least: Score that the program reaches where it is healthy, or its
            mended twin where it is broken. `None` where there is no score.
        trains: Whether a broken program may train well all the same, as with
            notes and contradictions that do no harm.
    """

    name: str
    make: Callable[..., Task]
    truth: Any
    accepted: frozenset
    style: str
    group: str
    least: float | None
    trains: bool = False

    @property
    def faults(self) -> int:
        return len(inspect.signature(self.make).parameters)

    def task(self) -> Task:
        """The program as the stranger has it."""
        return self.make(*[True] * self.faults)

    def twin(self, *mended: int) -> Task:
        """The program without these faults, or without any."""
        chosen = mended or range(self.faults)
        return self.make(*(each not in chosen for each in range(self.faults)))


def healthy(group, style, *, least, accepted=()):
    def enter(make):
        return Program(
            make.__name__,
            make,
            "healthy",
            frozenset(accepted),
            style,
            group,
            least,
        )

    return enter


def broken(group, style, *truth, least, accepted=(), trains=False):
    """Enter a broken program: each part of `truth` is names, by spaces."""

    def enter(make):
        return Program(
            make.__name__,
            make,
            [frozenset(each.split()) for each in truth],
            frozenset(accepted),
            style,
            group,
            least,
            trains,
        )

    return enter


def programs_of(*modules):
    """The programs of modules, in the order of their definition."""
    return [
        each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, Program)
    ]
