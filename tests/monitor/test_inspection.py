"""Facts about data and outputs, against values worked out by hand."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kerasbn
from kerasbn._monitor import baselines, first_look, heads

_DRAW = np.random.default_rng(0)
_X = _DRAW.normal(size=(400, 6)).astype("float32")


def _model(outputs, loss, shape=(6,), **options):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, outputs(inputs))
    model.compile("adam", loss, **options)
    return model


@pytest.mark.parametrize(
    ("outputs", "activation"),
    [
        (layers.Dense(3, "softmax"), "softmax"),
        (layers.Dense(3, tf.nn.softmax), None),
        (layers.Dense(3, lambda x: keras.ops.sigmoid(x)), None),
        (layers.Dense(3, "hard_sigmoid"), "hardsigmoid"),
        (lambda x: keras.ops.sigmoid(layers.Dense(3)(x)), "sigmoid"),
        (
            lambda x: layers.Reshape((3, 1))(layers.Dense(3, "sigmoid")(x)),
            "sigmoid",
        ),
        (
            lambda x: layers.Activation("linear", dtype="float32")(
                layers.Dropout(0.1)(layers.Dense(3, "softmax")(x))
            ),
            "softmax",
        ),
        (
            lambda x: layers.Multiply()(
                [layers.Dense(3, "sigmoid")(x), layers.Dense(3, "sigmoid")(x)]
            ),
            None,
        ),
        (keras.Sequential([layers.Dense(3), layers.Softmax()]), "softmax"),
    ],
    ids=range(9),
)
def test_activation_is_seen_through_what_keeps_its_range(outputs, activation):
    (head,) = heads.heads_of(_model(outputs, "mse"))
    assert head.activation == activation
    assert head.loss == "mean_squared_error"


def _guess(loss, y, weight=None, logits=False, shape=(1,)):
    head = heads.Head("out", "out", "Dense", None, None, loss, logits)
    found = baselines.constant_guess(y, weight, head, shape)
    assert found is not None
    assert found.shape == (len(y), *shape)
    return found[0]


def test_constant_guess_is_the_best_one():
    binary, labels = np.array([0, 0, 0, 1]), np.array([0, 2, 2, 2])
    assert _guess("mean_squared_error", binary)[0] == pytest.approx(0.25)
    assert _guess("mean_absolute_error", binary)[0] == 0.0
    shares = _guess("sparse_categorical_crossentropy", labels, shape=(3,))
    np.testing.assert_allclose(shares, [0.25, 1e-7, 0.75], rtol=1e-5)
    odds = _guess("binary_crossentropy", binary, logits=True)
    assert odds[0] == pytest.approx(np.log(1 / 3), rel=1e-5)


def test_constant_guess_is_weighted_as_the_loss_is():
    y, weight = np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 1.0, 3.0])
    assert _guess("binary_crossentropy", y, weight)[0] == pytest.approx(0.5)


def test_classes_of_pixels_count_over_all_places():
    y = np.zeros((2, 4, 4), int)
    y[0, 0, :2] = 1  # 2 of 32
    shares = _guess("sparse_categorical_crossentropy", y, shape=(4, 4, 2))
    np.testing.assert_allclose(shares[3, 3], [30 / 32, 2 / 32], rtol=1e-5)
    one_hot = _guess("categorical_crossentropy", np.eye(2)[y], shape=(4, 4, 2))
    np.testing.assert_allclose(one_hot, shares, rtol=1e-5)


def test_unknown_loss_has_no_constant_guess():
    head = heads.Head("out", "out", "Dense", None, None, "my_loss", False)
    assert baselines.constant_guess(np.ones(4), None, head, (1,)) is None


def test_cheap_models_find_lines_and_circles_and_nothing_in_noise():
    circle = (np.square(_X[:, :2]).sum(axis=1) > 1.4).astype(float)
    noise = _DRAW.normal(size=400)
    line = _X[:, 0] - _X[:, 1]
    pairs = (_X, line), (_X[:, :2], circle), (_X, noise)
    found = [baselines.learnable([x], y) or 0.0 for x, y in pairs]
    np.testing.assert_array_less([0.95, 0.6, -1.0], found)
    assert found[2] < 0.03


def _data(model, y, x=_X):
    return first_look.before_training(model, x, y).data


def test_loss_of_a_guess_is_in_the_units_of_the_loss():
    y = (np.arange(400) % 4 == 0).astype("float32")
    losses = _data(
        _model(
            layers.Dense(1, "sigmoid", kernel_regularizer="l2"),
            "binary_crossentropy",
        ),
        y,
    )["losses"]
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert losses["guess"] == pytest.approx(entropy + 1 / 800, rel=1e-3)
    assert losses["floor"] == pytest.approx(0.0, abs=1e-5)
    assert losses["penalty"] > 0.0


class _Difference(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.square(y_true - y_pred)


def test_loss_that_broadcasts_differs_from_that_of_reshaped_targets():
    for loss, same in ((_Difference(), False), ("mse", True)):
        losses = _data(_model(layers.Dense(1), loss), _X[:, 0])["losses"]
        assert np.isclose(losses["copied"], losses["reshaped"]) == same


def test_softmax_as_logits_is_undone_only_where_keras_can():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    y = np.arange(400) % 3
    for outputs, undone in (
        (layers.Dense(3, "softmax"), True),
        (
            lambda x: layers.Reshape((3,))(layers.Dense(3, "softmax")(x)),
            False,
        ),
    ):
        expected = pytest.warns(UserWarning, match="from_logits=True")
        with expected if undone else contextlib.nullcontext():
            losses = _data(_model(outputs, loss), y)["losses"]
        assert np.isclose(losses["copied"], losses["inference"]) != undone


def test_inputs_are_measured_behind_the_layer_that_scales_them():
    x = 1e4 * (1.0 + _X)
    scale = layers.Normalization()
    forgotten = _data(_model(lambda i: layers.Dense(1)(scale(i)), "mse"), x, x)
    assert next(iter(forgotten["arrivals"].values()))["size"] > 1e3
    scale = layers.Normalization()
    scale.adapt(x)
    adapted = _data(_model(lambda i: layers.Dense(1)(scale(i)), "mse"), x, x)
    size = next(iter(adapted["arrivals"].values()))["size"]
    assert size == pytest.approx(1.0, abs=0.2)


def test_rows_that_are_not_finite_are_named_wherever_they_are():
    x = np.repeat(_X, 5, axis=0)
    x[1500, 2] = np.nan
    (finding, *_) = kerasbn.diagnose(
        _model(layers.Dense(1), "mse"), x, np.ones(2000)
    )
    assert (finding.problem, finding.where) == ("non_finite", "inputs")
    assert "row 1500" in finding.evidence


def test_labels_are_looked_at_to_the_last_row():
    y = np.arange(2000) % 10
    y[1999] = 10
    model = _model(
        layers.Dense(10, "softmax"), "sparse_categorical_crossentropy"
    )
    (finding, *_) = kerasbn.diagnose(model, np.repeat(_X, 5, axis=0), y)
    assert finding.problem == "output_mismatch"
    assert "from 0 to 10" in finding.evidence


def test_class_weights_are_part_of_the_guess_in_training():
    y = (_X[:, 0] > 1.3).astype(int)
    model = _model(layers.Dense(1, "sigmoid"), "binary_crossentropy")
    monitor = kerasbn.callbacks.GradientMonitor(None)
    model.fit(
        *(_X, y, 40, 3),
        class_weight={0: 100.0, 1: 900.0},
        verbose=0,
        callbacks=[monitor],
    )
    guess = monitor.run.data["losses"]["guess"]
    share = y.mean()
    weighted = 900 * share / (900 * share + 100 * (1 - share))
    entropy = -100 * (1 - share) * np.log(1 - weighted)
    entropy -= 900 * share * np.log(weighted)
    assert guess == pytest.approx(entropy, rel=0.25)  # of the rows seen


def test_data_without_rows_are_refused():
    with pytest.raises(ValueError, match="`x` must hold at least one row"):
        kerasbn.diagnose(_model(layers.Dense(1), "mse"), _X[:0], _X[:0, :1])
