"""What a search for a learning rate takes, finds and leaves alone."""

import re
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kerasbn

_RNG = np.random.default_rng(0)
_X = _RNG.normal(size=(256, 4)).astype("float32")
_Y = (_X[:, :1] > 0).astype("float32")
_LINE = _X @ np.array([[1.0], [-2.0], [0.5], [0.0]], "float32")


def _linear(optimizer="sgd", loss="mean_squared_error"):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(optimizer, loss)
    return model


def _deep(optimizer):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


def _find(model, x: Any = _X, y: Any = _LINE, **options: Any):
    return kerasbn.find_learning_rate(model, x, y, **{"steps": 60, **options})


def _state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return {each.path: each.numpy() for each in variables}


def _same(before, after):
    return all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("trained", [False, True], ids=["new", "trained"])
def test_everything_stays_bit_for_bit_as_it_was(trained):
    model = _deep(kerasbn.optimizers.Clipped("adam"))
    if trained:
        model.fit(_X, _Y, verbose=0)
    optimizer, function = model.optimizer, model.train_function
    before, count = _state(model), len(optimizer.variables)
    _find(model, y=_Y)
    assert _same(before, _state(model))
    assert model.optimizer is optimizer
    assert len(optimizer.variables) == count  # built no earlier
    assert model.train_function is function


def test_training_goes_on_as_if_nothing_had_been_searched():
    ends = []
    for searches in (False, True):
        keras.utils.set_random_seed(0)
        model = _deep("adam")
        if searches:
            _find(model, y=_Y)
        model.fit(_X, _Y, epochs=2, verbose=0)
        ends.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_array_equal(*ends)


def test_model_is_put_back_after_an_error():
    model = _deep("adam")
    before = _state(model)

    def batches():
        yield _X[:32], _Y[:32]
        yield _X[:32, :3], _Y[:32]  # too few columns

    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        _find(model, batches(), None)
    assert _same(before, _state(model))
    model.fit(_X, _Y, verbose=0)


def test_rate_lies_below_the_edge_of_stability_of_a_linear_model():
    # Gradient descent diverges above 2 / (largest eigenvalue of the Hessian).
    rows = np.c_[_X, np.ones(256)]
    edge = 2 / np.linalg.eigvalsh(2 / 256 * rows.T @ rows).max()
    found = _find(_linear("sgd"), batch_size=256)
    assert edge / 30 < found.suggested < edge
    assert not np.isfinite(found.losses[found.rates > 2 * edge]).any()


def test_rate_follows_the_scale_of_the_inputs():
    # The Hessian grows with its square, so the best rate falls with it.
    small, large = (
        _find(_linear("sgd"), scale * _X).suggested for scale in (1.0, 10.0)
    )
    assert small / large == pytest.approx(100, rel=0.8)


def test_rate_trains_where_that_of_the_model_does_not():
    model = _linear(keras.optimizers.Adam(1e-7))
    found = _find(model)
    losses = []
    for rate in (1e-7, found.suggested):
        model = _linear(keras.optimizers.Adam(rate))
        losses += model.fit(_X, _LINE, epochs=20, verbose=0).history["loss"][
            -1:
        ]
    assert losses[1] < losses[0] / 2
    assert found.current == pytest.approx(1e-7)


def _dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(32)


class _Batches(keras.utils.PyDataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        return _X[rows], _LINE[rows]


def _generator():
    while True:
        yield _X[:32], _LINE[:32]


_DATA = {
    "arrays": lambda: (_X, _LINE),
    "float64": lambda: (_X.astype("float64"), _LINE.astype("float64")),
    "pandas": lambda: (pd.DataFrame(_X), pd.Series(_LINE[:, 0])),
    "dataset": lambda: (_dataset(_X, _LINE), None),
    "endless dataset": lambda: (_dataset(_X, _LINE).repeat(), None),
    "weighted dataset": lambda: (_dataset(_X, _LINE, np.ones(256)), None),
    "PyDataset": lambda: (_Batches(), None),
    "generator": lambda: (_generator(), None),
    "few rows": lambda: (_X[:10], _LINE[:10]),
}


@pytest.mark.parametrize("kind", _DATA)
def test_data_is_what_fit_takes(kind):
    found = _find(_linear("sgd"), *_DATA[kind]())
    assert 0.005 < found.suggested < 1
    assert found.learns


def test_inputs_and_targets_may_be_structures():
    first, second = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    joined = keras.layers.Concatenate()([first, second])
    outputs = {k: keras.layers.Dense(1, name=k)(joined) for k in ("p", "q")}
    model = keras.Model({"a": first, "b": second}, outputs)
    model.compile("sgd", dict.fromkeys(outputs, "mean_squared_error"))
    found = _find(model, {"a": _X, "b": _X}, {"p": _LINE, "q": -_LINE})
    assert found.learns


def test_class_weights_are_sample_weights():
    weights = np.where(_Y[:, 0] == 1, 3.0, 0.5)
    dataset = _dataset(_X, _Y)
    runs = []
    for x, y, options in (
        (_X, _Y, {"class_weight": {0: 0.5, 1: 3.0}}),
        (_X, _Y, {"sample_weight": weights}),
        (_X, _Y, {}),
        (dataset, None, {"class_weight": {0: 0.5, 1: 3.0}}),
        (_dataset(_X, _Y, weights.astype("float32")), None, {}),
    ):
        keras.utils.set_random_seed(0)
        model = _linear("sgd", "mean_squared_error")
        runs.append(_find(model, x, y, **options).losses)
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[3], runs[4])
    assert runs[0][0] != runs[2][0]


