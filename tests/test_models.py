import keras
import numpy as np
import pytest

import kerasbn

_OPTIONS = {
    "defaults": {},
    "plain": {"normalize_inputs": False, "normalization": None},
    "layer": {"normalization": "layer"},
    "after": {"placement": "after"},
    "relu": {"activation": "relu"},
    "leaky_relu": {"activation": "leaky_relu"},
    "prelu": {"activation": "prelu"},
    "selu": {"activation": "selu", "normalization": None},
    "gelu": {"activation": "gelu"},
    "silu": {"activation": "silu"},
    "tanh": {"activation": "tanh"},
    "sigmoid": {"activation": "sigmoid"},
    "initializer": {"kernel_initializer": "orthogonal"},
    "dropout": {"dropout": 0.2},
    "residual": {"residual": True},
    "residual after": {"residual": True, "placement": "after"},
    "residual plain": {"residual": True, "normalization": None},
    "residual layer": {"residual": True, "normalization": "layer"},
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
    model = kerasbn.models.mlp(
        (2,), [16, 16, 16], 1, output_activation="sigmoid", **options
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
def test_residual_blocks_start_as_the_identity(normalization, placement):
    deep, shallow = (
        kerasbn.models.mlp(
            (4,),
            [8] * depth,
            2,
            residual=True,
            normalization=normalization,
            placement=placement,
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
