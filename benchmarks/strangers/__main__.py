"""How right the diagnosis is about programs of strangers.

`python -m benchmarks.strangers [--aside | --unseen] [name ...]` trains each
program under the monitor, and asks before training, at each epoch end and at
the end. The two options take a set that was put aside; names only these
programs.
"""

import importlib
import itertools
import sys

from benchmarks.strangers import (
    broken_data,
    broken_labels,
    broken_nets,
    broken_numbers,
    broken_rates,
    broken_several,
    broken_targets,
    healthy_data,
    healthy_forms,
    healthy_losses,
    healthy_nets,
    healthy_outputs,
    healthy_steps,
    notes,
)
from benchmarks.strangers._judged import judged, share
from benchmarks.strangers._program import programs_of

MODULES = [
    healthy_outputs,
    healthy_forms,
    healthy_losses,
    healthy_steps,
    healthy_nets,
    healthy_data,
    broken_targets,
    broken_labels,
    broken_data,
    broken_numbers,
    broken_nets,
    broken_rates,
    broken_several,
    notes,
]


def chosen(arguments):
    names = [each for each in arguments if not each.startswith("--")]
    modules = MODULES
    for name in ("aside", "unseen"):
        if f"--{name}" in arguments:
            package = importlib.import_module(f"benchmarks.strangers.{name}")
            modules = package.MODULES
    programs = programs_of(*modules)
    unknown = set(names) - {each.name for each in programs}
    if unknown:
        raise SystemExit(f"There are no programs {sorted(unknown)}.")
    return [each for each in programs if not names or each.name in names]


def told(found):
    """A line on a program: what was told, before, during and at the end."""
    parts = []
    for when, findings in (
        ("before", found.before),
        ("taken back", itertools.chain(*found.during)),
        ("end", found.end),
    ):
        names = dict.fromkeys(f"{f.problem} ({f.severity})" for f in findings)
        if when == "taken back":
            last = {f.problem for f in found.end}
            names = [each for each in names if each.split()[0] not in last]
        if names:
            parts.append(f"{when}: {', '.join(names)}")
    parts += [f"ERROR {each}" for each in dict.fromkeys(found.errors)]
    if found.ended:
        parts.append(f"fit ended by {found.ended}")
    return "; ".join(parts) or "nothing"


def is_right(found):
    if found.errors:
        return False
    if found.broken:
        return found.detected and found.first and all(found.named)
    return not found.alarms and not found.notes


def broken_table(cases):
    heads = "programs detected late first all-named wrong-too errors"
    print(f"\n{'broken':18}" + "".join(f"{h:>12}" for h in heads.split()))
    main = [each for each in cases if not each.noted]
    groups = dict.fromkeys(each.program.group for each in cases)
    for title in ["all but notes", *groups]:
        members = main
        if title in groups:
            members = [c for c in cases if c.program.group == title]
        count = len(members)
        row = [
            str(count),
            share(sum(c.detected for c in members), count),
            str(sum(c.late for c in members)),
            share(sum(c.first for c in members), count),
            share(sum(all(c.named) for c in members), count),
            share(sum(bool(c.wrong) for c in members), count),
            str(sum(bool(c.errors) for c in members)),
        ]
        print(f"{title:18}" + "".join(f"{each:>12}" for each in row))
    named = [each for case in main for each in case.named]
    print(f"independent problems named: {share(sum(named), len(named))}")


def healthy_table(cases):
    heads = "programs alarmed before taken-back end notes errors"
    print(f"\n{'healthy':18}" + "".join(f"{h:>12}" for h in heads.split()))
    groups = dict.fromkeys(each.program.group for each in cases)
    for title in ["all", *groups]:
        members = [c for c in cases if title in ("all", c.program.group)]
        count = len(members)

        def with_alarm(when, members=members):
            ends = [[a.endswith(when) for a in c.alarms] for c in members]
            return sum(map(any, ends))

        row = [
            str(count),
            share(sum(bool(c.alarms) for c in members), count),
            str(with_alarm("before")),
            str(with_alarm("taken back")),
            str(with_alarm("at the end")),
            share(sum(bool(c.notes) for c in members), count),
            str(sum(bool(c.errors) for c in members)),
        ]
        print(f"{title:18}" + "".join(f"{each:>12}" for each in row))


def main():
    programs = chosen(sys.argv[1:])
    cases = []
    for program in programs:
        print(
            f"\r{len(cases) + 1}/{len(programs)} {program.name:50}",
            end="",
            file=sys.stderr,
            flush=True,
        )
        cases.append(judged(program))
    print(file=sys.stderr)
    broken = [each for each in cases if each.broken]
    healthy = [each for each in cases if not each.broken]
    if broken:
        broken_table(broken)
    if healthy:
        healthy_table(healthy)
    print("\nmissed, wrong or false:")
    for case in cases:
        if not is_right(case):
            truth = case.program.truth
            if case.broken:
                truth = " + ".join("/".join(sorted(each)) for each in truth)
            print(f"  {case.program.name} ({truth}): {told(case)}")
    print(f"{sum(each.seconds for each in cases):.0f} s")


if __name__ == "__main__":
    main()
