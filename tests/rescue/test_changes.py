import keras
import numpy as np
import pytest

import kerasbn
from kerasbn._rescue.changes import Change, apply, fit_arguments

layers = keras.layers
stock = layers.BatchNormalization
ours = kerasbn.layers.BatchNormalization
first = kerasbn.layers.InputBatchNormalization


def _dense():
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(16, activation="relu", bias_initializer="ones"),
            layers.Dropout(0.1),
            layers.Dense(16),
            layers.LeakyReLU(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def _conv():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.SeparableConv2D(6, 3),
            stock(momentum=0.999),
            layers.Activation("relu"),
            layers.DepthwiseConv2D(3, activation="elu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
            layers.Softmax(),
        ]
    )


def _recurrent():
    return keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.Masking(),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(5, activation="tanh")),
            layers.GRU(5),
            layers.Dense(3, activation="softmax"),
        ]
    )


def _branches():
    one = keras.Input((4,), name="one")
    other = keras.Input((4,), name="other")
    shared = layers.Dense(8, activation="tanh", name="shared")
    both = layers.Concatenate()([shared(one), shared(other)])
    hidden = layers.Dense(16, name="hidden")(both)
    hidden = layers.Add()([keras.ops.relu(hidden), both])
    outputs = layers.Dense(3, activation="softmax", name="output")(hidden)
    return keras.Model([one, other], outputs)


def _nested():
    block = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8), stock(), layers.ReLU()]
    )
    inner = keras.Input((5,))
    encoder = keras.Model(
        inner, block(layers.Dense(8, activation="sigmoid")(inner))
    )
    inputs = keras.Input((5,))
    head = keras.Sequential([layers.Dense(3), layers.Activation("softmax")])
    return keras.Model(inputs, head(encoder(inputs)))


def _words():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Embedding(10, 4, mask_zero=True),
            layers.LSTM(4, return_sequences=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(8, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )


def _attention():
    inputs = keras.Input((6, 8))
    x = layers.MultiHeadAttention(2, 4)(inputs, inputs)
    x = layers.LayerNormalization()(layers.Add()([inputs, x]))
    x = layers.EinsumDense("abc,cd->abd", (None, 8), "relu", "d")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


_MODELS = (_dense, _conv, _recurrent, _branches, _nested, _words, _attention)
_CHANGES = (
    Change("normalize_inputs"),
    Change("normalize_hidden"),
    Change("initializer"),
    Change("activation", {"activation": "elu"}),
    Change("clipping", {"clipnorm": 1.0}),
    Change("learning_rate", {"factor": 0.1}),
    Change("statistics"),
    Change("output", {"activation": None, "units": 4}),
)
_each_model = pytest.mark.parametrize(
    "build", _MODELS, ids=lambda build: build.__name__.strip("_")
)
_each_change = pytest.mark.parametrize(
    "change", _CHANGES, ids=lambda change: change.kind
)


def _compiled(model, optimizer="adam", loss="sparse_categorical_crossentropy"):
    # Eager, for a graph takes seconds to trace and would be run once.
    model.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=True)
    return model


def _data(model, rows=8):
    generator = np.random.default_rng(0)
    integers = any(isinstance(each, layers.Embedding) for each in model.layers)
    x = [
        generator.integers(0, 10, (rows, *each.shape[1:])).astype("float32")
        if integers
        else generator.normal(size=(rows, *each.shape[1:])).astype("float32")
        for each in model.inputs
    ]
    return x if len(x) > 1 else x[0], generator.integers(0, 3, rows)


def _outputs(model, x):
    return model(x, training=False).numpy()


def _of_kind(model, *kinds):
    return [
        each
        for each in model._flatten_layers(include_self=False)
        if type(each) in kinds
    ]


def _assert_equal_weights(one, other):
    assert len(one) == len(other)
    for mine, yours in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, yours)


@_each_model
def test_no_change_gives_an_equal_copy(build):
    model = _compiled(build(), keras.optimizers.SGD(0.1, 0.9, clipvalue=0.5))
    x, y = _data(model)
    model.fit(x, y, verbose=0)
    copy = apply(model, [])
    _assert_equal_weights(copy.get_weights(), model.get_weights())
    np.testing.assert_allclose(_outputs(copy, x), _outputs(model, x), atol=1e-6)
    assert copy.optimizer.get_config() == model.optimizer.get_config()
    assert int(copy.optimizer.iterations) == 0
    assert type(copy) is type(model)
    assert [each.name for each in copy.layers] == [
        each.name for each in model.layers
    ]
    if build is not _recurrent:  # Keras clones Bidirectional without its name
        assert [each.path for each in copy.weights] == [
            each.path for each in model.weights
        ]


