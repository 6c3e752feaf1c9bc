"""The command `kerasbn`: recipes, and what a run's files say, on any machine.

Each command is a function that takes the parsed arguments and returns the exit
status; it imports what it needs, so that none waits for Keras without using it.
"""

import argparse
import glob
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasbn._run.run import Run
    from kerasbn.diagnosis import Diagnosis

_HEALTHY, _FINDINGS, _ERROR = 0, 1, 2
_SUGGESTIONS = 10


class _Unusable(Exception):
    """An argument that cannot be used, and what to pass instead."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        arguments: Those after `kerasbn`; `None` takes the command line's.
    """
    options = _parser().parse_args(arguments)
    try:
        status = options.command(options)
        sys.stdout.flush()
        return status
    except _Unusable as error:
        print(f"kerasbn: error: {error}", file=sys.stderr)
        return _ERROR
    except BrokenPipeError:  # as by `| head`, which has read enough
        # Python writes what is left when it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _ERROR


def _parser():
    import kerasbn

    parser = argparse.ArgumentParser(
        "kerasbn",
        description="Recipes to copy and train, and what is wrong with a run.",
    )
    version = f"kerasbn {kerasbn.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name, function, help, description):
        command = commands.add_parser(name, help=help, description=description)
        command.set_defaults(command=function)
        return command

    diagnose = add(
        "diagnose",
        _print_findings,
        "say what is wrong with a run, and how to mend it",
        "Say what is wrong with a run, and how to mend it.",
    )
    report = add(
        "report",
        _write_report,
        "write the same with pictures as a page to send",
        "Write what is wrong with a run as one HTML file, with its pictures "
        "inside.",
    )
    for each in (diagnose, report):
        each.epilog = (
            "The exit status is 0 if nothing is wrong, 1 if something is, and "
            "2 if that could not be told."
        )
        each.add_argument(
            "log_dir",
            metavar="LOGDIR",
            help="directory of the run, as given to GradientMonitor",
        )
    diagnose.add_argument(
        "--json", action="store_true", help="print a list, for other programs"
    )
    report.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="report.html",
        help="file to write (default: %(default)s)",
    )
    add(
        "recipes",
        _list_recipes,
        "list the recipes, with what each shows and the time it takes",
        "List the recipes: short scripts on data that is at hand.",
    )
    copy = add(
        "copy",
        _copy_recipe,
        "copy a recipe to a folder, as a script or a notebook",
        "Copy a recipe to a folder, to run and change.",
    )
    copy.add_argument("name", metavar="NAME", help="see `kerasbn recipes`")
    copy.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        default=".",
        help="made if missing (default: the current one)",
    )
    copy.add_argument(
        "--force", action="store_true", help="replace a file that is there"
    )
    copy.add_argument("--notebook", action="store_true", help="write .ipynb")
    return parser


def _print_findings(options) -> int:
    from kerasbn._report import terminal

    _, diagnosis = _judged(options.log_dir)
    if options.json:
        import json

        print(json.dumps([each._asdict() for each in diagnosis], indent=2))
    elif not diagnosis:
        print(terminal.wrapped(diagnosis.healthy))
    else:
        count = len(diagnosis)
        noun = "finding" if count == 1 else "findings, first to mend first"
        print(f"{count} {noun}, in {options.log_dir}")
        for number, each in enumerate(diagnosis, 1):
            print("\n" + terminal.page(number, each))
    return _FINDINGS if diagnosis else _HEALTHY


def _write_report(options) -> int:
    from kerasbn._report import page

    _check_output(options.output)
    run, diagnosis = _judged(options.log_dir)
    name = os.path.basename(os.path.abspath(options.log_dir))
    text = page.html(run, diagnosis, name)
    try:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _Unusable(
            "FILE must be one that can be written. Received: "
            f"{options.output!r} ({error.strerror}). Pass another with -o."
        ) from error
    count = len(diagnosis)
    said = f"{count} finding{'s' * (count > 1)}" if count else "nothing wrong"
    print(f"{options.output}: {said}")
    return _FINDINGS if diagnosis else _HEALTHY


