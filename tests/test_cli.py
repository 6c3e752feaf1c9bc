"""The command line, its page, and what is imported when."""

import base64
import html.parser
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator

import kerasbn
from kerasbn import cli
from kerasbn._report.page import html as page_of
from kerasbn._run.files import from_directory
from kerasbn.diagnosis import _judge

_SOURCE = "https://example.org/remedies#first"
_FINDING = kerasbn.Finding(
    problem="vanishing_gradient",
    where="plain/hidden_0",
    step=20,
    severity="fatal",
    evidence="The RMS gradient is 2e-14.",
    remedy="Put a batch normalization before `hidden_0`.",
    patch="- keras.layers.Dense(8)\n+ kerasbn.models.mlp((6,), [8], 1)",
    cost="It learns nothing.",
    source=f"See {_SOURCE}.",
)
_MINOR = _FINDING._replace(
    problem="input_scale", step=0, severity="minor", patch="", source=""
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A healthy run, a hopeless one, and Keras's own TensorBoard run."""
    root = tmp_path_factory.mktemp("logs")
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(256, 6)).astype("float32")
    y = (x[:, :1] > 0).astype("float32")

    def fit(name, model, loss="binary_crossentropy"):
        model.compile(kerasbn.optimizers.adam(), loss)
        monitor = kerasbn.callbacks.GradientMonitor(str(root / name))
        beside = keras.callbacks.TensorBoard(str(root))
        model.fit(x, y, epochs=12, verbose=0, callbacks=[monitor, beside])
        return monitor

    built = kerasbn.models.mlp(
        (6,), [16] * 3, 1, output_activation="sigmoid", name="built"
    )
    one = keras.layers.Dense(1, name="one")  # no probability
    hopeless = keras.Sequential([keras.Input((6,)), one], name="hopeless")
    monitors = {"good": fit("good", built), "bad": fit("bad", hopeless)}
    return root, monitors


@pytest.fixture
def judged(monkeypatch):
    """Have any run judged to have these findings."""

    def judge(*findings, healthy="All is well."):
        monkeypatch.setattr(
            _judge, "judge", lambda run: (list(findings), healthy)
        )

    return judge


class _Page(html.parser.HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def pictures(self):
        sources = [a["src"] for tag, a in self.elements if tag == "img"]
        start = "data:image/png;base64,"
        assert all(source.startswith(start) for source in sources)
        return [base64.b64decode(s.removeprefix(start)) for s in sources]


def _python(code, *arguments, path=None, **variables):
    """Run code in a process of its own, after modules in `path`."""
    return _process("-c", code, *arguments, path=path, **variables)


def _process(*arguments, path=None, **variables):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    if path is not None:
        others = environment.get("PYTHONPATH", "").split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join([str(path), *others])
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
    )


def _cut(root, target, size):
    """Copy the healthy run, with so many bytes of its file."""
    (file,) = (root / "good").glob("*.kerasbn")
    (target / file.name).write_bytes(file.read_bytes()[:size])


