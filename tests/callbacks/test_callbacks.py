import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.util import tensor_util

import kerasbn


def _data(rows=64):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, 6)).astype("float32")
    return x, x.sum(axis=1, keepdims=True) * 10


def _network(**compile_options):
    model = kerasbn.models.mlp((6,), [8, 8], 1)
    optimizer = kerasbn.optimizers.sgd(0.01)
    model.compile(optimizer, "mean_squared_error", **compile_options)
    return model


def _fit(model, monitor, **options):
    x, y = _data()
    options = {"batch_size": 16, "verbose": 0, "shuffle": False, **options}
    return model.fit(x, y, callbacks=[monitor], **options)


def _in_memory(every=1):
    return kerasbn.callbacks.GradientMonitor(log_dir=None, every=every)


def _read_events(log_dir):
    """Values by step of each tag, with TensorBoard's own reader."""
    accumulator = EventAccumulator(str(log_dir), size_guidance={"tensors": 0})
    accumulator.Reload()
    return {
        tag: {
            event.step: tensor_util.make_ndarray(event.tensor_proto)
            for event in accumulator.Tensors(tag)
        }
        for tag in accumulator.Tags()["tensors"]
    }


@pytest.mark.parametrize(
    ("every", "steps", "mode"),
    [
        (1, list(range(1, 13)), {"steps_per_execution": 3}),
        (5, [1, 5, 10], {"steps_per_execution": 3}),
        (5, [1, 5, 10], {"run_eagerly": True}),
    ],
    ids=str,
)
def test_first_and_every_nth_step_are_recorded(every, steps, mode):
    monitor = _in_memory(every)
    _fit(_network(**mode), monitor, epochs=3)
    assert monitor.history["step"].tolist() == steps
    assert len(monitor.history["loss"]) == len(steps)


def test_window_of_many_steps_is_read_in_parts():
    monitor = _in_memory(every=150)
    _fit(_network(), monitor, batch_size=1, epochs=5)
    assert monitor.history["step"].tolist() == [1, 150, 300]


def test_second_fit_goes_on_without_tracing_again():
    traces = []

    class Counting(keras.layers.Layer):
        def call(self, x):
            traces.append(1)
            return x

    model = keras.Sequential([Counting(), keras.layers.Dense(1)])
    model.compile("sgd", "mean_squared_error")
    monitor = _in_memory()
    _fit(model, monitor)
    traced = len(traces)
    _fit(model, monitor)
    assert len(traces) == traced
    assert monitor.history["step"].tolist() == list(range(1, 9))


def test_subclassed_model_built_by_fit_is_recorded():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    model = Model()
    model.compile("sgd", "mean_squared_error")
    monitor = _in_memory()
    _fit(model, monitor)
    paths = [variable.path for variable in model.trainable_variables]
    assert list(monitor.history["gradient_norm"]) == paths


def test_watching_changes_neither_weights_nor_statistics():
    weights = []
    for watch in (False, True):
        keras.utils.set_random_seed(1)
        model = _network()
        callbacks = [_in_memory()] if watch else []
        x, y = _data()
        model.fit(x, y, batch_size=16, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights() + model.optimizer.variables)
    for unwatched, watched in zip(*weights, strict=True):
        np.testing.assert_array_equal(unwatched, watched)


def test_embedding_gradient_is_summed_over_repeated_rows():
    model = keras.Sequential(
        [keras.layers.Embedding(5, 1), keras.layers.Flatten()]
    )
    model.compile("sgd", loss=lambda y, p: p)  # gradient 1 per look-up / 4
    monitor = _in_memory()
    tokens = np.array([[2], [2], [2], [0]])
    model.fit(tokens, np.zeros((4, 1)), verbose=0, callbacks=[monitor])
    expected = np.hypot(3, 1) / 4
    np.testing.assert_allclose(
        monitor.history["global_norm"], [expected], rtol=1e-6
    )


def _state(model):
    return dict(vars(model.optimizer)), model.train_function


def test_model_fitted_before_is_recorded_and_left_as_it_was(tmp_path):
    model = _network()
    x, y = _data()
    model.fit(x, y, verbose=0)
    attributes, function = _state(model)
    monitor = _in_memory()
    _fit(model, monitor)
    assert monitor.history["step"].tolist() == [3, 4, 5, 6]
    assert vars(model.optimizer) == attributes
    assert model.train_function is function
    model.save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras")


class _Break(keras.callbacks.Callback):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def on_train_batch_end(self, batch, logs=None):
        if batch == 20:
            raise self.error


