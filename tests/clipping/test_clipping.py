"""Rules against plain NumPy, and the optimizer that applies them."""

import re
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasbn
from kerasbn import clipping
from kerasbn.optimizers import Clipped

_SHAPES = {"hidden/kernel": (4, 3), "hidden/bias": (3,), "out/kernel": (3, 2)}
_RULES = {
    "ByValue": clipping.ByValue(0.5),
    "ByNorm": clipping.ByNorm(1.0),
    "ByGlobalNorm": clipping.ByGlobalNorm(1.0),
    "Adaptive": clipping.Adaptive(0.1),
    "AutoClip": clipping.AutoClip(30, window=20),
    "ZClip": clipping.ZClip(warmup_steps=10),
}


def _norm(gradients):
    return np.sqrt(sum(np.sum(np.square(g)) for g in gradients))


def _scaled(gradients, limit):
    return [g * min(1.0, limit / _norm(gradients)) for g in gradients]


def _by_value(gradients, weights, past):
    return [np.clip(g, -0.5, 0.5) for g in gradients]


def _by_norm(gradients, weights, past):
    return [_scaled([g], 1.0)[0] for g in gradients]


def _by_global_norm(gradients, weights, past):
    return _scaled(gradients, 1.0)


def _adaptive(gradients, weights, past):
    """Units one by one, the output layer left alone."""
    kernel, bias, output = (g.copy() for g in gradients)
    for unit in range(kernel.shape[1]):
        limit = 0.1 * max(np.linalg.norm(weights[0][:, unit]), 1e-3)
        kernel[:, unit] = _scaled([kernel[:, unit]], limit)[0]
    limit = 0.1 * max(np.linalg.norm(weights[1]), 1e-3)
    return [kernel, *_scaled([bias], limit), output]


def _auto_clip(gradients, weights, past):
    past.append(_norm(gradients))
    return _scaled(gradients, np.percentile(past[-20:], 30))


def _z_clip(gradients, weights, past):
    """`past` holds norms while warming up, then mean and variance."""
    norm = _norm(gradients)
    if not past:
        past.append([])
    if isinstance(past[0], list):
        past[0].append(norm)
        if len(past[0]) == 10:
            past[:] = [np.mean(past[0]), np.var(past[0])]
        return gradients
    mean, variance = past
    z = (norm - mean) / np.sqrt(variance)
    if z > 2.5:
        norm = mean + 2.5**2 / z * np.sqrt(variance)
    mean = 0.97 * mean + 0.03 * norm
    past[:] = [mean, 0.97 * variance + 0.03 * (norm - mean) ** 2]
    return _scaled(gradients, norm)


_BY_HAND = {
    "ByValue": _by_value,
    "ByNorm": _by_norm,
    "ByGlobalNorm": _by_global_norm,
    "Adaptive": _adaptive,
    "AutoClip": _auto_clip,
    "ZClip": _z_clip,
}


def _variables(random):
    def variable(path, shape):
        layer, name = path.split("/")
        with keras.name_scope(layer):
            value = random.normal(size=shape).astype("float32")
            return keras.Variable(value, name=name)

    return [variable(path, shape) for path, shape in _SHAPES.items()]


@pytest.mark.parametrize("name", _RULES)
@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_rule_is_the_formula_of_its_paper(name, jit_compile):
    random = np.random.default_rng(0)
    variables = _variables(random)
    optimizer = Clipped(keras.optimizers.SGD(1.0), [_RULES[name]])
    optimizer.build(variables)

    def apply(*gradients):
        optimizer.apply(gradients, variables)

    if jit_compile is not None:
        apply = tf.function(apply, jit_compile=jit_compile)
    past, clips = [], 0
    for step in range(60):
        scale = 30.0 if step % 17 == 16 else random.uniform(0.1, 1.0)
        gradients = [
            scale * random.normal(size=shape).astype("float32")
            for shape in _SHAPES.values()
        ]
        weights = [variable.numpy() for variable in variables]
        expected = _BY_HAND[name](gradients, weights, past)
        clips += any(
            np.abs(e - g).max() > 1e-4
            for e, g in zip(expected, gradients, strict=True)
        )
        apply(*map(tf.constant, gradients))
        for variable, weight, gradient in zip(
            variables, weights, expected, strict=True
        ):
            np.testing.assert_allclose(
                weight - variable.numpy(), gradient, rtol=1e-4, atol=1e-5
            )
    assert clips >= 3


