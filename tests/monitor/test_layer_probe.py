import math

import keras
import numpy as np
import pytest

import kerasbn
from kerasbn._monitor import layer_probe

layers = keras.layers


def _sequential(*members, shape=(1,)):
    return keras.Sequential([keras.Input(shape), *members])


def _read(model, x):
    """The only hidden layer's numbers, by measure."""
    measures = layer_probe.ActivationProbe(model).read(np.array(x, "float32"))
    return {
        name: next(iter(numbers.values()))
        for name, numbers in measures.items()
        if numbers
    }


def _through(activation, x):
    """What is read of an activation that puts out `activation(x)`."""
    output = layers.Identity()
    return _read(_sequential(activation, output, shape=(len(x[0]),)), x)


def _distance(layer, x):
    reading = _read(_sequential(layer, shape=(len(x[0]),)), x)
    return reading["statistics_distance"]


def _state(model):
    variables = [*model.variables, *model.metrics_variables]
    return [variable.numpy().copy() for variable in variables]


def _assert_state(model, before):
    for one, other in zip(_state(model), before, strict=True):
        np.testing.assert_array_equal(one, other)


def _stateful(**arguments):
    """Statistics, seeds, metrics: all that a pass in training moves."""
    model = _sequential(
        kerasbn.layers.InputBatchNormalization(),
        layers.Dense(6, activation="relu", name="hidden"),
        layers.Dropout(0.5),
        layers.BatchNormalization(name="stock"),
        kerasbn.layers.BatchNormalization(name="ours"),
        layers.Dense(1),
        shape=(3,),
    )
    model.compile("sgd", "mean_squared_error", metrics=["mae"], **arguments)
    return model


def _data(rows=16, columns=3):
    x = np.random.default_rng(0).normal(size=(rows, columns))
    return x.astype("float32")


