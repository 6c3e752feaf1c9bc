"""Execute every patch that is printed for the programs of strangers.

`python -m benchmarks.strangers.patches [--aside | --unseen] [name ...]` trains
each broken program, edits its own source by the patch of each finding, and
trains that: whether it runs, and whether the score that the owner looks at is
better. Of several faults each is taken alone.
"""

import ast
import contextlib
import functools
import importlib
import inspect
import io
import itertools
import pathlib
import sys
import textwrap
import traceback
from typing import Any, NamedTuple

import keras
import numpy as np

from benchmarks.strangers.__main__ import chosen
from benchmarks.strangers._judged import judged, share

_TESTS = pathlib.Path(__file__).parents[2] / "tests" / "diagnosis"
sys.path.insert(0, str(_TESTS))
patching: Any = importlib.import_module("patching")

_LOOKS = ("trial", "print(", "predicted", "labels =", "for each in")
_GAIN = 0.005  # of a score, which is 1 at best


class Outcome(NamedTuple):
    """What a patch did to a program."""

    program: Any
    finding: Any
    before: float
    after: float
    error: str = ""

    @property
    def better(self) -> bool:
        return not self.error and self.after > self.before + _GAIN


def script(program) -> tuple[str, dict[str, Any]]:
    """The body of a program as a script, and the names that it is run with."""
    make = program.make
    names = patching.NAMES | vars(inspect.getmodule(make))
    source: Any = ast.parse(textwrap.dedent(inspect.getsource(make))).body[0]
    *body, last = source.body
    task = inspect.signature(program_task).bind(*last.value.args)
    given = {name: ast.unparse(each) for name, each in task.arguments.items()}
    lines = [ast.unparse(each) for each in body]
    lines.append(f"_rows = {given.get('validation', 'None')}")
    lines += [f"{name} = {given[name]}" for name in ("x", "y") if name in given]
    place = next(i for i, each in enumerate(lines) if patching.builds(each))
    # A user has the data before the model.
    for i, line in enumerate(lines[place:], place):
        if not _stored(line) & {"x", "y", "_rows"}:
            continue
        between = lines[place:i]
        if not _needs(line, between) and not _loaded(between) & _stored(line):
            lines.insert(place, lines.pop(i))
            place += 1
    lines.append(f"model.fit(x, y, verbose=0, {_keywords(task)})")
    lines.append(f"_score = {given.get('score', 'None')}")
    classes = _classes_of(names, "\n".join(lines))
    return "\n".join([*classes, *lines]), names


def _keywords(task):
    """The arguments of `fit` as they are written."""
    fit = task.arguments.get("fit")
    if isinstance(fit, ast.Dict):
        pairs = zip(fit.keys, fit.values, strict=True)
        return ", ".join(f"{k.value}={ast.unparse(v)}" for k, v in pairs)
    return f"**{ast.unparse(fit)}" if fit else ""


def _stored(text):
    return {
        node.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _loaded(lines):
    parts = [ast.parse(each).body[0] for each in lines]
    parts = [e for e in parts if not isinstance(e, ast.FunctionDef)]
    nodes = (node for each in parts for node in ast.walk(each))
    return {node.id for node in nodes if _loads(node)}


def _needs(line, others):
    """Whether a line uses what others make."""
    made = set().union(*map(_stored, others))
    made |= {
        node.name
        for each in others
        for node in ast.parse(each).body
        if isinstance(node, ast.FunctionDef)
    }
    return bool(made & _loaded([line]))


def _loads(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)


def program_task(model, x, y=None, fit=None, score=None, validation=None):
    """The arguments of `Task`."""


def _classes_of(names, text):
    """The classes of the module that a script names, to be edited too."""
    module = names["__name__"]
    return [
        textwrap.dedent(inspect.getsource(each))
        for name, each in names.items()
        if inspect.isclass(each)
        and each.__module__ == module
        and f"{name}(" in text
    ]


def each_alone(program):
    """A program for each fault, with the arguments of its `make`."""
    names = list(inspect.signature(program.make).parameters)
    if len(names) == 1:
        yield program, {names[0]: True}
        return
    for i, name in enumerate(names):
        others = [each for each in range(len(names)) if each != i]
        alone = program._replace(
            make=functools.partial(program.twin, *others),
            truth=program.truth[i : i + 1],
        )
        yield alone, {each: each == name for each in names}


def run(text: str, names: dict[str, Any]) -> float:
    """Train a script; return its score. `names` gets what it makes."""
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text, "<script>", "exec"), names)
    model, x, y, rows = (names[each] for each in ("model", "x", "y", "_rows"))
    if rows is not None:
        x, y = rows
        if "y_mean" in names:
            y = (y - names["y_mean"]) / names["y_std"]
    if names["_score"] is None:
        losses = np.ravel(model.history.history["loss"])
        return -float(np.nan_to_num(losses[-1], nan=np.inf))
    return names["_score"](model, x, y)


def only_looks(patch: str) -> bool:
    """Whether a patch prints something, and changes no training."""
    lines = [each[2:] for each in patch.splitlines() if each[:1] in ("-", "+")]
    return bool(lines) and all(
        any(each.lstrip().startswith(look) for look in _LOOKS)
        or each.startswith(("# ", "model.compile(..."))
        for each in lines
    )


def findings_of(found):
    """What its user reads of a program, each once."""
    told = {}
    for each in itertools.chain(found.before, found.end):
        told[each.problem, each.where] = each
    return list(told.values())


def outcomes(program):
    text, names = script(program)
    for alone, arguments in each_alone(program):
        yield from _of_one(alone, text, names | arguments)


def _of_one(program, text, given):
    found = judged(program)
    for each in findings_of(found):
        if not each.patch or only_looks(each.patch):
            continue
        made = dict(given)
        try:
            before = run(text, made)
        except Exception:  # some are ended by Keras itself
            before = -np.inf
        try:
            edited = patching.patched(text, each.patch, made)
            after = run(edited, given)
            yield Outcome(program, each, before, after)
        except Exception as error:
            line = traceback.format_exception_only(error)[-1].strip()
            yield Outcome(program, each, before, np.nan, line[:300])


def table(title, found):
    alarming = [e for e in found if e.finding.severity != "minor"]
    for name, part in ((title, found), ("fatal or serious", alarming)):
        print(
            f"{name:20} patches {len(part):4}"
            f"  run {share(sum(not e.error for e in part), len(part))}"
            f"  better {share(sum(e.better for e in part), len(part))}"
        )


def main():
    found = []
    for program in chosen(sys.argv[1:]):
        if program.truth == "healthy":
            continue
        for each in outcomes(program):
            found.append(each)
            mark = "ERROR" if each.error else ("" if each.better else "WORSE")
            print(
                f"{program.name:40} {each.finding.problem:24} "
                f"{each.finding.severity:8} {each.before:7.3f} "
                f"-> {each.after:7.3f} {mark} {each.error}",
                flush=True,
            )
    table("all", found)
    for problem in sorted({e.finding.problem for e in found}):
        table(problem, [e for e in found if e.finding.problem == problem])


if __name__ == "__main__":
    main()