def test_percentile_of_autoclip_is_that_of_the_window():
    optimizer = Clipped(
        keras.optimizers.SGD(1.0), [clipping.AutoClip(50, window=3)]
    )
    variable = keras.Variable([0.0])
    norms = [4.0, 1.0, 8.0, 2.0, 2.5]
    for last, norm in enumerate(norms, 1):
        optimizer.apply([tf.constant([norm])], [variable])
        threshold = float(optimizer.rules[0].threshold.numpy())
        assert threshold == np.median(norms[max(0, last - 3) : last])


def test_rules_are_applied_in_their_order():
    def moved(*rules):
        variable = keras.Variable([0.0, 0.0])
        optimizer = Clipped(keras.optimizers.SGD(1.0), list(rules))
        optimizer.apply([tf.constant([3.0, 4.0])], [variable])
        return (-variable.numpy()).tolist()

    value, norm = clipping.ByValue(3.0), clipping.ByGlobalNorm(2.5)
    assert moved(norm, value) == pytest.approx([1.5, 2.0])
    root = 2.5 / np.sqrt(2)
    assert moved(value, norm) == pytest.approx([root, root])


def test_adaptive_leaves_out_what_it_is_told_to():
    variables = _variables(np.random.default_rng(0))
    before = [variable.numpy() for variable in variables]
    rule = clipping.Adaptive(1e-6, exclude=["bias$"])
    optimizer = Clipped(keras.optimizers.SGD(1.0), [rule])
    optimizer.apply(
        [np.ones(s, "float32") for s in _SHAPES.values()], variables
    )
    moved = [
        np.abs(old - new.numpy()).max()
        for old, new in zip(before, variables, strict=True)
    ]
    assert moved[0] < 1e-5
    assert moved[1] == pytest.approx(1.0)
    assert moved[2] < 1e-5


def _data(rows=64):
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 8)).astype("float32")
    return x, (x[:, :1] > 0).astype("float32")


def _model(optimizer, **compile_arguments):
    keras.utils.set_random_seed(0)
    model = kerasbn.models.mlp(
        (8,),
        [8],
        1,
        output_activation="sigmoid",
        normalize_inputs=False,
        normalization=None,
        name="network",
    )
    model.compile(optimizer, "binary_crossentropy", **compile_arguments)
    return model


def _fit(model, x, y, **arguments):
    return model.fit(
        x, y, **{"batch_size": 8, "verbose": 0, "shuffle": False} | arguments
    )


def _assert_same_weights(one, other):
    for first, second in zip(
        one.get_weights(), other.get_weights(), strict=True
    ):
        # 1e-6: the norm is summed up in another order than by Keras.
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)


_MODES = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
    "four steps per execution": {"steps_per_execution": 4},
}


@pytest.mark.parametrize(
    ("stock", "rule", "mode"),
    [
        ("clipnorm", clipping.ByNorm, "eager"),
        ("clipvalue", clipping.ByValue, "eager"),
        *(("global_clipnorm", clipping.ByGlobalNorm, mode) for mode in _MODES),
    ],
)
def test_fixed_limits_are_those_of_stock_optimizers(stock, rule, mode):
    sgd, how = keras.optimizers.SGD, _MODES[mode]
    expected = _model(sgd(0.1, momentum=0.9, **{stock: 0.02}), **how)
    model = _model(Clipped(sgd(0.1, momentum=0.9), [rule(0.02)]), **how)
    plain = _model(sgd(0.1, momentum=0.9), run_eagerly=True)
    for each in (expected, model, plain):
        _fit(each, *_data())
    _assert_same_weights(model, expected)
    assert not np.allclose(
        plain.get_weights()[-1], expected.get_weights()[-1], atol=1e-4
    )