class _Reader(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        before = _state(self.model)
        probe = layer_probe.ActivationProbe(self.model)
        self.readings = probe.read(_data())
        _assert_state(self.model, before)


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.normalization = layers.BatchNormalization(epsilon=0.0)
        self.activations = [layers.ReLU(name="first"), layers.ReLU(name="last")]
        self.unused = layers.ReLU(name="unused")
        self.idle = layers.BatchNormalization(name="idle")
        self.idle.build((None, 1))

    def call(self, x):  # takes no `training`
        x = self.normalization(x)
        for activation in self.activations:
            x = activation(x)
        return x


# From the curve of the function one sees which units (columns) are dead, and
# which outputs are saturated.
@pytest.mark.parametrize(
    ("activation", "x", "dead_units", "saturation"),
    [
        ("relu", [[-1, -1, 2], [-2, 3, 0]], 1 / 3, math.nan),
        ("relu6", [[-1, 9], [-2, 1]], 1 / 2, 1 / 4),
        ("tanh", [[9, 9], [-9, 0]], 1 / 2, 3 / 4),
        ("softsign", [[999, 1], [-999, 0]], 1 / 2, 1 / 2),
        ("hard_tanh", [[1, 0.9], [-2, 0]], 1 / 2, 1 / 2),
        ("sigmoid", [[9, 9], [-9, 0]], 1 / 2, 3 / 4),
        ("hard_sigmoid", [[3, 2.9], [-3, 0]], 1 / 2, 1 / 2),
        ("elu", [[-9, -9], [-9, 1]], 1 / 2, 3 / 4),
        ("selu", [[-9, -9], [-9, 1]], 1 / 2, 3 / 4),
        ("gelu", [[-1, -1], [-9, 1]], 1 / 2, math.nan),
        ("silu", [[-1, -1], [-9, 1]], 1 / 2, math.nan),
        ("softplus", [[-9, -9], [-7, 1]], 1 / 2, math.nan),
        ("leaky_relu", [[-1, -1], [-9, 1]], 0, math.nan),
        ("exponential", [[-1, -1], [-1, 1]], 1 / 2, math.nan),
        (layers.ReLU(), [[-1, -1], [-9, 1]], 1 / 2, math.nan),
        (layers.ReLU(2.0), [[-1, 3], [-9, 1]], 1 / 2, 1 / 4),
        (layers.ReLU(negative_slope=0.1), [[-1, -1], [-9, 1]], 0, math.nan),
        (layers.LeakyReLU(), [[-1, -1], [-9, 1]], 0, math.nan),
        (layers.PReLU(), [[-1, -1], [-9, 1]], 0, math.nan),
        (layers.ELU(2.0), [[-9, -1], [-9, 1]], 1 / 2, 1 / 2),
    ],
    ids=str,
)
def test_dead_units_and_saturation(activation, x, dead_units, saturation):
    layer = activation
    if isinstance(activation, str):
        layer = layers.Activation(activation)
    reading = _through(layer, x)
    assert reading["dead_units"] == pytest.approx(dead_units)
    assert reading["saturation"] == pytest.approx(saturation, nan_ok=True)


def test_a_dense_layer_with_one_dead_unit_of_four():
    hidden = layers.Dense(4, activation="relu")
    model = _sequential(hidden, layers.Dense(1))
    hidden.set_weights([np.array([[1, -1, 0, 0]]), np.array([0, 0, 1, -1])])
    reading = _read(model, [[1], [-1]])  # outputs 1 0 1 0 and 0 1 1 0
    assert reading["dead_units"] == 1 / 4
    assert (
        reading["activation_mean"] == reading["activation_deviation"] == 1 / 2
    )


def test_a_channel_is_dead_where_it_is_active_at_no_position():
    convolution = layers.Conv1D(2, 1, activation="relu")
    model = _sequential(convolution, layers.Flatten(), shape=(3, 1))
    convolution.set_weights([np.array([[[1.0, 0.0]]]), np.array([0.0, -1.0])])
    reading = _read(model, [[[-1], [-1], [6]]])  # outputs 0 0 6 and 0 0 0
    assert reading["dead_units"] == 1 / 2
    assert reading["activation_mean"] == 1.0


@pytest.mark.parametrize(
    ("layer", "epsilon"),
    [
        (layers.BatchNormalization(epsilon=1.0), 1.0),
        (kerasbn.layers.BatchNormalization(epsilon=3.0), 3.0),
    ],
    ids=["stock", "ours"],
)
def test_distance_of_statistics_is_the_median_over_varying_features(
    layer, epsilon
):
    layer.build((None, 4))
    # Batch: mean 0, variance 4, the last feature constant.
    x = [[2, 2, 2, 7], [-2, -2, -2, 7]]
    deviation = math.sqrt(4 + epsilon)
    layer.moving_mean.assign([0, deviation, 3 * deviation, 7])
    stretched = math.e**2 * (4 + epsilon) - epsilon
    layer.moving_variance.assign([4, stretched, 4, 0])
    # Distances 0, hypot(1, 1) and 3.
    assert _distance(layer, x) == pytest.approx(math.sqrt(2), rel=1e-6)


def test_distance_of_input_statistics_is_zero_once_they_are_the_batchs():
    layer = kerasbn.layers.InputBatchNormalization()
    x = np.array([[1000.0, 1.0], [1002.0, 5.0]], "float32")
    # They begin at (0, 1); the batch has means 1001 and 3, deviations 1 and 2.
    expected = (1001 + math.hypot(3 / 2, math.log(2))) / 2
    assert _distance(layer, x) == pytest.approx(expected)
    layer(x, training=True)
    assert _distance(layer, x) == pytest.approx(0, abs=1e-6)


def test_distance_is_nan_where_no_feature_varies():
    x = [[3, 0.1], [3, 0.1], [3, 0.1]]  # 0.1 averages to not quite 0.1
    assert math.isnan(_distance(layers.BatchNormalization(), x))


def test_distance_respects_the_axis():
    layer = layers.BatchNormalization(axis=1, epsilon=1.0)
    model = _sequential(layer, shape=(2, 3))
    layer.moving_mean.assign([math.sqrt(2), 0])
    layer.moving_variance.assign([1, 1])
    # Mean 0 and variance 1 by feature: distances 1 and 0.
    x = [[[1, -1, 1], [1, 1, 1]], [[-1, 1, -1], [-1, -1, -1]]]
    assert _read(model, x)["statistics_distance"] == pytest.approx(1 / 2)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_reading_in_fit_changes_no_state(run_eagerly):
    runs = []
    for callbacks in ([], [reader := _Reader()]):
        keras.utils.set_random_seed(1)
        model = _stateful(run_eagerly=run_eagerly)
        x = _data(32)
        model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=callbacks)
        runs.append(_state(model))
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(reader.readings["statistics_distance"]) == 3
    assert np.isfinite([*reader.readings["dead_units"].values()]).all()


def test_eager_and_compiled_passes_agree():
    model = _stateful()
    probe = layer_probe.ActivationProbe(model)
    compiled = probe.read(_data())
    model.run_eagerly = True
    for measure, numbers in probe.read(_data()).items():
        # Rounding of sums in another order.
        assert numbers == pytest.approx(compiled[measure], 1e-5, nan_ok=True)


