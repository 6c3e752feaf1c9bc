"""The monitor beside other callbacks, in other hands, and when things fail."""

import gc
import pathlib
import shutil
import weakref
from typing import NamedTuple

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.plugins.hparams import plugin_data_pb2

import kerasbn
from kerasbn._events import reader


def _data(rows=64):
    x = np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def _network(hidden_units=(8,), **options):
    keras.utils.set_random_seed(0)
    model = kerasbn.models.mlp((6,), hidden_units, 1)
    model.compile(kerasbn.optimizers.sgd(0.01), "mean_squared_error", **options)
    return model


def _fit(model, *callbacks, **options):
    x, y = _data()
    options = {"batch_size": 8, "verbose": 0, "shuffle": False, **options}
    return model.fit(x, y, callbacks=list(callbacks), **options)


def _monitor(log_dir=None, **options):
    return kerasbn.callbacks.GradientMonitor(
        log_dir and str(log_dir), **{"every": 1, **options}
    )


def _steps(log_dir, tag="loss"):
    return [step for step, _ in reader.read(str(log_dir))[tag]]


class _Run(NamedTuple):
    """Two epochs, with all that a monitor leaves."""

    monitor: kerasbn.callbacks.GradientMonitor
    told: dict[int, dict[str, float]]
    logs: dict[str, list[float]]
    log_dir: pathlib.Path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run for all that only read what it left."""
    log_dir, told = tmp_path_factory.mktemp("run"), {}
    monitor = _monitor(log_dir, on_reading=told.__setitem__)
    logs = _fit(_network([8, 8]), monitor, epochs=2).history
    return _Run(monitor, told, logs, log_dir)


def test_history_goes_straight_into_a_table(run):
    table = pandas.DataFrame(run.monitor.history)
    assert table["step"].tolist() == list(range(1, 17))
    np.testing.assert_array_equal(
        table["gradient_norm/output/kernel"],
        run.monitor.history["gradient_norm"]["output/kernel"],
    )


def test_one_key_joins_the_logs(run):
    assert set(run.logs) == {"loss", "grad_norm"}
    norms = run.monitor.history["global_norm"].reshape(2, 8).mean(axis=1)
    np.testing.assert_allclose(run.logs["grad_norm"], norms)


def test_key_in_the_logs_can_be_switched_off():
    model = _network(run_eagerly=True)
    assert set(_fit(model, _monitor(log=False)).history) == {"loss"}


def test_each_reading_is_told_under_the_names_of_the_history(run):
    assert list(run.told) == list(range(1, 17))
    last = {name: array[-1] for name, array in run.monitor.history.items()}
    del last["step"], last["clipped/threshold"]  # no rule, nothing to tell
    assert run.told[16] == last
    assert all(type(number) is float for number in run.told[16].values())


def test_a_listener_that_raises_is_warned_of_once():
    def fail(step, numbers):
        raise OSError("no network")

    monitor = _monitor(on_reading=fail)
    with pytest.warns(UserWarning, match="no network") as caught:
        _fit(_network(run_eagerly=True), monitor)
    assert len(caught) == 1
    assert len(monitor.history["step"]) == 8


def test_what_could_not_be_read_is_told_in_one_plain_line():
    class Failing(keras.layers.Layer):
        def call(self, x):
            if not isinstance(x, tf.Tensor) or x.shape[0] is None:
                return x
            raise ValueError("It wants \x1b[1m8\x1b[0m rows.\nIt got more.")

    inner = keras.Sequential([keras.layers.Dense(2, "relu"), Failing()])
    model = keras.Sequential([keras.Input((6,)), inner, keras.layers.Dense(1)])
    model.compile("sgd", "mean_squared_error", run_eagerly=True)
    monitor = _monitor()

    def let_train(step, numbers):  # it fails in the pass of the probe alone
        Failing.call = fails

    fails, Failing.call = Failing.call, lambda self, x: x
    monitor.on_reading = let_train
    with pytest.warns(UserWarning, match="could not be") as caught:
        _fit(model, monitor, batch_size=64)
    reason = "ValueError: It wants 8 rows: training goes on."
    assert [str(each.message) for each in caught] == [
        f"The layers could not be read: {reason}",
        f"Model and data could not be described: {reason}",
    ]


@pytest.mark.parametrize("built", [False, True])
def test_model_without_call_has_no_layers_to_read(built):
    class Autoencoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = keras.layers.Dense(2, "relu")
            self.decoder = keras.layers.Dense(6)
            self.built = built

        def train_step(self, data):
            x, _ = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self.decoder(self.encoder(x)) - x) ** 2)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    model, monitor = Autoencoder(), _monitor()
    model.compile("sgd")
    _fit(model, monitor)  # and no warning
    assert len(monitor.history["gradient_norm"]) == 4
    assert monitor.run.layers == []


def test_on_reading_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="`on_reading` must be a function"):
        _monitor(on_reading="wandb")


def _spiked():
    x, y = _data(400)
    y[200] = 1e6  # step 26 of batches of 8
    return {"x": x, "y": y, "batch_size": 8, "shuffle": False, "verbose": 0}


@pytest.fixture(scope="module")
def every_step_of_a_spike():
    monitor = _monitor()
    _network().fit(**_spiked(), callbacks=[monitor])
    return monitor.history


# The window is the same code in a graph, which XLA compiles.
def test_single_spike_between_readings_is_kept(every_step_of_a_spike):
    monitor = _monitor(every=50)
    _network(jit_compile=True).fit(**_spiked(), callbacks=[monitor])
    history = monitor.history
    assert history["step"].tolist() == [1, 50]
    norms = every_step_of_a_spike["global_norm"]
    assert np.argmax(norms) == 25
    np.testing.assert_allclose(
        history["window/global_norm_max"],
        [norms[0], norms[1:].max()],
        rtol=1e-4,
    )
    kernel = every_step_of_a_spike["gradient_norm"]["output/kernel"]
    np.testing.assert_allclose(
        history["gradient_norm_max"]["output/kernel"][-1],
        kernel[1:].max(),
        rtol=1e-4,
    )


def test_overflow_in_the_backward_pass_is_told_from_one_in_the_loss():
    @tf.custom_gradient
    def bomb(x):
        return x, lambda upstream: upstream * np.float32(np.inf)

    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(4, name="before")(inputs)
    hidden = keras.layers.Lambda(bomb)(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, name="after")(hidden))
    model.compile("sgd", "mean_squared_error")
    monitor = _monitor(every=100, layers=False)
    _fit(model, monitor)
    assert monitor.first_non_finite == (1, "before/bias", "backward")


def test_layers_are_read_at_epoch_ends(run):
    history = run.monitor.layer_history
    assert history["step"][-1] == 16
    hidden = {"hidden_0_activation", "hidden_1_activation"}
    assert set(history["dead_units"]) == hidden
    assert set(history["activation_deviation"]) == hidden
    assert set(history["statistics_distance"]) == {
        "input_normalization",
        "hidden_0_normalization",
        "hidden_1_normalization",
    }
    assert np.isfinite(history["activation_mean"]["hidden_0_activation"]).all()


def test_two_monitors_on_one_model_see_the_same(tmp_path):
    model = _network()
    often, seldom = _monitor(tmp_path / "a"), _monitor(tmp_path / "b", every=4)
    plain = model.make_train_function() or model.train_function
    _fit(model, often, seldom)
    assert model.train_function is plain
    assert often.history["step"].tolist() == list(range(1, 9))
    assert seldom.history["step"].tolist() == [1, 4, 8]
    np.testing.assert_array_equal(
        seldom.history["update_ratio"]["output/kernel"],
        often.history["update_ratio"]["output/kernel"][[0, 3, 7]],
    )
    assert _steps(tmp_path / "a") == list(range(1, 9))
    assert _steps(tmp_path / "b") == [1, 4, 8]


def test_monitor_reused_for_another_model_begins_anew():
    monitor = _monitor()
    _fit(_network(run_eagerly=True), monitor)
    other = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    other.compile("sgd", "mean_squared_error")
    _fit(other, monitor, epochs=2)
    assert len(monitor.history["step"]) == 16
    paths = [variable.path for variable in other.trainable_variables]
    assert list(monitor.history["gradient_norm"]) == paths


def test_compiling_again_begins_anew_and_freezing_goes_on():
    model = _network()
    monitor = _monitor()
    _fit(model, monitor)
    model.get_layer("hidden_0").trainable = False
    optimizer = model.optimizer
    model.compile(optimizer, "mean_squared_error")
    _fit(model, monitor)
    history = monitor.history
    assert history["step"].tolist() == list(range(1, 17))
    frozen = history["gradient_norm"]["hidden_0/kernel"]
    assert np.isfinite(frozen[:8]).all()
    assert np.isnan(frozen[8:]).all()
    model.compile("sgd", "mean_squared_error")
    _fit(model, monitor)
    assert monitor.history["step"].tolist() == list(range(1, 9))


def test_monitor_does_not_keep_a_model_from_being_collected():
    model = _network()
    monitor = _monitor()
    _fit(model, monitor)
    reference = weakref.ref(model)
    keras.backend.clear_session()
    del model
    gc.collect()
    assert reference() is None
    assert len(monitor.history["step"]) == 8
    assert monitor.skipped_batches == {}
    monitor.plot(_axes())


def _axes():
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def test_plot_before_training_says_what_to_do():
    with pytest.raises(RuntimeError, match="`plot` must come after"):
        _monitor().plot(_axes())


def test_new_run_in_the_same_directory_stands_apart(tmp_path):
    for epochs in (2, 1):
        model = _network(run_eagerly=True)
        _fit(model, _monitor(tmp_path), epochs=epochs)
    assert _steps(tmp_path) == list(range(1, 9))
    (earlier,) = tmp_path.glob("earlier-*")
    assert _steps(earlier) == list(range(1, 17))


class _Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_run_resumed_from_a_backup_goes_on(tmp_path):
    backup = str(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        _fit(
            _network(run_eagerly=True),
            _monitor(tmp_path / "run"),
            keras.callbacks.BackupAndRestore(backup),
            _Stop(),
            epochs=3,
        )
    monitor = _monitor(tmp_path / "run")
    _fit(
        _network(run_eagerly=True),
        monitor,
        keras.callbacks.BackupAndRestore(backup),
        epochs=3,
    )
    assert monitor.history["step"].tolist() == list(range(17, 25))
    assert _steps(tmp_path / "run") == list(range(1, 25))


def test_run_resumed_from_a_saved_model_goes_on(tmp_path):
    model = _network(run_eagerly=True)
    _fit(model, _monitor(tmp_path / "run"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    monitor = _monitor(tmp_path / "run")
    _fit(loaded, monitor)
    assert _steps(tmp_path / "run") == list(range(1, 17))
    assert set(monitor.history["gradient_norm"]) == {
        variable.path for variable in model.trainable_variables
    }


def test_removed_directory_costs_one_warning(tmp_path):
    class Remove(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                shutil.rmtree(tmp_path / "run")

    monitor = _monitor(tmp_path / "run")
    with pytest.warns(UserWarning, match="training goes on") as caught:
        _fit(_network(run_eagerly=True), monitor, Remove(), epochs=4)
    assert len(caught) == 1
    assert len(monitor.history["step"]) == 32


def test_keras_tensorboard_beside_it_writes_its_own_runs(tmp_path):
    _fit(
        _network(),
        keras.callbacks.TensorBoard(str(tmp_path)),
        _monitor(tmp_path / "gradients"),
        validation_split=0.25,
    )
    runs = {path.parent.name for path in tmp_path.rglob("events*")}
    assert runs == {"train", "validation", "gradients"}


def test_histograms_are_written_where_asked(run, tmp_path):
    without = reader.read(str(run.log_dir))
    assert not any(tag.startswith("log10") for tag in without)
    _fit(_network(), _monitor(tmp_path, histograms=True))
    found = reader.read(str(tmp_path))
    step, buckets = found["log10_gradient/output/kernel"][-1]
    assert step == 8
    assert buckets[:, 2].sum() == 8  # the kernel has 8 entries, none is 0


def test_run_has_text_charts_and_settings(run):
    found = reader.read(str(run.log_dir))
    assert {
        "summary",
        "gradient_flow",
        "update_ratio",
        "custom_scalars__config__",
        "_hparams_/session_start_info",
        "dead_units/hidden_0_activation",
        "update_ratio/output/kernel",
        "clipped/share",
    } <= set(found)
    (page,) = found["summary"][-1][1].ravel()
    assert "No gradient held NaN or Inf." in page
    assert "| output/kernel |" in page


def _hparams(log_dir):
    accumulator = EventAccumulator(str(log_dir)).Reload()
    metadata = accumulator.SummaryMetadata("_hparams_/session_start_info")
    content = metadata.plugin_data.content
    shown = plugin_data_pb2.HParamsPluginData.FromString(content)
    return {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in shown.session_start_info.hparams.items()
    }


def test_what_differs_between_runs_stands_beside_the_settings(run, tmp_path):
    given = {"depth": 2, "rate": np.float32(0.5), "bn": True, "name": "elu"}
    model = _network(run_eagerly=True)
    _fit(model, _monitor(tmp_path, hparams=given))
    settings = _hparams(run.log_dir)
    assert settings["optimizer"] == "SGD"
    assert settings["clipnorm"] == 1.0
    assert _hparams(tmp_path) == {**settings, **given}


def test_named_like_a_setting_it_replaces_that_for_the_eye_alone(tmp_path):
    monitor = _monitor(tmp_path, hparams={"learning_rate": "cosine"})
    _fit(_network(run_eagerly=True), monitor)
    assert _hparams(tmp_path)["learning_rate"] == "cosine"
    assert monitor.run.settings["learning_rate"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    "value", [None, [1], {"a": 1}, np.ones(1), np.nan, -np.inf], ids=str
)
def test_what_tensorboard_cannot_show_is_refused(value):
    with pytest.raises(TypeError, match=r"hparams\['it'\]=.*Pass str\(it\)"):
        _monitor(hparams={"it": value})


def test_name_of_what_differs_must_be_text():
    with pytest.raises(TypeError, match=r"must map names .*hparams\[1\]=2"):
        _monitor(hparams={1: 2})


def test_event_file_of_a_deep_network_stays_small(tmp_path):
    # A megabyte with 50 layers, of which each takes 11 kB.
    model = kerasbn.models.mlp((6,), [4] * 20, 1)
    model.compile("sgd", "mean_squared_error")
    x = np.zeros((1000, 6), "float32")
    monitor = kerasbn.callbacks.GradientMonitor(str(tmp_path))
    model.fit(x, x[:, :1], 10, epochs=10, verbose=0, callbacks=[monitor])
    assert int(model.optimizer.iterations) == 1000
    files = pathlib.Path(tmp_path).rglob("events*")
    assert sum(file.stat().st_size for file in files) < 550_000
