import os
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import kerasbn

layers = keras.layers
stock = keras.layers.BatchNormalization
ours = kerasbn.layers.BatchNormalization
first = partial(kerasbn.layers.InputBatchNormalization, bound=None)

_NORMALIZATIONS = (stock, kerasbn.layers.InputBatchNormalization)


def _normalizations(model):
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, _NORMALIZATIONS)
    ]


def _shuffled(model):
    """Every weight random, variances positive."""
    generator = np.random.default_rng(3)
    for layer in model._flatten_layers(include_self=False):
        for weight in layer.weights if not layer._layers else []:
            values = generator.normal(size=weight.shape)
            if weight.name in ("moving_variance", "gamma"):
                values = np.abs(values) + 0.1
            elif weight.name == "origin":
                values = 2.0 + values
            weight.assign(values.astype("float32") * 0.5)
        if isinstance(layer, layers.Normalization):
            layer.adapt(generator.normal(2.0, 3.0, (9, *layer.mean.shape[1:])))
    return model


def _data(model, rows=6):
    generator = np.random.default_rng(4)
    return keras.tree.map_structure(
        lambda x: generator.normal(size=(rows, *x.shape[1:])).astype("float32"),
        model.inputs if len(model.inputs) > 1 else model.inputs[0],
    )


def _assert_equal_output(actual, expected, tolerance=1e-5):
    for one, other in zip(
        keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True
    ):
        one, other = one.numpy(), other.numpy()
        # Rounding of float32 in sums of other order, not of other numbers.
        largest = np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=tolerance * largest)


def _chain(shape, *steps):
    return keras.Sequential([keras.Input(shape), *steps])


def _branches():
    inputs = keras.Input((4,))
    x = layers.Dense(5)(inputs)
    left = stock()(x)
    right = layers.Dense(5)(x)
    return keras.Model(inputs, layers.Add()([left, ours()(right)]))


def _residual():
    return kerasbn.models.mlp((4,), [5, 5, 5, 5], 2, residual=True)


def _shared_normalization():
    inputs = keras.Input((4,))
    shared = stock()
    x = shared(layers.Dense(4)(inputs))
    return keras.Model(inputs, shared(layers.Dense(4)(x)))


def _shared_dense():
    inputs = keras.Input((4,))
    shared = layers.Dense(4)
    return keras.Model(inputs, shared(stock()(shared(inputs))))


def _nested():
    inner = _chain((5,), layers.Dense(5), stock())
    inputs = keras.Input((4,))
    x = inner(ours()(layers.Dense(5)(inputs)))
    return keras.Model(inputs, inner(layers.ReLU()(x)))


def _inner_output_used():
    inputs = keras.Input((4,))
    x = layers.Dense(5)(inputs)
    return keras.Model(inputs, [x, stock()(x)])


def _normalized_output_used():
    inputs = keras.Input((4,))
    x = ours()(layers.ReLU()(layers.Dense(5)(inputs)))
    return keras.Model(inputs, {"x": x, "y": layers.Dense(2)(x)})


def _two_inputs():
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="r")
    both = layers.Concatenate()([first()(left), first()(right)])
    return keras.Model([left, right], layers.Dense(2)(both))


def _always_training():
    inputs = keras.Input((4,))
    x = layers.Dense(5)(inputs)
    return keras.Model(inputs, stock()(x, training=True))


def _with_operations():
    inputs = keras.Input((4,))
    x = stock()(layers.Dense(5)(inputs) * 2.0)
    return keras.Model(inputs, keras.ops.relu(ours()(layers.Dense(3)(x))))


class _Doubled(keras.layers.Dense):
    def call(self, inputs, training=None):
        return 2.0 * super().call(inputs, training=training)