@pytest.mark.parametrize(
    ("build", "change"),
    [
        (build, change)
        for build in _MODELS
        for change in _CHANGES
        if build is _dense or change.kind not in ("clipping", "learning_rate")
    ],
    ids=lambda each: getattr(each, "__name__", "").strip("_") or f"{each.kind}",
)
def test_a_changed_model_trains_and_saves_and_the_model_stays(
    build, change, tmp_path
):
    model = _compiled(build())
    x, y = _data(model)
    weights, count = model.get_weights(), len(model.layers)
    config = model.optimizer.get_config()
    if change.kind == "output":
        change = change._replace(
            options={
                **change.options,
                "loss": keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True
                ),
            }
        )
    changed = apply(model, [change])
    logs = changed.fit(x, y, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    assert "accuracy" in logs
    _assert_equal_weights(model.get_weights(), weights)
    assert len(model.layers) == count
    assert model.optimizer.get_config() == config
    assert not model.optimizer.built
    changed.save(tmp_path / "changed.keras")
    loaded = keras.models.load_model(tmp_path / "changed.keras")
    # Rounding: the graph that is loaded may be compiled another way.
    np.testing.assert_allclose(
        _outputs(loaded, x),
        _outputs(changed, x),
        atol=1e-6,
    )


@_each_model
def test_all_changes_at_once_train(build):
    model = _compiled(build())
    x, y = _data(model)
    changes = [*_CHANGES[:-1], Change("output", {"activation": "softmax"})]
    changed = apply(model, changes)
    assert np.isfinite(changed.fit(x, y, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    ("build", "inputs"), [(_dense, 1), (_conv, 1), (_branches, 2), (_words, 0)]
)
def test_each_input_of_numbers_is_normalized_once(build, inputs):
    once = apply(_compiled(build()), [Change("normalize_inputs")])
    twice = apply(once, [Change("normalize_inputs")])
    assert len(_of_kind(once, first)) == len(_of_kind(twice, first)) == inputs


def test_changes_train_and_save_in_a_graph(tmp_path):
    model = _dense()
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=True)
    x, y = _data(model)
    changed = apply(model, [*_CHANGES[:-1]])
    assert changed.jit_compile
    assert np.isfinite(changed.fit(x, y, verbose=0).history["loss"]).all()
    changed.save(tmp_path / "changed.keras")
    loaded = keras.models.load_model(tmp_path / "changed.keras")
    assert type(loaded.optimizer) is keras.optimizers.Adam


def test_images_are_normalized_by_channel():
    changed = apply(_compiled(_conv()), [Change("normalize_inputs")])
    (layer,) = _of_kind(changed, first)
    assert layer.moving_mean.shape == (3,)
    assert changed.layers[0] is layer


def test_masks_are_made_of_raw_inputs():
    changed = apply(_compiled(_recurrent()), [Change("normalize_inputs")])
    assert [type(each) for each in changed.layers[:2]] == [
        layers.Masking,
        first,
    ]


def test_masks_inside_a_nested_model_are_made_of_raw_inputs():
    inputs = keras.Input((6, 4))
    encoder = keras.Sequential(
        [keras.Input((6, 4)), layers.Masking(), layers.LSTM(3)]
    )
    model = _compiled(keras.Model(inputs, layers.Dense(3)(encoder(inputs))))
    changed = apply(model, [Change("normalize_inputs")])
    nested = changed.layers[1]
    assert [type(each) for each in nested.layers[1:3]] == [
        layers.Masking,
        first,
    ]
    assert len(_of_kind(changed, first)) == 1


@pytest.mark.parametrize(
    "scaling",
    [
        layers.Rescaling(1 / 255),
        stock(),
        layers.Lambda(lambda x: x / 255),
        keras.Sequential([layers.Rescaling(1 / 255)]),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_scaled_inputs_are_left_alone(scaling):
    inputs = keras.Input((4,))
    model = _compiled(keras.Model(inputs, layers.Dense(3)(scaling(inputs))))
    changed = apply(model, [Change("normalize_inputs")])
    assert not _of_kind(changed, first)


def test_integer_inputs_are_left_alone():
    inputs = keras.Input((4,), dtype="int32")
    model = _compiled(keras.Model(inputs, layers.Dense(3)(inputs)))
    changed = apply(model, [Change("normalize_inputs")])
    assert not _of_kind(changed, first)


def test_an_arithmetic_scaling_is_left_alone():
    inputs = keras.Input((4,))
    model = _compiled(keras.Model(inputs, layers.Dense(3)(inputs / 255)))
    changed = apply(model, [Change("normalize_inputs")])
    assert not _of_kind(changed, first)


@_each_model
def test_hidden_normalization_keeps_kernels_and_outputs(build):
    model = _compiled(build())
    x, _ = _data(model)
    changed = apply(model, [Change("normalize_hidden")])

    def kernels(model):
        kept = [w for w in model.trainable_weights if "kernel" in w.name]
        return [weight.numpy() for weight in kept]

    _assert_equal_weights(kernels(changed), kernels(model))
    if build not in (_recurrent, _words):  # a LayerNormalization changes more
        # A fresh batch normalization divides by sqrt(1 + 0.001).
        np.testing.assert_allclose(
            _outputs(changed, x),
            _outputs(model, x),
            atol=3e-3,
        )


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (_dense, {ours: 2}),
        (_conv, {ours: 2, stock: 1}),
        # Bidirectional and GRU; TimeDistributed.
        (_recurrent, {layers.LayerNormalization: 2, ours: 1}),
        (_branches, {ours: 2}),
        (_nested, {ours: 1, stock: 1}),
        (_words, {layers.LayerNormalization: 1, ours: 1}),
        (_attention, {layers.LayerNormalization: 1, ours: 1}),
    ],
    ids=lambda each: getattr(each, "__name__", "").strip("_"),
)
def test_each_hidden_layer_is_normalized_once(build, expected):
    model = _compiled(build())
    for _ in range(2):
        model = apply(model, [Change("normalize_hidden")])
        found = {kind: len(_of_kind(model, kind)) for kind in expected}
        assert found == expected


def test_a_split_layer_is_linear_normalization_and_activation():
    model = _compiled(_dense())
    changed = apply(model, [Change("normalize_hidden")])
    dense, normalization, activation = changed.layers[:3]
    assert not dense.use_bias
    assert dense.activation is keras.activations.linear
    assert activation.activation is keras.activations.relu
    # The bias was drawn as ones.
    assert normalization.beta.numpy().tolist() == [1.0] * 16
    assert [each.name for each in changed.layers[:3]] == [
        model.layers[0].name + end
        for end in ("", "_normalization", "_activation")
    ]


def test_an_activation_that_is_a_layer_keeps_its_weights():
    slope = layers.PReLU(alpha_initializer=keras.initializers.Constant(0.7))
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, activation=slope), layers.Dense(3)]
    )
    changed = apply(_compiled(model), [Change("normalize_hidden")])
    (split,) = _of_kind(changed, layers.PReLU)
    np.testing.assert_allclose(split.alpha.numpy(), 0.7)


