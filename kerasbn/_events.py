"""TensorBoard event files, written without TensorFlow."""

import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping

from tensorboard.compat.proto import (
    event_pb2,
    summary_pb2,
    tensor_pb2,
    types_pb2,
)
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util


class EventWriter:
    """Writes one event file from a thread of its own.

    Nothing here waits for the disk: events are built and written by a queue,
    and flushed one by one, so that what was written stays readable whatever
    ends the process.

    Args:
        log_dir: Directory of the run; created if missing.

    Raises:
        ValueError: If the directory or the file cannot be written.
    """

    def __init__(self, log_dir: str):
        name = (
            f"events.out.tfevents.{time.time():.6f}."
            f"{socket.gethostname()}.{os.getpid()}.kerasbn"
        )
        try:
            os.makedirs(log_dir, exist_ok=True)
            self._file = open(os.path.join(log_dir, name), "xb")
        except OSError as error:
            raise ValueError(
                "`log_dir` must be a directory that can be written. "
                f"Received: log_dir={log_dir!r} ({error.strerror}). "
                "Pass another directory, or log_dir=None to write nothing."
            ) from error
        self._records = RecordWriter(self._file)
        self._described: set[str] = set()
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self._queue.put(lambda: self._write(file_version="brain.Event:2"))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one number per tag."""

        def write():
            self._write(
                step=step,
                summary=summary_pb2.Summary(
                    value=[self._scalar(tag, v) for tag, v in values.items()]
                ),
            )

        self._queue.put(write)

    def image(self, step: int, tag: str, draw: Callable[[], bytes]) -> None:
        """Write the PNG that `draw` returns; it runs in the writer's thread."""

        def write():
            png = draw()
            width, height = (
                int.from_bytes(png[start : start + 4], "big")
                for start in (16, 20)  # the IHDR chunk of every PNG
            )
            tensor = tensor_util.make_tensor_proto(
                [str(width).encode(), str(height).encode(), png]
            )
            value = summary_pb2.Summary.Value(
                tag=tag,
                metadata=image_metadata.create_summary_metadata(
                    display_name=tag, description="", converted_to_tensor=True
                ),
                tensor=tensor,
            )
            self._write(step=step, summary=summary_pb2.Summary(value=[value]))

        self._queue.put(write)

    def close(self) -> None:
        """Write what is queued and close the file."""
        self._queue.put(None)
        self._thread.join()
        self._file.close()

    def _work(self):
        while (job := self._queue.get()) is not None:
            job()

    def _scalar(self, tag, number):
        value = summary_pb2.Summary.Value(
            tag=tag,
            tensor=tensor_pb2.TensorProto(
                dtype=types_pb2.DT_FLOAT, float_val=[number]
            ),
        )
        if tag not in self._described:
            self._described.add(tag)
            value.metadata.CopyFrom(
                scalar_metadata.create_summary_metadata(
                    display_name=tag, description=""
                )
            )
        return value

    def _write(self, **fields):
        event = event_pb2.Event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())
        self._file.flush()
