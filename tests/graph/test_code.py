"""The code of layers, of `compile` and of whole models, run again."""

import re

import keras
import pytest

import kerasbn
from kerasbn._graph import code, model_code

layers = keras.layers
_NAMES = {"keras": keras, "kerasbn": kerasbn}


@pytest.mark.parametrize(
    "text",
    [
        'keras.layers.Dense(64, activation="relu", name="answer")',
        "keras.layers.Dense(3)",
        "keras.layers.Dense(4, trainable=False)",
        'keras.layers.Dense(4, dtype="float64")',
        'keras.layers.Dense(2, kernel_initializer="zeros")',
        "keras.layers.Dense(2, kernel_initializer="
        "keras.initializers.RandomNormal(stddev=3.0))",
        "keras.layers.Dense(3, activation=keras.layers.LeakyReLU(), "
        "kernel_regularizer=keras.regularizers.L2(l2=0.001))",
        'keras.layers.Conv2D(8, 3, strides=2, padding="same")',
        "keras.layers.Conv2D(8, (3, 5))",
        "keras.layers.MaxPooling2D()",
        "keras.layers.MaxPooling2D(strides=1)",
        "keras.layers.Bidirectional(keras.layers.LSTM(4, dropout=0.5))",
        "keras.layers.TimeDistributed(keras.layers.Dense(4))",
        "keras.layers.RNN(keras.layers.GRUCell(3))",
        "keras.layers.Embedding(10, 4, mask_zero=True)",
        "keras.layers.MultiHeadAttention(2, 8)",
        "keras.layers.BatchNormalization(momentum=0.9)",
        "keras.layers.Rescaling(0.00392156862745098)",
        "keras.layers.PReLU()",
        "kerasbn.layers.BatchNormalization()",
        "kerasbn.layers.InputBatchNormalization()",
        "keras.optimizers.SGD(learning_rate=0.05, momentum=0.9)",
        "keras.optimizers.Adam(learning_rate="
        "keras.optimizers.schedules.CosineDecay(0.001, 100))",
        "kerasbn.optimizers.Clipped(keras.optimizers.Adam(), "
        "rules=[kerasbn.clipping.ByNorm(1.0)])",
        "keras.losses.BinaryCrossentropy(from_logits=True)",
        "keras.metrics.Recall(thresholds=0)",
    ],
)
def test_code_is_what_it_was_made_by(text):
    assert code.layer(eval(text, _NAMES)) == text


class _Own(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units


class _Secret(layers.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)


def test_what_cannot_be_written_is_dots():
    texts = {
        layers.Lambda(lambda x: x): "keras.layers.Lambda(...)",
        layers.Dense(2, lambda x: x): "keras.layers.Dense(2, activation=...)",
        _Own(3): "_Own(3)",
        _Secret(print): "_Secret(...)",
    }
    for layer, text in texts.items():
        assert code.layer(layer) == text


def _square(y_true, y_pred):
    return keras.ops.square(y_true - y_pred)


def test_compile_keeps_what_was_given():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, name="a")])
    assert code.compile(model) == ""
    model.compile("adam", _square, metrics=["mae", keras.metrics.AUC(name="a")])
    assert code.compile(model) == (
        "model.compile(optimizer=keras.optimizers.Adam(), loss=_square, "
        'metrics=["mae", keras.metrics.AUC(name="a")])'
    )
    model.compile(loss={"a": "mse"}, loss_weights=[2.0], run_eagerly=True)
    assert code.compile(model) == (
        "model.compile(optimizer=keras.optimizers.RMSprop(), "
        'loss={"a": "mse"}, loss_weights=[2.0], run_eagerly=True)'
    )


def _nested():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(4)], name="in")
    return keras.Sequential([keras.Input((3,)), inner, layers.Dense(1)])


def _residual():
    inputs = keras.Input((8, 8, 3))
    one = layers.Conv2D(4, 3, padding="same")(inputs)
    x = layers.Add()([one, layers.Conv2D(4, 3, padding="same")(one)])
    x = layers.Flatten()((keras.ops.relu(x) * 2)[:, 1:, ::2])
    shared = layers.Dense(4)
    return keras.Model(inputs, shared(shared(layers.Dense(4)(x))))


def _several():
    ids = keras.Input((5,), name="ids", dtype="int32")
    numbers = keras.Input((3,), name="numbers")
    x = layers.LSTM(4)(layers.Embedding(10, 4, mask_zero=True)(ids))
    x = layers.Concatenate()([x, numbers])
    outputs = {"a": layers.Dense(1)(x), "b": layers.Dense(2)(x)}
    return keras.Model({"ids": ids, "numbers": numbers}, outputs)


def _frozen():
    inputs = keras.Input((4,))
    base = keras.Model(inputs, layers.Dropout(0.5)(inputs), name="base")
    inputs = keras.Input((4,))
    x = base(inputs, training=False)
    return keras.Model(inputs, layers.Dense(1)(x), name="whole")


def _attention():
    inputs = keras.Input((5, 4))
    x = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    return keras.Model(inputs, layers.LayerNormalization()(inputs + x))


@pytest.mark.parametrize(
    "make",
    [
        *(_nested, _residual, _several, _frozen, _attention),
        lambda: kerasbn.models.mlp((4,), [8, 8], 1, residual=True),
    ],
)
def test_code_of_a_model_builds_it_again(make):
    model = make()
    text = model_code.build(model)
    made = dict(_NAMES)
    exec(text, made)
    again = made["model"]
    shapes = [(each.name, each.shape) for each in model.weights]
    assert [(each.name, each.shape) for each in again.weights] == shapes
    assert again.output_shape == model.output_shape
    assert _without_numbers(model_code.build(again)) == _without_numbers(text)


def _without_numbers(text):
    return re.sub(r"_\d+", "", text)
