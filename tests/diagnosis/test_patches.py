"""Patches, executed: each edits a script that then trains."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from patching import patched

import kerasbn
from kerasbn._monitor import model_description, optimizers
from kerasbn.diagnosis._remedies import REMEDIES, Named, remedy, together
from kerasbn.diagnosis._script import Script

_STYLES = ("list", "add", "functional")
_DENSE = [
    *['layers.Dense(8, activation="sigmoid", kernel_initializer="ones")'] * 2,
    'keras.layers.Dense(6, "relu", name="wide")',
    "layers.BatchNormalization(momentum=0.9999)",
    'layers.Dense(1, activation="sigmoid")',
]
_IMAGES = [
    'layers.Conv2D(4, 3, padding="same", activation="relu")',
    "layers.Dropout(0.5)",
    "layers.BatchNormalization()",
    'layers.Activation("relu")',
    'layers.Conv2D(2, (1, 1), activation="softmax")',
]
_WORDS = [
    "layers.Embedding(10, 4)",
    'layers.GRU(5, recurrent_initializer="random_uniform")',
    'layers.Dense(3, activation="softmax")',
]
_STEPS = [
    "layers.Embedding(10, 4)",
    "layers.GRU(5, return_sequences=True)",
    'layers.Dense(3, activation="softmax")',
]
_COMPILE = 'model.compile(keras.optimizers.{}, "{}", metrics=["accuracy"])'
_ARRAYS = {
    "numbers": "x, y = np.eye(64, 5), np.arange(64) % 2",
    "images": "x = np.ones((64, 4, 4, 1))\n"
    "y = np.eye(2)[np.ones((64, 4, 4), int)]",
    "words": "x, y = np.ones((64, 3)), np.arange(64) % 3",
}
_SHAPES = {"numbers": (5,), "images": (4, 4, 1), "words": (3,)}


def _script(style, layers, data="numbers", compiled="", arrays=""):
    """A program as a user writes it."""
    shape = _SHAPES[data]
    loss = {
        "numbers": "binary_crossentropy",
        "images": "categorical_crossentropy",
        "words": "sparse_categorical_crossentropy",
    }[data]
    compiled = compiled or _COMPILE.format("SGD(0.05, momentum=0.9)", loss)
    if style == "list":
        inside = "".join(f"    {each},\n" for each in layers)
        built = (
            f"model = keras.Sequential([\n    keras.Input({shape}),\n{inside}])"
        )
    elif style == "add":
        inside = "\n".join(f"model.add({each})" for each in layers)
        built = f"model = keras.Sequential([keras.Input({shape})])\n{inside}"
    else:
        calls = "\n".join(f"h = {each}(h)" for each in layers[:-1])
        built = (
            f"inputs = keras.Input({shape})\nh = inputs\n{calls}\n"
            f"model = keras.Model(inputs, {layers[-1]}(h))"
        )
    return "\n".join(
        [
            "import keras",
            "import numpy as np",
            "import kerasbn",
            "from keras import layers",
            arrays or _ARRAYS[data],
            built,
            compiled,
            "model.fit(x, y, epochs=1, batch_size=32, verbose=0)",
        ]
    )


@pytest.fixture(autouse=True)
def _eager():
    # A graph takes a second to trace, and would run twice.
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config")


def _built(script):
    """What a script has made before it trains."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    names: dict = {}
    exec(script.split("model.fit(")[0], names)
    return names


def _trained(script):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    names: dict = {}
    exec(script, names)
    model = names["model"]
    assert int(model.optimizer.iterations) > 0
    for each in model.get_weights():
        assert np.isfinite(each).all()
    return model


def _read(model):
    described = model_description.describe_model(model)
    return Script(described, optimizers.settings(model))