def test_channels_first_is_normalized_along_channels():
    inputs = keras.Input((3, 8, 8))
    x = layers.Conv2D(6, 3, activation="relu", data_format="channels_first")(
        inputs
    )
    model = _compiled(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))
    changed = apply(
        model, [Change("normalize_hidden"), Change("normalize_inputs")]
    )
    (hidden,) = _of_kind(changed, ours)
    (entry,) = _of_kind(changed, first)
    assert (hidden.axis, entry.axis) == (1, 1)
    assert hidden.moving_mean.shape == (6,)


def test_the_gate_of_a_channel_is_left_alone():
    inputs = keras.Input((16,))
    gate = layers.Dense(16, activation="sigmoid", name="gate")(inputs)
    x = layers.Multiply()([inputs, gate])
    model = _compiled(keras.Model(inputs, layers.Dense(3)(x)))
    changed = apply(
        model,
        [
            Change("activation", {"activation": "elu"}),
            Change("normalize_hidden"),
        ],
    )
    assert changed.get_layer("gate").activation is keras.activations.sigmoid
    assert not _of_kind(changed, ours)


# Gain of the variance: He, LeCun, and Glorot on a square kernel.
@pytest.mark.parametrize(
    ("activation", "gain"),
    [
        ("relu", 2.0),
        ("elu", 2.0),
        ("gelu", 2.0),
        ("silu", 2.0),
        ("leaky_relu", 2.0),
        ("selu", 1.0),
        ("tanh", 1.0),
        ("sigmoid", 1.0),
        ("softsign", 1.0),
        ("linear", 1.0),
    ],
)
@pytest.mark.parametrize("separate", [False, True])
def test_kernels_are_drawn_to_fit_the_activation(activation, gain, separate):
    hidden = [
        layers.Dense(100, kernel_initializer="zeros", name="hidden"),
        stock(),
        layers.Activation(activation),
    ]
    if not separate:
        hidden = [
            layers.Dense(
                100, activation, kernel_initializer="zeros", name="hidden"
            )
        ]
    model = keras.Sequential([keras.Input((100,)), *hidden, layers.Dense(3)])
    changed = apply(_compiled(model), [Change("initializer")])
    # 10,000 entries: the deviation is known to 1 %.
    assert changed.get_layer("hidden").kernel.numpy().std() == pytest.approx(
        np.sqrt(gain / 100), rel=0.1
    )


