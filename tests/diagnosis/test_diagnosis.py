"""Each problem provoked in a real `fit`, and a healthy neighbour of each."""

import functools

import keras
import numpy as np
import pytest
from sklearn import datasets

import kerasbn
from kerasbn import diagnosis

_X, _Y = datasets.make_circles(640, noise=0.08, factor=0.5, random_state=0)


def _network(
    *hidden, activation="relu", output="sigmoid", before=(), units=1, **options
):
    """Dense layers for the circles; options go to each hidden layer."""
    return keras.Sequential(
        [
            keras.Input((2,)),
            *before,
            *(
                keras.layers.Dense(each, activation, **options)
                if isinstance(each, int)
                else each
                for each in hidden or (32, 32)
            ),
            keras.layers.Dense(units, output),
        ]
    )


def _adam(rate=3e-3, **options):
    return keras.optimizers.Adam(rate, **options)


def _sgd(rate=0.1, **options):
    return keras.optimizers.SGD(rate, momentum=0.9, **options)


def _judged(
    model, optimizer=None, x=_X, y=_Y, loss="binary_crossentropy", epochs=6
):
    model.compile(optimizer or _adam(), loss)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=5)
    model.fit(x, y, 32, epochs, verbose=0, callbacks=[monitor])
    return monitor.findings


def _deep(activation, normalized=False, **options):
    layers = keras.layers
    norm = functools.partial(layers.BatchNormalization, momentum=0.9)
    hidden = [
        each
        for _ in range(12)
        for each in (
            layers.Dense(24, use_bias=not normalized, **options),
            *([norm()] if normalized else []),
            layers.Activation(activation),
        )
    ]
    return _network(*hidden)


def _statistics(momentum):
    norm = keras.layers.BatchNormalization(momentum=momentum)
    return _network(32, norm, 32)


def _random(deviation):
    # One instance draws the same for layers of one shape: a name does not.
    return keras.initializers.RandomNormal(stddev=deviation)


def _swinging(momentum):
    """A linear model, a quadratic bowl: momentum swings from side to side."""
    x = np.random.default_rng(0).normal(size=(640, 4))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.01, momentum)
    y = x @ [1.0, -2.0, 0.5, 1.0]
    return _judged(model, optimizer, x, y, "mean_squared_error", epochs=12)


@functools.cache
def _healthy():
    """The neighbour of several problems."""
    return _judged(_network())


def _rare(distance):
    """Two percent of the rows belong to the second class."""
    draw = np.random.default_rng(0)
    y = (np.arange(2000) % 50 == 0).astype("float32")
    x = draw.normal(size=(2000, 2)) + distance * y[:, None]
    return _judged(_network(), x=x, y=y, epochs=12)


class _Error(keras.losses.Loss):
    """A loss by hand, which takes the difference of whatever it is given."""

    def call(self, y_true, y_pred):
        return keras.ops.square(y_true - y_pred)


def _line(scale=1.0, shape=(-1,), loss="mean_squared_error", epochs=6):
    y = scale * (5.0 * np.maximum(_X[:, 0], 0.0) + _X[:, 1]).reshape(shape)
    network = _network(output="linear")
    return _judged(network, x=_X, y=y, loss=loss, epochs=epochs)


def _between(function):
    layer = keras.layers.Lambda(function)
    return _judged(_network(32, layer, 32), _adam(0.01))