@pytest.mark.parametrize(
    ("arguments", "mode"),
    [
        ({"gradient_accumulation_steps": 4}, "graph"),
        ({"gradient_accumulation_steps": 4}, "xla"),
        ({"loss_scale_factor": 128.0}, "eager"),
        ({"use_ema": True, "ema_momentum": 0.5}, "graph"),
        ({"weight_decay": 0.1}, "eager"),
    ],
    ids=str,
)
def test_what_stands_around_the_clipping_is_that_of_keras(arguments, mode):
    sgd, how = keras.optimizers.SGD, _MODES[mode]
    expected = _model(
        sgd(0.1, momentum=0.9, global_clipnorm=0.02, **arguments), **how
    )
    optimizer = Clipped(
        sgd(0.1, momentum=0.9, **arguments), [clipping.ByGlobalNorm(0.02)]
    )
    model = _model(optimizer, **how)
    for each in (expected, model):
        _fit(each, *_data(), epochs=2)
    _assert_same_weights(model, expected)
    iterations = int(np.array(model.optimizer.iterations))
    assert iterations == int(np.array(expected.optimizer.iterations))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_mixed_precision_clips_what_is_unscaled(jit_compile):
    keras.config.set_dtype_policy("mixed_float16")
    sgd = keras.optimizers.SGD
    rule = clipping.ByGlobalNorm(0.02)
    expected = _model(sgd(0.1, global_clipnorm=0.02), jit_compile=jit_compile)
    model = _model(Clipped(sgd(0.1), [rule]), jit_compile=jit_compile)
    for each in (expected, model):
        _fit(each, *_data())
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    _assert_same_weights(model, expected)


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, "eager") for name in _RULES), ("ZClip", "graph"),
     ("AutoClip", "xla")],
)  # fmt: skip
def test_step_that_is_not_finite_is_skipped_and_counted(name, mode):
    x, y = _data()
    bad = x.copy()
    bad[16:24] = np.nan  # the third batch
    x_good, y_good = (np.delete(each, range(16, 24), 0) for each in (x, y))

    def model():
        adam = keras.optimizers.Adam(0.01, weight_decay=0.1)
        return _model(Clipped(adam, [_RULES[name]]), **_MODES[mode])

    expected, skipping = model(), model()
    _fit(expected, x_good, y_good, epochs=2)
    _fit(skipping, bad, y, epochs=2)
    assert int(skipping.optimizer.skipped_steps.numpy()) == 2
    assert int(skipping.optimizer.iterations.numpy()) == 14
    for one, other in zip(
        expected.trainable_variables, skipping.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5)
    ours = skipping.optimizer
    for one, other in zip(
        expected.optimizer.variables, ours.variables, strict=True
    ):
        if one.path != expected.optimizer.skipped_steps.path:
            np.testing.assert_allclose(
                one.numpy(), other.numpy(), rtol=1e-4, atol=1e-7
            )


def test_infinity_spreads_where_skipping_is_switched_off():
    variable = keras.Variable([0.0, 0.0])
    optimizer = Clipped(
        keras.optimizers.SGD(1.0), [clipping.ByGlobalNorm(1.0)], False
    )
    optimizer.apply([tf.constant([np.inf, 1.0])], [variable])
    assert np.isnan(variable.numpy()[0])


def test_micro_step_that_is_not_finite_is_left_out_of_the_average():
    sgd = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    optimizer = Clipped(sgd, [])
    variable = keras.Variable([0.0])
    for gradient in (1.0, np.nan, 3.0):
        assert variable.numpy() == 0.0
        optimizer.apply([tf.constant([gradient])], [variable])
    assert variable.numpy() == -2.0
    assert int(optimizer.skipped_steps.numpy()) == 1