def test_the_copy_says_how_its_kernels_were_drawn():
    model = _compiled(_dense())
    changed = apply(model, [Change("initializer")])
    drawn = [
        type(each.kernel_initializer)
        for each in _of_kind(changed, layers.Dense)
    ]
    he, glorot = keras.initializers.HeNormal, keras.initializers.GlorotUniform
    assert drawn == [he, he, glorot]
    assert not changed.layers[0].bias.numpy().any()


def test_kernels_of_one_shape_are_drawn_apart_and_by_the_seed():
    same = keras.initializers.HeNormal(seed=1)
    model = keras.Sequential(
        [keras.Input((8,))]
        + [layers.Dense(8, "relu", kernel_initializer=same) for _ in range(3)]
    )
    _compiled(model)

    def kernels(seed):
        changed = apply(model, [Change("initializer")], seed)
        return [each.kernel.numpy() for each in changed.layers]

    one, again, other = kernels(1), kernels(1), kernels(2)
    _assert_equal_weights(one, again)
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one[0], other[0])


def test_recurrent_kernels_are_drawn_orthogonal_and_the_rest_kept():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Embedding(10, 4),
            layers.Bidirectional(
                layers.LSTM(4, recurrent_initializer="zeros", name="lstm")
            ),
            stock(gamma_initializer="zeros"),
            layers.Dense(3),
        ]
    )
    changed = apply(_compiled(model), [Change("initializer")])
    embedding, wrapper, normalization, _ = changed.layers
    cell = wrapper.backward_layer.cell
    kernel = cell.recurrent_kernel.numpy()  # its rows are orthonormal
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(4), atol=1e-5)
    # Input, forget, cell and output gate; the forget gate starts open.
    assert cell.bias.numpy().reshape(4, 4).mean(axis=1).tolist() == [0, 1, 0, 0]
    assert not normalization.gamma.numpy().any()
    _assert_equal_weights(
        embedding.get_weights(), model.layers[0].get_weights()
    )


def test_a_frozen_base_gets_its_inputs_as_it_did():
    base = keras.Sequential(
        [keras.Input((5,)), layers.Dense(8), stock(), layers.ReLU()]
    )
    base.trainable = False
    model = keras.Sequential([keras.Input((5,)), base, layers.Dense(3)])
    _compiled(model)
    x, _ = _data(model)
    changed = apply(model, [Change("normalize_inputs"), Change("statistics")])
    assert not _of_kind(changed, first, ours)
    np.testing.assert_allclose(_outputs(changed, x), _outputs(model, x))


def test_frozen_layers_are_left_alone():
    model = _dense()
    model.layers[0].trainable = False
    _compiled(model)
    changed = apply(
        model,
        [
            Change("initializer"),
            Change("normalize_hidden"),
            Change("activation", {"activation": "elu"}),
        ],
    )
    frozen = changed.layers[0]
    assert not frozen.trainable
    assert frozen.activation is keras.activations.relu
    _assert_equal_weights(frozen.get_weights(), model.layers[0].get_weights())


def test_every_hidden_activation_is_replaced():
    changed = apply(
        _compiled(_branches()), [Change("activation", {"activation": "elu"})]
    )
    elu = keras.activations.elu
    assert changed.get_layer("shared").activation is elu
    (replaced,) = _of_kind(changed, layers.Activation)
    assert replaced.activation is elu
    assert changed.get_layer("output").activation is keras.activations.softmax
    assert not any(type(each).__name__ == "Relu" for each in changed.operations)


def test_a_replaced_layer_is_not_called_relu():
    changed = apply(
        _compiled(_dense()), [Change("activation", {"activation": "elu"})]
    )
    assert not [each for each in changed.layers if "re_lu" in each.name]


def test_recurrent_activations_are_kept():
    changed = apply(
        _compiled(_recurrent()), [Change("activation", {"activation": "elu"})]
    )
    assert changed.layers[1].forward_layer.activation is keras.activations.tanh
    assert changed.layers[2].layer.activation is keras.activations.elu