@pytest.mark.parametrize(
    ("error", "run_eagerly"), [(ValueError, False), (KeyboardInterrupt, True)]
)
def test_broken_fit_leaves_optimizer_and_events_in_order(
    error, run_eagerly, tmp_path
):
    model = _network(run_eagerly=run_eagerly)
    x, y = _data()
    model.fit(x, y, verbose=0)
    attributes, _ = _state(model)
    monitor = kerasbn.callbacks.GradientMonitor(str(tmp_path), every=1)
    with pytest.raises(error):
        model.fit(x, y, 2, verbose=0, callbacks=[monitor, _Break(error)])
    assert vars(model.optimizer) == attributes
    assert len(monitor.history["step"]) == 21
    # The next fit runs unwatched, the one after it watched again.
    recorded = len(monitor.history["step"])
    model.fit(x, y, 8, verbose=0)
    assert len(monitor.history["step"]) == recorded
    assert model.train_function is not monitor
    _fit(model, monitor)
    steps = monitor.history["step"].tolist()
    assert len(steps) > recorded
    assert list(_read_events(tmp_path)["global_norm"]) == steps


def test_error_inside_the_step_gives_the_train_function_back():
    def batches():
        yield _data(16)
        raise ValueError("the data ended badly")

    model = _network()
    model.make_train_function()
    attributes, function = _state(model)
    with pytest.raises(Exception, match="the data ended badly"):
        model.fit(batches(), verbose=0, shuffle=False, callbacks=[_in_memory()])
    assert vars(model.optimizer) == attributes
    assert model.train_function is function


@pytest.mark.parametrize("mode", [{}, {"jit_compile": True}], ids=str)
def test_first_nan_is_found_between_two_recorded_steps(mode, tmp_path):
    x, y = _data()
    x[40] = np.nan  # step 6 of batches of 8
    model = _network(**mode)
    monitor = kerasbn.callbacks.GradientMonitor(str(tmp_path), every=100)
    model.fit(x, y, 8, shuffle=False, verbose=0, callbacks=[monitor])
    assert int(model.optimizer.iterations) == 8
    assert monitor.first_non_finite == (6, "output/bias", "forward")
    # Then the weights are NaN, and so is all that reaches the hidden layers.
    hidden = dict.fromkeys(
        ("hidden_0_normalization", "hidden_1_normalization"), 3
    )
    assert monitor.skipped_batches == {"input_normalization": 1, **hidden}
    assert "gradient_flow" in _read_events(tmp_path)


def test_tensorboard_reads_scalars_and_heat_map(tmp_path):
    monitor = kerasbn.callbacks.GradientMonitor(str(tmp_path), every=2)
    _fit(_network(), monitor, epochs=3)
    events = _read_events(tmp_path)
    history = monitor.history
    expected = {
        "global_norm": history["global_norm"],
        "loss": history["loss"],
        **{
            f"gradient_norm/{p}": n for p, n in history["gradient_norm"].items()
        },
    }
    for tag, values in expected.items():
        assert list(events[tag]) == history["step"].tolist()
        np.testing.assert_allclose(
            list(events[tag].values()), values, rtol=1e-6
        )
    width, height, png = events["gradient_flow"][history["step"][-1]]
    assert png.startswith(b"\x89PNG")
    assert int(width) > int(height) > 0


def test_nothing_is_written_where_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _fit(_network(run_eagerly=True), _in_memory())
    assert not list(tmp_path.iterdir())


def test_plot_shows_layers_down_and_steps_across():
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    monitor = _in_memory()
    _fit(_network(run_eagerly=True), monitor)
    axes = monitor.plot()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["hidden_0", "hidden_1", "output"]
    rows, columns, _ = np.asarray(axes.images[0].get_array()).shape
    assert (rows, columns) == (3, 4)
    plt.close("all")


@pytest.mark.parametrize("every", [0, -3])
def test_every_below_one_is_refused(every):
    with pytest.raises(ValueError, match="`every` must be at least 1"):
        kerasbn.callbacks.GradientMonitor(every=every)


def test_uncompiled_model_is_refused():
    monitor = _in_memory()
    monitor.set_model(kerasbn.models.mlp((6,), [8], 1))
    with pytest.raises(RuntimeError, match="must be compiled"):
        monitor.on_train_begin()


def test_log_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    monitor = kerasbn.callbacks.GradientMonitor(str(tmp_path / "file" / "run"))
    model = _network()
    model.make_train_function()
    attributes, function = _state(model)
    with pytest.raises(ValueError, match="`log_dir` must be a directory"):
        _fit(model, monitor)
    assert vars(model.optimizer) == attributes
    assert model.train_function is function
    assert int(model.optimizer.iterations) == 0


def test_importing_kerasbn_loads_no_plotting_and_no_tensorboard():
    code = (
        "import sys, keras; before = set(sys.modules); import kerasbn;"
        "new = {m.split('.')[0] for m in set(sys.modules) - before};"
        "print(new)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        # Without TensorFlow, which brings some of what kerasbn might bring.
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        cwd=Path(kerasbn.__file__).parents[1],
    )
    assert output.stdout.strip() == "{'kerasbn'}"