# Builder, and how many normalization layers are left after folding.
_MODELS = {
    "mlp": (lambda: kerasbn.models.mlp((4,), [5, 5], 2), 1),
    "mlp after": (
        lambda: kerasbn.models.mlp((4,), [5, 5], 2, placement="after"),
        1,
    ),
    "residual": (_residual, 1),
    "flattened": (lambda: kerasbn.models.mlp((3, 2), [5], 2, dropout=0.1), 1),
    "dense": (lambda: _chain((4,), layers.Dense(5), stock()), 0),
    "dense without bias": (
        lambda: _chain((4,), layers.Dense(5, use_bias=False), ours()),
        0,
    ),
    "no scale": (lambda: _chain((4,), layers.Dense(5), stock(scale=False)), 0),
    "no center": (
        lambda: _chain((4,), stock(center=False), layers.Dense(5)),
        0,
    ),
    "neither": (
        lambda: _chain((4,), ours(center=False, scale=False), layers.Dense(5)),
        0,
    ),
    "dropout between": (
        lambda: _chain((4,), layers.Dense(5), layers.Dropout(0.5), stock()),
        0,
    ),
    "linear activation between": (
        lambda: _chain((4,), stock(), layers.Activation("linear"),
                       layers.GaussianNoise(1.0), layers.Dense(5)),
        0,
    ),
    "two in a row": (
        lambda: _chain((4,), layers.Dense(5), stock(), ours(), layers.ReLU()),
        0,
    ),
    "three before": (
        lambda: _chain((4,), first(), stock(), ours(), layers.Dense(3)),
        0,
    ),
    "both sides": (
        lambda: _chain((4,), stock(), layers.Dense(3), stock(), layers.ReLU(),
                       ours(), layers.Dense(2)),
        0,
    ),
    "activation inside": (
        lambda: _chain((4,), layers.Dense(5, activation="relu"), stock()),
        1,
    ),
    "activation between": (
        lambda: _chain((4,), layers.Dense(5), layers.ReLU(), stock()),
        1,
    ),
    "other axis": (
        lambda: _chain((3, 4), layers.Dense(5), stock(axis=1)),
        1,
    ),
    "last axis": (lambda: _chain((3, 4), layers.Dense(5), stock(axis=2)), 0),
    "subclass": (lambda: _chain((4,), _Doubled(5), stock()), 1),
    "branches": (_branches, 1),
    "shared normalization": (_shared_normalization, 1),
    "shared dense": (_shared_dense, 1),
    "nested": (_nested, 0),
    "inner output used": (_inner_output_used, 1),
    "normalized output used": (_normalized_output_used, 1),
    "two inputs": (_two_inputs, 2),
    "always training": (_always_training, 1),
    "operations": (_with_operations, 0),
    "mask": (
        lambda: _chain((3, 4), layers.Masking(), stock(), layers.Dense(5),
                       ours(), layers.GlobalAveragePooling1D(),
                       layers.Dense(2)),
        0,
    ),
    "lambda": (
        lambda: _chain((4,), stock(), layers.Lambda(lambda x: 2 * x)),
        1,
    ),
    "inside a wrapper": (
        lambda: _chain((3, 4), layers.TimeDistributed(stock())),
        1,
    ),
    "adapted": (
        lambda: _chain((4,), layers.Normalization(), layers.Dense(2), stock()),
        0,
    ),
}  # fmt: skip


def _after(kind, shape, **kwargs):
    return lambda: _chain(shape, kind(**kwargs), stock())


def _before(kind, shape, **kwargs):
    return lambda: _chain(shape, stock(), kind(**kwargs))


_SHAPES = {1: (6, 4), 2: (6, 5, 4), 3: (4, 4, 5, 2)}
for _rank, _shape in _SHAPES.items():
    for _name in ("Conv", "DepthwiseConv", "SeparableConv", "Transpose"):
        _kind = getattr(
            layers,
            f"Conv{_rank}DTranspose"
            if _name == "Transpose"
            else f"{_name}{_rank}D",
            None,
        )
        if _kind is None:
            continue
        _options = {"kernel_size": 3, "bias_initializer": "normal"}
        if _name in ("DepthwiseConv", "SeparableConv"):
            _options["depth_multiplier"] = 2
        if _name != "DepthwiseConv":
            _options["filters"] = 3
        _dilated = {**_options, "dilation_rate": 2, "padding": "same"}
        _pointed = {**_options, "kernel_size": 1, "padding": "same"}
        _strided = {**_options, "strides": 2}
        _open = int(_name == "Transpose")
        for _label, _builder, _left in (
            ("after", _after(_kind, _shape, **_strided), 0),
            ("before", _before(_kind, _shape, **_strided), _open),
            ("padded before", _before(_kind, _shape, **_dilated), 1),
            ("pointwise before", _before(_kind, _shape, **_pointed), _open),
        ):
            _MODELS[f"{_label} {_kind.__name__}"] = _builder, _left