_PAIRS = {
    "vanishing_gradient": (
        lambda: _judged(_deep("sigmoid"), _sgd()),
        lambda: _judged(_deep("sigmoid", normalized=True), _sgd(), epochs=12),
    ),
    "exploding_gradient": (
        lambda: _judged(
            _deep("relu", kernel_initializer=_random(3.0)), _adam()
        ),
        lambda: _judged(_deep("relu", kernel_initializer="he_normal")),
    ),
    "non_finite": (
        lambda: _judged(_network(), x=np.where(_X > 1.1, np.nan, _X)),
        lambda: _judged(_network(), x=np.where(_X > 1.1, 1.1, _X)),
    ),
    "dead_units": (
        lambda: _judged(
            _network(bias_initializer=keras.initializers.Constant(-6.0))
        ),
        _healthy,  # whose biases are drawn as zeros
    ),
    "saturated_activation": (
        lambda: _judged(
            _network(
                32, 32, 32, activation="tanh", kernel_initializer=_random(30.0)
            )
        ),
        lambda: _judged(_network(32, 32, 32, activation="tanh")),
    ),
    "symmetric_units": (
        lambda: _judged(_network(kernel_initializer="ones")),
        lambda: _judged(_network(kernel_initializer="he_normal")),
    ),
    "input_scale": (
        lambda: _judged(_network(), x=_X * 1e4),
        lambda: _judged(
            _network(before=[kerasbn.layers.InputBatchNormalization()]),
            x=_X * 1e4,
        ),
    ),
    "output_mismatch": (
        lambda: _judged(_network(output="softmax")),
        _healthy,  # whose output is a sigmoid
    ),
    "learning_rate_too_high": (
        lambda: _judged(_network(), _adam(3.0)),
        lambda: _judged(_network(), _adam(0.01)),
    ),
    "learning_rate_too_low": (
        lambda: _judged(_network(), _adam(1e-7)),
        lambda: _judged(_network(), _adam(1e-3), epochs=12),
    ),
    "not_learning": (
        # What the network is given does not depend on the inputs.
        lambda: _judged(
            _network(
                activation="tanh",
                before=[keras.layers.Lambda(lambda x: 0.0 * x + 1.0)],
            ),
            epochs=12,
        ),
        _healthy,
    ),
    "class_imbalance": (lambda: _rare(0.5), lambda: _rare(6.0)),
    "target_scale": (lambda: _line(1e4), lambda: _line(0.5, epochs=12)),
    "target_shape": (
        lambda: _line(loss=_Error()),
        lambda: _line(0.5, (-1, 1), _Error(), 12),
    ),
    "no_gradient": (
        lambda: _between(keras.ops.sign),
        lambda: _between(keras.ops.tanh),
    ),
    "clipping_always_on": (
        lambda: _judged(_network(), _sgd(clipnorm=1e-5)),
        lambda: _judged(_network(), _sgd(clipnorm=1.0)),
    ),
    "oscillating_loss": (
        lambda: _swinging(0.995),
        lambda: _swinging(0.9),
    ),
    "batch_statistics_mismatch": (
        lambda: _judged(_statistics(0.9999)),
        lambda: _judged(_statistics(0.9)),
    ),
}


