import errno
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing import (
    data_provider,
    plugin_event_multiplexer,
)
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator,
)
from tensorboard.context import RequestContext
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.util import tensor_util

import kerasbn
from kerasbn._events.reader import read
from kerasbn._events.writer import EventWriter
from kerasbn._report import heat_map

with warnings.catch_warnings():
    # TensorBoard's server, of its own vendored html5lib.
    warnings.simplefilter("ignore", DeprecationWarning)
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.custom_scalar import custom_scalars_plugin
    from tensorboard.plugins.hparams import (
        backend_context,
        list_session_groups,
    )
    from tensorboard.plugins.scalar import scalars_plugin

_NAN, _INF = float("nan"), float("inf")


def _accumulate(log_dir):
    accumulator = EventAccumulator(str(log_dir), size_guidance={"tensors": 0})
    return accumulator.Reload()


def _steps(log_dir, tag):
    return [event.step for event in _accumulate(log_dir).Tensors(tag)]


def _values(log_dir, tag):
    return [
        tensor_util.make_ndarray(event.tensor_proto)
        for event in _accumulate(log_dir).Tensors(tag)
    ]


def _file(log_dir):
    (path,) = Path(log_dir).glob("*.kerasbn")
    return path


def _write_run(log_dir, steps, value, start=True):
    writer = EventWriter(str(log_dir))
    if start:
        writer.start(steps[0])
    for step in steps:
        writer.scalars(step, {"loss": value})
    writer.close()


def _told(work):
    """What `work` warns of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        work()
    return [str(warning.message) for warning in told]


def _context(log_dir):
    """What TensorBoard hands to its plugins."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(log_dir))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(log_dir))
    context = base_plugin.TBContext(
        data_provider=provider,
        logdir=str(log_dir),
        plugin_name_to_instance={},
    )
    context.plugin_name_to_instance["scalars"] = scalars_plugin.ScalarsPlugin(
        context
    )
    return context


# Writing


def test_scalars_keep_nan_and_infinity(tmp_path):
    writer = EventWriter(str(tmp_path))
    for step, number in enumerate((1.5, _NAN, _INF, -_INF, 1e39)):
        writer.scalars(step, {"loss": number})
    writer.close()
    np.testing.assert_array_equal(
        _values(tmp_path, "loss"), [1.5, _NAN, _INF, -_INF, _INF]
    )


def test_text_comes_back_as_written(tmp_path):
    writer = EventWriter(str(tmp_path))
    writer.text(3, "summary", "# Grüße\n\n| a | b |")
    writer.close()
    (value,) = _values(tmp_path, "summary")
    assert value.item().decode() == "# Grüße\n\n| a | b |"
    assert _steps(tmp_path, "summary") == [3]


def test_histogram_keeps_its_buckets(tmp_path):
    buckets = [[0.0, 0.1, 3.0], [0.1, 0.5, 1e9]]
    writer = EventWriter(str(tmp_path))
    writer.histogram(1, "weights", np.array(buckets))
    writer.close()
    np.testing.assert_array_equal(_values(tmp_path, "weights"), [buckets])


def test_image_carries_its_size(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (7, 5)).save(buffer, "png")
    writer = EventWriter(str(tmp_path))
    writer.image(2, "map", buffer.getvalue)
    writer.close()
    (value,) = _values(tmp_path, "map")
    assert value.tolist() == [b"7", b"5", buffer.getvalue()]


def test_metadata_is_what_the_plugins_themselves_write(tmp_path):
    writer = EventWriter(str(tmp_path))
    writer.scalars(1, {"a": 1.0})
    writer.text(1, "b", "text")
    writer.histogram(1, "c", np.ones((2, 3)))
    writer.image(1, "d", lambda: bytes(24))
    writer.layout({})
    writer.close()
    accumulator = _accumulate(tmp_path)
    for tag, plugin in (
        ("a", scalar_metadata),
        ("b", text_metadata),
        ("c", histogram_metadata),
        ("d", image_metadata),
    ):
        written = accumulator.SummaryMetadata(tag).plugin_data
        assert written == plugin.create_summary_metadata("", "").plugin_data
    written = accumulator.SummaryMetadata(layout_metadata.CONFIG_SUMMARY_TAG)
    expected = layout_metadata.create_summary_metadata()
    assert written.plugin_data == expected.plugin_data


