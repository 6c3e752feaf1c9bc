import keras
import numpy as np
import pytest
from keras import ops

import kerasbn

# Each value of each option learns; those that do not meddle share a network.
_OPTIONS = {
    "defaults": {},
    "plain": {
        "normalize_inputs": False,
        "normalization": None,
        "activation": "selu",
    },
    "layer": {
        "normalization": "layer",
        "activation": "gelu",
        "kernel_initializer": "orthogonal",
    },
    "after": {"placement": "after", "activation": "silu", "dropout": 0.2},
    "residual after": {
        "residual": True,
        "placement": "after",
        "activation": "sigmoid",
    },
    "residual plain": {
        "residual": True,
        "normalization": None,
        "activation": "relu",
    },
    "residual layer": {
        "residual": True,
        "normalization": "layer",
        "activation": "tanh",
    },
}


def _rings(rows=300):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, rows)
    angle = generator.uniform(0, 2 * np.pi, rows)
    radius = 1.0 + labels + 0.1 * generator.normal(size=rows)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return (1000 + 10 * x).astype("float32"), labels


@pytest.mark.parametrize("options", _OPTIONS.values(), ids=_OPTIONS)
def test_every_option_learns_and_round_trips(options, tmp_path):
    x, y = _rings()
    if not options.get("normalize_inputs", True):
        x = (x - 1000) / 10
    units = [16] * (3 if options.get("residual") else 2)
    model = kerasbn.models.mlp(
        (2,), units, 1, output_activation="sigmoid", **options
    )
    model.compile(kerasbn.optimizers.adam(0.01), "binary_crossentropy")
    losses = model.fit(x, y, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for copy in (loaded, clone):
        np.testing.assert_array_equal(copy(x), model(x))


def test_hidden_layer_is_dense_without_bias_then_norm_then_elu():
    model = kerasbn.models.mlp((4,), [8], 2)
    names = [layer.name for layer in model.layers[1:]]
    assert names == [
        "input_normalization",
        "hidden_0",
        "hidden_0_normalization",
        "hidden_0_activation",
        "output",
    ]
    assert not model.get_layer("hidden_0").use_bias
    activation = model.get_layer("hidden_0_activation").activation
    assert activation is keras.activations.elu


def test_plain_network_has_kernels_and_biases_only():
    model = kerasbn.models.mlp(
        (4,), [8, 8], 2, normalize_inputs=False, normalization=None
    )
    assert [variable.path for variable in model.weights] == [
        f"{layer}/{name}"
        for layer in ("hidden_0", "hidden_1", "output")
        for name in ("kernel", "bias")
    ]


def test_normalization_after_the_activation_keeps_the_bias():
    model = kerasbn.models.mlp((4,), [8], 2, placement="after")
    assert model.get_layer("hidden_0").use_bias
    names = [layer.name for layer in model.layers]
    assert names.index("hidden_0_activation") < names.index(
        "hidden_0_normalization"
    )


@pytest.mark.parametrize(
    ("activation", "variance"),
    [
        ("elu", 2 / 300),  # He: 2 / fan_in
        ("relu", 2 / 300),
        ("prelu", 2 / 300),
        ("gelu", 2 / 300),
        ("selu", 1 / 300),  # LeCun: 1 / fan_in
        ("tanh", 2 / (300 + 200)),  # Glorot: 2 / (fan_in + fan_out)
        ("sigmoid", 2 / (300 + 200)),
    ],
)
def test_initializer_fits_the_activation(activation, variance):
    model = kerasbn.models.mlp((300,), [200], 1, activation=activation)
    kernel = model.get_layer("hidden_0").kernel.numpy()
    # 60,000 entries: the sample variance is within 3 % of the true one.
    np.testing.assert_allclose(kernel.var(), variance, rtol=0.03)


def test_layers_of_one_shape_start_with_different_weights():
    model = kerasbn.models.mlp((8,), [8, 8], 1)
    first, second = (
        model.get_layer(f"hidden_{i}").kernel.numpy() for i in (0, 1)
    )
    assert not np.allclose(first, second)


@pytest.mark.parametrize("normalization", ["batch", "layer", None])
@pytest.mark.parametrize("placement", ["before", "after"])
@pytest.mark.parametrize("activation", ["elu", "sigmoid"])
def test_residual_blocks_start_as_the_identity(
    normalization, placement, activation
):
    deep, shallow = (
        kerasbn.models.mlp(
            (4,),
            [8] * depth,
            2,
            residual=True,
            normalization=normalization,
            placement=placement,
            activation=activation,
        )
        for depth in (1, 21)
    )
    for name in ("hidden_0", "output"):
        shallow.get_layer(name).set_weights(deep.get_layer(name).get_weights())
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(shallow(x), deep(x), rtol=1e-6)


def test_image_is_normalized_per_channel_then_flattened():
    model = kerasbn.models.mlp((4, 5, 3), [8], 2)
    assert model.get_layer("input_normalization").moving_mean.shape == (3,)
    assert model.get_layer("hidden_0").kernel.shape == (60, 8)


def test_output_is_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    model = kerasbn.models.mlp((4,), [8], 2, output_activation="softmax")
    assert model.output.dtype == "float32"
    assert model.get_layer("hidden_0").compute_dtype == "float16"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_units": []}, "at least one positive integer"),
        ({"hidden_units": [8, 0]}, "at least one positive integer"),
        ({"hidden_units": [8, -1]}, "at least one positive integer"),
        ({"hidden_units": [8.5]}, "at least one positive integer"),
        ({"normalization": "group"}, "`normalization` must be one of 'batch'"),
        ({"placement": "between"}, "`placement` must be one of 'before'"),
        ({"activation": "eluu"}, "`activation` must be the name of a Keras"),
        ({"activation": keras.layers.ReLU}, "`activation` must be the name of"),
        (
            {"output_activation": keras.layers.ReLU()},
            "`output_activation` must be the name of a Keras",
        ),
        (
            {"output_activation": "softmaxx"},
            "`output_activation` must be the name of a Keras",
        ),
    ],
    ids=str,
)
def test_bad_argument_gets_a_clear_sentence(arguments, message):
    arguments = {"hidden_units": [8], **arguments}
    with pytest.raises(ValueError, match=message):
        kerasbn.models.mlp((4,), output_units=2, **arguments)