def _overfitted(rows):
    """A wide network on half of the circles, validated on the rest."""
    model = _network(256, 256)
    model.compile(_adam(0.01), "binary_crossentropy")
    monitor = kerasbn.callbacks.GradientMonitor(None, every=5)
    draw = np.random.default_rng(0)
    x = _X + draw.normal(0, 0.3, _X.shape)
    x, y, rest = x[:rows], _Y[:rows], (x[500:], _Y[500:])
    model.fit(
        *(x, y, 16, 2400 // rows),
        validation_data=rest,
        verbose=0,
        callbacks=[monitor],
    )
    return monitor.findings


def _biased(use_bias):
    layers = keras.layers
    hidden = [
        each
        for _ in range(3)
        for each in (
            layers.Dense(8, use_bias=use_bias),
            layers.BatchNormalization(),
            layers.Activation("relu"),
        )
    ]
    return _before(_network(*hidden))


_NOTES = {
    "dead_bias": (lambda: _biased(True), lambda: _biased(False)),
    "underfitting": (
        lambda: _judged(keras.Sequential([keras.Input((2,)), _sigmoid()])),
        _healthy,
    ),
    "overfitting": (lambda: _overfitted(40), _healthy),
}


def _sigmoid():
    return keras.layers.Dense(1, "sigmoid")


@pytest.mark.parametrize("problem", _NOTES)
def test_note_is_minor_and_stands_alone(problem):
    (finding,) = _NOTES[problem][0]()
    assert (finding.problem, finding.severity) == (problem, "minor")
    assert not _NOTES[problem][1]()


def test_labels_that_nothing_predicts_are_not_the_network_s_fault():
    y = np.random.default_rng(0).permutation(_Y)
    findings = _judged(_network(), y=y, epochs=12)
    assert not findings
    assert "Neither a linear model nor nearest neighbors" in str(findings)


@pytest.mark.parametrize("problem", _PAIRS)
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
def test_problem_is_found_and_comes_first(problem):
    findings = _PAIRS[problem][0]()
    assert [each.problem for each in findings][:1] == [problem], str(findings)
    assert findings[0].severity in ("serious", "fatal")
    assert findings[0].evidence.endswith(".")
    assert findings[0].patch.startswith(("+", "-", " "))
    assert "{" not in findings[0].patch


@pytest.mark.parametrize("problem", _PAIRS)
def test_healthy_neighbour_is_left_in_peace(problem):
    findings = _PAIRS[problem][1]()
    assert not findings, str(findings)
    assert str(findings).startswith("Nothing is wrong up to step")


def _before(model, x=_X, y=_Y, loss="binary_crossentropy", **options):
    model.compile("adam", loss)
    return kerasbn.diagnose(model, x, y, **options)


def _problems(findings):
    return [(each.problem, each.severity) for each in findings]


def _with_normalization(*layers):
    return keras.Sequential(
        [keras.Input((2,)), *layers, keras.layers.Dense(1, "sigmoid")]
    )


_CONTRADICTIONS = {
    "softmax over one unit": ("softmax", 1, "binary_crossentropy", _Y),
    "sigmoid for classes": (
        "sigmoid",
        3,
        "sparse_categorical_crossentropy",
        np.arange(640) % 3,
    ),
    "label beyond the units": (
        "softmax",
        3,
        "sparse_categorical_crossentropy",
        np.arange(640) % 4,
    ),
    "labels as columns": ("softmax", 3, "categorical_crossentropy", _Y),
    "logits twice": (
        "sigmoid",
        1,
        keras.losses.BinaryCrossentropy(from_logits=True),
        _Y,
    ),
    "no probabilities": ("linear", 1, "binary_crossentropy", _Y),
    "targets beyond 1": ("sigmoid", 1, "binary_crossentropy", 3.0 * _Y),
    "relu for negative targets": ("relu", 1, "mse", _Y - 0.5),
    "tanh for large targets": ("tanh", 1, "mean_absolute_error", 9.0 * _Y),
}


@pytest.mark.parametrize("name", _CONTRADICTIONS)
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@pytest.mark.filterwarnings("ignore:.*from_logits=True")
def test_contradiction_is_certain_before_training(name):
    output, units, loss, y = _CONTRADICTIONS[name]
    findings = _before(_network(output=output, units=units), y=y, loss=loss)
    harmless = name in ("logits twice", "sigmoid for classes")
    severity = "minor" if harmless else "fatal"
    assert _problems(findings) == [("output_mismatch", severity)]
    assert findings[0].confidence == "certain"
    assert findings[0].step == 0


_FITTING = {
    "binary": ("sigmoid", 1, "binary_crossentropy", _Y),
    "classes": (
        "softmax",
        3,
        "sparse_categorical_crossentropy",
        np.arange(640) % 3,
    ),
    "one-hot": (
        "softmax",
        3,
        "categorical_crossentropy",
        np.eye(3)[np.arange(640) % 3],
    ),
    "several labels": (
        "sigmoid",
        2,
        "binary_crossentropy",
        (_X > 0).astype(int),
    ),
    "logits": (
        "linear",
        1,
        keras.losses.BinaryCrossentropy(from_logits=True),
        _Y,
    ),
    "regression": ("linear", 1, "mse", 100.0 * _X[:, 0]),
    "share": ("sigmoid", 1, "mse", np.abs(np.tanh(_X[:, 0]))),
    "unknown loss": ("linear", 1, lambda y, p: (y - p) ** 2, _Y),
}


@pytest.mark.parametrize("name", _FITTING)
def test_fitting_output_is_left_in_peace(name):
    output, units, loss, y = _FITTING[name]
    findings = _before(_network(output=output, units=units), y=y, loss=loss)
    assert not findings, str(findings)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (lambda: _deep("relu", kernel_initializer=_random(3.0)), "exploding"),
        (lambda: _deep("tanh", kernel_initializer=_random(0.01)), "vanishing"),
        (lambda: _network(kernel_initializer="zeros"), "symmetric"),
        (
            lambda: _network(
                32, 32, activation="tanh", kernel_initializer=_random(30.0)
            ),
            "saturated",
        ),
        (
            lambda: _network(bias_initializer=keras.initializers.Constant(-9)),
            "dead",
        ),
    ],
    ids=["exploding", "vanishing", "symmetric", "saturated", "dead"],
)
def test_initializer_that_cannot_work_is_found_before_training(model, problem):
    findings = _before(model())
    assert findings[0].problem.startswith(problem), str(findings)


def test_targets_choose_the_loss_where_none_fits():
    (finding,) = _before(_network(output="linear"), y=100.0 * _X[:, 0])
    assert 'loss="mean_squared_error")' in finding.patch


