import keras
import numpy as np
import pytest

import kerasbn
from kerasbn._events import reader

_X = np.ones((400, 1), "float32")


def _line(rate, **options):
    """Fits w + b to 1: the curvature is 4, and rates above 0.5 diverge."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(rate, **options)
    model.compile(optimizer, "mean_squared_error")
    return model


def _recover(**options):
    return kerasbn.callbacks.RecoverFromNonFinite(**options)


def _fit(model, *callbacks, x=_X, **options):
    options = {"batch_size": 4, "verbose": 0, "shuffle": False, **options}
    return model.fit(x, _X[: len(x)], callbacks=list(callbacks), **options)


def test_diverging_run_goes_on_with_a_rate_that_converges():
    lost = _line(1.5)
    _fit(lost, epochs=3)
    assert not np.isfinite(lost.get_weights()[0]).all()
    model, recover = _line(1.5, momentum=0.0), _recover()
    history = _fit(model, recover, epochs=3).history
    assert float(model.optimizer.learning_rate) == 0.375
    assert len(recover.recoveries) == 2
    assert history["loss"][-1] < 1e-10


@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_weights_and_optimizer_go_back_to_what_was_saved(save_freq):
    x = _X[:40].copy()
    x[31] = np.nan  # in batch 7: 7 steps of 10 are good

    def build():
        keras.utils.set_random_seed(0)
        return _line(0.1, momentum=0.9)

    model, recover = build(), _recover(save_freq=save_freq)
    _fit(model, recover, x=x)
    good = 0 if save_freq == "epoch" else 6
    assert recover.recoveries == [(8, good)]
    # What comes after the recovery is two good batches at half the rate.
    twin = build()
    if good:
        _fit(twin, x=_X[: 4 * good])
    twin.optimizer.learning_rate = 0.05
    _fit(twin, x=_X[: 4 * 2])
    for value, expected in zip(
        [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)],
        [*twin.get_weights(), *(v.numpy() for v in twin.optimizer.variables)],
        strict=True,
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_it_gives_up_on_the_last_good_weights():
    model = _line(0.1)
    weights = model.get_weights()
    with pytest.warns(UserWarning, match="Look for NaN in the data"):
        _fit(model, _recover(), x=np.full_like(_X, np.nan), epochs=5)
    for value, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(value, expected)
    np.testing.assert_allclose(model.optimizer.learning_rate, 0.1 / 8)


def test_schedule_is_left_as_it_is():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    x = _X.copy()
    x[30] = np.nan
    model, recover = _line(schedule), _recover()
    with pytest.warns(UserWarning, match="follows a schedule"):
        _fit(model, recover, x=x)
    assert len(recover.recoveries) == 1
    assert np.isfinite(model.get_weights()[0]).all()


def test_monitor_and_its_file_forget_the_steps_that_were_undone(tmp_path):
    x = _X[:40].copy()
    x[31] = np.nan
    model, log_dir = _line(0.1), str(tmp_path)
    monitor = kerasbn.callbacks.GradientMonitor(log_dir, every=1, layers=False)
    _fit(model, monitor, _recover(), x=x)
    assert monitor.history["step"].tolist() == [1, 2]
    written = reader.read(log_dir)["readings/step"]
    assert [step for step, _ in written] == [1, 2]
    bias = model.trainable_variables[-1].path
    assert monitor.first_non_finite == (8, bias, "forward")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_recoveries": 0}, "`max_recoveries` must be at least 1"),
        ({"factor": 1.0}, "`factor` must lie between 0 and 1"),
        ({"save_freq": 0}, "`save_freq` must be"),
        ({"save_freq": "batch"}, "`save_freq` must be"),
    ],
)
def test_argument_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        _recover(**options)
