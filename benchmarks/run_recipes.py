"""Run the recipes in full, and put their results into their text.

    python benchmarks/run_recipes.py             # all of them
    python benchmarks/run_recipes.py tf_data two_replicas

Each recipe runs in a separate process and temporary folder. The table that it
prints replaces the one in its Introduction, and the time that it took, import
included, replaces its `Seconds:`. This is processor time if that is less, so
that other work on the machine does not count. A recipe that fails stays as it
was. The numbers in its Description and Conclusion are to be updated by hand.
"""

import itertools
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The lines of the Introduction that are indented by four spaces.
_TABLE = re.compile(
    r"(?ms)^## Introduction\n.*?^(?P<table>    .*?)(?=\n\n|\"\"\")"
)
_SECONDS = re.compile(r"(?m)^Seconds: \d*$")


def table_of(name: str, source: str) -> list[str]:
    """Return the lines of the table that a recipe's Introduction holds."""
    found = _TABLE.search(source)
    if not found:
        raise ValueError(f"{name}: no table in the Introduction.")
    return [line[4:] for line in found["table"].splitlines()]


def quoted(name: str, source: str, output: str, seconds: float) -> str:
    """Return the source with the table that was printed, and the seconds."""
    header = table_of(name, source)[0]
    lines = [line.rstrip() for line in output.splitlines()]
    if header not in lines:
        raise ValueError(f"{name}: the header {header!r} is not printed.")
    printed = itertools.takewhile(bool, lines[lines.index(header) :])
    table = "\n".join(f"    {line}" for line in printed)
    start, end = _TABLE.search(source).span("table")
    source = (
        source[:start]
        + table
        + "\n" * source[:end].endswith("\n")
        + source[end:]
    )
    if not _SECONDS.search(source):
        raise ValueError(f"{name}: no line `Seconds:` in the header.")
    return _SECONDS.sub(f"Seconds: {seconds:.0f}", source, count=1)


def main(names):
    """Run those named, or all; return the exit status."""
    known = {path.stem: path for path in sorted(ROOT.glob("recipes/*.py"))}
    unknown = set(names) - known.keys()
    if unknown:
        sys.exit(f"No such recipe: {', '.join(sorted(unknown))}")
    width = max(map(len, known))
    print(f"{'recipe':<{width}}  seconds  ok")
    failed = {}
    for name in names or known:
        source = known[name].read_text("utf-8")
        start, busy = time.perf_counter(), _processor_seconds()
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, str(known[name])],
                capture_output=True,
                text=True,
                cwd=folder,
                env={
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    "MPLBACKEND": "agg",
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                },
            )
        seconds = min(time.perf_counter() - start, _processor_seconds() - busy)
        try:
            if done.returncode:
                raise ValueError(f"{name}: {done.stderr[-2000:]}")
            known[name].write_text(
                quoted(name, source, done.stdout, seconds), "utf-8"
            )
        except ValueError as error:
            failed[name] = error
        ok = "no" if name in failed else "yes"
        print(f"{name:<{width}}  {seconds:<7.0f}  {ok}", flush=True)
    for error in failed.values():
        print(f"\n{error}", file=sys.stderr)
    return 1 if failed else 0


def _processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
