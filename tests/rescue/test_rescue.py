"""What a rescue changes, keeps, proves and says."""

import functools
import pickle
from typing import Any

import keras
import numpy as np
import pytest
from sklearn import datasets

import kerasbn
from kerasbn._rescue.changes import Change, apply
from kerasbn._rescue.data import Rows, rows_of
from kerasbn._rescue.result import Rescue, Trial
from kerasbn._rescue.score import Scorer

_X, _Y = datasets.make_circles(640, noise=0.08, factor=0.5, random_state=0)


def _network(*layers, output="sigmoid", **options):
    hidden = layers or [
        keras.layers.Dense(32, "relu", **options) for _ in range(2)
    ]
    return keras.Sequential(
        [keras.Input((2,)), *hidden, keras.layers.Dense(1, output)]
    )


def _rescued(model, optimizer, x=_X, y=_Y, loss="binary_crossentropy", **more):
    model.compile(optimizer, loss)
    return kerasbn.rescue(model, x, y, **{"epochs": 40, "verbose": 0, **more})


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
    assert "Nothing was learnt, and nothing is found wrong" in str(result)


def test_trials_stay_within_the_budget():
    model = _network(kernel_initializer="zeros")
    result = _rescued(model, "adam", budget=1.0, epochs=20)
    planned = 20 * 16  # a fifth of 640 rows is set aside: 512 / 32
    assert sum(trial.steps for trial in result.trials) <= planned


def test_printed_result_holds_table_and_code():
    *_, result = _constant_kernels()
    lines = str(result).splitlines()
    assert lines[0].split() == ["loss", "accuracy", "findings"]
    assert [line.split()[0] for line in lines[1:3]] == ["before", "after"]
    assert lines[4].startswith("# Draw the kernels")
    assert str(result).endswith(result.code)


def _functional():
    inputs = keras.Input((2,))
    x = keras.layers.Dense(8, "sigmoid", name="first")(inputs)
    x = keras.layers.Add()([x, keras.layers.Dense(8, "sigmoid")(x)])
    return keras.Model(inputs, keras.layers.Dense(1, "relu", name="end")(x))


_CHANGES = [
    Change("output", {"activation": "sigmoid"}),
    Change("normalize_inputs"),
    Change("normalize_hidden"),
    Change("activation", {"activation": "elu"}),
    Change("initializer"),
    Change("learning_rate", {"value": 0.01}),
    Change("clipping", {"clipnorm": 1.0}),
    Change("scale_targets", {"mean": 2.0, "deviation": 3.0}),
]


@pytest.mark.parametrize("make", [_network, _functional])
def test_code_builds_and_compiles_the_model(make):
    model = make()
    loss = keras.losses.Huber(delta=2.0)
    model.compile(
        keras.optimizers.SGD(0.5, momentum=0.9), loss, metrics=["mae"]
    )
    model = apply(model, _CHANGES)
    trial = Trial([], 1.0, 1.0, 0.0)
    weights = {"class_weight": {each: 0.125 for each in range(20)}}
    result = Rescue(model, _CHANGES, trial, trial, [], fit=weights)
    text, fit = str(result).split("model.fit(")
    assert max(map(len, str(result).splitlines())) <= 100
    assert (
        eval(fit.partition("class_weight=")[2].rstrip("),\n"))
        == (weights["class_weight"])
    )
    made: dict = {}
    exec(text[text.index("import keras") :], made)
    again = made["model"]
    assert [_config(e) for e in again.layers] == [
        _config(e) for e in model.layers
    ]
    for one, other in zip(again.weights, model.weights, strict=True):
        assert one.shape == other.shape
    optimizers = [_config(each.optimizer) for each in (again, model)]
    assert optimizers[0] == optimizers[1]
    assert again.loss.get_config() == model.loss.get_config()
    history = again.fit(_X, _Y, epochs=1, verbose=0).history
    assert set(history) == {"loss", "mae"}


def _config(given):
    """What it is, without the names that Keras counts up."""
    kept = given.get_config()
    kept.pop("name")
    return type(given), kept


