"""How many broken programs of strangers a rescue makes train.

`python -m benchmarks.rescue [--folder FOLDER] [name ...]` takes the programs of
`benchmarks/strangers` that are broken and whose model can be copied, or those
that are named. Each is trained as it is, as its author mended it, with what
`kerasbn.rescue` returns, with a blind recipe and with a random change, always
with the fit arguments of its owner and scored as its owner does. It is reached
if it has 95 % of the mended twin's score. The folder keeps what does not depend
on the rescue.
"""

import argparse
import inspect
import json
import pathlib
import random
import tempfile
import time
import warnings
import zlib

import keras
import numpy as np

import kerasbn
from benchmarks.strangers.__main__ import MODULES
from benchmarks.strangers._program import programs_of
from kerasbn._monitor import first_look
from kerasbn._rescue import changes
from kerasbn._rescue.changes import Change
from kerasbn.diagnosis import _rules_output
from kerasbn.diagnosis._symptoms import Symptoms

BROKEN = [each for each in MODULES if ".broken_" in each.__name__]
RANDOM = [
    Change("initializer"),
    Change("normalize_hidden"),
    Change("activation", {"activation": "elu"}),
    Change("clipping", {"clipnorm": 1.0}),
    Change("normalize_inputs"),
    Change("statistics"),
    Change("learning_rate", {"factor": 0.1}),
    Change("learning_rate", {"factor": 10.0}),
]
KINDS = ("as is", "blind", "random")


def can_be_copied(program):
    try:
        changes.check(program.task().model)
    except ValueError:
        return False
    return True


def trained(make):
    """Score and seconds of a task that is made, trained and scored."""
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    try:
        task = make()
        began = time.perf_counter()
        task.model.fit(task.x, task.y, verbose=0, **task.fit)
        seconds = time.perf_counter() - began
        rows = task.validation or (task.x, task.y)
        return float(np.nan_to_num(task.score(task.model, *rows))), seconds
    except Exception:  # as of labels that the loss cannot take
        return 0.0, 0.0


def blind(task):
    """The same changes whatever the program is, and no run looked at."""
    looked = Symptoms(first_look.before_training(task.model, task.x, task.y))
    recipe = [
        Change("normalize_inputs"),
        Change("initializer"),
        Change("normalize_hidden"),
        Change("activation", {"activation": "elu"}),
    ]
    recipe += [
        Change("output", found.change)
        for _, found in _rules_output.contradictions(looked)
        if found.change
    ][:1]
    (head, targets, _), *others = looked.heads
    change = recipe[4].options if recipe[4:] else {}
    loss = str(change.get("loss", head["loss"]))
    linear = change.get("activation", head["activation"]) == "linear"
    if targets and not others and linear and "entropy" not in loss:
        columns = task.y.reshape(len(task.y), -1)
        scale = {"mean": columns.mean(0), "deviation": columns.std(0) + 1e-9}
        scale = {name: each.tolist() for name, each in scale.items()}
        recipe.append(Change("scale_targets", scale))
    model = changes.apply(task.model, recipe)
    model.compile(keras.optimizers.Adam(clipnorm=1.0), model.loss)
    return task._replace(model=model)


def changed_at_random(task, name):
    choose = random.Random(zlib.crc32(name.encode()))
    return task._replace(
        model=changes.apply(task.model, [choose.choice(RANDOM)])
    )


def references(program):
    """Scores that no rescue changes, and the seconds of one training."""
    found = {"twin": trained(program.twin)[0]}
    found["as is"], found["seconds"] = trained(program.task)
    found["blind"], _ = trained(lambda: blind(program.task()))
    found["random"], _ = trained(
        lambda: changed_at_random(program.task(), program.name)
    )
    return found


def rescued(program):
    """The score after a rescue, its changes, and the seconds that it took."""
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    task = program.task()
    known = inspect.signature(kerasbn.rescue).parameters
    options = {name: e for name, e in task.fit.items() if name in known}
    options["verbose"] = 0
    began = time.perf_counter()
    try:
        result = kerasbn.rescue(task.model, task.x, task.y, **options)
    except Exception as error:
        print(f"{program.name} ERROR {error!r}", flush=True)
        return 0.0, [], time.perf_counter() - began
    seconds = time.perf_counter() - began
    fit = {**task.fit, **getattr(result, "fit", {})}
    score, _ = trained(lambda: task._replace(model=result.model, fit=fit))
    return score, [each.kind for each in result.changes], seconds


def kept(folder, program):
    path = folder / f"{program.name}.json"
    if not path.exists():
        path.write_text(json.dumps(references(program)))
    return json.loads(path.read_text())


def is_reached(score, twin):
    return score >= 0.95 * twin


def table(rows):
    print(f"\n{len(rows)} programs   reached  changes at the median")
    for kind, count in [("as is", 0), ("random", 1), ("blind", 5)]:
        share = np.mean([is_reached(row[kind], row["twin"]) for row in rows])
        print(f"{kind:14}{share:7.1%}{count:9}")
    share = np.mean([is_reached(row["rescue"], row["twin"]) for row in rows])
    counts = [len(row["changes"]) for row in rows]
    print(f"{'rescue':14}{share:7.1%}{np.median(counts):9.1f}")
    more = np.array([row["rescue seconds"] - row["seconds"] for row in rows])
    ratios = [row["rescue seconds"] / max(row["seconds"], 0.1) for row in rows]
    print(
        f"a rescue takes {np.median(more):.0f} s more than one training "
        f"(median; at most {more.max():.0f} s), {np.median(ratios):.1f} times "
        f"its seconds ({np.median([row['seconds'] for row in rows]):.1f} s)"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="programs; all by default")
    parser.add_argument("--folder", default=tempfile.mkdtemp())
    given = parser.parse_args()
    folder = pathlib.Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    programs = [
        each
        for each in programs_of(*BROKEN)
        if each.name in given.names or not given.names
    ]
    programs = [each for each in programs if can_be_copied(each)]
    heads = "".join(f"{each:>8}" for each in ("twin", *KINDS, "rescue"))
    print(f"{'':45}{heads}{'s':>6}{'s':>6}  changes")
    rows = []
    for count, program in enumerate(programs):
        row = kept(folder, program)
        row["rescue"], row["changes"], row["rescue seconds"] = rescued(program)
        rows.append(row)
        numbers = "".join(
            f"{row[kind]:7.3f}"
            + " *"[kind != "twin" and is_reached(row[kind], row["twin"])]
            for kind in ("twin", *KINDS, "rescue")
        )
        print(
            f"{count + 1:3}/{len(programs)} {program.name:38}{numbers}"
            f"{row['seconds']:6.1f}{row['rescue seconds']:6.1f}  "
            f"{', '.join(row['changes'])}",
            flush=True,
        )
    table(rows)


if __name__ == "__main__":
    main()