_CASES = {
    "output": (
        _DENSE,
        "numbers",
        {"units": 1, "activation": "tanh", "loss": "mse"},
    ),
    "output of pixels": (
        *(_IMAGES, "images"),
        {"units": 2, "activation": "sigmoid", "loss": "binary_crossentropy"},
    ),
    "scale_targets": (_DENSE, "numbers", {}),
    "normalize_inputs": (_DENSE, "numbers", {}),
    "initializer": (_DENSE, "numbers", {}),
    "normalize_hidden": (_DENSE, "numbers", {}),
    "activation": (_DENSE, "numbers", {}),
    "clipping": (_DENSE, "numbers", {}),
    "learning_rate": (_DENSE, "numbers", {"value": 0.01}),
    "statistics": (_DENSE, "numbers", {}),
    "recurrent_initializer": (_WORDS, "words", {}),
    "drop_bias": (_DENSE, "numbers", {"layer": "wide"}),
    "move_dropout": (_IMAGES, "images", {}),
    "output_bias": (_DENSE, "numbers", {}),
    "output_bias of pixels": (_IMAGES, "images", {"targets": "one_hot"}),
    "output_bias of words": (_WORDS, "words", {"targets": "labels"}),
    "output_bias of shares": (_WORDS, "words", {"shares": [0.1, 0.1, 0.8]}),
    "regularize": (_DENSE, "numbers", {}),
    "enlarge": (_DENSE, "numbers", {}),
    "calibrate": (_DENSE, "numbers", {}),
    "decay": (_DENSE, "numbers", {"steps": 20}),
    "recover": (_DENSE, "numbers", {}),
    "check_targets": (_DENSE, "numbers", {}),
    "watch_recall": (_DENSE, "numbers", {}),
    "watch_recall of words": (_WORDS, "words", {"targets": "labels"}),
    "finite_data": (_DENSE, "numbers", {}),
    "keep_rows": (_DENSE, "numbers", {"rows": [3]}),
    "divide_targets": (_DENSE, "numbers", {}),
    "reshape_targets": (_DENSE, "numbers", {}),
    "shift_labels": (_DENSE, "numbers", {"first": 1}),
    "class_weight": (_DENSE, "numbers", {}),
    "class_weight of several": (_DENSE, "numbers", {"several": True}),
    "class_weight of pixels": (
        *(_IMAGES, "images"),
        {"targets": "one_hot", "per_element": True},
    ),
    "shuffle": (_DENSE, "numbers", {}),
    "drop_remainder": (_DENSE, "numbers", {}),
    "optimizer": (_DENSE, "numbers", {"learning_rate": 0.01}),
    "batch_size": (_DENSE, "numbers", {"value": 16}),
    "remove": (_IMAGES, "images", {"layers": ["dropout"]}),
    "widen": (_DENSE, "numbers", {"layers": ["wide"], "units": 16}),
    "gated_cells": (
        [_WORDS[0], 'layers.SimpleRNN(5, activation="relu")', _WORDS[2]],
        "words",
        {},
    ),
    "last_step": (_STEPS, "words", {}),
    "reshape_output": (_DENSE, "numbers", {"shape": (1,)}),
    "finite_inputs": (_DENSE, "numbers", {}),
}


_OF_LAYERS = {
    *("output", "normalize_inputs", "initializer", "normalize_hidden"),
    *("activation", "statistics", "move_dropout", "regularize"),
}


@pytest.mark.parametrize(
    ("case", "style"),
    [
        (case, style)
        for case in _CASES
        for style in (_STYLES if case in _OF_LAYERS else ("functional",))
    ],
)
def test_patched_script_trains(case, style):
    layers, data, options = _CASES[case]
    script = _script(style, layers, data)
    name = case.split()[0]
    found = remedy(name, _read(_built(script)["model"]), **options)
    assert found.sentence.endswith(".")
    assert found.patch
    changed = patched(script, found.patch)
    assert changed != patched(script, "  model.fit(...)")
    _trained(changed.replace("epochs=200", "epochs=1"))


def test_every_remedy_is_a_case_or_has_its_own_test():
    own = {"adapt", "apply_gradients", "differentiable", "freeze_statistics"}
    assert {case.split()[0] for case in _CASES} | own == set(REMEDIES)


@pytest.mark.parametrize("name", REMEDIES)
def test_remedy_is_told_without_a_script(name):
    options: dict[str, Any] = {"units": 3} if name == "output" else {}
    found = remedy(name, **options)
    assert found.sentence
    assert found.patch


