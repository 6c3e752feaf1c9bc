"""Check that broken programs train badly and healthy ones well.

`python -m benchmarks.strangers.verify aside [name ...]`: for each program its
first and last loss, its score, and the score of its mended twin; where it has
several faults, the score with each of them mended alone.
"""

import importlib
import sys
import time

import keras
import numpy as np

from benchmarks.strangers._program import programs_of


def trained(make):
    """First loss, last loss and score of a task, or what was raised."""
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    task = make()
    try:
        fitted = task.model.fit(task.x, task.y, verbose=0, **task.fit)
    except Exception as error:
        return 0.0, 0.0, 0.0, type(error).__name__
    told = [k for k in fitted.history if "loss" in k] + list(fitted.history)
    losses = np.ravel(fitted.history[told[0]]) if told else [np.nan]
    found = np.nan
    if task.score is not None:
        rows = task.validation or (task.x, task.y)
        found = task.score(task.model, *rows)
    return float(losses[0]), float(losses[-1]), found, ""


def line(program):
    began = time.perf_counter()
    first, last, found, error = trained(program.task)
    seconds = time.perf_counter() - began
    text = f"{program.name:34} {first:10.4g} {last:10.4g} {found:6.3f}"
    if program.truth == "healthy":
        right = not error and (program.least is None or found >= program.least)
    else:
        twin = trained(program.twin)
        text += f" twin {twin[1]:10.4g} {twin[2]:6.3f}"
        least = program.least
        right = least is None or (
            twin[2] >= least and (program.trains or found < least - 0.05)
        )
        right &= not twin[3]
        if program.faults > 1:
            for each in range(program.faults):
                partly = trained(lambda each=each: program.twin(each))
                text += f" /{partly[2]:.3f}"
                right &= least is None or partly[2] < least - 0.05
        text += f" {twin[3]}"
    return f"{text} {error} {seconds:.1f} s{'' if right else '  <-- WRONG'}"


def main():
    module, *names = sys.argv[1:]
    module = importlib.import_module(f"benchmarks.strangers.{module}")
    for program in programs_of(module):
        if not names or program.name in names:
            print(line(program), flush=True)


if __name__ == "__main__":
    main()