_MODELS |= {
    "causal after": (
        _after(layers.Conv1D, (6, 4), filters=3, kernel_size=2,
               padding="causal"),
        0,
    ),
    "causal before": (
        _before(layers.Conv1D, (6, 4), filters=3, kernel_size=2,
                padding="causal"),
        1,
    ),
    "groups after": (
        _after(layers.Conv1D, (6, 4), filters=4, kernel_size=2, groups=2),
        0,
    ),
    "groups before": (
        _before(layers.Conv1D, (6, 4), filters=4, kernel_size=2, groups=2),
        1,
    ),
    "pooled": (
        lambda: _chain((5, 5, 3), layers.Conv2D(4, 3), layers.ReLU(), stock(),
                       layers.GlobalAveragePooling2D(), layers.Dense(2)),
        0,
    ),
    "flatten after convolution": (
        lambda: _chain((5, 4, 3), layers.Conv2D(4, 3), layers.ReLU(), ours(),
                       layers.Flatten(), layers.Dropout(0.5), layers.Dense(2)),
        0,
    ),
    "largest pooled": (
        lambda: _chain((5, 5, 3), layers.Conv2D(4, 3), layers.ReLU(), stock(),
                       layers.GlobalMaxPooling2D(), layers.Dense(2)),
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("build", "left"), _MODELS.values(), ids=_MODELS)
def test_folded_model_gives_the_same_output(build, left):
    model = _shuffled(build())
    x = _data(model)
    expected = model(x, training=False)
    weights = model.get_weights()

    folded = kerasbn.fold(model)

    _assert_equal_output(folded(x, training=False), expected)
    kept = [entry for entry in folded.fold_report if entry.into is None]
    assert len(kept) == left
    assert all(entry.reason for entry in kept)
    assert len(folded.fold_report) == len(_normalizations(model))
    kinds = [type(layer) for layer in folded._flatten_layers()]
    assert not {ours, kerasbn.layers.InputBatchNormalization} & set(kinds)
    assert kinds.count(stock) <= left
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "build",
    [value[0] for value in _MODELS.values()][:32],
    ids=list(_MODELS)[:32],
)
def test_stock_model_gives_the_same_output(build):
    model = _shuffled(build())
    x = _data(model)
    converted = kerasbn.to_keras(model)
    _assert_equal_output(
        converted(x, training=False), model(x, training=False), 1e-6
    )


def test_batch_of_a_folded_transpose_without_offset_needs_no_padding_rule():
    model = _shuffled(
        _chain((6, 4), stock(center=False), layers.Conv1DTranspose(3, 3))
    )
    model.layers[0].moving_mean.assign(np.zeros(4))
    folded = kerasbn.fold(model)
    assert folded.fold_report[0].into == model.layers[1].name
    x = _data(model)
    _assert_equal_output(folded(x), model(x))


def test_folded_model_is_not_compiled_and_saves(tmp_path):
    model = _shuffled(kerasbn.models.mlp((4,), [5], 2))
    model.compile("sgd", "mse")
    folded = kerasbn.fold(model)
    assert not folded.compiled
    assert model.compiled
    folded.save(tmp_path / "folded.keras")
    loaded = keras.models.load_model(tmp_path / "folded.keras")
    x = _data(model)
    np.testing.assert_array_equal(loaded(x).numpy(), folded(x).numpy())


def test_folding_a_folded_model_changes_nothing():
    folded = kerasbn.fold(_shuffled(_residual()))
    again = kerasbn.fold(folded)
    assert again.fold_report == ()
    x = _data(folded)
    np.testing.assert_array_equal(again(x).numpy(), folded(x).numpy())


def test_fold_report_reads_as_a_sentence():
    model = _chain(
        (4,), layers.Dense(3, name="a"), stock(name="b"), layers.ReLU()
    )
    assert str(kerasbn.fold(model).fold_report[0]) == "b: in a"
    entry = kerasbn.Fold("b", None, "called more than once")
    assert str(entry) == "b: kept, called more than once"


def test_far_offset_is_not_folded():
    model = _chain((3,), first(), layers.Dense(2))
    x = np.random.default_rng(0).normal(1e4, 1.0, (200, 3)).astype("float32")
    kerasbn.calibrate(model, x, verbose=0)
    folded = kerasbn.fold(model)
    assert "deviations from zero" in folded.fold_report[0].reason
    _assert_equal_output(folded(x), model(x), 1e-6)