def test_embedding_is_clipped_after_its_rows_are_summed():
    def moved(optimizer):
        table = keras.layers.Embedding(
            3, 1, embeddings_initializer="zeros", name="table"
        )
        model = keras.Sequential([keras.Input((4,)), table])
        model.compile(optimizer, lambda y, p: keras.ops.sum(p))
        model.fit(np.array([[0, 0, 0, 1]]), np.zeros((1, 1)), verbose=0)
        return -table.get_weights()[0][:, 0]

    # Gradient 3 and 1: norm 3.16, and 2 before the rows are summed.
    ours = moved(Clipped(keras.optimizers.SGD(1.0), [clipping.ByNorm(1.0)]))
    np.testing.assert_allclose(ours, np.array([3, 1, 0]) / np.sqrt(10), 1e-5)
    stock = moved(keras.optimizers.SGD(1.0, clipnorm=1.0))
    assert np.linalg.norm(stock) > 1.5


def test_sum_over_the_replicas_is_clipped(run_on_two_cpus):
    run_on_two_cpus("""
from kerasbn import clipping
def train(optimizer, x):
    with strategy.scope():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(
            1, use_bias=False, kernel_initializer="zeros")])
        model.compile(optimizer(), "mean_squared_error")
    model.fit(x, np.full_like(x, 100.0), batch_size=len(x), verbose=0)
    return model
x = np.ones((4, 1))
for rule, moved in (
        (clipping.ByNorm(1.0), 1.0), (clipping.ByValue(1.0), 1.0),
        (clipping.ByGlobalNorm(0.5), 0.5), (clipping.AutoClip(), 200.0)):
    model = train(lambda: kerasbn.optimizers.Clipped(
        keras.optimizers.SGD(1.0), [rule]), x)
    np.testing.assert_allclose(model.get_weights()[0], moved, rtol=1e-5)
    assert int(model.optimizer.skipped_steps.numpy()) == 0
    threshold = model.optimizer.rules[0].threshold
    if isinstance(rule, clipping.AutoClip):
        np.testing.assert_allclose(threshold.numpy(), 200.0, rtol=1e-5)
stock = train(lambda: keras.optimizers.SGD(1.0, clipnorm=1.0), x)
np.testing.assert_allclose(stock.get_weights()[0], 2.0, rtol=1e-5)
bad = x.copy(); bad[3] = np.nan  # of the second replica
model = train(lambda: kerasbn.optimizers.Clipped(
    keras.optimizers.SGD(1.0, momentum=0.9)), bad)
assert model.get_weights()[0] == 0.0
assert int(model.optimizer.skipped_steps.numpy()) == 1
assert int(model.optimizer.iterations.numpy()) == 0
""")


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, "eager") for name in _RULES), ("AutoClip", "graph")],
)
def test_saved_and_loaded_it_goes_on_as_if_nothing_happened(
    name, mode, tmp_path
):
    x, y = _data()
    rule = _RULES[name]

    def adam():
        return keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)

    whole, half = (
        _model(Clipped(adam(), [rule]), **_MODES[mode]) for _ in range(2)
    )
    _fit(whole, x, y, epochs=4)
    _fit(half, x, y, epochs=2)
    half.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    assert str(loaded.optimizer.rules[0]) == str(rule)
    _fit(loaded, x, y, epochs=2)
    _assert_same_weights(loaded, whole)


def test_learning_rate_and_iterations_are_those_of_the_inner_optimizer():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [4], [0.5, 0.25]
    )
    model = _model(Clipped(keras.optimizers.SGD(schedule)))
    _fit(model, *_data())
    assert float(model.optimizer.learning_rate) == 0.25
    assert int(model.optimizer.iterations.numpy()) == 8
    optimizer = Clipped(keras.optimizers.SGD(0.5))
    optimizer.learning_rate = 0.125
    assert float(optimizer.inner_optimizer.learning_rate) == 0.125


