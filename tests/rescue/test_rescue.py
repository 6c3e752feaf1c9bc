"""What a rescue changes, keeps, proves and says."""

import functools

import keras
import numpy as np
import pytest
from sklearn import datasets

import kerasbn

_X, _Y = datasets.make_circles(640, noise=0.08, factor=0.5, random_state=0)


def _network(*layers, output="sigmoid", **options):
    hidden = layers or [
        keras.layers.Dense(32, "relu", **options) for _ in range(3)
    ]
    return keras.Sequential(
        [keras.Input((2,)), *hidden, keras.layers.Dense(1, output)]
    )


def _rescued(model, optimizer, x=_X, y=_Y, loss="binary_crossentropy", **more):
    model.compile(optimizer, loss)
    return kerasbn.rescue(model, x, y, **{"epochs": 40, **more})


def _kinds(result):
    return [each.kind for each in result.changes]


@functools.cache
def _constant_kernels():
    """One rescue for all that only read what it did."""
    model = _network(kernel_initializer="zeros")
    before = model.get_weights()
    return model, before, _rescued(model, "adam")


_CASES = {
    "rate too low": (
        lambda: _rescued(_network(), keras.optimizers.Adam(1e-7)),
        ["learning_rate"],
    ),
    "rate too high": (
        lambda: _rescued(_network(), keras.optimizers.Adam(10.0)),
        ["learning_rate"],
    ),
    "constant kernels": (
        lambda: _constant_kernels()[-1],
        ["initializer"],
    ),
    "large inputs": (
        lambda: _rescued(_network(), "adam", x=_X * 1e5 + 3e5),
        ["normalize_inputs"],
    ),
    "clipped to nothing": (
        lambda: _rescued(
            _network(), keras.optimizers.SGD(0.1, 0.9, clipnorm=1e-5)
        ),
        ["clipping"],
    ),
    "softmax over one unit": (
        lambda: _rescued(_network(output="softmax"), "adam"),
        ["output"],
    ),
}


@pytest.mark.parametrize("name", _CASES)
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
def test_one_fault_takes_one_change_and_the_network_trains(name):
    rescue, kinds = _CASES[name]
    result = rescue()
    assert _kinds(result) == kinds, str(result)
    assert result.after.skill > result.before.skill + 0.2
    assert not result.after.findings
    x = _X * 1e5 + 3e5 if name == "large inputs" else _X
    result.model.fit(x, _Y, epochs=40, verbose=0)
    right = (result.model.predict(x, verbose=0)[:, 0] > 0.5) == _Y
    assert right.mean() > 0.95


def test_model_of_the_user_stays_as_it_is():
    model, before, result = _constant_kernels()
    assert result.model is not model
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(model.optimizer.iterations) == 0


def test_healthy_model_is_left_alone_and_says_so():
    model = _network()
    result = _rescued(model, keras.optimizers.Adam(3e-3))
    assert not result.changes
    assert len(result.trials) == 1
    assert "Nothing is wrong: the model is as it was." in str(result)
    for old, new in zip(
        model.get_weights(), result.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(old, new)


def test_what_nothing_helps_is_told():
    noise = np.random.default_rng(0).permutation(_Y)
    result = _rescued(_network(), "adam", y=noise, epochs=10)
    assert not result.changes
    assert "Nothing that was tried helps" in str(result)


def test_trials_stay_within_the_budget():
    model = _network(kernel_initializer="zeros")
    result = _rescued(model, "adam", budget=1.0, epochs=20)
    planned = 20 * 16  # a fifth of 640 rows is set aside: 512 / 32
    assert sum(trial.steps for trial in result.trials) <= planned


def test_printed_result_holds_table_and_patch():
    *_, result = _constant_kernels()
    lines = str(result).splitlines()
    assert lines[0].split() == ["loss", "validation", "findings"]
    assert [line.split()[0] for line in lines[1:3]] == ["before", "after"]
    assert any(line.startswith("+ ") for line in lines)


def test_subclassed_model_is_refused():
    class Custom(keras.Model):
        def call(self, x):
            return x

    model = Custom()
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="`model` must be a functional"):
        kerasbn.rescue(model, _X, _Y)
