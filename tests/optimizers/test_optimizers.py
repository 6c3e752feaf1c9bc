import keras
import numpy as np
import pytest

import kerasbn
from kerasbn import clipping

_PRESETS = {
    "sgd": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (keras.optimizers.Adam, {}),
    "adamw": (keras.optimizers.AdamW, {}),
    "nadam": (keras.optimizers.Nadam, {}),
    "rmsprop": (keras.optimizers.RMSprop, {}),
    "lion": (keras.optimizers.Lion, {}),
}


def _path_of(optimizer, gradients):
    """Where the optimizer takes two kernels through the gradients."""
    variables = [
        keras.Variable([1.0, 2.0], name="kernel"),
        keras.Variable([3.0], name="kernel"),
    ]
    for gradient in gradients:
        optimizer.apply([np.array(g, "float32") for g in gradient], variables)
    return np.concatenate([variable.numpy() for variable in variables])


@pytest.mark.parametrize("name", _PRESETS)
def test_preset_is_the_stock_optimizer_with_clipnorm_1(name):
    stock, arguments = _PRESETS[name]
    preset = getattr(kerasbn.optimizers, name)(0.1)
    assert type(preset) is stock
    gradients = [([30.0, 40.0], [0.5]), ([0.1, -0.2], [-9.0])]
    np.testing.assert_array_equal(
        _path_of(preset, gradients),
        _path_of(stock(0.1, clipnorm=1.0, **arguments), gradients),
    )


@pytest.mark.parametrize("name", _PRESETS)
def test_default_learning_rate_is_that_of_keras(name):
    stock, _ = _PRESETS[name]
    preset = getattr(kerasbn.optimizers, name)()
    assert float(preset.learning_rate) == float(stock().learning_rate)


@pytest.mark.parametrize("name", _PRESETS)
@pytest.mark.parametrize("clip", ["clipvalue", "global_clipnorm"])
def test_another_clip_argument_replaces_clipnorm(name, clip):
    optimizer = getattr(kerasbn.optimizers, name)(**{clip: 0.5})
    assert getattr(optimizer, clip) == 0.5
    assert optimizer.clipnorm is None


@pytest.mark.parametrize("name", _PRESETS)
def test_none_switches_clipping_off(name):
    optimizer = getattr(kerasbn.optimizers, name)(clipnorm=None)
    clips = ("clipnorm", "clipvalue", "global_clipnorm")
    assert [getattr(optimizer, clip) for clip in clips] == [None] * 3


@pytest.mark.parametrize("name", _PRESETS)
@pytest.mark.parametrize("clip", ["clipnorm", "clipvalue", "global_clipnorm"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "1", True])
def test_clip_value_that_is_not_positive_is_refused(name, clip, value):
    message = f"`{clip}` must be a positive number. Received: {clip}={value!r}"
    with pytest.raises(ValueError, match=message):
        getattr(kerasbn.optimizers, name)(**{clip: value})


@pytest.mark.parametrize(
    "clips",
    [
        {"clipnorm": 1.0, "clipvalue": 0.5},
        {"clipvalue": 0.5, "global_clipnorm": 1.0},
    ],
    ids=str,
)
def test_two_clip_arguments_are_refused(clips):
    with pytest.raises(ValueError, match="Only one of `clipnorm`"):
        kerasbn.optimizers.sgd(**clips)


def test_global_clipnorm_keeps_direction_and_clipnorm_does_not():
    # From [1, 2] and [3] at rate 1, gradients [3, 0] and [4].
    options = {"momentum": 0.0, "nesterov": False}
    gradients = [([3.0, 0.0], [4.0])]
    together = kerasbn.optimizers.sgd(1.0, global_clipnorm=1.0, **options)
    np.testing.assert_allclose(
        _path_of(together, gradients), [0.4, 2.0, 2.2], rtol=1e-6
    )
    each = kerasbn.optimizers.sgd(1.0, **options)
    np.testing.assert_allclose(
        _path_of(each, gradients), [0.0, 2.0, 2.0], atol=1e-6
    )


def test_adamw_decays_kernels_only():
    names = ("kernel", "gamma", "beta", "bias")
    variables = [keras.Variable([1.0], name=name) for name in names]
    optimizer = kerasbn.optimizers.adamw(0.1, weight_decay=0.5)
    optimizer.apply([np.zeros(1, "float32")] * 4, variables)
    # Decay by learning rate times weight decay, 0.05; no gradient to follow.
    moved = [variable.numpy().item() for variable in variables]
    np.testing.assert_allclose(moved, [0.95, 1.0, 1.0, 1.0], rtol=1e-6)


_RULES = {
    "ByValue": clipping.ByValue(0.5),
    "ByNorm": clipping.ByNorm(1.0),
    "ByGlobalNorm": clipping.ByGlobalNorm(1.0),
    "Adaptive": clipping.Adaptive(0.1),
    "AutoClip": clipping.AutoClip(),
    "ZClip": clipping.ZClip(),
}


def _clipped_by(name):
    return kerasbn.optimizers.Clipped(
        keras.optimizers.Adam(0.02), [_RULES[name]]
    )


def _preset(name):
    # Lion moves by the sign: 0.02 would be too far.
    rate = 0.002 if name == "lion" else 0.02
    return getattr(kerasbn.optimizers, name)(rate)


# The other presets are stock, as shown above. Lion has a rate of its own.
@pytest.mark.parametrize(
    ("name", "policy"),
    [
        *((name, "float32") for name in ("sgd", "lion", *_RULES)),
        ("adam", "mixed_float16"),
    ],
)
def test_every_preset_and_rule_learns_and_round_trips(name, policy, tmp_path):
    def new_optimizer():
        return _preset(name) if name in _PRESETS else _clipped_by(name)

    keras.config.set_dtype_policy(policy)
    random = np.random.default_rng(0)
    x = random.normal(5.0, 3.0, (256, 6)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 25.0).astype("int32")
    model = kerasbn.models.mlp((6,), [32], 2, output_activation="softmax")
    model.compile(
        new_optimizer(), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    accuracy = model.fit(x, y, epochs=15, verbose=0).history["accuracy"]
    assert accuracy[-1] > 0.9

    model.summary(print_fn=lambda line, **_: None)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for one, other in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    clone = keras.models.clone_model(model)
    optimizer = new_optimizer()
    optimizer = type(optimizer).from_config(optimizer.get_config())
    clone.compile(
        optimizer, "sparse_categorical_crossentropy", run_eagerly=True
    )
    before = clone.get_weights()[-1]
    clone.train_on_batch(x[:32], y[:32])
    assert not np.array_equal(clone.get_weights()[-1], before)
