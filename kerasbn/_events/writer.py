"""Event files, written without TensorFlow."""

import atexit
import contextlib
import os
import queue
import struct
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import summary_v2
from tensorboard.util import tensor_util

from kerasbn._events import files, records

_SILENT = "kerasbn"  # TensorBoard makes no card of a plugin that it lacks
_Chart = tuple[str, Sequence[str]] | tuple[str, str, str, str]


class EventWriter:
    """Writes one event file from a thread of its own.

    Nothing here waits for the disk: events are built and written by a queue,
    and flushed one by one, so that what was written stays readable whatever
    ends the process. Once open, nothing here raises either: a full disk or a
    removed directory ends the writing, not the training, with one warning.

    Args:
        log_dir: Directory of the run; created if missing.

    Raises:
        ValueError: If the directory or the file cannot be written.
    """

    def __init__(self, log_dir: str):
        self._path = files.new_path(log_dir)
        try:
            os.makedirs(log_dir, exist_ok=True)
            file = open(self._path, "xb")
        except OSError as error:
            raise ValueError(
                "`log_dir` must be a directory that can be written. "
                f"Received: log_dir={log_dir!r} ({error.strerror}). "
                "Pass another directory, or log_dir=None to write nothing."
            ) from error
        self._identity = os.fstat(file.fileno())
        self._file: IO[bytes] = file
        self._described: set[str] = set()
        self._stopped = self._closed = self._left_out = False
        # An executor would take 12 microseconds for a job, a queue takes 2.
        self._warnings, self._queue = queue.SimpleQueue(), queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        atexit.register(self.close)  # for a script that an error ends
        self._put(lambda: self._write(file_version="brain.Event:2"))

    def start(self, step: int) -> None:
        """Take the place of what an earlier run wrote at `step` or later.

        Call it once, before the first value. From step 1 on the run is a new
        one: the files of the earlier run move to a directory of their own,
        where TensorBoard shows them as another run.
        """

        def write():
            if step <= 1:
                files.move_earlier(self._path)
            self._write(step=step, session_log={"status": "START"})

        self._put(write)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one number per tag."""
        numbers = dict(values)  # the caller may change its own

        def tensors():
            return {
                tag: tensor_pb2.TensorProto(dtype="DT_FLOAT", float_val=[x])
                for tag, x in numbers.items()
            }

        self._put_tensors(step, "scalars", tensors)

    def tensor(self, step: int, tag: str, array: Any) -> None:
        """Write `array` as float32, for `read` and not for TensorBoard."""
        with np.errstate(over="ignore"):
            copy = np.array(array, "float32")
        self._put_tensor(step, tag, _SILENT, lambda: copy)

    def note(self, step: int, tag: str, text: str) -> None:
        """Write `text`, for `read` and not for TensorBoard."""
        self._put_tensor(step, tag, _SILENT, text.encode)

    def text(self, step: int, tag: str, markdown: str) -> None:
        """Write a page of Markdown."""
        self._put_tensor(step, tag, "text", markdown.encode)

    def histogram(self, step: int, tag: str, buckets: np.ndarray) -> None:
        """Write `buckets`, rows of left edge, right edge and count."""
        copy = np.array(buckets, "float64")
        self._put_tensor(step, tag, "histograms", lambda: copy)

    def image(self, step: int, tag: str, draw: Callable[[], bytes]) -> None:
        """Write the PNG that `draw` returns; it runs in the writer's thread."""

        def content():
            png = draw()
            width, height = struct.unpack(">II", png[16:24])  # the IHDR chunk
            return [str(width).encode(), str(height).encode(), png]

        self._put_tensor(step, tag, "images", content)

    def layout(self, charts: Mapping[str, Sequence[_Chart]]) -> None:
        """Arrange the charts of TensorBoard's custom scalars.

        Args:
            charts: The charts of each category. `(title, [pattern, ...])`
                draws every tag that a pattern matches from its start,
                `(title, value, lower, upper)` one tag within a band.
        """
        layout = layout_pb2.Layout()
        for title, members in charts.items():
            chart = [_chart(*member) for member in members]
            layout.category.add(title=title, chart=chart)
        tag = "custom_scalars__config__"
        self._put_tensor(0, tag, "custom_scalars", layout.SerializeToString)

    def hparams(self, values: Mapping[str, bool | int | float | str]) -> None:
        """Write the settings that TensorBoard compares runs by."""
        pb, copy = summary_v2.hparams_pb, dict(values)
        self._put(lambda: self._write(step=0, summary=pb(copy)))

    def flush(self) -> None:
        """Wait until what is queued is written."""
        written = threading.Event()
        self._put(written.set)
        while not (self._stopped or written.wait(0.1)):
            if not self._thread.is_alive():
                return

    def close(self) -> None:
        """Write what is queued and close the file; once is enough."""
        self._put(None)
        self._closed = True
        self._thread.join()
        atexit.unregister(self.close)
        self._warn()

    def _put_tensor(self, step, tag, plugin, content):
        make = tensor_util.make_tensor_proto
        self._put_tensors(step, plugin, lambda: {tag: make(content())})

    def _put_tensors(self, step, plugin, tensors):
        def write():
            summary = summary_pb2.Summary()
            for tag, tensor in tensors().items():
                value = summary.value.add(tag=tag, tensor=tensor)
                if tag not in self._described:
                    self._described.add(tag)
                    value.metadata.plugin_data.plugin_name = plugin
            self._write(step=step, summary=summary)

        self._put(write)

    def _put(self, job):
        if self._closed:
            return
        there = False
        with contextlib.suppress(OSError):  # then it is not there
            there = os.path.samestat(self._identity, os.stat(self._path))
        if not there:
            self._stop("The event file was moved or removed")
        self._queue.put(job)
        self._warn()

    def _warn(self):
        while not self._warnings.empty():
            warnings.warn(self._warnings.get(), stacklevel=4)

    def _stop(self, reason):
        if not self._stopped:
            self._stopped = True
            self._warnings.put(
                f"{reason}: training goes on, nothing more is written to "
                f"{self._path!r}."
            )

    def _work(self):
        while (job := self._queue.get()) is not None:
            try:
                if not self._stopped:
                    job()
            except BaseException as error:  # `draw` may even exit
                if not self._left_out:
                    self._left_out = True
                    self._warnings.put(
                        f"An event could not be made ({error!r}): training "
                        f"goes on, such events are left out of {self._path!r}."
                    )
        try:
            self._file.close()
        except OSError as error:
            self._stop(f"The event file could not be closed ({error})")

    def _write(self, **fields):
        event = event_pb2.Event(wall_time=time.time(), **fields)
        try:
            records.write(self._file, event.SerializeToString())
        except OSError as error:
            self._stop(f"The event file could not be written ({error})")


def _chart(title, *tags):
    if len(tags) == 1:
        return {"title": title, "multiline": {"tag": tags[0]}}
    band = dict(zip(("value", "lower", "upper"), tags, strict=True))
    return {"title": title, "margin": {"series": [band]}}