def test_constant_feature_folds_to_zero():
    model = _chain((2,), first(), layers.Dense(2, use_bias=False))
    x = np.array([[0.1, 1.0], [0.1, 3.0], [0.1, 5.0]], "float32")
    kerasbn.calibrate(model, x, verbose=0)
    folded = kerasbn.fold(model)
    assert folded.fold_report[0].into
    _assert_equal_output(folded(x), model(x))
    assert not folded.layers[-1].kernel.numpy()[0].any()


def test_half_precision_is_not_folded():
    keras.config.set_dtype_policy("mixed_float16")
    model = _shuffled(_chain((4,), layers.Dense(5), stock()))
    folded = kerasbn.fold(model)
    assert "half precision" in folded.fold_report[0].reason
    x = _data(model)
    np.testing.assert_array_equal(folded(x).numpy(), model(x).numpy())


def test_statistics_that_are_not_finite_stay_in_their_feature():
    model = _chain((2,), stock(), layers.Dense(2))
    model.layers[0].moving_mean.assign([np.nan, 0.0])
    report = kerasbn.fold(model).fold_report
    assert report[0].reason == "its statistics are not finite"


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.normalization = stock()
        self.dense = layers.Dense(3)
        self.second = ours()

    def call(self, inputs):
        return self.second(self.dense(self.normalization(inputs)))


@pytest.mark.parametrize("function", [kerasbn.fold, kerasbn.to_keras])
@pytest.mark.parametrize(
    "build",
    [_Subclassed, lambda: keras.Sequential([layers.Dense(2)])],
    ids=["subclassed", "not built"],
)
def test_model_without_a_graph_is_refused(function, build):
    with pytest.raises(ValueError, match="built functional or sequential"):
        function(build())


def test_layer_of_kerasbn_inside_a_wrapper_is_refused():
    model = _chain((3, 4), layers.TimeDistributed(ours(name="inner")))
    with pytest.raises(ValueError, match="layer='inner', inside another"):
        kerasbn.to_keras(model)


@pytest.mark.parametrize("scale", [1e-12, 1e-5, 1.0, 1e5, 1e12])
@pytest.mark.parametrize("offset", [0.0, -100.0, 1e4])
def test_stock_layers_keep_the_precision_of_the_input_layer(scale, offset):
    noise = np.random.default_rng(1).gamma(2.0, size=(300, 3)) + offset
    x = (noise * scale).astype("float32")
    x[:, 2] = scale  # constant
    model = _chain((3,), first())
    kerasbn.calibrate(model, x, verbose=0)
    actual = kerasbn.to_keras(model)(x).numpy()
    np.testing.assert_allclose(actual, model(x).numpy(), rtol=1e-6, atol=1e-6)
    expected = StandardScaler().fit_transform(x[:, :2].astype("float64"))
    np.testing.assert_allclose(actual[:, :2], expected, rtol=1e-5, atol=1e-5)
    assert not actual[:, 2].any()


@pytest.mark.parametrize("axis", [1, 2, -1, -2])
def test_stock_layers_keep_the_axis(axis):
    model = _shuffled(_chain((3, 3), first(axis=axis)))
    x = _data(model)
    _assert_equal_output(kerasbn.to_keras(model)(x), model(x), 1e-6)


def test_bounded_output_stays_bounded():
    layer = first(bound=1.5)
    model = _shuffled(_chain((3,), layer, layers.Dense(2)))
    x = _data(model, 50) * 10
    plain = _chain((3,), first(bound=None), layers.Dense(2))
    plain.layers[0].set_weights(layer.get_weights())
    normalized = plain.layers[0](x, training=False).numpy()
    expected = model.layers[1](np.clip(normalized, -1.5, 1.5)).numpy()
    folded = kerasbn.fold(model)
    assert folded.fold_report[0].reason == "its output is bounded"
    for actual in (folded(x), kerasbn.to_keras(model)(x)):
        np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-5,
                                   atol=1e-5)  # fmt: skip