def test_tensors_and_notes_are_compact_and_make_no_card(tmp_path):
    array = np.arange(1000, dtype="float64").reshape(10, 100)
    writer = EventWriter(str(tmp_path))
    writer.tensor(1, "readings", array)
    writer.note(1, "description", "{}")
    array[:] = 0  # as the caller may
    writer.flush()
    first = _file(tmp_path).stat().st_size
    writer.tensor(2, "readings", array)
    writer.close()
    # Numbers of 4 bytes; 100 bytes for step, time, tag and shape.
    assert 4000 < _file(tmp_path).stat().st_size - first < 4100
    accumulator = _accumulate(tmp_path)
    assert accumulator.ActivePlugins() == {"kerasbn"}
    one, two = accumulator.Tensors("readings")
    assert not one.tensor_proto.float_val
    np.testing.assert_array_equal(
        tensor_util.make_ndarray(one.tensor_proto).ravel(), np.arange(1000)
    )
    assert (one.step, two.step) == (1, 2)


def test_layout_is_served_by_tensorboards_plugin(tmp_path):
    writer = EventWriter(str(tmp_path))
    writer.layout(
        {
            "Gradients": [
                ("Norms", ["gradient_norm/.*kernel", "global_norm"]),
                ("Band", "norm", "norm_min", "norm_max"),
            ],
            "Layers": [("Dead", ["dead/.*"])],
        }
    )
    writer.scalars(1, {"gradient_norm/a/kernel": 2.0, "loss": 1.0})
    writer.close()
    plugin = custom_scalars_plugin.CustomScalarsPlugin(_context(tmp_path))
    layout = json.loads(plugin.layout_impl(RequestContext(), ""))
    gradients, layers = layout["category"]
    assert gradients["title"] == "Gradients"
    lines, band = gradients["chart"]
    assert lines == {
        "title": "Norms",
        "multiline": {"tag": ["gradient_norm/.*kernel", "global_norm"]},
    }
    assert band == {
        "title": "Band",
        "margin": {
            "series": [
                {"value": "norm", "lower": "norm_min", "upper": "norm_max"}
            ]
        },
    }
    assert layers["chart"][0]["title"] == "Dead"
    pattern = lines["multiline"]["tag"][0]
    found = plugin.scalars_impl(RequestContext(), ".", pattern, "")
    assert list(found["tag_to_events"]) == ["gradient_norm/a/kernel"]


def test_hparams_tab_shows_the_run_and_its_values(tmp_path):
    # TensorBoard finds no metrics of a run that is its root directory.
    writer = EventWriter(str(tmp_path / "run"))
    values = {"adam": True, "rate": np.float32(0.5), "size": 32, "name": "mlp"}
    writer.hparams(values)
    writer.scalars(5, {"loss": 0.25})
    writer.close()
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=10,
        allowed_statuses=list(api_pb2.Status.values()),
    )
    context = backend_context.Context(_context(tmp_path))
    handler = list_session_groups.Handler(
        RequestContext(), context, "", request
    )
    (group,) = handler.run().session_groups
    shown = {
        name: value.WhichOneof("kind") for name, value in group.hparams.items()
    }
    assert shown == {
        "adam": "bool_value",
        "rate": "number_value",
        "size": "number_value",
        "name": "string_value",
    }
    assert group.hparams["rate"].number_value == 0.5
    assert group.metric_values[0].value == 0.25


# Reading


def test_read_returns_what_tensorboard_reads(tmp_path):
    writer = EventWriter(str(tmp_path))
    writer.start(1)
    generator = np.random.default_rng(0)
    for step in (1, 2, 5):
        writer.scalars(step, {"loss": step / 3, "norm": _NAN})
        writer.tensor(step, "readings", generator.normal(size=(2, 3)))
        writer.tensor(step, "nothing", np.zeros((0, 3)))
        writer.histogram(step, "weights", generator.normal(size=(4, 3)))
        writer.text(step, "summary", f"Schritt für Schritt: {step}")
        writer.note(step, "note", "ä" * step)
    writer.close()
    accumulator = _accumulate(tmp_path)
    series = read(str(tmp_path))
    assert set(series) == set(accumulator.Tags()["tensors"])
    for tag, points in series.items():
        assert [step for step, _ in points] == [1, 2, 5]
        for (_, value), expected in zip(
            points, _values(tmp_path, tag), strict=True
        ):
            if value.dtype.kind == "U":
                assert value.item() == expected.item().decode()
            else:
                np.testing.assert_array_equal(value, expected)