def _images(rows=192):
    """Gray images of 8 x 8: a bright column or a bright row."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, rows)
    x = generator.normal(size=(rows, 8, 8, 1)).astype("float32")
    for image, label, place in zip(
        x, labels, generator.integers(0, 8, rows), strict=True
    ):
        image[(place, slice(None)) if label else (slice(None), place)] += 3.0
    return x, labels


def _sequences(rows=192):
    """Sequences of 6 steps whose last value is larger than the first or not."""
    x = np.random.default_rng(0).normal(size=(rows, 6, 1)).astype("float32")
    return x, (x[:, -1, 0] > x[:, 0, 0]).astype(int)


def _pair():
    networks = kerasbn.models.dcgan((8, 8, 1), 4, filters=[8, 16])
    return kerasbn.models.GAN(*networks)


def _slow_relu():
    return keras.layers.LeakyReLU(negative_slope=0.1)


_CNN, _RNN = (8, 8, 1), (None, 1)
_BUILT = {
    "mlp layer": lambda: kerasbn.models.mlp(
        _CNN, [16, 16, 16], 1, activation=_slow_relu(), residual=True
    ),
    "cnn": lambda: kerasbn.models.cnn(_CNN, [8, 16], 1),
    "cnn residual": lambda: kerasbn.models.cnn(
        _CNN, [8, 16, 16], 1, residual=True, activation=_slow_relu()
    ),
    "cnn layer": lambda: kerasbn.models.cnn(
        (None, None, 1), [8, 16], 1, normalization="layer", activation="prelu"
    ),
    "gru": lambda: kerasbn.models.rnn(_RNN, [8, 8], 1),
    "lstm": lambda: kerasbn.models.rnn(
        _RNN, [8], 1, cell="lstm", mask_value=0.0
    ),
    "simple_rnn": lambda: kerasbn.models.rnn(
        _RNN, [8], 1, cell="simple_rnn", normalization="batch", dropout=0.1
    ),
    "gan": _pair,
}


def _learns(model):
    """Whether `fit` makes the model better at what it is for."""
    if isinstance(model, kerasbn.models.GAN):
        noise = np.random.default_rng(0).normal(size=(64, 4))
        model.compile(kerasbn.optimizers.adam(2e-3, beta_1=0.5))

        # Images of one brightness, which the generator does not start with.
        def distance():
            return abs(float(ops.mean(model.generator(noise))) - 0.8)

        before = distance()
        model.fit(np.full((128, 8, 8, 1), 0.8), epochs=8, verbose=0)
        return distance() < 0.7 * before
    x, y = _sequences() if len(model.input_shape) == 3 else _images()
    model.compile(
        kerasbn.optimizers.adam(0.01),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    losses = model.fit(x, y, epochs=12, verbose=0).history["loss"]
    return losses[-1] < 0.7 * losses[0]


# `test_every_option_learns_and_round_trips` has the MLP in float32.
@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("mlp layer", "mixed_float16"),
        ("cnn", "float32"),
        ("cnn residual", "mixed_float16"),
        ("cnn layer", "float32"),
        ("gru", "float32"),
        ("lstm", "mixed_float16"),
        ("simple_rnn", "float32"),
        ("gan", "mixed_float16"),
    ],
)
def test_every_builder_learns_and_round_trips(name, policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = _BUILT[name]()
    assert _learns(model)
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert model.name in lines[0]

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.iterations == model.optimizer.iterations
    copies = [(model, loaded)]
    pair = isinstance(model, kerasbn.models.GAN)
    for part in (model.generator, model.discriminator) if pair else (model,):
        clone = keras.models.clone_model(part)
        clone.set_weights(part.get_weights())
        copies.append((part, clone))
    for original, copy in copies:
        hidden = (
            original.discriminator if original is model and pair else original
        ).layers[-2]
        assert hidden.compute_dtype == policy.removeprefix("mixed_")
        shape = (
            (8, 8, 1)
            if original is model and pair
            else [size or 8 for size in original.input_shape[1:]]
        )
        x = np.random.default_rng(0).normal(size=(3, *shape))
        assert original(x).dtype == "float32"
        np.testing.assert_array_equal(copy(x), original(x))


@pytest.mark.parametrize(
    "build",
    [
        lambda **options: kerasbn.models.mlp((5,), [8] * 5, 2, **options),
        lambda **options: kerasbn.models.cnn((4, 4, 1), [4] * 5, 2, **options),
    ],
    ids=["mlp", "cnn"],
)
@pytest.mark.parametrize("normalization", ["batch", None])
@pytest.mark.parametrize("activation", ["relu", "prelu", "elu", "sigmoid"])
def test_every_block_learns_from_the_first_step(
    build, activation, normalization
):
    model = build(
        residual=True, activation=activation, normalization=normalization
    )
    label = "hidden" if model.name == "mlp" else "conv"
    ends = [
        model.get_layer(f"{label}_{index}_normalization").gamma
        if normalization
        else model.get_layer(f"{label}_{index}").kernel
        for index in (2, 4)
    ]
    assert all(not variable.numpy().any() for variable in ends)
    model.compile("sgd", "mean_squared_error")
    x = np.random.default_rng(0).normal(size=(16, *model.input_shape[1:]))
    model.fit(x, np.ones((16, 2)), verbose=0)
    assert all(variable.numpy().any() for variable in ends)


def test_convolution_is_without_bias_then_norm_then_elu():
    model = kerasbn.models.cnn((28, 28, 1), [8, 16], 10, dropout=0.5)
    assert [layer.name for layer in model.layers[1:]] == [
        "input_normalization",
        "conv_0",
        "conv_0_normalization",
        "conv_0_activation",
        "conv_1",
        "conv_1_normalization",
        "conv_1_activation",
        "pooling",
        "dropout",
        "output",
    ]
    assert not model.get_layer("conv_0").use_bias
    assert model.get_layer("conv_1").kernel.shape == (3, 3, 8, 16)


def test_image_is_halved_where_the_filters_grow():
    model = kerasbn.models.cnn((7, 9, 3), [4, 4, 8, 2, 8, 16], 1)
    sizes = [
        model.get_layer(f"conv_{index}").output.shape[1:3] for index in range(6)
    ]
    assert sizes == [(7, 9), (7, 9), (4, 5), (4, 5), (2, 3), (1, 2)]


def test_shortcut_is_projected_where_the_shape_changes():
    model = kerasbn.models.cnn(
        (8, 8, 1), [4, 4, 4, 4, 8, 16, 32], 1, residual=True
    )
    names = [layer.name for layer in model.layers]
    assert "conv_2_shortcut" not in names
    assert model.get_layer("conv_4_shortcut").kernel.shape == (1, 1, 4, 8)
    assert model.get_layer("conv_4_shortcut_pooling").pool_size == (2, 2)
    assert model.get_layer("conv_6_shortcut_pooling").pool_size == (4, 4)
    assert model.get_layer("conv_6_add").output.shape == (None, 1, 1, 32)


def test_layer_as_activation_is_copied_for_each_use():
    activation = keras.layers.PReLU(shared_axes=[1, 2])
    model = kerasbn.models.cnn((4, 4, 1), [4, 4], 1, activation=activation)
    first, second = (
        model.get_layer(f"conv_{index}_activation") for index in (0, 1)
    )
    assert first.alpha is not second.alpha
    assert first.shared_axes == second.shared_axes == [1, 2]
    assert not activation.built


@pytest.mark.parametrize(
    ("activation", "initializer"),
    [
        (keras.layers.Activation("tanh"), "GlorotUniform"),
        (keras.activations.selu, "LecunNormal"),
        (keras.layers.LeakyReLU(), "HeNormal"),
        ("prelu", "HeNormal"),
    ],
    ids=["layer", "function", "leaky_relu", "prelu"],
)
def test_initializer_fits_any_kind_of_activation(activation, initializer):
    model = kerasbn.models.cnn((4, 4, 1), [4], 1, activation=activation)
    chosen = model.get_layer("conv_0").kernel_initializer
    assert type(chosen).__name__ == initializer


def test_initializer_given_as_object_draws_anew_for_each_layer():
    model = kerasbn.models.rnn(
        (None, 4),
        [4, 4],
        1,
        cell="simple_rnn",
        kernel_initializer=keras.initializers.HeNormal(),
    )
    first, second = (
        model.get_layer(f"recurrent_{index}").cell.kernel.numpy()
        for index in (0, 1)
    )
    assert not np.allclose(first, second)


@pytest.mark.parametrize("cell", ["gru", "lstm", "simple_rnn"])
@pytest.mark.parametrize("normalization", ["layer", "batch", None])
def test_padding_changes_neither_output_nor_statistics(cell, normalization):
    model = kerasbn.models.rnn(
        (None, 2),
        [4, 4],
        1,
        cell=cell,
        normalization=normalization,
        mask_value=-1.0,
    )
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(5.0, size=(8, 6, 2)).astype("float32")
    padded = np.concatenate([x, np.full((8, 3, 2), -1.0, "float32")], axis=1)
    # The masked loop and the fused one round differently.
    np.testing.assert_allclose(
        clone(padded, training=True), model(x, training=True), atol=1e-5
    )
    for one, other in zip(clone.weights, model.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)
    np.testing.assert_allclose(clone(padded), model(x), atol=1e-5)


def test_mask_of_an_embedding_in_front_is_honoured():
    network = kerasbn.models.rnn((None, 3), [4, 4], 1, normalize_inputs=False)
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(7, 3, mask_zero=True),
            *network.layers[1:],
        ]
    )
    short = np.array([[3, 1, 4], [1, 5, 6]])
    padded = np.pad(short, ((0, 0), (0, 4)))
    np.testing.assert_allclose(model(padded), model(short), atol=1e-6)


def test_recurrent_layers_are_normalized_between_and_end_in_a_vector():
    model = kerasbn.models.rnn((None, 2), [4, 5], 3, cell="lstm")
    assert [layer.name for layer in model.layers[1:]] == [
        "input_normalization",
        "recurrent_0",
        "recurrent_0_normalization",
        "recurrent_1",
        "recurrent_1_normalization",
        "output",
    ]
    assert model.output_shape == (None, 3)
    # Gates in Keras's order: input, forget, cell, output.
    bias = model.get_layer("recurrent_0").cell.bias.numpy()
    assert bias.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8
    kernel = model.get_layer("recurrent_0").cell.recurrent_kernel.numpy()
    # Orthogonal rows, 4 units to 16 gate entries.
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(4), atol=1e-5)


def test_return_sequences_gives_an_output_for_each_step():
    model = kerasbn.models.rnn((None, 2), [4, 4], 3, return_sequences=True)
    assert model.output_shape == (None, None, 3)


@pytest.mark.parametrize("side", [8, 28])
def test_dcgan_is_that_of_the_paper(side):
    generator, discriminator = kerasbn.models.dcgan((side, side, 1), 8)
    assert generator.input_shape == (None, 8)
    assert generator.output_shape == discriminator.input_shape
    assert discriminator.output_shape == (None, 1)
    normalized = [
        layer.name.removesuffix("_normalization")
        for model in (generator, discriminator)
        for layer in model.layers
        if isinstance(layer, kerasbn.layers.BatchNormalization)
    ]
    # Not the generator's last layer, nor the discriminator's first and last.
    assert normalized == ["projection", "upsampling_0", "downsampling_1"]
    image = generator.get_layer("image")
    assert image.activation is keras.activations.tanh
    # 4 * 4 * 64 = 1,024 entries: three standard errors are 7 %.
    np.testing.assert_allclose(image.kernel.numpy().std(), 0.02, rtol=0.07)
    slope = discriminator.get_layer("downsampling_0_activation").negative_slope
    assert slope == pytest.approx(0.2)


def test_gan_takes_the_step_of_two_optimizers_at_once():
    # One layer each: logit = weight * image, image = weight * noise. The
    # gradients below are those of the two losses of Goodfellow et al., 2014.
    def line(name):
        inputs = keras.Input((1, 1, 1))
        layer = keras.layers.Dense(1, use_bias=False, name=name)
        return keras.Model(inputs, layer(inputs))

    generator, discriminator = line("make"), line("judge")
    model = kerasbn.models.GAN(generator, discriminator)
    make, judge = (each.weights[0] for each in (generator, discriminator))
    make.assign([[2.0]])
    judge.assign([[0.5]])
    seen = []
    call = generator.call

    def observed(x, **options):
        seen.append(x)
        return call(x, **options)

    generator.call = observed
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    model.fit(np.full((4, 1, 1, 1), 3.0), verbose=0)

    noise = seen[-1].numpy().ravel()
    made = 2.0 * noise
    real, judged = 0.5 * np.full(4, 3.0), 0.5 * made
    share = 1 / (1 + np.exp(-np.array([real, judged])))
    judge_gradient = np.mean([-(1 - share[0]) * 3.0, share[1] * made])
    make_gradient = np.mean(-(1 - share[1]) * 0.5 * noise)
    np.testing.assert_allclose(
        [judge.numpy().item(), make.numpy().item()],
        [0.5 - judge_gradient, 2.0 - make_gradient],
        rtol=1e-5,
    )


def test_gradients_of_both_networks_are_monitored():
    model = _pair()
    model.compile(kerasbn.optimizers.adam(2e-4, beta_1=0.5))
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    model.fit(np.zeros((64, 8, 8, 1)), verbose=0, callbacks=[monitor])
    assert set(monitor.history["gradient_norm"]) == {
        variable.path for variable in model.trainable_variables
    }
    assert (monitor.history["loss"] > 0).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: kerasbn.models.cnn((8, 8, 1), 16, 2),  # pyright: ignore
            "`filters` must hold at least one positive integer",
        ),
        (
            lambda: kerasbn.models.cnn((8, 8, 1), [], 2),
            "`filters` must hold at least one positive integer",
        ),
        (
            lambda: kerasbn.models.cnn((28, 28), [16], 2),
            r"height, the width and the channels .*=\(28, 28\)\. Use",
        ),
        *(
            (
                lambda shape=shape: kerasbn.models.mlp(shape, [8], 2),
                "`input_shape` must hold the size of each axis of a sample",
            )
            for shape in [(), (None,), (None, 4), (0,), (4.0,), 4]
        ),
        *(
            (
                lambda shape=shape: kerasbn.models.cnn(shape, [4, 8], 2),
                "`input_shape` must be the height, the width and the channels",
            )
            for shape in [28, (0, 0, 3), (8.0, 8, 1)]
        ),
        (
            lambda: kerasbn.models.rnn((8, 1), [8], 2, mask_value=float("nan")),
            "`mask_value` must be a number that data can equal. Received",
        ),
        (
            lambda: kerasbn.models.cnn((8, 8, None), [16], 2),
            "`input_shape` must be the height, the width and the channels",
        ),
        (
            lambda: kerasbn.models.cnn((8, 5, 1), [4, 8, 16, 32, 64], 2),
            "grow no more often than the image can be halved, here 3 times",
        ),
        (
            lambda: kerasbn.models.cnn((8, 8, 1), [4], 2, placement="between"),
            "`placement` must be one of",
        ),
        (
            lambda: kerasbn.models.cnn((8, 8, 1), [4], 2, activation="reluu"),
            "`activation` must be the name of a Keras activation, or a layer",
        ),
        (
            lambda: kerasbn.models.rnn((None, 1), [8, 0], 2),
            "`units` must hold at least one positive integer",
        ),
        (
            lambda: kerasbn.models.rnn((8,), [8], 2),
            "`input_shape` must be the steps and the features",
        ),
        (
            lambda: kerasbn.models.rnn((8, None), [8], 2),
            "`input_shape` must be the steps and the features",
        ),
        (
            lambda: kerasbn.models.rnn((8, 1), [8], 2, cell="GRU"),
            "`cell` must be one of 'gru', 'lstm', 'simple_rnn'",
        ),
        (
            lambda: kerasbn.models.rnn((8, 1), [8], 2, activation="prelu"),
            "`activation` must be the name of a Keras activation. Received",
        ),
        (
            lambda: kerasbn.models.dcgan((28, 30, 1)),
            r"divisible by 4, .* image_shape=\(28, 30, 1\), filters=\(64, 128",
        ),
        (
            lambda: kerasbn.models.dcgan((28, 28)),
            "`image_shape` must be a height and a width divisible by 4",
        ),
        (
            lambda: kerasbn.models.dcgan((28, 28, 1), 0),
            "`latent_dim` must be a positive integer. Received: latent_dim=0",
        ),
        (
            lambda: kerasbn.models.dcgan((28, 28, 1), filters=[8, -8]),
            "`filters` must hold at least one positive integer",
        ),
        (
            lambda: kerasbn.models.dcgan((8, 8, 1), normalization="group"),
            "`normalization` must be one of",
        ),
        (
            lambda: kerasbn.models.GAN(
                kerasbn.models.dcgan((8, 8, 1))[0],
                kerasbn.models.dcgan((8, 8, 3))[1],
            ),
            "`discriminator` must take the images that `generator` makes",
        ),
    ],
)
def test_bad_call_gets_a_clear_sentence(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_images_end_with_their_channels_whatever_keras_is_set_to():
    keras.config.set_image_data_format("channels_first")
    try:
        model = kerasbn.models.cnn((8, 8, 3), [4, 8, 16], 2, residual=True)
        generator, discriminator = kerasbn.models.dcgan(
            (8, 8, 3), 4, filters=[4]
        )
    finally:
        keras.config.set_image_data_format("channels_last")
    assert model.get_layer("conv_2").output.shape == (None, 2, 2, 16)
    assert generator.output_shape == (None, 8, 8, 3)
    assert discriminator.get_layer("flatten").output.shape == (None, 64)


def test_shapes_may_come_from_numpy():
    side, features = np.array([8, 3])
    assert kerasbn.models.cnn((side, 8, 1), [4, 8], 2).output_shape == (None, 2)
    assert kerasbn.models.rnn((None, features), [4], 2).output_shape[1] == 2
    assert kerasbn.models.mlp((features,), [4], 2).output_shape == (None, 2)
