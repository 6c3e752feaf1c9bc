"""The event files in the directory of a run."""

import contextlib
import glob
import os
import socket
import time


def new_path(log_dir: str) -> str:
    """Return the path of a new file, named so that TensorBoard reads it."""
    process = f"{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
    name = f"events.out.tfevents.{process}.kerasbn"
    return os.path.abspath(os.path.join(log_dir, name))


def paths(log_dir: str) -> list[str]:
    """Return the files of kerasbn in the directory itself, oldest first."""
    pattern = "events.out.tfevents.[0-9]*.kerasbn"
    return sorted(glob.glob(os.path.join(glob.escape(log_dir), pattern)))


def move_earlier(own: str) -> None:
    """Move all files but `own` to a directory below, named by their start.

    There they are one run, as a run that was resumed has several files.
    """
    log_dir = os.path.dirname(own)
    earlier = [path for path in paths(log_dir) if path != own]
    if not earlier:
        return
    began = time.localtime(int(os.path.basename(earlier[0]).split(".")[3]))
    target = os.path.join(
        log_dir, time.strftime("earlier-%Y%m%d-%H%M%S", began)
    )
    while os.path.exists(target):
        target += "-2"
    # A file that cannot be moved is hidden by the start of this run.
    with contextlib.suppress(OSError):
        for path in earlier:
            os.renames(path, os.path.join(target, os.path.basename(path)))