def test_stock_model_loads_without_kerasbn(tmp_path):
    model = _shuffled(kerasbn.models.mlp((4,), [5, 5], 2))
    model.get_layer("hidden_0_normalization").trainable = False
    x = _data(model)
    converted = kerasbn.to_keras(model)
    assert not converted.get_layer("hidden_0_normalization").trainable
    assert converted.get_layer("hidden_1_normalization").trainable
    converted.save(tmp_path / "stock.keras")
    np.save(tmp_path / "x.npy", x)
    program = (
        "import sys, keras, numpy as np;"
        "model = keras.models.load_model('stock.keras');"
        "np.save('y.npy', np.asarray(model(np.load('x.npy'))));"
        "sys.exit('kerasbn' in sys.modules)"
    )
    # On the backend that is imported fastest.
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), model(x).numpy(), rtol=1e-5, atol=1e-5
    )


def test_calibrated_layer_holds_the_closed_form():
    model = _chain((3,), layers.Dense(4), ours())
    kernel = model.layers[0].kernel.numpy().astype("float64")
    x = np.random.default_rng(5).normal(3.0, 2.0, (100, 3)).astype("float32")
    kerasbn.calibrate(model, x, batch_size=33, verbose=0)
    layer = model.layers[1]
    mean = x.astype("float64").mean(axis=0) @ kernel
    covariance = np.cov(x.astype("float64").T, bias=True)
    variance = np.diag(kernel.T @ covariance @ kernel)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(
        layer.moving_variance.numpy(), variance, rtol=1e-5
    )


def test_calibrated_input_layer_equals_standard_scaler():
    x = np.random.default_rng(5).normal(1e4, 1.0, (100, 3)).astype("float32")
    model = _chain((3,), first())
    kerasbn.calibrate(model, x, batch_size=7, verbose=0)
    expected = StandardScaler().fit_transform(x.astype("float64"))
    np.testing.assert_allclose(model(x).numpy(), expected, atol=1e-5)
    assert model.layers[0].seen_rows.numpy() == 100


def test_calibrated_model_is_normalized_at_every_depth():
    model = _shuffled(kerasbn.models.mlp((4,), [6, 6, 6], 2, residual=True))
    # Uniform: within 1.8 deviations, where the first layer clips nothing.
    x = np.random.default_rng(0).uniform(3, 9, (120, 4)).astype("float32")
    for layer in _normalizations(model)[1:]:
        layer.gamma.assign(np.ones(6))
        layer.beta.assign(np.zeros(6))
    kerasbn.calibrate(model, x, batch_size=50, verbose=0)
    outputs = [layer.output for layer in _normalizations(model)]
    for y in keras.Model(model.input, outputs)(x, training=False):
        np.testing.assert_allclose(y.numpy().mean(axis=0), 0, atol=1e-5)
        # epsilon is 1e-3 and the smallest variance here about 0.1
        np.testing.assert_allclose(y.numpy().std(axis=0), 1, atol=1e-2)


def test_calibrated_layer_then_moves_as_momentum_says():
    model = _chain((1,), ours(momentum=0.99))
    kerasbn.calibrate(model, np.array([[1.0], [3.0]]), verbose=0)
    layer = model.layers[0]
    layer(np.array([[101.0], [103.0]], "float32"), training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), [3.0], rtol=1e-5)