def test_weight_decay_can_be_excluded_through_the_wrapper():
    inner = keras.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer = Clipped(inner, [])
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    kernel, bias = (
        keras.Variable([1.0], name=name) for name in ("kernel", "bias")
    )
    optimizer.apply([np.zeros(1, "float32")] * 2, [kernel, bias])
    assert (kernel.numpy()[0], bias.numpy()[0]) == (pytest.approx(0.95), 1.0)


def test_weight_decay_is_that_of_the_inner_optimizer():
    optimizer = Clipped(keras.optimizers.SGD(1.0, weight_decay=0.1), [])
    assert optimizer.weight_decay == 0.1
    optimizer.weight_decay = 0.5
    weight = keras.Variable([1.0])
    optimizer.apply([np.zeros(1, "float32")], [weight])
    assert weight.numpy().tolist() == [0.5]


@pytest.mark.parametrize("rule", [clipping.ByNorm, clipping.ByGlobalNorm])
def test_norm_of_a_float16_gradient_does_not_overflow(rule):
    weight = keras.Variable(np.zeros(2), dtype="float16")
    optimizer = Clipped(keras.optimizers.SGD(1.0), [rule(1.0)])
    optimizer.apply([keras.ops.array([300.0, 0.0], "float16")], [weight])
    assert weight.numpy().tolist() == [-1.0, 0.0]


def test_optimizer_keeps_copies_of_its_rules():
    rule = clipping.AutoClip()
    optimizers = [Clipped("sgd", [rule]) for _ in range(2)]
    for optimizer, norm in zip(optimizers, (1.0, 2.0), strict=True):
        optimizer.apply([tf.constant([norm])], [keras.Variable([0.0])])
    thresholds = [float(o.rules[0].threshold.numpy()) for o in optimizers]
    assert thresholds == [1.0, 2.0]
    assert rule.threshold is None


# Each pair of the three once: all eight say no more.
@pytest.mark.parametrize(
    ("jit_compile", "accumulation", "policy"),
    [
        (False, None, "float32"),
        (False, 2, "mixed_float16"),
        (True, None, "mixed_float16"),
        (True, 2, "float32"),
    ],
)
def test_monitor_sees_what_is_clipped(jit_compile, accumulation, policy):
    keras.config.set_dtype_policy(policy)  # float16 puts it in a condition
    inner = keras.optimizers.SGD(0.1, gradient_accumulation_steps=accumulation)
    rules = [clipping.ByNorm(0.05), clipping.AutoClip(0)]
    model = _model(Clipped(inner, rules), jit_compile=jit_compile)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    _fit(model, *_data(), epochs=2, callbacks=[monitor])
    history = monitor.history
    assert len(history["step"]) == 16 // (accumulation or 1)
    norms = np.stack(list(history["gradient_norm"].values()), axis=1)
    after = np.minimum(norms, 0.05)
    whole = np.linalg.norm(after, axis=1)
    smallest = np.minimum.accumulate(whole)  # the percentile 0
    np.testing.assert_allclose(
        history["clipped/threshold"], smallest, rtol=1e-4
    )
    np.testing.assert_allclose(
        history["clipped/global_norm"], smallest, rtol=1e-4
    )
    share = (after * (smallest / whole)[:, None] < norms * (1 - 1e-5)).mean(1)
    np.testing.assert_allclose(history["clipped/share"], share)
    assert share.max() > 0.5