class Own(keras.Model):
    """A model that is built late and trains in its own way."""

    def __init__(self, name="loss"):
        super().__init__()
        self.dense, self.told = keras.layers.Dense(1), name
        self.second = keras.optimizers.SGD(0.1)
        self.traced = 0

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        self.traced += 1
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
        kernel, bias = self.trainable_variables
        slopes = tape.gradient(loss, [kernel, bias])
        self.optimizer.apply([slopes[0]], [kernel])
        self.second.apply([slopes[1]], [bias])
        return {self.told: loss}


@pytest.mark.parametrize("trained", [False, True], ids=["new", "trained"])
def test_train_step_of_the_user_is_traced_once(trained):
    model = Own()
    second = model.second
    model.compile(keras.optimizers.SGD(0.01, momentum=0.5))
    if trained:
        model.fit(_X, _LINE, verbose=0)
    before = _state(model) if trained else {}
    model.traced = 0
    found = _find(model)
    assert model.traced == 1
    assert found.learns
    assert _same(before, _state(model))
    assert model.second is second
    assert second.built is trained


def test_train_step_must_tell_a_loss():
    model = Own("error")
    model.compile("sgd")
    with pytest.raises(ValueError, match="must return a `loss`"):
        _find(model)


def test_mixed_precision_keeps_its_loss_scale():
    keras.config.set_dtype_policy("mixed_float16")
    model = _deep("adam")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    before = _state(model)
    assert _find(model, y=_Y).learns
    assert _same(before, _state(model))


def test_clipping_of_the_optimizer_is_kept():
    # A gradient clipped to a thousandth allows a rate that is far higher.
    rules = [kerasbn.clipping.ByGlobalNorm(1e-3)]
    clipped = kerasbn.optimizers.Clipped(keras.optimizers.SGD(0.1), rules)
    assert _find(_linear(clipped)).suggested > 10 * _find(_linear()).suggested


def test_rate_of_a_schedule_is_its_largest_and_its_shape_stays():
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, 900, warmup_target=1e-4, warmup_steps=100
    )
    model = _linear(keras.optimizers.SGD(schedule))
    found = _find(model)
    assert model.optimizer._learning_rate is schedule
    assert found.current == pytest.approx(1e-4)
    assert found.factor == pytest.approx(found.suggested / 1e-4)
    assert 0.005 < found.suggested < 1


def test_steps_are_not_exceeded():
    for steps, scale in ((40, 1.0), (60, 1e4), (150, 1e-4)):
        found = _find(_linear(), scale * _X, steps=steps)
        assert sum(map(len, found.runs.values())) < found.steps <= steps


def test_it_says_that_nothing_learns():
    dead = keras.layers.Dense(1, "relu", bias_initializer="zeros")
    model = keras.Sequential([keras.Input((4,)), dead])
    dead.bias.assign([-1e3])
    model.compile("sgd", "mean_squared_error")
    found = _find(model)
    assert not found.learns
    assert "no rate lowers the loss" in str(found)


def test_it_says_that_the_loss_is_not_finite():
    found = _find(_linear(), np.full_like(_X, np.nan))
    assert np.isnan(found.suggested)
    assert "not finite before any step" in str(found)


def test_it_says_that_everything_diverges():
    found = _find(_linear(), 1e18 * _X, steps=40)
    assert np.isnan(found.suggested)
    assert "diverges at all rates" in str(found)


def test_result_is_printed_and_drawn():
    found = _find(_linear(keras.optimizers.SGD(0.5)))
    text = str(found)
    assert f"{found.suggested:.2g}; the model has 0.5." in text
    assert len(re.findall("e[+-]\\d\\d ", text)) == len(found.rates)
    assert max(map(len, text.splitlines())) <= 80
    assert (np.diff(found.rates) > 0).all()
    assert found._repr_png_().startswith(b"\x89PNG")
    assert len(found.plot().axes) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 10}, "`steps` must be at least 40"),
        ({"x": _X[:0], "y": _LINE[:0]}, "at least one row"),
        ({"y": _LINE[:3]}, "as many rows each"),
        ({"x": _dataset(_X, _LINE)}, "`y` and `sample_weight` must be part"),
        (
            {"sample_weight": np.ones(256), "class_weight": {0: 1.0}},
            "At most one of `class_weight` and `sample_weight`",
        ),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        _find(_linear(), **options)


def test_model_must_be_compiled():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(RuntimeError, match="must be compiled"):
        _find(model)
