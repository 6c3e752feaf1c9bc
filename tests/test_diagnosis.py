"""Each problem provoked in a real `fit`, beside a neighbour that is healthy."""

import json
import pathlib

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
    hidden = [
        each
        for _ in range(12)
        for each in (
            layers.Dense(24, use_bias=not normalized, **options),
            *([layers.BatchNormalization()] if normalized else []),
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
        lambda: _judged(_network(bias_initializer="zeros")),
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
        lambda: _judged(_network(output="sigmoid")),
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
        # Labels that have nothing to do with the inputs.
        lambda: _judged(_network(), y=np.random.default_rng(0).permutation(_Y)),
        lambda: _judged(_network()),
    ),
    "clipping_always_on": (
        lambda: _judged(_network(), _sgd(clipnorm=1e-5)),
        lambda: _judged(_network(), _sgd(clipnorm=1.0)),
    ),
    "batch_statistics_mismatch": (
        lambda: _judged(_statistics(0.9999)),
        lambda: _judged(_statistics(0.9)),
    ),
}


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
