"""Event files, read back without TensorFlow."""

import itertools

import numpy as np
from tensorboard.compat.proto import event_pb2
from tensorboard.util import tensor_util

from kerasbn._events import files, records


def read(log_dir: str) -> dict[str, list[tuple[int, np.ndarray]]]:
    """Return the steps and values of each tag that `EventWriter` wrote.

    Texts are arrays of strings. Steps that a resumed run wrote again appear
    once, and a record that was cut off is left out.

    Raises:
        ValueError: If the directory itself holds no event file of kerasbn.
    """
    paths = files.paths(log_dir)
    if not paths:
        raise ValueError(
            "`log_dir` must hold event files of kerasbn. "
            f"Received: log_dir={log_dir!r}. "
            "Pass the directory that was given to GradientMonitor."
        )
    series: dict[str, list[tuple[int, np.ndarray]]] = {}
    texts = set()
    for event in itertools.chain.from_iterable(map(_events, paths)):
        if event.session_log.status == event_pb2.SessionLog.START:
            for points in series.values():
                points[:] = [p for p in points if p[0] < event.step]
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name in ("text", "kerasbn"):
                texts.add(value.tag)
            array = tensor_util.make_ndarray(value.tensor)
            if array.dtype == object and value.tag in texts:
                array = np.char.decode(array.astype(bytes), "utf-8")
            series.setdefault(value.tag, []).append((event.step, array))
    return {tag: points for tag, points in series.items() if points}


def _events(path):
    with open(path, "rb") as file:
        yield from map(event_pb2.Event.FromString, records.read(file))