def test_healthy_run_exits_with_0_and_says_why(runs, capsys):
    assert cli.main(["diagnose", str(runs[0] / "good")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    run = from_directory(str(runs[0] / "good"))
    assert said == _judge.judge(run)[1]
    assert "finding" not in said


def test_hopeless_run_exits_with_1_and_says_what_to_do(runs, capsys):
    assert cli.main(["diagnose", str(runs[0] / "bad")]) == 1
    said = capsys.readouterr().out
    assert "1. output_mismatch in " in said
    assert "(fatal, certain)" in said
    assert "sigmoid" in said


def test_findings_are_printed_to_act_on(runs, judged, capsys):
    judged(_FINDING, _MINOR)
    good = str(runs[0] / "good")
    assert cli.main(["diagnose", good]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"2 findings, first to mend first, in {good}",
        "",
        "1. vanishing_gradient in plain/hidden_0 (fatal, likely)",
        "   since     step 20",
        "   evidence  The RMS gradient is 2e-14.",
        "   cost      It learns nothing.",
        "   remedy    Put a batch normalization before `hidden_0`.",
        "             - keras.layers.Dense(8)",
        "             + kerasbn.models.mlp((6,), [8], 1)",
        f"   source    See {_SOURCE}.",
        "",
        "2. input_scale in plain/hidden_0 (minor, likely)",
        "   since     before training",
        "   evidence  The RMS gradient is 2e-14.",
        "   cost      It learns nothing.",
        "   remedy    Put a batch normalization before `hidden_0`.",
    ]


def test_long_sentences_are_wrapped_and_addresses_kept_whole(
    runs, judged, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "60")
    address = "https://example.org/" + "long-" * 12
    judged(_FINDING._replace(evidence="word " * 60, patch="", source=address))
    cli.main(["diagnose", str(runs[0] / "good")])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert all(len(line) <= 60 or address in line for line in lines)
    assert any(line.endswith(address) for line in lines)


def test_json_is_a_list_of_findings(runs, judged, capsys):
    good = str(runs[0] / "good")
    judged(_FINDING, _MINOR)
    assert cli.main(["diagnose", good, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    named = [{**each, "remedies": tuple(each["remedies"])} for each in found]
    assert [kerasbn.Finding(**each) for each in named] == [_FINDING, _MINOR]
    judged()
    assert cli.main(["diagnose", good, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("command", ["diagnose", "report"])
def test_missing_directory_is_an_error(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main([command, "nowhere"]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error == (
        "kerasbn: error: LOGDIR must be a directory with a run of kerasbn's "
        "GradientMonitor. Received: 'nowhere', which is not there. Pass the "
        "directory that was given to GradientMonitor.\n"
    )
    assert not list(tmp_path.iterdir())


def test_empty_directory_is_an_error(tmp_path, capsys):
    assert cli.main(["diagnose", str(tmp_path)]) == 2
    assert "which holds none itself. Pass the dir" in capsys.readouterr().err


def test_directory_of_runs_names_those_to_pass(runs, capsys):
    assert cli.main(["diagnose", str(runs[0])]) == 2
    expected = f"Pass one of: {runs[0] / 'bad'}, {runs[0] / 'good'}."
    assert expected in capsys.readouterr().err


def test_many_runs_are_not_all_named(tmp_path, capsys):
    for number in range(12):
        directory = tmp_path / f"run_{number:02}"
        directory.mkdir()
        (directory / "events.out.tfevents.1.a.1.kerasbn").touch()
    assert cli.main(["diagnose", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.endswith("run_09 and 2 more.\n")


def test_run_of_keras_is_an_error(runs, capsys):
    assert cli.main(["diagnose", str(runs[0] / "train")]) == 2
    assert "which holds none itself. Pass the dir" in capsys.readouterr().err


def test_event_file_is_an_error_that_names_its_directory(runs, capsys):
    (file,) = (runs[0] / "good").glob("*.kerasbn")
    assert cli.main(["diagnose", str(file)]) == 2
    expected = f"a file. Pass one of: {runs[0] / 'good'}."
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\0" * 999, b"not a record" * 99])
def test_file_that_is_no_event_file_is_an_error(content, tmp_path, capsys):
    name = "events.out.tfevents.1.a.1.kerasbn"
    (tmp_path / name).write_bytes(content)
    assert cli.main(["diagnose", str(tmp_path)]) == 2
    assert "at least one reading" in capsys.readouterr().err


def test_file_cut_off_anywhere_is_told_or_read_as_far_as_it_goes(
    runs, tmp_path, capsys
):
    (file,) = (runs[0] / "good").glob("*.kerasbn")
    size = file.stat().st_size
    statuses = []
    # Densely where the first records stand, then here and there.
    for kept in [*range(0, 8000, 40), *np.linspace(8000, size, 20, dtype=int)]:
        _cut(runs[0], tmp_path, kept)
        statuses.append(cli.main(["diagnose", str(tmp_path)]))
        out, error = capsys.readouterr()
        if statuses[-1] == 2:
            assert "at least one reading" in error
        else:
            assert out
    assert statuses[0] == 2
    assert statuses[-1] == 0
    first = statuses.index(next(status for status in statuses if status < 2))
    assert 2 not in statuses[first:]


def test_report_of_a_run_cut_off_early_is_written(runs, tmp_path, capsys):
    (file,) = (runs[0] / "good").glob("*.kerasbn")
    _cut(runs[0], tmp_path, file.stat().st_size // 2)
    page = tmp_path / "report.html"
    assert cli.main(["report", str(tmp_path), "-o", str(page)]) < 2
    assert len(_Page(page.read_text("utf-8")).pictures()) == 3


def test_report_is_one_file_that_refers_to_nothing_but_sources(
    runs, judged, tmp_path, capsys
):
    judged(_FINDING, _MINOR)
    path = tmp_path / "page.html"
    assert cli.main(["report", str(runs[0] / "good"), "-o", str(path)]) == 1
    assert capsys.readouterr().out == f"{path}: 2 findings\n"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]
    text = path.read_text("utf-8")
    page = _Page(text)
    links = [a["href"] for _, a in page.elements if "href" in a]
    assert links == [_SOURCE]
    assert {tag for tag, a in page.elements if "src" in a} == {"img"}
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object"}
    assert "url(" not in text
    assert "@import" not in text


def test_report_says_what_is_wrong_and_what_to_do(
    runs, judged, tmp_path, capsys
):
    judged(_FINDING, _MINOR)
    path = tmp_path / "page.html"
    cli.main(["report", str(runs[0] / "good"), "-o", str(path)])
    page = _Page(path.read_text("utf-8"))
    for words in (
        "Diagnosis of built",
        "2 findings, first to mend first",
        "vanishing gradient in plain/hidden_0",
        "fatal, likely, from step 20",
        "The RMS gradient is 2e-14.",
        "It learns nothing.",
        "Put a batch normalization before hidden_0.",
        _FINDING.patch,
        "minor, likely, before training",
        "binary_crossentropy",
        "Adam",
    ):
        assert words in page.text
    assert [tag for tag, _ in page.elements].count("pre") == 1


def test_report_of_a_healthy_run_says_so(runs, judged, tmp_path, capsys):
    judged(healthy="Loss 0.7 to 0.1 & no NaN.")
    path = tmp_path / "page.html"
    assert cli.main(["report", str(runs[0] / "good"), "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: nothing wrong\n"
    text = _Page(path.read_text("utf-8")).text
    assert "Nothing is wrong" in text
    assert "Loss 0.7 to 0.1 & no NaN." in text


def test_report_shows_the_pictures_of_tensorboard(runs, tmp_path, capsys):
    path = tmp_path / "page.html"
    cli.main(["report", str(runs[0] / "good"), "-o", str(path)])
    _, *pictures = _Page(path.read_text("utf-8")).pictures()
    events = event_accumulator.EventAccumulator(str(runs[0] / "good")).Reload()
    tags = ("gradient_flow", "update_ratio")
    for tag, picture in zip(tags, pictures, strict=True):
        shown = events.Tensors(tag)[-1].tensor_proto.string_val[2]
        here, there = (
            np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)
            for png in (picture, shown)
        )
        assert here.shape == there.shape
        # A number rounded to float32 may just take the next colour.
        assert (here != there).any(axis=-1).mean() < 1e-2


def test_report_tells_the_loss_that_fit_had(runs, tmp_path, capsys):
    root, monitors = runs
    path = tmp_path / "page.html"
    cli.main(["report", str(root / "good"), "-o", str(path)])
    text = _Page(path.read_text("utf-8")).text
    told = re.search(r"Loss from (\S+) to (\S+), mean", text)
    losses = monitors["good"].history["window/loss"][[0, -1]]
    assert told is not None
    np.testing.assert_allclose(
        [float(number) for number in told.groups()],
        losses,
        rtol=1e-3,  # four digits are told
    )


def test_report_escapes_what_it_quotes(runs):
    run = from_directory(str(runs[0] / "good"))
    evil = "<script>alert(`1`)</script>&\"'"
    fields = ("problem", "where", "evidence", "remedy", "patch", "cost")
    finding = _FINDING._replace(
        **dict.fromkeys(fields, evil),
        severity='"><script>',
        source="javascript:alert(1) <b>http://a.org/\"onclick='x'",
    )
    run.name, run.settings = evil, {evil: evil, "rate": 0.1}
    diagnosis = kerasbn.diagnosis.Diagnosis([finding])
    page = _Page(page_of(run, diagnosis, evil))
    tags = [tag for tag, _ in page.elements]
    assert "script" not in tags
    assert "b" not in [tag for tag in tags if tag == "b"][1:]
    for tag, attributes in page.elements:
        assert tag != "a" or attributes["href"].startswith("http")
        assert not any(name.startswith("on") for name in attributes)
    assert page.text.count("<script>alert(") >= len(fields)


def test_curve_of_a_long_run_keeps_its_spike_and_its_gap(runs):
    run = from_directory(str(runs[0] / "good"))
    (last,) = run.readings[-1:]

    def reading(step):
        lost = 10_000 <= step <= 10_100
        loss = np.nan if lost else 7.0 if step == 778 else 0.5
        return last._replace(step=step, scalars={"window/loss": loss})

    run.readings = [reading(step) for step in range(1, 20_001)]
    page = _Page(page_of(run, kerasbn.diagnosis.Diagnosis(), "long"))
    curve = Image.open(io.BytesIO(page.pictures()[0])).convert("RGB")
    red, _, blue = np.moveaxis(np.asarray(curve, int), -1, 0)
    columns = np.flatnonzero((blue - red > 50).any(axis=0))
    spike = np.flatnonzero((blue - red > 50)[: len(red) // 2].any(axis=0))
    gap = np.flatnonzero((red - blue > 50).any(axis=0))
    for marked, step in ((spike, 777), (gap, 10_049)):
        share = (marked - columns[0]) / (columns[-1] - columns[0])
        assert len(marked)
        np.testing.assert_allclose(share, step / 20_000, atol=1e-2)
    assert "NaN or Inf at 101 of 20000 readings" in page.text


def test_report_tells_where_no_loss_is_finite(runs):
    run = from_directory(str(runs[0] / "good"))
    for reading in run.readings:
        reading.scalars["window/loss"] = np.nan
    page = page_of(run, kerasbn.diagnosis.Diagnosis(), "lost")
    assert "No reading holds a finite loss." in page


def test_report_goes_only_where_nothing_is_lost(runs, tmp_path, capsys):
    good = str(runs[0] / "good")

    def error(path):
        assert cli.main(["report", good, "-o", str(path)]) == 2
        return capsys.readouterr().err

    assert "in a directory that exists" in error(tmp_path / "not/page.html")
    assert not (tmp_path / "not").exists()
    assert "must be a file" in error(tmp_path)
    model = tmp_path / "model.keras"
    model.write_bytes(b"weights")
    assert "which is something else" in error(model)
    assert model.read_bytes() == b"weights"


def test_report_takes_the_place_of_an_earlier_one(
    runs, judged, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    judged(_FINDING)
    assert cli.main(["report", str(runs[0] / "good")]) == 1
    judged()
    assert cli.main(["report", str(runs[0] / "good")]) == 0
    assert "Nothing is wrong" in (tmp_path / "report.html").read_text("utf-8")


def test_version_is_told(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"kerasbn {kerasbn.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["diagnose"], ["mend", "logs"]])
def test_wrong_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: kerasbn" in capsys.readouterr().err


def test_command_is_installed():
    script = shutil.which("kerasbn", path=os.path.dirname(sys.executable))
    assert script is not None
    done = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert done.stdout == f"kerasbn {kerasbn.__version__}\n"


@pytest.mark.parametrize("command", ["diagnose", "report"])
def test_commands_work_where_keras_cannot_be_imported(command, runs, tmp_path):
    for name in ("keras", "tensorflow", "jax", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemError({name!r})")
    shutil.copytree(runs[0] / "bad", tmp_path / "run")
    output = ["-o", tmp_path / "r.html"] if command == "report" else []
    done = _process(
        *("-m", "kerasbn", command, tmp_path / "run", *output), path=tmp_path
    )
    assert done.stderr == ""
    assert done.returncode == 1
    assert "finding" in done.stdout


@pytest.mark.parametrize(
    "imports",
    ["import keras, kerasbn", "import kerasbn, keras"],
    ids=["keras first", "kerasbn first"],
)
def test_saved_model_loads_whatever_is_imported_first(imports, tmp_path):
    model = kerasbn.models.mlp((3,), [4], 1)
    model.compile(kerasbn.optimizers.Clipped("adam"), "mean_squared_error")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    # On the backend that is imported fastest.
    done = _python(
        f"{imports}; import sys; "
        "model = keras.models.load_model(sys.argv[1]); "
        "print(sum(isinstance(layer, kerasbn.layers.BatchNormalization) "
        "for layer in model.layers)); print(type(model.optimizer).__name__)",
        tmp_path / "model.keras",
        KERAS_BACKEND="numpy",
    )
    assert done.stderr == ""
    assert done.stdout == "1\nClipped\n"


@pytest.mark.parametrize("command", ["--version", "recipes", "copy -h"])
def test_command_waits_for_no_keras(command, tmp_path):
    for name in ("keras", "tensorflow"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemError({name!r})")
    done = _process("-m", "kerasbn", *command.split(), path=tmp_path)
    assert done.returncode == 0, done.stderr


def test_names_are_imported_when_first_used(tmp_path):
    done = _python(
        "import sys, kerasbn; "
        "print('kerasbn.callbacks' in sys.modules); "
        "print({'callbacks', 'diagnose', 'Fold'} < {*dir(kerasbn)}); "
        "print(kerasbn.callbacks.__name__, kerasbn.rescue.__name__)",
        tmp_path,
        KERAS_BACKEND="numpy",
    )
    assert done.stderr == ""
    assert done.stdout == "False\nTrue\nkerasbn.callbacks rescue\n"


def test_names_imported_later_are_those_type_checkers_see():
    source = inspect.getsource(kerasbn)
    checked = re.findall(r"\b(\w+) as \1\b", source.partition("_LATER")[2])
    assert set(checked) == set(kerasbn._LATER)


def test_diagnosis_alone_takes_a_keras_model(tmp_path):
    done = _python(
        "import keras, numpy as np; from kerasbn.diagnosis import diagnose; "
        "model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]); "
        "model.compile('adam', 'binary_crossentropy'); "
        "print(diagnose(model, np.eye(2), np.array([0.0, 1.0]))[0].problem)",
        tmp_path,
    )
    assert done.stdout == "output_mismatch\n", done.stderr


def test_all_that_a_saved_model_may_hold_is_imported_at_once(tmp_path):
    done = _python(
        "import keras, kerasbn; registered = keras.saving.get_custom_objects; "
        "first = set(registered()); "
        "[getattr(kerasbn, name) for name in dir(kerasbn)]; "
        "print('kerasbn>GAN' in first, set(registered()) == first)",
        tmp_path,
        KERAS_BACKEND="numpy",
    )
    assert done.stdout == "True True\n", done.stderr


def test_reader_that_has_seen_enough_gets_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)  # long before the first line
    done = subprocess.run(
        [sys.executable, "-m", "kerasbn", "recipes"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (2, "")