@pytest.mark.parametrize("style", _STYLES)
def test_remedies_of_one_finding_are_one_edit(style):
    script = _script(style, _DENSE)
    found = together(
        [
            ("initializer", {}),
            ("normalize_hidden", {}),
            ("activation", {"activation": "elu"}),
            ("clipping", {"clipnorm": 1.0}),
            ("learning_rate", {"value": 0.005}),
        ],
        _read(_built(script)["model"]),
    )
    model = _trained(patched(script, found.patch))
    assert [type(each).__name__ for each in model.layers if each.weights] == [
        *["Dense", "BatchNormalization"] * 3,
        "Dense",
    ]
    assert model.optimizer.momentum == 0.9
    assert model.optimizer.clipnorm == 1.0
    assert float(model.optimizer.learning_rate) == pytest.approx(0.005)
    assert "from 0.05 to 0.005." in found.sentence
    assert found.patch.count("model.compile") == 2


def test_normalization_that_is_there_is_adapted():
    layers = ["layers.Normalization()", "layers.Dense(1)"]
    for style in _STYLES:
        script = _script(
            style, layers, arrays="x, y = 7 + np.eye(64, 5), np.ones(64)"
        )
        found = remedy("adapt", _read(_built(script)["model"]))
        model = _trained(patched(script, found.patch))
        assert model.get_layer("normalization").mean.numpy().mean() > 7


class Signs(keras.Model):
    def __init__(self):
        super().__init__()
        self.last = keras.layers.Dense(1)

    def call(self, z):
        return self.last(keras.ops.sign(z))


def test_line_of_a_bidirectional_layer_is_edited():
    layers = [
        "layers.Embedding(10, 4)",
        "layers.Bidirectional(layers.LSTM(3))",
        'layers.Dense(3, activation="softmax")',
    ]
    for style in _STYLES:
        script = _script(style, layers, "words")
        model = _read(_built(script)["model"])
        found = remedy("recurrent_initializer", model)
        assert "Bidirectional(keras.layers.LSTM(3" in found.patch


def test_targets_of_one_output_are_edited():
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(1, name=e)(inputs) for e in ("a", "b")]
    model = keras.Model(inputs, outputs)
    x, y = np.ones((64, 4)), np.linspace(0.0, 1.0, 64)
    for targets, name in (
        ([y, 1e4 + 1e4 * y], "y[1]"),
        ({"a": y, "b": 1e4 + 1e4 * y}, 'y["b"]'),
    ):
        model.compile("adam", "mse")
        (finding,) = kerasbn.diagnose(model, x, targets)
        assert finding.problem == "target_scale"
        assert f"+ {name} = ({name} - y_mean) / y_std" in finding.patch


def test_operation_without_a_gradient_lets_it_pass():
    model = Signs()
    model.compile("sgd", "mse")
    model(np.ones((1, 3)))
    found = remedy("differentiable", _read(model))
    old, new = found.patch.splitlines()
    assert old == "- keras.ops.sign(z)"
    z = tf.constant([0.3, -2.0])
    with tf.GradientTape() as tape:
        tape.watch(z)
        y = eval(new.removeprefix("+ "), {"z": z, "keras": keras})
    np.testing.assert_array_equal(y, [1.0, -1.0])
    np.testing.assert_array_equal(tape.gradient(y, z), [1.0, 1.0])
    hard = [
        'layers.Dense(4, name="a")',
        "layers.Lambda(keras.ops.round)",
        'layers.Dense(1, name="b")',
    ]
    for style in _STYLES:
        script = _script(style, hard)
        read = _read(_built(script)["model"])
        paths = {each.kind: each.layer["path"] for each in read.blocks}
        ends = [e.layer["path"] for e in read.blocks if e.kind == "Dense"]
        assert len(paths) > 1
        found = remedy("differentiable", read, before=ends[0], after=ends[1])
        assert found.patch.count("\n") == 0
        assert "Lambda" in found.patch