def test_a_subclassed_model_is_read_as_in_training():
    model = _Subclassed()
    model(np.ones((1, 1)))
    probe = layer_probe.ActivationProbe(model)
    assert probe.names == ["first", "last", "unused"]
    readings = probe.read(np.array([[999.0], [1001.0]], "float32"))
    # Normalized with the batch: -1 and 1, not what (0, 1) gives.
    assert readings["activation_mean"]["first"] == pytest.approx(1 / 2)
    for numbers in readings.values():
        *_, not_called = numbers.values()
        assert math.isnan(not_called)


def test_nested_models_are_read_inside_and_at_their_outputs():
    inner = _sequential(layers.ReLU(name="twin"), layers.ReLU(name="end"))
    outer = keras.Sequential([layers.ReLU(name="twin"), inner, layers.ReLU()])
    outer.build((None, 1))
    assert layer_probe.ActivationProbe(outer).names == ["twin", "twin_", "end"]


def test_the_output_layer_of_a_nested_last_model_is_no_hidden_layer():
    head = _sequential(layers.ReLU(name="hidden"), layers.ReLU(name="output"))
    x = keras.Input((1,))
    model = keras.Model(x, head(layers.ReLU(name="body")(x)))
    assert layer_probe.ActivationProbe(model).names == ["body", "hidden"]


def test_linear_and_softmax_layers_are_not_hidden_layers():
    model = _sequential(
        layers.Dense(2),
        layers.Dense(2, "softmax"),
        layers.Softmax(),
        layers.Dense(2, layers.LeakyReLU(), name="leaky"),
        layers.Dense(1),
    )
    names = layer_probe.ActivationProbe(model).names
    assert names == [f"{model.name}/leaky"]


@pytest.mark.parametrize("kind", [list, dict])
def test_calls_of_a_shared_layer_are_pooled(kind):
    inputs = {name: keras.Input((2,), name=name) for name in "ab"}
    shared = layers.ReLU(name="shared")
    normalization = layers.BatchNormalization(epsilon=0.0)
    y = [normalization(shared(x)) for x in inputs.values()]
    x = {"a": np.array([[0.0, 2.0]]), "b": np.array([[2.0, 0.0]])}
    if kind is list:
        inputs, x = list(inputs.values()), list(x.values())
    model = keras.Model(inputs, layers.Add()(y))
    readings = layer_probe.ActivationProbe(model).read(x)
    # Each unit is dead in one call, alive in the other.
    assert readings["dead_units"] == {"shared": 0.0}
    # Both features: mean 1, deviation 1.
    assert [*readings["statistics_distance"].values()] == [1.0]


def test_masked_positions_are_left_out():
    model = _sequential(
        layers.Masking(),
        layers.ReLU(),
        layers.BatchNormalization(epsilon=0.0),
        layers.LSTM(1, activation="linear"),
        shape=(3, 1),
    )
    # Four steps are not masked: mean 2, deviation 1.
    reading = _read(model, [[[1], [3], [0]], [[1], [0], [0]], [[3], [0], [0]]])
    assert reading["activation_mean"] == 2.0
    assert reading["activation_deviation"] == 1.0
    assert reading["statistics_distance"] == 2.0


def test_recurrent_layers_are_read_as_a_whole():
    model = _sequential(
        layers.TimeDistributed(layers.Dense(2, activation="relu")),
        layers.RNN(layers.GRUCell(2), return_sequences=True),
        layers.LSTM(2),
        layers.Dense(1),
        shape=(None, 1),
    )
    readings = layer_probe.ActivationProbe(model).read(np.ones((4, 3, 1)))
    assert [*readings["saturation"].values()] == pytest.approx(
        [math.nan, 0, 0], nan_ok=True
    )