def test_monitor_sees_the_replicas_sum_clipped(run_on_two_cpus):
    run_on_two_cpus("""
with strategy.scope():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(
        1, use_bias=False, kernel_initializer="zeros")])
    model.compile(kerasbn.optimizers.Clipped(
        keras.optimizers.SGD(1.0), [kerasbn.clipping.ByGlobalNorm(0.5)]),
        "mean_squared_error")
monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
model.fit(np.ones((4, 1)), np.full((4, 1), 100.0), batch_size=4, verbose=0,
          callbacks=[monitor])
np.testing.assert_allclose(monitor.history["global_norm"], 200.0, rtol=1e-5)
np.testing.assert_allclose(
    monitor.history["clipped/global_norm"], 0.5, rtol=1e-5)
""")


def test_monitor_reads_replicas_with_a_scaled_loss(run_on_two_cpus):
    run_on_two_cpus("""
with strategy.scope():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(
        1, use_bias=False, kernel_initializer="zeros")])
    model.compile(keras.optimizers.LossScaleOptimizer(
        kerasbn.optimizers.Clipped(
            keras.optimizers.SGD(1.0), [kerasbn.clipping.ByGlobalNorm(0.5)]),
        initial_scale=1024.0), "mean_squared_error")
monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
model.fit(np.ones((4, 1)), np.full((4, 1), 100.0), batch_size=4, verbose=0,
          callbacks=[monitor])
np.testing.assert_allclose(model.get_weights()[0], 0.5, rtol=1e-5)
np.testing.assert_allclose(monitor.history["global_norm"], 200.0, rtol=1e-5)
assert np.isnan(monitor.history["clipped/global_norm"]).all()  # not told
""")


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_averages_are_swapped_in_for_validation(policy):
    """With float16 Keras asks the wrapper for them: Keras 3.15."""
    keras.config.set_dtype_policy(policy)
    sgd = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model = _model(Clipped(sgd, [clipping.ByNorm(1.0)]), run_eagerly=True)
    seen, swapped = [], []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(model.trainable_variables[0].numpy())

        def on_test_batch_begin(self, batch, logs=None):
            swapped.append(model.trainable_variables[0].numpy())

    x, y = _data()
    callbacks = [Note(), keras.callbacks.SwapEMAWeights()]
    _fit(model, x, y, validation_data=(x, y), callbacks=callbacks)
    average = seen[0]
    for each in seen[1:]:
        average = 0.9 * average + 0.1 * each
    assert not np.allclose(seen[-1], average, rtol=1e-2)
    np.testing.assert_allclose(swapped[0], average, rtol=1e-4)


def test_settings_name_the_inner_optimizer_and_the_rules(tmp_path):
    model = _model(Clipped("adam", [clipping.ByValue(0.5)]))
    monitor = kerasbn.callbacks.GradientMonitor(str(tmp_path), every=1)
    _fit(model, *_data(), callbacks=[monitor])
    from kerasbn._run.files import from_directory

    settings = from_directory(str(tmp_path)).settings
    assert settings["optimizer"] == "Adam"
    assert settings["rules"] == "ByValue(clipvalue=0.5)"


def test_rule_that_leaves_nothing_is_found_and_named():
    x, y = _data(256)
    optimizer = Clipped(keras.optimizers.SGD(), [clipping.ByGlobalNorm(1e-5)])
    model = _model(optimizer)
    monitor = kerasbn.callbacks.GradientMonitor(None)
    _fit(model, x, y, epochs=4, callbacks=[monitor])
    finding = monitor.findings[0]
    assert finding.problem == "clipping_always_on"
    assert "rules=[kerasbn.clipping.ByNorm(1.0)]" in finding.patch


def test_changes_reach_through_the_wrapper():
    from kerasbn._rescue import changes

    inner = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model = _model(Clipped(inner, [clipping.ZClip()]))
    result = changes.apply(
        model, [changes.Change("learning_rate", {"factor": 0.5})]
    )
    assert float(result.optimizer.learning_rate) == pytest.approx(0.05)
    assert result.optimizer.gradient_accumulation_steps == 2
    assert str(result.optimizer.rules[0]) == str(clipping.ZClip())
    result = changes.apply(
        model, [changes.Change("clipping", {"clipnorm": 1.0})]
    )
    assert str(result.optimizer.rules[0]) == "ByNorm(clipnorm=1.0)"