def test_clipping_replaces_clipping_and_nothing_else():
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1, clipvalue=0.5)
    model = _compiled(_dense(), optimizer)
    changed = apply(model, [Change("clipping", {"clipnorm": 2.0})])
    assert changed.optimizer.get_config() == {
        **optimizer.get_config(),
        "clipvalue": None,
        "clipnorm": 2.0,
    }
    assert type(changed.optimizer) is keras.optimizers.AdamW


def test_what_is_not_decayed_stays_so():
    model = _compiled(_dense(), kerasbn.optimizers.adamw(0.1, weight_decay=1.0))
    changed = apply(model, [Change("clipping", {"clipnorm": None})])
    for weight in changed.trainable_variables:
        decays = changed.optimizer._use_weight_decay(weight)
        assert decays == (weight.name == "kernel")


def test_a_learning_rate_is_multiplied_or_set():
    model = _compiled(_dense(), keras.optimizers.SGD(0.5))

    def rate(**options):
        change = Change("learning_rate", options)
        return float(apply(model, [change]).optimizer.learning_rate)

    assert rate(factor=0.1) == pytest.approx(0.05)
    assert rate(value=0.25) == 0.25


class _Halved(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        return self.start / 2

    def get_config(self):
        return {"start": self.start}


schedules = keras.optimizers.schedules


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.ExponentialDecay(0.5, 10, 0.9),
        schedules.CosineDecay(0.1, 100, warmup_target=0.5, warmup_steps=20),
        schedules.PiecewiseConstantDecay([10, 20], [0.5, 0.2, 0.1]),
        schedules.PolynomialDecay(0.5, 100, 0.05),
        _Halved(0.5),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_a_schedule_is_multiplied_at_every_step(schedule):
    model = _compiled(_dense(), keras.optimizers.SGD(schedule))
    change = Change("learning_rate", {"factor": 0.1})
    changed = apply(model, [change]).optimizer._learning_rate
    for step in (0, 15, 25, 200):
        # Powers in float32.
        assert float(changed(step)) == pytest.approx(
            0.1 * float(schedule(step)), rel=1e-5
        )


def _half():
    return 0.5


def test_a_learning_rate_that_is_a_function_is_kept_or_taken_as_it_is():
    model = _compiled(_dense(), keras.optimizers.SGD(_half))
    assert float(apply(model, []).optimizer.learning_rate) == 0.5
    change = Change("learning_rate", {"factor": 0.5})
    assert float(apply(model, [change]).optimizer.learning_rate) == 0.25


def test_stock_statistics_are_replaced_with_equal_outputs():
    model = _compiled(_conv())
    x, y = _data(model)
    model.fit(x, y, verbose=0, epochs=2)
    changed = apply(model, [Change("statistics")])
    (layer,) = _of_kind(changed, ours)
    assert not _of_kind(changed, stock)
    assert layer.momentum == 0.99
    (old,) = _of_kind(model, stock)
    _assert_equal_weights(layer.get_weights()[:4], old.get_weights())
    np.testing.assert_allclose(
        _outputs(changed, x), _outputs(model, x), atol=1e-6
    )


@pytest.mark.parametrize("build", [_dense, _conv, _nested])
def test_the_output_gets_activation_units_and_loss(build):
    loss = keras.losses.MeanSquaredError()
    model = _compiled(build())
    x, _ = _data(model)
    changed = apply(
        model,
        [Change("output", {"activation": None, "units": 1, "loss": loss})],
    )
    assert changed.output_shape == (None, 1)
    assert changed.loss is loss
    # The sum of softmax over one unit would be 1.
    assert _outputs(changed, x).std() > 0.0
    kernel = _of_kind(changed, layers.Dense)[-1].kernel.numpy()
    bound = np.sqrt(6 / sum(kernel.shape))  # Glorot, uniform
    assert 0.2 * bound < np.abs(kernel).max() <= bound
    assert changed.layers[-1].name == model.layers[-1].name


def test_the_loss_alone_keeps_all_weights():
    model = _compiled(_dense())
    changed = apply(model, [Change("output", {"loss": "mse"})])
    assert changed.loss == "mse"
    _assert_equal_weights(changed.get_weights(), model.get_weights())


def test_two_outputs_are_not_changed():
    inputs = keras.Input((4,))
    outputs = [layers.Dense(1)(inputs), layers.Dense(1)(inputs)]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="must have a single output"):
        apply(model, [Change("output", {"units": 2})])