def test_read_stops_quietly_wherever_the_last_record_is_cut(tmp_path):
    _write_run(tmp_path, (1, 2, 3), 1.0)
    path = _file(tmp_path)
    whole = path.read_bytes()
    last = len(whole)
    while len(read(str(tmp_path))["loss"]) == 3:
        last -= 1
        path.write_bytes(whole[:last])
    for cut in (last, last - 20, last - 30):
        path.write_bytes(whole[:cut])
        assert [step for step, _ in read(str(tmp_path))["loss"]] == [1, 2]
    # As a disk without power leaves it.
    path.write_bytes(whole[:last] + bytes(500))
    assert [step for step, _ in read(str(tmp_path))["loss"]] == [1, 2]


def test_read_goes_on_behind_a_file_that_a_kill_cut_off(tmp_path):
    _write_run(tmp_path, (1, 2, 3), 1.0)
    path = _file(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    _write_run(tmp_path, (3, 4), 2.0)
    points = [
        (step, value.item()) for step, value in read(str(tmp_path))["loss"]
    ]
    assert points == [(1, 1), (2, 1), (3, 2), (4, 2)]


@pytest.mark.parametrize("name", ["missing", "empty", "foreign", "below"])
def test_read_wants_a_directory_of_ours(name, tmp_path):
    log_dir = tmp_path / name
    if name != "missing":
        log_dir.mkdir()
    if name == "foreign":
        (log_dir / "events.out.tfevents.1.host.2.v2").touch()
    if name == "below":
        _write_run(log_dir / "run", (1,), 1.0)
    with pytest.raises(
        ValueError,
        match=r"`log_dir` must hold event files of kerasbn\. Received: "
        r"log_dir='.*'\. Pass",
    ):
        read(str(log_dir))


# Starting again


def test_new_run_moves_the_earlier_one_aside(tmp_path):
    _write_run(tmp_path, range(1, 10), 1.0)
    old = _file(tmp_path)
    began = time.localtime(int(old.name.split(".")[3]))
    foreign = tmp_path / "events.out.tfevents.1.host.2.v2"
    foreign.touch()
    _write_run(tmp_path, range(1, 4), 2.0)
    aside = tmp_path / time.strftime("earlier-%Y%m%d-%H%M%S", began)
    assert (aside / old.name).exists()
    assert foreign.exists()
    assert _values(tmp_path, "loss") == [2.0] * 3
    assert _values(aside, "loss") == [1.0] * 9
    assert [value for _, value in read(str(tmp_path))["loss"]] == [2.0] * 3
    runs = _context(tmp_path).data_provider.list_runs(
        RequestContext(), experiment_id=""
    )
    assert {run.run_name for run in runs} == {".", aside.name}


def test_earlier_runs_of_one_second_stay_apart(tmp_path):
    for value in (1.0, 2.0, 3.0, 4.0):
        old = [path for path in tmp_path.glob("*.kerasbn")]
        for path in old:  # all of them begun at once
            fields = path.name.split(".")
            path.rename(
                path.with_name(".".join([*fields[:3], "9", *fields[4:]]))
            )
        _write_run(tmp_path, (1, 2), value)
    values = [
        _values(path, "loss")[0].item()
        for path in sorted(tmp_path.glob("earlier-*"))
    ]
    assert values == [1.0, 2.0, 3.0]
    assert _values(tmp_path, "loss") == [4.0, 4.0]


def test_resumed_run_goes_on_from_its_step(tmp_path):
    _write_run(tmp_path, range(1, 10), 1.0)
    _write_run(tmp_path, range(6, 12), 2.0)
    assert _steps(tmp_path, "loss") == list(range(1, 12))
    expected = [1.0] * 5 + [2.0] * 6
    assert _values(tmp_path, "loss") == expected
    assert [value for _, value in read(str(tmp_path))["loss"]] == expected
    assert not list(tmp_path.glob("earlier-*"))


def test_files_of_a_resumed_run_move_together(tmp_path):
    _write_run(tmp_path, range(1, 10), 1.0)
    _write_run(tmp_path, range(6, 12), 2.0)
    _write_run(tmp_path, range(1, 3), 3.0)
    (aside,) = tmp_path.glob("earlier-*")
    assert _steps(aside, "loss") == list(range(1, 12))
    assert _values(tmp_path, "loss") == [3.0, 3.0]


def test_earlier_files_that_cannot_move_are_hidden(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "in use")

    _write_run(tmp_path, range(1, 10), 1.0)
    monkeypatch.setattr(os, "renames", refuse)
    _write_run(tmp_path, range(1, 3), 2.0)
    assert _values(tmp_path, "loss") == [2.0, 2.0]
    assert [value for _, value in read(str(tmp_path))["loss"]] == [2.0, 2.0]


def test_run_is_laid_out_before_it_starts(tmp_path):
    writer = EventWriter(str(tmp_path))
    writer.hparams({"a": 1})
    writer.layout({"A": [("b", ["c"])]})
    writer.start(1)
    writer.close()
    assert len(_values(tmp_path, layout_metadata.CONFIG_SUMMARY_TAG)) == 1


# Faults


class _File(io.BufferedWriter):
    """An event file, whose disk has so much room and may fail on closing."""

    room = math.inf
    quota = False

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)

    def close(self):
        super().close()
        if self.quota:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A writer that has begun its file, and that file."""
    files, opened = [], open

    def open_file(path, mode="r", *arguments, **options):
        if "x" not in mode:
            return opened(path, mode, *arguments, **options)
        files.append(_File(io.FileIO(path, "x")))
        return files[-1]

    monkeypatch.setattr("builtins.open", open_file)
    writer = EventWriter(str(tmp_path))
    writer.flush()
    (file,) = files
    return writer, file


def _full_at_once(file):
    file.room = 0


def _full_after_a_record(file):
    file.room = 60


def _full_device(file):
    with open("/dev/full", "wb") as device:
        os.dup2(device.fileno(), file.fileno())


@pytest.mark.parametrize(
    "fill",
    [
        _full_at_once,
        _full_after_a_record,
        pytest.param(
            _full_device,
            marks=pytest.mark.skipif(
                not os.path.exists("/dev/full"), reason="a device of Linux"
            ),
        ),
    ],
)
def test_full_disk_is_told_once_and_training_goes_on(fill, begun):
    writer, file = begun
    fill(file)

    def train():
        for step in range(10):
            writer.scalars(step, {"loss": 1.0})
            writer.flush()
        writer.close()
        writer.close()

    (told,) = _told(train)
    assert re.fullmatch(
        r"The event file could not be written \(\[Errno 28\] No space left on "
        r"device\): training goes on, nothing more is written to '.*kerasbn'\.",
        told,
    )


def test_fault_of_the_last_event_is_told_by_close(begun):
    writer, file = begun
    file.room = 0
    writer.scalars(1, {"loss": 1.0})
    with pytest.warns(UserWarning, match="nothing more is written"):
        writer.close()


def test_disk_that_fails_on_closing_is_told(begun):
    writer, file = begun
    file.quota = True
    with pytest.warns(UserWarning, match="could not be closed .*quota"):
        writer.close()


@pytest.mark.parametrize("fault", ["removed", "moved", "replaced"])
def test_lost_file_is_told_once_and_training_goes_on(fault, tmp_path):
    log_dir = tmp_path / "run"
    writer = EventWriter(str(log_dir))
    writer.start(1)
    writer.scalars(1, {"loss": 1.0})
    writer.flush()
    path = _file(log_dir)
    if fault == "removed":
        shutil.rmtree(log_dir)
    else:
        path.rename(tmp_path / "elsewhere")
    if fault == "replaced":
        path.touch()

    def train():
        for step in range(2, 10):
            writer.scalars(step, {"loss": 1.0})
            writer.flush()
        writer.image(9, "map", lambda: pytest.fail("drawn for nothing"))
        writer.close()

    (told,) = _told(train)
    assert "moved or removed: training goes on" in told


@pytest.mark.parametrize(
    "error", [RuntimeError, OSError, MemoryError, SystemExit]
)
def test_failing_picture_is_told_once_and_the_rest_is_written(error, tmp_path):
    def draw():
        raise error("no fonts")

    writer = EventWriter(str(tmp_path))

    def train():
        for step in range(5):
            writer.image(step, "map", draw)
            writer.scalars(step, {"loss": 1.0})
            writer.flush()
        writer.close()

    (told,) = _told(train)
    assert f"could not be made ({error.__name__}('no fonts')): train" in told
    assert _steps(tmp_path, "loss") == list(range(5))


def test_closed_writer_is_silent_even_when_its_file_is_gone(tmp_path):
    writer = EventWriter(str(tmp_path / "run"))
    writer.close()
    shutil.rmtree(tmp_path / "run")
    writer.scalars(1, {"loss": 1.0})
    writer.flush()
    writer.close()


def test_relative_directory_stays_where_it_was(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    writer = EventWriter("run")
    monkeypatch.chdir("elsewhere")
    writer.scalars(1, {"loss": 1.0})
    writer.close()
    assert _steps(tmp_path / "run", "loss") == [1]


def test_unwritable_directory_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"`log_dir` must be .* Pass another"):
        EventWriter(str(tmp_path / "file"))


# A process of its own: the module alone, so that it starts fast.
_ALONE = f"""
import os, signal, sys, types
package = types.ModuleType("kerasbn")  # whose own __init__ imports keras
package.__path__ = [os.path.dirname({kerasbn.__file__!r})]
sys.modules["kerasbn"] = package
from kerasbn._events import writer as events
writer = events.EventWriter(sys.argv[1])
for step in range(50):
    writer.scalars(step, {{"loss": step}})