def _segmentation(loss):
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(8, 1, activation="relu"),
            keras.layers.Conv2D(2, 1, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), loss)
    return model


def test_labels_per_pixel_count_one_by_one():
    x = np.random.default_rng(0).normal(size=(200, 4, 4, 1))
    labels = (x[..., 0] > 0.5).astype(int)
    model = _segmentation("sparse_categorical_crossentropy")
    predicted = model.predict(x, verbose=0).argmax(axis=-1)
    right, most = np.mean(predicted == labels), np.mean(labels == 0)
    assert 0.2 < most < 0.8  # no class is rare
    for y in (labels, labels[..., None]):
        assert _score(model, x, y) == ("accuracy", pytest.approx(right))
    weights = model.get_weights()
    model = _segmentation("categorical_crossentropy")
    model.set_weights(weights)
    found = _score(model, x, np.eye(2)[labels])
    assert found == ("accuracy", pytest.approx(right))


def _score(model, x, y):
    rows = Rows(x, y)
    return Scorer(model, rows, rows)(model)[:2]


def test_network_for_pixels_can_be_rescued():
    x = np.random.default_rng(0).normal(size=(200, 4, 4, 1))
    y = (x[..., 0] > 0.5).astype(int)
    model = _segmentation("sparse_categorical_crossentropy")
    result = kerasbn.rescue(model, x, y, epochs=5, verbose=0)
    assert not any(trial.error for trial in result.trials)


def test_scores_of_several_outputs_are_averaged():
    inputs = keras.Input((2,))
    sign = keras.layers.Lambda(lambda x: keras.ops.cast(x > 0, "float32"))
    same = keras.layers.Identity()
    model = keras.Model(inputs, {"a": sign(inputs), "b": same(inputs)})
    model.compile(loss={"a": "binary_crossentropy", "b": "mse"})
    y = {"a": (_X > 0) * 1.0, "b": _X[::-1]}
    b = 1.0 - np.mean((_X - _X[::-1]) ** 2) / _X.var(axis=0).mean()
    name, score = _score(model, _X, y)
    assert name == "accuracy and R²"
    assert score == pytest.approx((1.0 + b) / 2, abs=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_scaled_outputs_learn_raw_targets(optimizer):
    x = np.random.default_rng(0).normal(size=(600, 6))
    y = 3e5 + 1e5 * np.tanh(x[:, 0] + x[:, 1] * x[:, 2])
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            *(keras.layers.Dense(32, "relu") for _ in range(2)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse")
    options = {"mean": float(y.mean()), "deviation": float(y.std())}
    changed = apply(model, [Change("scale_targets", options)])
    changed.fit(x, y, epochs=10, verbose=0)
    assert _score(changed, x, y)[1] > 0.8


def test_what_could_not_be_trained_is_told():
    labels = np.zeros((len(_X), 3))
    result = _rescued(_network(), "adam", y=labels, budget=0.0)
    assert result.before.error
    assert "The model as it was could not be trained: " in str(result)


def test_budget_for_no_trial_is_told():
    model = _network(kernel_initializer="zeros")
    result = _rescued(model, "adam", budget=0.0)
    assert "Something is wrong, but nothing was tried" in str(result)
    assert "a larger `budget` may find more" in str(result)


def test_subclassed_model_is_refused():
    class Custom(keras.Model):
        def call(self, x):
            return x

    model = Custom()
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="`model` must be a functional"):
        kerasbn.rescue(model, _X, _Y)


def test_few_steps_of_small_data_are_enough_for_trials():
    x, y = datasets.load_wine(return_X_y=True)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((13,)),
            keras.layers.Dense(32, "relu"),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    result = kerasbn.rescue(model, x, y, epochs=10, verbose=0)
    assert _kinds(result)[0] == "normalize_inputs"
    assert result.after.score > result.before.score + 0.2


def test_skill_tells_bad_runs_apart():
    y = np.arange(10.0)
    model = _line()
    scores = []
    for weight in (np.nan, 100.0, 5.0, 2.0, 1.0):
        model.set_weights([np.array([[weight]])])
        rows = Rows(y[:, None], y)
        scores.append(Scorer(model, rows, rows)(model))
    assert [each.skill for each in scores] == sorted(e.skill for e in scores)
    assert np.isnan(scores[0].value)
    assert scores[0].skill == -np.inf
    # Their errors are those of the line through 0 with slope w - 1.
    error = np.mean((99.0 * y) ** 2) / y.var()
    assert scores[1].value == pytest.approx(1.0 - error)
    assert scores[-1] == ("R²", 1.0, 1.0)


def _line(**options):
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False)]
    )
    model.compile("sgd", "mse", run_eagerly=True, **options)
    return model