def test_weights_that_are_not_finite_are_drawn_anew():
    model = _compiled(_conv())
    (normalization,) = _of_kind(model, stock)
    normalization.moving_variance.assign([np.nan] * 6)
    kernel = model.layers[0].kernel
    kernel.assign(kernel.numpy() + np.where(kernel.numpy() > 0, np.inf, 0))
    changed = apply(model, [])
    assert all(np.isfinite(each).all() for each in changed.get_weights())
    assert changed.layers[0].kernel.numpy().std() > 0
    (normalization,) = _of_kind(changed, stock)
    assert normalization.moving_variance.numpy().tolist() == [1.0] * 6
    _assert_equal_weights(
        changed.layers[-2].get_weights(), model.layers[-2].get_weights()
    )


def test_counts_go_with_the_statistics_that_are_not_finite():
    model = _compiled(
        keras.Sequential([keras.Input((2,)), ours(), layers.Dense(3)])
    )
    model.layers[0].batches.assign([1000.0, 0.0])
    model.layers[0].moving_mean.assign([np.nan, 0.0])
    changed = apply(model, [])
    assert float(changed.layers[0].seen_batches) == 0.0


def test_compile_arguments_are_kept():
    model = _dense()
    model.compile(
        keras.optimizers.RMSprop(0.3, rho=0.7),
        keras.losses.SparseCategoricalCrossentropy(),
        loss_weights=[2.0],
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="right")],
        weighted_metrics=["accuracy"],
        steps_per_execution=2,
        jit_compile=False,
    )
    x, y = _data(model)
    copy = apply(model, [])
    one = model.evaluate(x, y, verbose=0, return_dict=True)
    other = copy.evaluate(x, y, verbose=0, return_dict=True)
    assert one == pytest.approx(other)
    assert {"right", "accuracy", "loss"} <= one.keys()
    assert copy.steps_per_execution == 2
    assert copy.optimizer.get_config() == model.optimizer.get_config()


def test_run_eagerly_and_functions_of_the_user_are_kept():
    def swish(x):
        return x * keras.ops.sigmoid(x)

    def loss(y, predicted):
        return keras.ops.mean(keras.ops.square(predicted), axis=-1)

    def size(y, predicted):
        return keras.ops.mean(keras.ops.abs(predicted))

    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation=swish), layers.Dense(1)]
    )
    model.compile("sgd", loss, metrics=[size], run_eagerly=True)
    copy = apply(model, [Change("normalize_hidden")])
    assert copy.run_eagerly
    assert copy.loss is loss
    (activation,) = _of_kind(copy, layers.Activation)
    assert activation.activation is swish
    assert "size" in copy.fit(np.ones((4, 4)), np.ones(4), verbose=0).history


def test_losses_by_name_of_output_are_kept():
    inputs = keras.Input((4,))
    outputs = {
        "low": layers.Dense(1, name="low")(inputs),
        "high": layers.Dense(3, activation="softmax", name="high")(inputs),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        "adam",
        {"low": "mse", "high": "sparse_categorical_crossentropy"},
        loss_weights={"low": 0.5, "high": 1.0},
        metrics={"low": ["mae"], "high": ["accuracy"]},
    )
    x, y = np.ones((4, 4)), {"low": np.ones((4, 1)), "high": np.ones(4)}
    one = model.evaluate(x, y, verbose=0, return_dict=True)
    copy = apply(model, [])
    assert copy.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(
        one
    )


def test_mixed_precision_survives():
    keras.config.set_dtype_policy("mixed_float16")
    model = _compiled(_dense())
    keras.config.set_dtype_policy("float32")
    changed = apply(
        model,
        [
            Change("normalize_inputs"),
            Change("normalize_hidden"),
            Change("clipping", {"clipnorm": 3.0}),
        ],
    )
    half = [
        each
        for each in changed.layers
        if each.dtype_policy.name == "mixed_float16"
    ]
    assert len(half) == len(changed.layers) - 1  # not the input normalization
    assert isinstance(changed.optimizer, keras.optimizers.LossScaleOptimizer)
    assert changed.optimizer.inner_optimizer.clipnorm == 3.0
    x, y = _data(model)
    assert np.isfinite(changed.fit(x, y, verbose=0).history["loss"]).all()


def test_a_vocabulary_is_kept():
    lookup = layers.StringLookup()
    lookup.adapt(["red", "green", "red"])
    inputs = keras.Input((1,), dtype="string")
    x = layers.Embedding(lookup.vocabulary_size(), 2)(lookup(inputs))
    model = _compiled(keras.Model(inputs, layers.Dense(3)(x)))
    changed = apply(model, [Change("normalize_hidden")])
    (copy,) = _of_kind(changed, layers.StringLookup)
    assert copy.get_vocabulary() == lookup.get_vocabulary()