def _list_recipes(options) -> int:
    from kerasbn import _recipes
    from kerasbn._report import terminal

    known = _recipes.recipes()
    width = max(map(len, known))
    for name, recipe in known.items():
        seconds = recipe.seconds and f"{recipe.seconds} s"
        description = recipe.header.get("Description", "")
        start = f"{name:<{width}}  {seconds:>5}  "
        print(terminal.wrapped(start + description, "", " " * len(start)))
    print("\nTake one to run and change: kerasbn copy NAME")
    return _HEALTHY


def _copy_recipe(options) -> int:
    from kerasbn import _recipes

    notebook = options.notebook
    try:
        recipe = _recipes.find(options.name)
        path = _recipes.copy(recipe, options.folder, options.force, notebook)
    except ValueError as error:
        raise _Unusable(error) from error
    except OSError as error:
        raise _Unusable(
            "FOLDER must be one that can be written to. Received: "
            f"{options.folder!r} ({error.strerror}). Pass another."
        ) from error
    print(f"{path}: {recipe.header.get('Title', recipe.name)}")
    on_path = os.path.dirname(shutil.which("python") or "")
    is_active = on_path == os.path.dirname(sys.executable)
    python = "python" if is_active else shlex.quote(sys.executable)
    run = f"{python} {shlex.quote(path)}"
    print("Next:", f"open {path} in Jupyter" if notebook else run)
    if recipe.seconds:
        print(f"It takes some {recipe.seconds} seconds on two CPU cores.")
    if names := " ".join(recipe.packages()):
        print(f"It needs {names}: {python} -m pip install {names}")
    return _HEALTHY


def _judged(log_dir: str) -> "tuple[Run, Diagnosis]":
    from kerasbn._run.files import from_directory
    from kerasbn.diagnosis import Diagnosis, _judge

    try:
        _check_log_dir(log_dir)
        run = from_directory(log_dir)
    except (OSError, ValueError) as error:
        raise _Unusable(error) from error
    except Exception as error:  # cut off, damaged or of another version
        raise _Unusable(
            "LOGDIR must hold at least one reading that this version of "
            f"kerasbn understands. Received: {log_dir!r} ({error!r}). Train "
            "for some steps with GradientMonitor."
        ) from error
    return run, Diagnosis(*_judge.judge(run))


def _check_log_dir(log_dir):
    """See that a directory holds a run, and say which one does."""
    if os.path.isdir(log_dir) and _is_run(log_dir):
        return
    if not os.path.exists(log_dir):
        reason, near = "which is not there", []
    elif os.path.isdir(log_dir):
        reason, near = "which holds none itself", _runs_below(log_dir)
    else:
        parent = os.path.dirname(log_dir) or "."
        reason, near = "a file", [parent] if _is_run(parent) else []
    shown = ", ".join(near[:_SUGGESTIONS])
    more = len(near) - _SUGGESTIONS
    advice = (
        "Pass the directory that was given to GradientMonitor"
        if not near
        else f"Pass one of: {shown}" + (f" and {more} more" * (more > 0))
    )
    raise ValueError(
        "LOGDIR must be a directory with a run of kerasbn's GradientMonitor. "
        f"Received: {log_dir!r}, {reason}. {advice}."
    )


def _is_run(directory):
    pattern = os.path.join(glob.escape(directory), "events.*.kerasbn")
    return bool(glob.glob(pattern))


def _runs_below(directory):
    return sorted(path for path, *_ in os.walk(directory) if _is_run(path))


def _check_output(path):
    """See that a page can be written there, without loss of another file."""
    from kerasbn._report import page

    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        raise _Unusable(
            "FILE must stand in a directory that exists. Received: "
            f"{path!r}. Make {parent!r} first, or pass another with -o."
        )
    if os.path.isdir(path):
        inside = os.path.join(path, "report.html")
        raise _Unusable(
            "FILE must be a file. "
            f"Received: {path!r}, a directory. Pass {inside!r} with -o."
        )
    if os.path.exists(path):
        try:
            with open(path, "rb") as file:
                start = file.read(len(page.START))
        except OSError:
            start = b""
        if start != page.START.encode():
            raise _Unusable(
                "FILE must be a new file or an earlier report. Received: "
                f"{path!r}, which is something else. Pass another with -o."
            )