def test_nothing_moves_when_a_model_is_looked_at():
    model = _with_normalization(
        keras.layers.Dense(8),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
    )
    before = model.get_weights()
    _before(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(model.optimizer.iterations) == 0


def test_layers_around_a_normalization_are_minor():
    layers = keras.layers
    model = _with_normalization(
        layers.Dense(8, name="biased"),
        layers.BatchNormalization(name="first"),
        layers.Dropout(0.1, name="drop"),
        layers.BatchNormalization(name="second"),
    )
    findings = _before(model, _X[:33], _Y[:33])
    assert {(each.problem, each.severity) for each in findings} == {
        ("dead_bias", "minor"),
        ("batch_statistics_mismatch", "minor"),
    }
    told = [each.where.split("/")[-1] for each in findings]
    assert told == ["biased", "second", "first"]
    rows = [each for each in findings if "single row" in each.evidence]
    assert len(rows) == 1  # 33 rows leave one for the second batch
    again = _before(model, _X[:33], _Y[:33], batch_size=11)
    assert not [each for each in again if "single row" in each.evidence]


def test_cause_is_reported_without_its_effects():
    findings = _judged(_deep("tanh"), x=_X * 1e4, epochs=3)
    assert [each.problem for each in findings] == ["input_scale"]


def test_second_cause_is_reported_with_the_first():
    findings = _judged(_deep("sigmoid"), _sgd(), x=_X * 1e4)
    told = [each.problem for each in findings]
    assert told == ["input_scale", "vanishing_gradient"]


def test_nan_is_mended_by_what_mends_its_cause():
    model = _network(output="linear")
    found = _judged(model, _sgd(0.5), y=5e4 + 1e5 * _Y, loss="mse")
    assert found[0].problem == "non_finite"
    (cause,) = [each for each in found if each.problem == "target_scale"]
    assert found[0].patch == cause.patch


def test_recurrent_kernel_that_doubles_the_state_is_found():
    x = np.random.default_rng(0).normal(size=(96, 12, 1))
    for gain, problems in ((0.9, []), (2.0, ["exploding_gradient"])):
        memory = keras.initializers.Orthogonal(gain)
        recurrent = keras.layers.SimpleRNN(8, recurrent_initializer=memory)
        model = keras.Sequential(
            [keras.Input((12, 1)), recurrent, keras.layers.Dense(1)]
        )
        found = _before(model, x, x[:, -1], "mse")
        assert [each.problem for each in found] == problems


def test_inputs_too_small_for_the_first_layer_are_found():
    (found,) = _before(_network(), 1e-5 * _X)
    assert found.problem == "input_scale"
    assert not _before(_network(), 1e-2 * _X)


class _Affine(keras.layers.Layer):
    """A layer of a user, whose kernel has a name of its own."""

    def __init__(self, initializer):
        super().__init__()
        self.initializer = initializer

    def build(self, shape):
        self.w = self.add_weight(
            shape=(shape[-1], 16), initializer=self.initializer
        )

    def call(self, x):
        return keras.ops.relu(x @ self.w)


def test_equal_units_of_a_users_layer_are_found():
    same = keras.initializers.Constant(0.1)
    model = _network(_Affine(same), _Affine(same))
    assert _before(model)[0].problem == "symmetric_units"
    model = _network(_Affine("glorot_uniform"), _Affine("glorot_uniform"))
    assert not _before(model)


def test_targets_without_weight_are_placeholders():
    known = np.arange(640) % 2 == 0
    y = np.where(known, _X[:, 0], -999.0)
    model = _network(output="linear")
    model.compile(_adam(), "mse")
    for weights, problems in ((known, []), (None, ["target_scale"])):
        monitor = kerasbn.callbacks.GradientMonitor(None, every=5)
        given = None if weights is None else weights.astype("float32")
        model.fit(_X, y, 32, 5, 0, [monitor], sample_weight=given)
        found = [each.problem for each in monitor.findings]
        assert found == problems


def test_loss_that_need_not_fall_is_not_judged():
    class Game(keras.Model):
        def compute_loss(self, x, y, y_pred, *args, **options):
            return 1.0 + keras.ops.mean(
                y_pred - keras.ops.stop_gradient(y_pred)
            )

    network = _network()
    model = Game(network.inputs, network.outputs)
    model.compile(_adam())
    monitor = kerasbn.callbacks.GradientMonitor(None, every=5)
    model.fit(_X, _Y, epochs=6, verbose=0, callbacks=[monitor])
    assert not monitor.findings, str(monitor.findings)


def test_run_is_judged_from_its_files_alone(tmp_path):
    log_dir = tmp_path / "logs"
    model = _network()
    model.compile(_adam(1e-7), "binary_crossentropy")
    monitor = kerasbn.callbacks.GradientMonitor(str(log_dir), every=5)
    model.fit(_X, _Y, epochs=4, verbose=0, callbacks=[monitor])
    read = kerasbn.diagnose(log_dir)
    assert [e.problem for e in read] == ["learning_rate_too_low"]
    assert [e[:4] for e in read] == [e[:4] for e in monitor.findings]
    assert [e[5:] for e in read] == [e[5:] for e in monitor.findings]


def test_first_nan_is_read_from_the_files(tmp_path):
    x = _X.copy()
    x[70] = np.nan  # in the third batch
    model = _network()
    model.compile("adam", "binary_crossentropy")
    monitor = kerasbn.callbacks.GradientMonitor(str(tmp_path), every=100)
    model.fit(x, _Y, verbose=0, shuffle=False, callbacks=[monitor])
    (finding,) = kerasbn.diagnose(str(tmp_path))
    assert (finding.problem, finding.step) == ("non_finite", 3)
    assert finding == monitor.findings[0]


def test_new_finding_is_printed_once_where_fit_prints(capsys):
    model = _network()
    model.compile(_adam(1e-7), "binary_crossentropy")
    monitor = kerasbn.callbacks.GradientMonitor(None, every=5)
    model.fit(_X, _Y, epochs=4, verbose=2, callbacks=[monitor])
    printed = capsys.readouterr().out
    assert printed.count("GradientMonitor: learning_rate_too_low") == 1
    model.fit(_X, _Y, epochs=4, verbose=0, callbacks=[monitor])
    assert capsys.readouterr().out == ""


def test_hopeless_run_ends_where_asked():
    model = _network(kernel_initializer="zeros")
    model.compile(_adam(), "binary_crossentropy")
    monitor = kerasbn.callbacks.GradientMonitor(
        None, stop_on=["symmetric_units"]
    )
    history = model.fit(_X, _Y, epochs=9, verbose=0, callbacks=[monitor])
    assert len(history.epoch) == 1


def test_tensorboard_page_holds_finding_and_patch(tmp_path):
    from kerasbn._events import reader

    model = _network(kernel_initializer="zeros")
    model.compile(_adam(), "binary_crossentropy")
    monitor = kerasbn.callbacks.GradientMonitor(str(tmp_path))
    model.fit(_X, _Y, epochs=3, verbose=0, callbacks=[monitor])
    (page,) = [str(t) for _, t in reader.read(str(tmp_path))["summary"]]
    assert "### symmetric_units in `" in page
    assert 'kernel_initializer="he_normal"' in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((42,), "`subject` must be a GradientMonitor"),
        (("/nowhere",), "`log_dir` must hold event files"),
    ],
)
def test_what_cannot_be_judged_is_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        kerasbn.diagnose(*arguments)