def test_an_adapted_normalization_is_kept():
    scaler = layers.Normalization()
    scaler.adapt(np.array([[1.0], [3.0]]))
    model = _compiled(
        keras.Sequential([keras.Input((1,)), scaler, layers.Dense(3)])
    )
    copy = apply(model, [])
    assert copy.layers[0](np.array([[3.0]])).numpy().tolist() == [[1.0]]


def test_random_numbers_of_the_caller_go_on_undisturbed():
    model = _compiled(_dense())
    keras.utils.set_random_seed(5)
    expected = layers.Dense(4, kernel_initializer="he_normal")
    expected.build((None, 4))
    keras.utils.set_random_seed(5)
    apply(model, [Change("initializer")])
    found = layers.Dense(4, kernel_initializer="he_normal")
    found.build((None, 4))
    _assert_equal_weights(found.get_weights(), expected.get_weights())


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


class _OwnStep(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


class _NoConfig(layers.Layer):
    def __init__(self, width):
        super().__init__()
        self.width = width

    def call(self, inputs):
        return inputs


def _subclassed():
    model = _compiled(_Subclassed())
    model(np.ones((1, 2)))
    return model


def _own_step():
    inputs = keras.Input((2,))
    return _compiled(_OwnStep(inputs, layers.Dense(3)(inputs)))


def _no_config():
    inputs = keras.Input((2,))
    held = _NoConfig(object())(inputs)
    return _compiled(keras.Model(inputs, layers.Dense(3)(held)))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_dense, "not compiled"),
        (_subclassed, "subclassed or not built"),
        (lambda: _compiled(keras.Sequential([layers.Dense(3)])), "not built"),
        (_own_step, "its own `train_step`"),
        (_no_config, "no `get_config`"),
        (lambda: "model", "not a Keras model"),
    ],
)
def test_models_that_cannot_be_copied_say_why(build, reason):
    model = build()
    with pytest.raises(ValueError, match=reason):
        apply(model, [])


@_each_change
def test_a_change_is_said_in_a_sentence_and_in_code(change):
    assert str(change).endswith(".")
    assert str(change)[0].isupper()
    lines = change.patch.splitlines()
    assert {line[:2] for line in lines} <= {"- ", "+ ", "  ", ""}
    assert any(line.startswith("+ ") for line in lines)


def test_texts_carry_the_numbers():
    assert str(Change("clipping", {"clipvalue": 0.5})) == (
        "Clip the gradients with clipvalue=0.5."
    )
    change = Change("learning_rate", {"factor": 0.1})
    assert str(change) == "Multiply the learning rate by 0.1."
    assert "keras.optimizers.Adam(learning_rate=0.0001)" in change.patch
    logits = keras.losses.BinaryCrossentropy(from_logits=True)
    change = Change("output", {"activation": None, "units": 2, "loss": logits})
    assert "keras.layers.Dense(2)" in change.patch
    assert "keras.losses.BinaryCrossentropy(from_logits=True)" in change.patch


def test_another_optimizer_takes_its_own_arguments():
    model = _compiled(_dense(), keras.optimizers.SGD(0.5, momentum=0.9))
    options = {"class_name": "Adam", "learning_rate": 0.01, "clipnorm": 1.0}
    changed = apply(model, [Change("optimizer", options)])
    assert type(changed.optimizer) is keras.optimizers.Adam
    assert changed.optimizer.clipnorm == 1.0
    assert float(changed.optimizer.learning_rate) == pytest.approx(0.01)
    assert str(Change("optimizer", options)) == (
        "Use keras.optimizers.Adam(learning_rate=0.01, clipnorm=1.0)."
    )


def test_layers_and_activations_are_left_out():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dropout(0.95, name="most"),
            layers.Dense(3, "relu", name="logits"),
            layers.Softmax(),
        ]
    )
    change = Change("remove", {"layers": ["most", "logits"]})
    changed = apply(_compiled(model), [change])
    assert [type(e) for e in changed.layers] == [layers.Dense, layers.Softmax]
    assert changed.layers[0].activation is keras.activations.linear


def test_a_sequence_ends_with_its_last_step():
    model = keras.Sequential(
        [
            keras.Input((6, 2)),
            layers.GRU(4, return_sequences=True, name="gru"),
            layers.Dense(1),
        ]
    )
    changed = apply(
        _compiled(model, loss="mse"), [Change("last_step", {"layers": ["gru"]})]
    )
    assert changed.output_shape == (None, 1)
    _assert_equal_weights(changed.get_weights(), model.get_weights())


def test_narrow_layers_are_widened():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(1, "relu", name="narrow"),
            layers.Dense(3, "softmax"),
        ]
    )
    change = Change("widen", {"layers": ["narrow"], "units": 16})
    changed = apply(_compiled(model), [change])
    assert [each.units for each in changed.layers] == [16, 3]
    assert str(change) == "Give 'narrow' 16 units."