class _Sequence(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.x[10 * index : 10 * index + 10], np.zeros(10)


def _as_dataset(x):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(7)


_KINDS = {
    "array": lambda x: (x, None),
    "list of rows": lambda x: (x.tolist(), None),
    "list of one input": lambda x: ([x], None),
    "dataset": lambda x: (_as_dataset(x), None),
    "endless dataset": lambda x: (_as_dataset(x).repeat(), 6),
    "dataset of unknown length": lambda x: (
        _as_dataset(x).filter(lambda *_: True),
        None,
    ),
    "sequence": lambda x: (_Sequence(x), None),
    "generator": lambda x: ((part for part in np.split(x, 4)), 4),
    "generator of pairs": lambda x: (((p, p) for p in np.split(x, 4)), 9),
}


@pytest.mark.parametrize("kind", _KINDS.values(), ids=_KINDS)
def test_each_kind_of_data_gives_the_same_statistics(kind):
    x = np.random.default_rng(6).normal(2.0, 3.0, (40, 3)).astype("float32")
    model = _chain((3,), stock(), stock())
    data, steps = kind(x)
    kerasbn.calibrate(model, data, steps, verbose=0)
    layer = model.layers[0]
    np.testing.assert_allclose(
        layer.moving_mean.numpy(), x.mean(axis=0, dtype="float64"), rtol=1e-6
    )
    np.testing.assert_allclose(
        layer.moving_variance.numpy(), x.var(axis=0, dtype="float64"), rtol=1e-6
    )


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_several_inputs_come_as_a_structure_of_arrays(kind):
    model = _two_inputs()
    x = _data(model, 20)
    data = {"left": x[0], "r": x[1]} if kind is dict else kind(x)
    kerasbn.calibrate(model, data, batch_size=6, verbose=0)
    means = [layer.moving_mean.numpy() for layer in _normalizations(model)]
    for mean in means:
        expected = x[0 if len(mean) == 4 else 1].mean(axis=0)
        np.testing.assert_allclose(mean, expected, atol=1e-6)


def test_steps_limits_what_is_pooled():
    model = _chain((1,), stock())
    x = np.arange(10.0)[:, None]
    kerasbn.calibrate(model, x, steps=2, batch_size=2, verbose=0)
    assert model.layers[0].moving_mean.numpy() == 1.5  # of 0, 1, 2, 3


def test_masked_entries_are_not_pooled():
    model = _chain((3, 1), layers.Masking(-9.0), stock())
    x = np.array([[[1.0], [3.0], [-9.0]], [[5.0], [-9.0], [-9.0]]])
    kerasbn.calibrate(model, x, batch_size=1, verbose=0)
    assert model.layers[1].moving_mean.numpy() == 3.0


def test_shared_layer_pools_all_its_calls():
    left, right = keras.Input((1,)), keras.Input((1,))
    shared = ours()
    model = keras.Model([left, right], [shared(left), shared(right)])
    data = [np.array([[1.0], [3.0]]), np.array([[5.0], [7.0]])]
    kerasbn.calibrate(model, data, verbose=0)
    assert shared.moving_mean.numpy() == 4.0
    assert shared.moving_variance.numpy() == 5.0


def test_subclassed_model_is_calibrated_in_call_order():
    model = _Subclassed()  # the first batch builds it
    x = np.random.default_rng(6).normal(2.0, 3.0, (40, 3)).astype("float32")
    kerasbn.calibrate(model, x, verbose=0)
    y = model(x, training=False).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(model.normalization.moving_mean.numpy(),
                               x.mean(axis=0), rtol=1e-5)  # fmt: skip


def test_frozen_layer_keeps_its_statistics():
    model = _shuffled(_chain((3,), stock(), layers.Dense(2), ours()))
    model.layers[0].trainable = False
    before = model.layers[0].get_weights()
    kerasbn.calibrate(model, _data(model), verbose=0)
    for one, other in zip(before, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def _nan_at_the_end():
    x = np.ones((30, 3), "float32")
    x[-1, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("data", "steps", "message"),
    [
        (_nan_at_the_end(), None, "NaN or infinity at layer='first'"),
        (np.ones((0, 3)), None, "at least one batch"),
        (iter([]), 3, "at least one batch"),
        (iter([np.ones((2, 3))]), None, "`steps` must say"),
        ([np.ones((2, 3)), np.ones((3, 3))], None, "arrays of one length"),
        (np.ones((2, 4)), None, "to have value 3"),
    ],
    ids=["nan", "no rows", "empty", "no steps", "lengths", "shape"],
)
def test_failed_calibration_restores_the_statistics(data, steps, message):
    model = _shuffled(
        _chain((3,), stock(name="first"), layers.Dense(2), ours())
    )
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        kerasbn.calibrate(model, data, steps, batch_size=10, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not any("call" in vars(layer) for layer in model.layers)


def test_failure_at_a_deep_layer_restores_the_earlier_ones():
    model = _chain((2,), stock(), layers.Dense(2), stock(name="deep"))
    model.layers[1].kernel.assign(np.full((2, 2), np.nan))
    before = model.get_weights()
    with pytest.raises(ValueError, match="layer='deep'"):
        kerasbn.calibrate(model, np.eye(2), verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_model_without_normalization_cannot_be_calibrated():
    model = _chain((2,), layers.Dense(2, name="only"))
    with pytest.raises(ValueError, match="must have a batch normalization"):
        kerasbn.calibrate(model, np.eye(2), verbose=0)