def test_statistics_of_a_base_are_kept():
    base = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization()], name="base"
    )
    model = keras.Sequential([keras.Input((4,)), base, keras.layers.Dense(1)])
    found = remedy("freeze_statistics", _read_of(model))
    lines = [e[2:] for e in found.patch.splitlines() if e.startswith("+")]
    exec("\n".join(lines), {"model": model, "keras": keras})
    assert not base.layers[0].trainable_weights
    outputs = keras.layers.Dense(1)(base(model.inputs[0]))
    functional = keras.Model(model.inputs[0], outputs)
    found = remedy("freeze_statistics", _read_of(functional), base="base")
    assert found.patch == "- x = base(x)\n+ x = base(x, training=False)"


def _read_of(model):
    model.compile("adam", "mse")
    return _read(model)


def test_patch_keeps_the_optimizer_and_the_arguments_of_the_user():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    inner = keras.optimizers.RMSprop(0.1, rho=0.8)
    model.compile(
        kerasbn.optimizers.Clipped(inner, [kerasbn.clipping.ByNorm(1e-5)]),
        keras.losses.Huber(delta=2.0),
        metrics=["mae"],
    )
    script = _read(model)
    assert together(
        [("clipping", {"clipnorm": 1.0}), ("learning_rate", {"value": 0.01})],
        script,
    ).patch.splitlines() == [
        "- model.compile(...)",
        "+ model.compile(optimizer=kerasbn.optimizers.Clipped("
        "keras.optimizers.RMSprop(learning_rate=0.01, rho=0.8), "
        "rules=[kerasbn.clipping.ByNorm(1.0)]), "
        'loss=keras.losses.Huber(delta=2.0), metrics=["mae"])',
    ]


def test_logits_are_told_to_the_loss_alone():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, activation="softmax")]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=0
    )
    model.compile("adam", loss)
    found = remedy(
        "output",
        _read(model),
        activation="softmax",
        loss="sparse_categorical_crossentropy",
    )
    assert found.sentence.startswith("Change the output to loss=")
    assert found.patch.splitlines()[1].endswith(
        "loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=0))"
    )
    assert len(found.patch.splitlines()) == 2


def test_layers_of_a_subclass_are_expressions():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = keras.layers.Dense(4, activation="relu")
            self.answer = keras.layers.Dense(1)

        def call(self, x):
            return self.answer(self.hidden(x))

    model = Net()
    model.compile("adam", "mse")
    model(np.ones((1, 2)))
    found = remedy("normalize_inputs", _read(model))
    assert found.patch.splitlines() == [
        '- keras.layers.Dense(4, activation="relu")',
        "+ keras.Sequential([kerasbn.layers.InputBatchNormalization(), "
        'keras.layers.Dense(4, activation="relu")])',
    ]


def test_rule_may_choose_the_options():
    name = Named("keep_rows", rows=[1500])
    assert name == "keep_rows"
    assert name.options == {"rows": [1500]}


_FOUND = {
    "output_mismatch": ([*_DENSE[2:4], "layers.Dense(1)"], None),
    "symmetric_units": (_DENSE, None),
    "input_scale": (
        _DENSE[2:],
        "x, y = 1e4 * np.eye(64, 5), np.arange(64) % 2",
    ),
    "exploding_gradient": (
        [
            "layers.Dense(30, kernel_initializer="
            "keras.initializers.RandomNormal(stddev=5.0))"
        ]
        * 3
        + ['layers.Dense(1, activation="sigmoid")'],
        None,
    ),
    "dead_bias": (
        ["layers.Dense(7)", "layers.BatchNormalization()", *_DENSE[4:]],
        None,
    ),
    "non_finite": (
        _DENSE[2:],
        "x, y = np.ones((64, 5)) * np.eye(64, 5), np.arange(64) % 2\n"
        "x[40, 2] = np.nan",
    ),
}


@pytest.mark.parametrize("style", _STYLES)
@pytest.mark.parametrize("problem", _FOUND)
def test_patch_of_a_finding_mends_it(problem, style):
    layers, arrays = _FOUND[problem]
    script = _script(style, layers, arrays=arrays or "")
    made = _built(script)
    findings = kerasbn.diagnose(made["model"], made["x"], made["y"])
    (finding,) = [each for each in findings if each.problem == problem]
    mended = patched(script, finding.patch)
    model, names = _trained(mended), _built(mended)
    again = kerasbn.diagnose(model, names["x"], names["y"])
    assert problem not in [each.problem for each in again]