_untyped: Any = Clipped
_untyped_rule: Any = clipping.ByNorm
_untyped_zclip: Any = clipping.ZClip


class _Scaled(clipping.Rule):
    """A rule of a user who forgot `get_config`."""

    def __init__(self, factor):
        self.factor = factor


def _built():
    optimizer = keras.optimizers.SGD()
    optimizer.build([keras.Variable([0.0])])
    return optimizer


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: clipping.ByValue(0), "`clipvalue` must be a positive number"),
        (lambda: clipping.ByNorm(-1.0), "Received: clipnorm=-1.0."),
        (lambda: _untyped_rule("1"), "Received: clipnorm='1'."),
        (lambda: _untyped_rule(None), "Received: clipnorm=None."),
        (lambda: clipping.ByNorm(True), "Received: clipnorm=True."),
        (lambda: clipping.ByGlobalNorm(float("nan")), "global_clipnorm=nan"),
        (lambda: clipping.Adaptive(clipping=0), "`clipping` must be a posi"),
        (lambda: clipping.Adaptive(epsilon=0), "`epsilon` must be a positive"),
        (lambda: clipping.Adaptive(exclude="out"), "Pass ['out']."),
        (lambda: clipping.AutoClip(101), "within 0 and 100"),
        (lambda: clipping.AutoClip(window=0), "integer. Received: window=0."),
        (lambda: clipping.ZClip(0), "`z_threshold` must be a positive"),
        (lambda: clipping.ZClip(momentum=1.0), "at least 0 and below 1"),
        (lambda: clipping.ZClip(warmup_steps=1), "at least 2"),
        (lambda: _untyped_zclip(warmup_steps=2.5), "warmup_steps=2.5"),
        (lambda: _untyped(None), "optimizer or the name of one. Received: N"),
        (lambda: Clipped("sgd", [_Scaled(0.1)]), "_Scaled, whose config has"),
        (
            lambda: Clipped(kerasbn.optimizers.adam()),
            "because `rules` do. Received: Adam with clipnorm=1.0. "
            "Pass clipnorm=None to it.",
        ),
        (lambda: Clipped(Clipped("sgd")), "Pass all rules to one Clipped."),
        (
            lambda: Clipped(keras.optimizers.LossScaleOptimizer(_built())),
            "LossScaleOptimizer. Use Clipped for each optimizer inside",
        ),
        (
            lambda: Clipped(keras.optimizers.MultiOptimizer("sgd")),
            "Use Clipped for each optimizer inside of it.",
        ),
        (lambda: Clipped(_built()), "must be new"),
        (lambda: _untyped("sgd", clipping.ZClip()), "`rules` must be a list"),
        (lambda: _untyped("sgd", ["ZClip"]), "Received: rules=['ZClip']"),
    ],
)
def test_bad_input_gets_one_sentence(call, error):
    with pytest.raises((ValueError, TypeError), match=re.escape(error)):
        call()


class _Own(keras.optimizers.Optimizer):
    """With a configuration of its own."""

    def __init__(self, rate=0.5, name="own"):
        super().__init__(learning_rate=rate, name=name)
        self.rate = rate

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, learning_rate * gradient)

    def get_config(self):
        return {"rate": self.rate, "name": self.name}


def test_optimizer_of_a_user_is_wrapped_copied_and_made_anew():
    optimizer = Clipped(_Own(0.25), [])
    config = optimizer.get_config()
    with keras.saving.custom_object_scope({"_Own": _Own}):
        again = Clipped.from_config(config)
    assert isinstance(again.inner_optimizer, _Own)
    assert float(again.learning_rate) == 0.25