@keras.saving.register_keras_serializable("tests")
class _NormalizedCell(layers.Layer):
    """A cell that puts out its normalized inputs."""

    state_size = output_size = 1

    def __init__(self, **options):
        super().__init__(**options)
        self.normalization = layers.BatchNormalization(epsilon=0.0)

    def build(self, input_shape):
        self.normalization.build(input_shape)

    def call(self, x, states, training=False):
        return self.normalization(x, training=training), states


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize(
    ("wrap", "count"),
    [
        (lambda: layers.TimeDistributed(_epsilon_free()), 1),
        (
            lambda: layers.TimeDistributed(
                keras.Sequential([layers.ReLU(), _epsilon_free()])
            ),
            1,
        ),
        (lambda: layers.RNN(_NormalizedCell()), 1),
        (lambda: layers.Bidirectional(layers.RNN(_NormalizedCell())), 2),
    ],
    ids=["TimeDistributed", "model", "RNN", "Bidirectional"],
)
def test_normalization_inside_a_wrapper_is_read(wrap, count, run_eagerly):
    model = _sequential(wrap(), layers.Flatten(), shape=(None, 1))
    model.run_eagerly = run_eagerly
    before = _state(model)
    # Mean 2 and deviation 1 over all steps: 2 from (0, 1).
    x = np.array([[[1], [3]], [[3], [1]]], "float32")
    readings = layer_probe.ActivationProbe(model).read(x)
    distances = readings["statistics_distance"].values()
    assert [*distances] == pytest.approx([2.0] * count)
    _assert_state(model, before)
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


def _epsilon_free():
    return layers.BatchNormalization(epsilon=0.0)


def test_steps_masked_inside_a_wrapper_are_left_out():
    model = _sequential(
        layers.Masking(),
        layers.TimeDistributed(_epsilon_free()),
        layers.LSTM(1, activation="linear"),
        shape=(3, 1),
    )
    reading = _read(model, [[[1], [3], [0]], [[1], [0], [0]], [[3], [0], [0]]])
    assert reading["statistics_distance"] == 2.0


@pytest.mark.parametrize("rows", [1, 4, 300])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_stateful_layers_get_the_batch_size_that_they_are_fixed_to(
    rows, run_eagerly
):
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(4, 3, 1)),
            layers.GRU(2, stateful=True, name="gru"),
            layers.Dense(1),
        ]
    )
    model.run_eagerly = run_eagerly
    model(np.ones((4, 3, 1)))  # its states are not 0
    before = _state(model)
    probe = layer_probe.ActivationProbe(model)
    means = probe.read(np.ones((rows, 3, 1), "float32"))["activation_mean"]
    _assert_state(model, before)
    # It goes on from its states.
    expected = model.layers[0](np.ones((4, 3, 1))).numpy().mean()
    assert [*means.values()] == pytest.approx([expected])


def test_half_precision_is_read_in_single():
    keras.config.set_dtype_policy("mixed_float16")
    # The sum of 200 rows is infinite in float16, their mean is not.
    reading = _through(layers.ReLU(), [[1000.0]] * 100 + [[3000.0]] * 100)
    assert reading["activation_mean"] == 2000.0
    assert reading["activation_deviation"] == 1000.0


def test_no_more_than_256_rows_are_read():
    reading = _through(layers.ReLU(), [[1.0]] * 256 + [[9.0]] * 9)
    assert reading["activation_mean"] == 1.0


def test_batches_of_any_length_are_read():
    model = _sequential(layers.ReLU(), layers.Dense(1))
    probe = layer_probe.ActivationProbe(model)
    for rows in (4, 2, 7):
        means = probe.read(np.ones((rows, 1)))["activation_mean"]
        assert [*means.values()] == [1.0]


def test_the_weights_of_the_moment_are_read():
    hidden = layers.Dense(1, activation="relu")
    model = _sequential(hidden, layers.Dense(1))
    probe = layer_probe.ActivationProbe(model)
    for weight in (2.0, 3.0):
        hidden.set_weights([np.array([[weight]]), np.zeros(1)])
        means = probe.read(np.ones((4, 1)))["activation_mean"]
        assert [*means.values()] == [weight]


def test_layers_are_as_before_when_the_pass_raises():
    model = _sequential(layers.ReLU(), layers.BatchNormalization())
    broken = layers.Lambda(lambda x: x)
    model.add(broken)
    before = _state(model)

    def fails(x):
        raise ZeroDivisionError

    broken.function = fails
    with pytest.raises(ZeroDivisionError):
        layer_probe.ActivationProbe(model).read(np.ones((4, 1)))
    _assert_state(model, before)
    assert not any("call" in vars(layer) for layer in model.layers)
    assert not keras.src.backend.in_stateless_scope()


def test_a_model_that_is_not_built_is_refused():
    model = keras.Sequential([layers.Dense(1)])
    with pytest.raises(RuntimeError, match="`model` must be built"):
        layer_probe.ActivationProbe(model).read(np.ones((4, 1)))


def test_a_model_without_hidden_layers_gives_empty_readings():
    reading = layer_probe.ActivationProbe(_sequential(layers.Dense(1)))
    assert not any(reading.read(np.ones((4, 1))).values())