def test_simple_cells_become_gated():
    model = keras.Sequential(
        [
            keras.Input((6, 2)),
            layers.Bidirectional(layers.SimpleRNN(4, return_sequences=True)),
            layers.SimpleRNN(5, "relu"),
            layers.Dense(3),
        ]
    )
    changed = apply(_compiled(model), [Change("gated_cells")])
    both, last, _ = changed.layers
    assert type(both.forward_layer) is type(last) is layers.GRU
    assert changed.layers[0].output.shape == (None, 6, 8)
    assert last.activation is keras.activations.tanh


def test_outputs_take_the_shape_of_the_targets():
    inputs = keras.Input((3,))
    flat = layers.Reshape(())(layers.Dense(1)(inputs))
    model = _compiled(keras.Model(inputs, flat), loss="mse")
    changed = apply(model, [Change("reshape_output", {"shape": [1]})])
    assert changed.output_shape == (None, 1)


def test_what_is_not_finite_becomes_zero(tmp_path):
    model = _compiled(_dense())
    changed = apply(
        model, [Change("finite_inputs"), Change("normalize_inputs")]
    )
    x = np.ones((3, 5))
    x[0], x[1, 2] = np.nan, np.inf
    zeros = np.where(np.isfinite(x), x, 0.0)
    np.testing.assert_array_equal(
        _outputs(changed, x), _outputs(changed, zeros)
    )
    changed.save(tmp_path / "changed.keras")
    loaded = keras.models.load_model(tmp_path / "changed.keras", compile=False)
    np.testing.assert_allclose(_outputs(loaded, x), _outputs(changed, x))


def test_a_dead_bias_does_not_shift_what_is_normalized():
    dead = keras.initializers.Constant(-12.0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, "relu", bias_initializer=dead),
            layers.Dense(6, "relu", bias_initializer="ones"),
            layers.Dense(3),
        ]
    )
    changed = apply(_compiled(model), [Change("normalize_hidden")])
    betas = [each.beta.numpy().tolist() for each in _of_kind(changed, ours)]
    assert betas == [[0.0] * 6, [1.0] * 6]
    changed = apply(changed, [Change("initializer")])
    betas = [each.beta.numpy().tolist() for each in _of_kind(changed, ours)]
    assert betas == [[0.0] * 6, [0.0] * 6]


def test_one_of_several_outputs_is_scaled():
    inputs = keras.Input((4,))
    outputs = [
        layers.Dense(3, activation="softmax", name="kind")(inputs),
        layers.Dense(1, name="price")(inputs),
    ]
    model = keras.Model(inputs, outputs)
    losses = {"kind": "sparse_categorical_crossentropy", "price": "mse"}
    model.compile("adam", losses, run_eagerly=True)
    options = {"mean": 100.0, "deviation": 10.0, "output": "price"}
    changed = apply(model, [Change("scale_targets", options)])
    x = np.ones((2, 4))
    kind, price = model(x)
    new_kind, new_price = changed(x)
    np.testing.assert_array_equal(new_kind, kind)
    np.testing.assert_allclose(new_price, 100.0 + 10.0 * price, rtol=1e-6)
    # Each output counts as before: the error of the price is in deviations.
    y = {"kind": np.zeros(2), "price": 100.0 + np.zeros(2)}
    loss = -np.log(kind.numpy()[:, 0]) + np.square(price.numpy()[:, 0])
    assert changed.evaluate(x, y, verbose=0, return_dict=True)[
        "loss"
    ] == pytest.approx(loss.mean())


def test_class_weights_become_arguments_of_fit():
    options = {"targets": "labels", "weights": [0.5, 8.0], "per_element": False}
    change = Change("class_weight", options)
    assert fit_arguments([change], np.array([0, 1])) == {
        "class_weight": {0: 0.5, 1: 8.0}
    }
    change = Change("class_weight", {**options, "per_element": True})
    found = fit_arguments([change], np.array([[0, 1], [1, 1]]))
    assert found["sample_weight"].tolist() == [[0.5, 8.0], [8.0, 8.0]]


def test_an_output_has_one_activation():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(1, "sigmoid"),
            layers.ReLU(),
            layers.Activation("linear"),
        ]
    )
    change = Change("output", {"activation": "sigmoid"})
    changed = apply(_compiled(model, loss="binary_crossentropy"), [change])
    dense, activation = changed.layers
    assert dense.activation is keras.activations.linear
    assert activation.activation is keras.activations.sigmoid