"""


def _run_alone(log_dir, ending):
    return subprocess.run(
        [sys.executable, "-c", _ALONE + ending, str(log_dir)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_killed_process_leaves_what_was_flushed(tmp_path):
    ending = (
        "writer.flush(); print('flushed', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = _run_alone(tmp_path, ending)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert process.stdout == "flushed\n"
    assert _values(tmp_path, "loss") == list(range(50))
    assert len(read(str(tmp_path))["loss"]) == 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a call of Unix")
def test_close_and_flush_return_where_the_thread_has_died(tmp_path):
    ending = """
writer.flush()
child = os.fork()  # with no thread but the one that forks
if not child:
    writer.scalars(50, {"loss": 50})
    writer.flush()
    writer.close()
    writer.close()
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""
    process = _run_alone(tmp_path, ending)
    assert process.returncode == 0, process.stderr
    assert _values(tmp_path, "loss") == list(range(50))


def test_script_that_an_error_ends_leaves_all_it_wrote(tmp_path):
    process = _run_alone(tmp_path, "raise RuntimeError('diverged')")
    assert "diverged" in process.stderr
    assert _values(tmp_path, "loss") == list(range(50))


def test_events_need_no_tensorflow(tmp_path):
    ending = (
        "writer.hparams({'a': 1}); writer.layout({}); writer.text(1, '', '')\n"
        "writer.close(); from kerasbn._events import reader\n"
        "reader.read(sys.argv[1])\n"
        "print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    assert _run_alone(tmp_path, ending).stdout == "set()\n"


# Heat maps


def _draw(steps, rms, **options):
    axes = Figure(layout="constrained").add_subplot()
    labels = [f"layer_{row}" for row in range(len(rms))]
    heat_map.draw(axes, steps, rms, labels, "Flow", **options)
    return axes


def _legend(axes):
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def _red_columns(axes):
    (image,) = axes.images
    red = (np.asarray(image.get_array()) == (1, 0, 0, 1)).all(axis=-1)
    return np.flatnonzero(red.any(axis=0))


def _png_pixels(rms, steps=None, **options):
    steps = np.arange(1, rms.shape[1] + 1) if steps is None else steps
    labels = [f"layer_{row}" for row in range(len(rms))]
    png = heat_map.png(steps, rms, labels, "Flow", **options)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("number", [_NAN, _INF])
@pytest.mark.parametrize("column", [0, 777, 1999])
def test_single_non_finite_step_of_2000_is_seen(number, column):
    rms = np.full((3, 2000), 1e-3)
    rms[1, column] = number
    axes = _draw(range(2000), rms)
    assert _red_columns(axes).tolist() == [column // 5]
    assert _legend(axes) == ["NaN or Inf"]


def test_nan_wins_over_the_numbers_beside_it():
    rms = np.full((1, 2000), 1e-3)
    rms[0, 10:15] = (_INF, 0, _NAN, 1e5, 1)
    assert _red_columns(_draw(range(2000), rms)).tolist() == [2]


@pytest.mark.parametrize("column", [0, 777, 1999])
def test_single_spike_of_2000_steps_is_seen(column):
    rms = np.full((3, 2000), 1e-6)
    rms[2, column] = 1e1
    (image,) = _draw(range(2000), rms).images
    top = np.asarray(image.get_array())[..., 1]  # viridis: green grows
    assert np.argwhere(top > top[0, 0] + 0.3).tolist() == [[2, column // 5]]


@pytest.mark.parametrize("label", ["layer", "encoder/block/attention/query"])
def test_single_nan_survives_to_the_pixels(label):
    rms = np.full((100, 2000), 1e-3)
    base = (_png_pixels(rms) == (255, 0, 0)).all(axis=-1).sum()
    assert base == 0
    labels = [f"{label}_{row}" for row in range(100)]
    for column in range(0, 2000, 499):
        changed = rms.copy()
        changed[:, column] = np.nan
        png = heat_map.png(range(2000), changed, labels, "Flow")
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        red = (pixels == (255, 0, 0)).all(axis=-1)
        # The legend's patch is low; a column goes from top to bottom.
        assert (red.sum(axis=0) > 300).any(), column


def test_exact_zeros_are_black_and_explained():
    rms = np.full((2, 3), 1e-3)
    rms[0, 1] = 0
    axes = _draw((1, 2, 3), rms)
    (image,) = axes.images
    black = (np.asarray(image.get_array()) == (0, 0, 0, 1)).all(axis=-1)
    assert np.argwhere(black).tolist() == [[0, 1]]
    assert _legend(axes) == ["exactly 0"]
    assert _legend(_draw((1, 2, 3), np.ones((2, 3)))) == []


def test_axis_shows_true_steps_of_merged_columns():
    steps = np.arange(1, 2001) * 7
    axes = _draw(steps, np.ones((2, 2000)))
    shown = {
        int(tick): int(text.get_text())
        for tick, text in zip(
            axes.get_xticks(), axes.get_xticklabels(), strict=True
        )
    }
    assert shown == {tick: steps[tick] for tick in shown}
    assert {0, 1999} <= set(shown)
    (image,) = axes.images
    assert image.get_extent() == [-0.5, 1999.5, 1.5, -0.5]
    assert np.asarray(image.get_array()).shape[1] == 400


@pytest.mark.parametrize("rows", [1, 2, 15, 16, 100])
def test_first_and_last_layer_are_labelled(rows):
    axes = _draw((1, 2), np.ones((rows, 2)))
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels[0] == "layer_0"
    assert labels[-1] == f"layer_{rows - 1}"
    assert len(labels) == min(rows, 15)


def test_colour_bar_says_what_is_drawn():
    axes = _draw((1, 2), np.ones((2, 2)))
    assert axes.figure.axes[1].get_ylabel() == "RMS of the gradient"
    options = {"label": "update / weights", "limits": (-7.0, 0.0)}
    axes = _draw((1, 2), np.array([[1e-7, 1.0]]), **options)
    bar = axes.figure.axes[1]
    assert bar.get_ylabel() == "update / weights"
    assert bar.get_ylim() == (-7, 0)
    (image,) = axes.images
    np.testing.assert_allclose(
        np.asarray(image.get_array())[0],
        matplotlib.colormaps["viridis"].resampled(32)([0.0, 1.0]),
    )


def test_hundred_layers_of_400_steps_take_below_40_kb():
    # Noise of a factor of two from step to step, five decades over depth.
    noise = np.random.default_rng(0).normal(0, 0.3, (100, 400))
    rms = 10 ** (np.linspace(-7, -2, 100)[:, None] + noise)
    labels = [f"encoder/block_{row}/attention/query" for row in range(100)]
    png = heat_map.png(
        np.arange(400), rms, labels, "Gradient flow of 'encoder'"
    )
    assert len(png) < 40_000


def test_one_step_and_one_layer_are_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _png_pixels(np.array([[_NAN]])).size