def test_a_rare_class_is_scored_by_recall():
    y = (np.arange(100) < 10).astype(float)
    model = _line()
    model.set_weights([np.array([[0.0]])])
    name, score = _score(model, y[:, None], y)
    assert (name, score) == ("balanced accuracy", pytest.approx(0.5))


def test_another_backend_has_trials_without_a_diagnosis(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "other")
    model = _network()
    result = _rescued(model, keras.optimizers.Adam(1e-7), budget=2, epochs=10)
    assert not any(each.error for each in result.trials)
    assert set(_kinds(result)) <= {"learning_rate", "optimizer"}
    assert result.after.score > result.before.score


def _batches(kind):
    x, y = _X.astype("float32"), _Y.astype("float32")
    if kind == "tf.data":
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((x, y)).batch(64)
    if kind == "generator":
        return ((x[i : i + 64], y[i : i + 64]) for i in range(0, 640, 64))

    class Halves(keras.utils.PyDataset):
        def __len__(self):
            return 10

        def __getitem__(self, index):
            rows = slice(64 * index, 64 * index + 64)
            return x[rows], y[rows], np.ones(64)

    return Halves()


@pytest.mark.parametrize("kind", ["tf.data", "generator", "PyDataset"])
def test_batches_are_read_once(kind):
    rows, batch_size = rows_of(_batches(kind), None, None, 32)
    assert batch_size == 64
    np.testing.assert_array_equal(rows.x, _X.astype("float32"))
    np.testing.assert_array_equal(rows.y, _Y)
    assert (rows.weight is not None) == (kind == "PyDataset")


def test_arguments_of_fit_reach_the_trials(monkeypatch):
    given: dict[str, Any] = {}

    def fit(self, x, y, **options):
        given.update(options, rows=len(x))
        raise RuntimeError("enough")

    monkeypatch.setattr(keras.Model, "fit", fit)
    model = _network()
    model.compile("adam", "binary_crossentropy")
    weights = np.linspace(1.0, 2.0, 640)
    result = kerasbn.rescue(
        model,
        _X,
        _Y,
        sample_weight=weights,
        class_weight={0: 1.0, 1: 2.0},
        batch_size=16,
        budget=0.0,
        verbose=0,
    )
    assert result.before.error == "RuntimeError: enough"
    assert given["batch_size"] == 16
    assert given["class_weight"] == {0: 1.0, 1: 2.0}
    assert len(given["sample_weight"]) == given["rows"]
    assert set(given["sample_weight"]) <= set(weights)


def test_a_trial_is_told_in_a_line(capsys):
    model = _line()
    x = np.linspace(-1, 1, 40)[:, None]
    kerasbn.rescue(model, x, 2 * x, epochs=1, budget=0.0)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[:6] == ["1", "the", "model", "as", "it", "was"]
    assert "R²" in line
    assert line.endswith(" s")


def test_result_can_be_pickled_and_fits_the_page():
    *_, result = _constant_kernels()
    again = pickle.loads(pickle.dumps(result))
    assert again.changes == result.changes
    assert str(again) == str(result)
    assert max(map(len, str(result).splitlines())) <= 100


def test_outputs_of_an_own_loss_are_scored_by_it():
    def likelihood(y, predicted):
        return keras.ops.mean(keras.ops.square(y - predicted[:, :1]), axis=-1)

    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(2, kernel_initializer="zeros")]
    )
    model.compile("sgd", likelihood, run_eagerly=True)
    y = np.array([[1.0], [3.0]])
    assert _score(model, y, y) == ("loss", pytest.approx(5.0))