def test_model_wants_data_and_a_loss():
    model = _network()
    with pytest.raises(RuntimeError, match="`model` must be compiled"):
        kerasbn.diagnose(model, _X, _Y)
    model.compile(_adam(), "binary_crossentropy")
    with pytest.raises(ValueError, match="`x` and `y` must be given"):
        kerasbn.diagnose(model)


def test_unknown_problem_to_stop_on_is_refused():
    with pytest.raises(ValueError, match="`stop_on` must hold names"):
        kerasbn.callbacks.GradientMonitor(None, stop_on=["boredom"])
    with pytest.raises(ValueError, match="`stop_on` must hold names"):
        kerasbn.callbacks.GradientMonitor(None, stop_on="non_finite")


def test_every_problem_has_remedies_and_a_test():
    from kerasbn.diagnosis._problems import PROBLEM
    from kerasbn.diagnosis._remedies import REMEDIES

    assert {*_PAIRS, *_NOTES} == set(diagnosis.PROBLEMS)
    for problem in PROBLEM.values():
        assert problem.remedies
        assert set(problem.remedies) <= set(REMEDIES)
        assert problem.effects <= set(diagnosis.PROBLEMS)


def test_finding_names_the_remedies_that_it_describes():
    (finding,) = _before(_network(kernel_initializer="zeros"))
    assert finding.remedies == ("initializer",)
    assert finding.remedy.startswith("Draw the kernels")