def test_one_replica_trains_as_none(run_on_two_cpus):
    run_on_two_cpus("""
weights = []
for scope in (tf.distribute.get_strategy(),
              tf.distribute.MirroredStrategy(["CPU:0"])):
    with scope.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(kerasbn.optimizers.Clipped(
            keras.optimizers.Adam(0.1), [kerasbn.clipping.ByGlobalNorm(0.5)]),
            "mean_squared_error")
    model.fit(np.ones((8, 2)), np.full((8, 1), 3.0), batch_size=4, verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 2
    weights.append(model.get_weights()[0])
np.testing.assert_allclose(*weights, rtol=1e-6)
""")


def test_weights_of_the_optimizer_are_all_set():
    first, second = (_model(Clipped("adam")) for _ in range(2))
    _fit(first, *_data())
    second.optimizer.build(second.trainable_variables)
    weights = [each.numpy() for each in first.optimizer.variables]
    second.optimizer.set_weights(weights)
    for one, other in zip(weights, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other.numpy())
    assert int(second.optimizer.iterations.numpy()) == 8


def test_apply_says_what_it_needs():
    optimizer = Clipped(keras.optimizers.SGD(gradient_accumulation_steps=2))
    optimizer.apply([], [])
    gradient = [tf.constant([1.0])]
    with pytest.raises(ValueError, match="optimizer that is not built"):
        optimizer.apply(gradient)
    variables = [keras.Variable([0.0], name=name) for name in ("a", "b")]
    count = optimizer.apply_gradients([(gradient[0], variables[0])])
    assert int(count.numpy()) == 0
    with pytest.raises(ValueError, match=r"built with\. Received: b"):
        optimizer.apply(gradient, variables[1:])


@pytest.mark.parametrize(
    "rule", [clipping.AutoClip(), clipping.ZClip(warmup_steps=3)], ids=str
)
def test_gradients_of_zero_do_not_end_the_training(rule):
    optimizer = Clipped(keras.optimizers.SGD(1.0), [rule])
    variable = keras.Variable([0.0])
    for gradient in [0.0] * 4 + [1.0, 0.0] * 6:
        optimizer.apply([tf.constant([gradient])], [variable])
    assert variable.numpy() == pytest.approx([-6.0])


def test_adaptive_takes_the_channels_of_a_depthwise_kernel_as_units():
    kernel = keras.Variable(np.ones((3, 3, 2, 1)), name="kernel")
    gradient = np.zeros((3, 3, 2, 1), "float32")
    gradient[0, 0, 0], gradient[0, 0, 1] = 1000.0, 1e-3
    optimizer = Clipped(
        keras.optimizers.SGD(1.0), [clipping.Adaptive(exclude=[])]
    )
    optimizer.apply([gradient], [kernel])
    moved = 1.0 - kernel.numpy()[0, 0, :, 0]
    np.testing.assert_allclose(moved, [0.03, 1e-3], rtol=1e-3)


def test_adaptive_moves_zeros_in_float16():
    bias = keras.Variable([0.0, 0.0], dtype="float16", name="bias")
    optimizer = Clipped(
        keras.optimizers.SGD(1.0), [clipping.Adaptive(1.0, exclude=[])]
    )
    optimizer.apply([tf.zeros(2, "float16")], [bias])
    assert bias.numpy().tolist() == [0.0, 0.0]
    optimizer.apply([tf.constant([3.0, 4.0], "float16")], [bias])
    np.testing.assert_allclose(bias.numpy(), [-6e-4, -8e-4], rtol=1e-2)


def test_rule_of_a_user_is_one_method():
    class Sign(clipping.Rule):
        def clip(self, gradients, variables, norm, applied):
            return [keras.ops.sign(gradient) for gradient in gradients]

    variable = keras.Variable([0.0, 0.0])
    optimizer = Clipped(keras.optimizers.SGD(1.0), [Sign()])
    optimizer.apply([tf.constant([-3.0, 0.5])], [variable])
    assert variable.numpy().tolist() == [1.0, -1.0]
