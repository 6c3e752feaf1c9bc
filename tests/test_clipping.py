"""Rules against the formulas of their papers, and `Clipped` in training."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasbn

clipping = kerasbn.clipping
Clipped = kerasbn.optimizers.Clipped

_MODES = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}
_RULES = {
    "ByValue": lambda: [clipping.ByValue(0.05)],
    "ByNorm": lambda: [clipping.ByNorm(0.3)],
    "ByGlobalNorm": lambda: [clipping.ByGlobalNorm(0.5)],
    "Adaptive": lambda: [clipping.Adaptive(0.05)],
    "AutoClip": lambda: [clipping.AutoClip(25, window=5)],
    "ZClip": lambda: [clipping.ZClip(0.5, 0.8, warm_up=2)],
    "two": lambda: [clipping.ByValue(0.05), clipping.ByGlobalNorm(0.2)],
}
_every_mode = pytest.mark.parametrize(
    "mode", _MODES.values(), ids=_MODES.keys()
)
_every_rule = pytest.mark.parametrize(
    "make", _RULES.values(), ids=_RULES.keys()
)


# What each paper says, in NumPy: a class that is called with the gradients and
# weights of one step after another.


class NumpyByValue:
    def __init__(self, limit):
        self.limit = limit

    def __call__(self, gradients, weights):
        return [np.minimum(np.maximum(g, -0.4), 0.4) for g in gradients]


class NumpyByNorm:
    def __init__(self, limit):
        self.limit = limit

    def __call__(self, gradients, weights):
        return [
            g * self.limit / max(self.limit, np.linalg.norm(g))
            for g in gradients
        ]


def _norm(gradients):
    return np.linalg.norm(np.concatenate([g.ravel() for g in gradients]))


class NumpyByGlobalNorm(NumpyByNorm):
    def __call__(self, gradients, weights):
        scale = self.limit / max(self.limit, _norm(gradients))
        return [g * scale for g in gradients]


class NumpyAdaptive:
    """Brock et al., 2021, equation 3, with their unit-wise norms."""

    def __init__(self, clipping, epsilon):
        self.clipping, self.epsilon = clipping, epsilon

    def __call__(self, gradients, weights):
        *hidden, kernel, bias = zip(gradients, weights, strict=True)
        return [
            *(self._clip(g, w) for g, w in hidden),
            kernel[0],  # of the output layer
            bias[0],
        ]

    def _clip(self, gradient, weight):
        if gradient.ndim == 1:
            return self._unit(gradient, weight)
        units = [
            self._unit(gradient[..., i], weight[..., i])
            for i in range(gradient.shape[-1])
        ]
        return np.stack(units, axis=-1)

    def _unit(self, gradient, weight):
        limit = self.clipping * max(np.linalg.norm(weight), self.epsilon)
        norm = np.linalg.norm(gradient)
        return gradient * limit / norm if norm > limit else gradient


class NumpyAutoClip:
    """Seetharaman et al., 2020, algorithm 1, with a bounded history."""

    def __init__(self, percentile, window):
        self.percentile, self.window, self.history = percentile, window, []

    def __call__(self, gradients, weights):
        norm = _norm(gradients)
        self.history = [*self.history, norm][-self.window :]
        limit = np.percentile(self.history, self.percentile)
        return [g * min(1.0, limit / norm) for g in gradients]


class NumpyZClip:
    """Kumar et al., 2025, algorithm 1."""

    def __init__(self, z, alpha, warm_up):
        self.z, self.alpha, self.warm_up, self.first = z, alpha, warm_up, []

    def __call__(self, gradients, weights):
        norm = left = _norm(gradients)
        if len(self.first) < self.warm_up:
            self.first.append(norm)
            self.mean, self.variance = np.mean(self.first), np.var(self.first)
            return gradients
        deviation = np.sqrt(self.variance)
        z = (norm - self.mean) / deviation
        if z > self.z:
            left = self.mean + self.z**2 / z * deviation
        self.mean = self.alpha * self.mean + (1 - self.alpha) * left
        self.variance *= self.alpha
        self.variance += (1 - self.alpha) * (left - self.mean) ** 2
        return [g * left / norm for g in gradients]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (clipping.ByValue(0.4), NumpyByValue(0.4)),
        (clipping.ByNorm(0.7), NumpyByNorm(0.7)),
        (clipping.ByGlobalNorm(1.5), NumpyByGlobalNorm(1.5)),
        (
            clipping.Adaptive(0.1, 0.02),
            NumpyAdaptive(0.1, 0.02),
        ),
        (clipping.AutoClip(10, 7), NumpyAutoClip(10, 7)),
        (clipping.AutoClip(37.5, 20), NumpyAutoClip(37.5, 20)),
        (clipping.ZClip(1.0, 0.9, 5), NumpyZClip(1.0, 0.9, 5)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_rule_follows_the_formula_of_its_paper(rule, expected):
    random = np.random.default_rng(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 2),
            layers.PReLU(shared_axes=[1, 2]),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.Dense(5),
            layers.BatchNormalization(),
            layers.Dense(4),
        ]
    )
    variables = model.trainable_variables
    weights = [random.normal(size=v.shape) * 0.3 for v in variables]
    weights[1] = np.zeros(3)  # a bias as it begins
    clipped = 0
    optimizer = Clipped(keras.optimizers.SGD(1.0), [rule])
    for _ in range(30):
        sizes = 10 ** random.uniform(-2, 1, len(variables))
        gradients = [
            (random.normal(size=v.shape) * size).astype("float32")
            for v, size in zip(variables, sizes, strict=True)
        ]
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)
        before = [variable.numpy() for variable in variables]
        optimizer.apply([tf.constant(g) for g in gradients], variables)
        found = expected(
            [g.astype("float64") for g in gradients],
            [w.astype("float64") for w in before],
        )
        changed = [
            not np.allclose(g, c, rtol=1e-6, atol=0)
            for g, c in zip(gradients, found, strict=True)
        ]
        clipped += any(changed)
        if not isinstance(rule, clipping.Adaptive):  # that tells of units
            whole = rule.clipped_share.numpy() in (0, 1)
            share = np.any(changed) if whole else np.mean(changed)
            np.testing.assert_allclose(rule.clipped_share.numpy(), share)
        for variable, old, gradient in zip(
            variables, before, found, strict=True
        ):
            np.testing.assert_allclose(
                old - variable.numpy(), gradient, rtol=1e-4, atol=2e-6
            )
    assert 3 < clipped


def test_units_of_embeddings_and_depthwise_kernels_are_theirs():
    layers = keras.layers
    shapes = []
    for layer, inputs in (
        (layers.Embedding(7, 3), (2,)),
        (layers.DepthwiseConv2D(2, depth_multiplier=3), (4, 4, 5)),
        (layers.GRU(4), (5, 3)),
        (layers.Conv1D(4, 2), (5, 3)),
    ):
        layer.build((None, *inputs))
        kernel = layer.trainable_variables[0]
        outputs = keras.Variable(np.ones((2, 2)), name="kernel")
        before = kernel.numpy()
        optimizer = Clipped(
            keras.optimizers.SGD(1.0), [clipping.Adaptive(0.5, 1.0)]
        )
        optimizer.apply(
            [tf.fill(kernel.shape, 9.0), tf.zeros((2, 2))], [kernel, outputs]
        )
        moved = before - kernel.numpy()
        shapes.append(float(np.linalg.norm(moved) ** 2 / 0.25))
    # Each unit moves by 0.5: so many units are there.
    np.testing.assert_allclose(shapes, [7, 15, 12, 4], rtol=1e-5)


def test_named_layers_are_excluded_instead_of_the_last():
    model = _model()
    optimizer = Clipped(
        keras.optimizers.SGD(1.0), [clipping.Adaptive(exclude=["hidden_0/"])]
    )
    before = _weights(model)
    ones = [tf.ones(v.shape) for v in model.trainable_variables]
    optimizer.apply(ones, model.trainable_variables)
    for path, weight in _weights(model).items():
        moved_freely = np.allclose(before[path] - weight, 1.0)
        assert moved_freely == ("hidden_0/" in path), path


def _x():
    return np.random.default_rng(0).normal(size=(48, 6)).astype("float32") * 3


def _y():
    return (_x() ** 2).sum(axis=1, keepdims=True) / 9


def _model():
    keras.utils.set_random_seed(0)
    return kerasbn.models.mlp((6,), [8] * 2, 1)


def _weights(model):
    return {v.path: v.numpy() for v in model.trainable_variables}


def _train(optimizer, epochs=2, **mode):
    model = _model()
    model.compile(optimizer, "mean_squared_error", **mode)
    _fit(model, epochs)
    return model


def _fit(model, epochs, **options):
    options = {"batch_size": 8, "shuffle": False, "verbose": 0, **options}
    return model.fit(_x(), _y(), epochs=epochs, **options)


def _assert_same_weights(model, other, tolerance=1e-6):
    for path, weight in _weights(model).items():
        np.testing.assert_allclose(
            weight, _weights(other)[path], rtol=0, atol=tolerance
        )


@_every_mode
@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize(
    ("argument", "rule", "limit"),
    [
        ("clipvalue", clipping.ByValue, 0.05),
        ("clipnorm", clipping.ByNorm, 0.3),
        ("global_clipnorm", clipping.ByGlobalNorm, 1.0),
    ],
)
def test_fixed_rules_train_as_the_stock_arguments(
    argument, rule, limit, steps, mode
):
    options = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    options["gradient_accumulation_steps"] = steps
    stock = keras.optimizers.SGD(**options, **{argument: limit})
    ours = Clipped(keras.optimizers.SGD(**options), [rule(limit)])
    stock, ours = _train(stock, **mode), _train(ours, **mode)
    _assert_same_weights(stock, ours)
    assert int(ours.optimizer.iterations) == int(stock.optimizer.iterations)
    assert float(ours.optimizer.rules[0].clipped_share) > 0


def _schedule():
    return keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.9)


@pytest.mark.parametrize(
    "make",
    [
        lambda **k: keras.optimizers.Adam(_schedule(), **k),
        lambda **k: keras.optimizers.AdamW(0.05, use_ema=True, **k),
        lambda **k: keras.optimizers.Lion(0.01, loss_scale_factor=64.0, **k),
    ],
    ids=["schedule", "moving average", "scaled loss"],
)
@pytest.mark.parametrize("steps", [None, 3])
def test_inner_optimizer_keeps_what_it_does(make, steps):
    options = {"gradient_accumulation_steps": steps}
    stock = _train(make(global_clipnorm=0.5, **options))
    ours = _train(Clipped(make(**options), [clipping.ByGlobalNorm(0.5)]))
    _assert_same_weights(stock, ours)
    np.testing.assert_allclose(
        float(ours.optimizer.learning_rate),
        float(stock.optimizer.learning_rate),
    )


def test_rules_are_applied_one_after_the_other():
    weights = keras.Variable([0.0, 0.0])
    rules = [clipping.ByValue(4.0), clipping.ByGlobalNorm(1.0)]
    optimizer = Clipped(keras.optimizers.SGD(1.0), rules)
    optimizer.apply([tf.constant([3.0, 400.0])], [weights])
    np.testing.assert_allclose(weights.numpy(), [-0.6, -0.8], rtol=1e-6)


@_every_rule
@_every_mode
def test_saved_training_goes_on_as_if_uninterrupted(make, mode, tmp_path):
    def optimizer():
        return Clipped(keras.optimizers.Adam(0.01), make())

    whole = _train(optimizer(), epochs=4, **mode)
    first = _train(optimizer(), epochs=2, **mode)
    first.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == first.optimizer.get_config()
    for a, b in zip(
        loaded.optimizer.variables, first.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    _fit(loaded, 2)
    # XLA may compile the two runs' programs in another order of operations.
    _assert_same_weights(whole, loaded, 1e-5)


@_every_rule
def test_every_rule_learns_and_leaves_the_model_copyable(make):
    model = _model()
    model.compile(Clipped(keras.optimizers.Adam(0.01), make()), "mse")
    losses = _fit(model, 6).history["loss"]
    assert losses[-1] < losses[0]
    copy = keras.models.clone_model(model)
    copy.compile_from_config(model.get_compile_config())
    assert [type(rule) for rule in copy.optimizer.rules] == [
        type(rule) for rule in model.optimizer.rules
    ]


@pytest.mark.parametrize("order", ["kerasbn, keras", "keras, kerasbn"])
def test_saved_model_loads_after_import_of_kerasbn_alone(order, tmp_path):
    path = str(tmp_path / "model.keras")
    rules = [clipping.ByValue(1.0), clipping.AutoClip()]
    _train(Clipped(keras.optimizers.SGD(), rules), epochs=1).save(path)
    code = f"import {order}; model = keras.models.load_model({path!r}); "
    code += "assert len(model.optimizer.rules) == 2"
    subprocess.run([sys.executable, "-c", code], check=True)


@_every_mode
def test_mixed_precision_clips_unscaled_gradients(mode):
    keras.config.set_dtype_policy("mixed_float16")
    models = [
        _train(optimizer, epochs=1, **mode)
        for optimizer in (
            keras.optimizers.SGD(0.01, global_clipnorm=0.5),
            Clipped(keras.optimizers.SGD(0.01), [clipping.ByGlobalNorm(0.5)]),
        )
    ]
    outer = models[1].optimizer
    assert isinstance(outer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(outer.inner_optimizer, Clipped)
    assert int(outer.iterations) == int(models[0].optimizer.iterations) > 2
    _assert_same_weights(*models)


@_every_mode
@_every_rule
def test_tokens_are_summed_before_they_are_clipped(make, mode):
    def embed(dense):
        keras.utils.set_random_seed(0)
        layer = keras.layers.Embedding(7, 3)
        if dense:  # the same, as the product of a matrix
            layer = keras.layers.Dense(3, use_bias=False, name="embedding")
        return keras.Sequential(
            [
                keras.Input((4, 7) if dense else (4,)),
                layer,
                keras.layers.Flatten(),
                keras.layers.Dense(1),
            ]
        )

    if isinstance(make()[0], clipping.Adaptive):
        pytest.skip("a unit of an embedding is a row, of a kernel a column")
    tokens = np.random.default_rng(0).integers(0, 5, (16, 4))
    target = (tokens.sum(axis=1) > 8).astype("float32")
    sparse, dense = embed(False), embed(True)
    for model, x in (sparse, tokens), (dense, np.eye(7, dtype="f4")[tokens]):
        model.set_weights(sparse.get_weights())
        optimizer = Clipped(keras.optimizers.SGD(0.5), make())
        model.compile(optimizer, "mse", **mode)
        model.fit(x, target, batch_size=4, shuffle=False, verbose=0)
    for a, b in zip(sparse.get_weights(), dense.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@_every_mode
@_every_rule
@pytest.mark.parametrize("steps", [None, 2])
def test_step_that_is_not_finite_never_happened(make, mode, steps):
    def train(bad_batches):
        model = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dense(1)]
        )
        model.set_weights(
            [np.full(v.shape, 0.1 + i) for i, v in enumerate(model.weights)]
        )
        inner = keras.optimizers.Adam(0.1, gradient_accumulation_steps=steps)
        model.compile(Clipped(inner, make()), "mse", **mode)
        x = _x().reshape(6, 8, 6)
        for place, bad in bad_batches:
            x = np.insert(x, place, _x()[:8], axis=0)
            x[place, 0, 0] = bad
        y = np.ones(len(x) * 8, "float32")
        model.fit(x.reshape(-1, 6), y, batch_size=8, shuffle=False, verbose=0)
        return model

    clean, dirty = train([]), train([(0, np.nan), (3, np.inf), (4, 1e30)])
    _assert_same_weights_in_order(clean, dirty)
    skipped = dirty.optimizer.skipped_steps
    assert int(skipped) == 3
    for a, b in zip(
        clean.optimizer.variables, dirty.optimizer.variables, strict=True
    ):
        if b is not skipped:
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)


def _assert_same_weights_in_order(model, other):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_step_that_is_not_finite_shows_where_asked():
    weights = keras.Variable([0.0])
    optimizer = Clipped(
        keras.optimizers.SGD(1.0),
        [clipping.ByGlobalNorm(1.0)],
        skip_non_finite=False,
    )
    optimizer.apply([tf.constant([np.nan])], [weights])
    assert np.isnan(weights.numpy())
    assert int(optimizer.skipped_steps) == 0


def test_gradient_of_zeros_stays_zeros():
    for make in _RULES.values():
        weights = keras.Variable([1.0])
        optimizer = Clipped(keras.optimizers.SGD(1.0), make())
        for _ in range(4):
            optimizer.apply([tf.zeros(1)], [weights])
        assert weights.numpy() == 1.0


def test_callbacks_set_the_learning_rate():
    model = _model()
    model.compile(Clipped(keras.optimizers.SGD(0.1)), "mse")
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01)
    _fit(model, 1, callbacks=[scheduler])
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.01)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.5, 1, min_delta=1e9)
    _fit(model, 3, callbacks=[plateau])
    rate = float(model.optimizer.inner_optimizer.learning_rate)
    assert rate < 0.009


def test_absent_gradient_is_told_as_keras_does():
    variables = [keras.Variable([1.0], name="a"), keras.Variable([1.0])]
    optimizer = Clipped(keras.optimizers.SGD(1.0), [clipping.ByNorm(1.0)])
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([None, tf.constant([0.5])], variables)
    assert [float(v.numpy()[0]) for v in variables] == [1.0, 0.5]
    with pytest.raises(ValueError, match="No gradients provided"):
        optimizer.apply([None, None], variables)


def test_optimizers_of_several_groups_are_clipped_together():
    def make(**options):
        groups = keras.optimizers.OptimizerMap(
            keras.optimizers.SGD(0.1), {"hidden.*": keras.optimizers.Adam(0.1)}
        )
        return keras.optimizers.MultiOptimizer(groups)

    model = _model()
    before = _weights(model)
    optimizer = Clipped(make(), [clipping.ByGlobalNorm(1.0)])
    ones = [tf.ones(v.shape) for v in model.trainable_variables]
    optimizer.apply(ones, model.trainable_variables)
    count = sum(v.numpy().size for v in model.trainable_variables)
    for path, weight in _weights(model).items():
        step = 0.1 if path.startswith("hidden") else 0.1 / np.sqrt(count)
        np.testing.assert_allclose(before[path] - weight, step, rtol=1e-3)


_REPLICAS = """
def train(wrap):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "tanh", name="a"),
         keras.layers.Dense(1, name="b")], name="net")
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(wrap(kerasbn.optimizers.Clipped(optimizer, rules())), "mse")
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    for watched in (False, True):
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0,
                  callbacks=[monitor] * watched)
    return model, monitor

c = kerasbn.clipping
x = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
y = x.sum(axis=1, keepdims=True) ** 2
x[8, 0] = np.nan  # in the second batch, on the first replica
for wrap in (lambda o: o, keras.optimizers.LossScaleOptimizer):
    for rules in (
        lambda: [c.ByValue(0.1), c.ByNorm(0.2)],
        lambda: [c.ByGlobalNorm(0.5)],
        lambda: [c.Adaptive(0.05)],
        lambda: [c.AutoClip(25, window=5)],
        lambda: [c.ZClip(0.5, 0.8, warm_up=2)],
    ):
        alone, one = train(wrap)
        with strategy.scope():
            both, two = train(wrap)
        for a, b in zip(alone.get_weights(), both.get_weights()):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        for a, b in zip(alone.optimizer.variables, both.optimizer.variables):
            np.testing.assert_allclose(
                a.numpy(), b.numpy(), rtol=1e-3, atol=1e-6, err_msg=a.path)
        assert int(both.optimizer.iterations) == 8
        assert one.skipped_steps == two.skipped_steps == 2
        for name in one.history:
            np.testing.assert_allclose(
                one.history[name], two.history[name], rtol=1e-3, atol=1e-6,
                err_msg=name)
        assert np.all(two.history["clipped/global_norm"] > 0)
"""


def test_replicas_are_summed_then_clipped(run_on_two_cpus):
    run_on_two_cpus(_REPLICAS)


_JAX = """
import keras, numpy as np, kerasbn
c = kerasbn.clipping
x = np.random.default_rng(0).normal(size=(48, 6)).astype("float32")
y = (x ** 2).sum(axis=1, keepdims=True)
def train(optimizer, x=x):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    model.fit(x, y[:len(x)], batch_size=8, shuffle=False, verbose=0)
    return model
def clipped(rule):
    return kerasbn.optimizers.Clipped(keras.optimizers.Adam(0.1), [rule])
stock = train(keras.optimizers.Adam(0.1, global_clipnorm=0.5))
ours = train(clipped(c.ByGlobalNorm(0.5)))
for a, b in zip(stock.get_weights(), ours.get_weights()):
    np.testing.assert_allclose(a, b, atol=1e-6)
bad = x.copy()
bad[-1] = np.nan
for rule in (c.ByValue(0.1), c.ByNorm(0.1), c.Adaptive(), c.AutoClip(),
             c.ZClip(warm_up=2)):
    model = train(clipped(rule), bad)
    assert int(model.optimizer.skipped_steps) == 1
    assert int(model.optimizer.iterations) == 5
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert 0 <= float(rule.clipped_share) <= 1
try:
    kerasbn.optimizers.Clipped(
        keras.optimizers.SGD(gradient_accumulation_steps=2))
except ValueError as error:
    assert "backend other than TensorFlow" in str(error), error
else:
    raise AssertionError("nothing was said")
"""


def test_clipped_trains_on_jax():
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-c", _JAX],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr


def _tape(model, x, y):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x))
    return [
        tf.convert_to_tensor(each).numpy().astype("float64")
        for each in tape.gradient(loss, model.trainable_variables)
    ]


@_every_mode
@pytest.mark.parametrize("wrap", ["plain", "accumulated", "loss scale"])
@pytest.mark.parametrize("rule", ["ByNorm", "ByGlobalNorm"])
def test_monitor_reads_before_and_after_the_rules(rule, wrap, mode):
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int64"),
            keras.layers.Embedding(7, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(4, "tanh"),
            keras.layers.Dense(1),
        ]
    )
    tokens = np.random.default_rng(0).integers(0, 5, (16, 4))
    y = tokens.sum(axis=1, keepdims=True).astype("float32")
    steps = 3 if wrap == "accumulated" else None
    inner = keras.optimizers.SGD(0.1, gradient_accumulation_steps=steps)
    optimizer = Clipped(inner, [getattr(clipping, rule)(4.0)])
    if wrap == "loss scale":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, 2.0**10)
    model.compile(optimizer, "mse", **mode)
    gradients, before = _tape(model, tokens, y), model.get_weights()
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    data = tf.data.Dataset.from_tensors((tokens, y)).repeat(steps or 1)
    model.fit(data, shuffle=False, verbose=0, callbacks=[monitor])

    norms = np.array([np.linalg.norm(g) for g in gradients])
    left = np.minimum(norms, 4.0)
    if rule == "ByGlobalNorm":
        left = norms * min(1.0, 4.0 / np.linalg.norm(norms))
    history = monitor.history
    for name, expected in {
        "global_norm": np.linalg.norm(norms),
        "clipped/global_norm": np.linalg.norm(left),
        "clipped/share": np.mean(left < norms),
        "clipped/threshold": 4.0,
    }.items():
        np.testing.assert_allclose(
            history[name], [expected], rtol=2e-5, err_msg=name
        )
    for variable, weight, norm, part in zip(
        model.trainable_variables, before, norms, left, strict=True
    ):
        np.testing.assert_allclose(
            history["gradient_norm"][variable.path], [norm], rtol=2e-5
        )
        change = 0.1 * part / np.linalg.norm(weight) if weight.any() else 1.0
        np.testing.assert_allclose(
            history["update_ratio"][variable.path], [change], rtol=1e-3
        )


def test_monitor_shows_the_threshold_as_it_adapts():
    model = _model()
    model.compile(
        Clipped(keras.optimizers.SGD(0.01), [clipping.AutoClip(50)]), "mse"
    )
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    _fit(model, 3, callbacks=[monitor])
    norms = monitor.history["global_norm"]
    medians = [np.median(norms[: i + 1]) for i in range(len(norms))]
    history = monitor.history
    np.testing.assert_allclose(history["clipped/threshold"], medians, rtol=1e-5)
    np.testing.assert_allclose(
        history["clipped/global_norm"], np.minimum(norms, medians), rtol=1e-5
    )


@_every_mode
@pytest.mark.parametrize("steps", [None, 2])
def test_monitor_counts_steps_that_were_left_out(mode, steps):
    x = _x()
    x[9] = np.nan
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    inner = keras.optimizers.SGD(0.01, gradient_accumulation_steps=steps)
    model.compile(Clipped(inner), "mse", **mode)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    model.fit(
        x, _y(), batch_size=8, shuffle=False, verbose=0, callbacks=[monitor]
    )
    assert monitor.skipped_steps == 1
    assert (
        monitor.history["step"].tolist() == [1, 2, 3, 4, 5][: 5 // (steps or 1)]
    )
    assert np.isfinite(monitor.history["loss"]).all()
    assert monitor.first_non_finite is None


def _built():
    optimizer = keras.optimizers.SGD()
    optimizer.build([keras.Variable([1.0])])
    return optimizer


def _of_groups(**options):
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(keras.optimizers.SGD(**options))
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Clipped(kerasbn.optimizers.sgd()),
            "must not clip beside `rules`. Received: clipnorm=1.0. Pass clipn",
        ),
        (
            lambda: Clipped(_of_groups(clipvalue=0.5)),
            "must not clip beside `rules`. Received: clipvalue=0.5.",
        ),
        (
            lambda: Clipped(_of_groups(gradient_accumulation_steps=2)),
            "must accumulate all gradients or none.",
        ),
        (
            lambda: Clipped(Clipped(keras.optimizers.SGD())),
            "must not be clipped already. Received: inner_optimizer=Clipped.",
        ),
        (
            lambda: Clipped(
                keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
            ),
            "must not scale the loss",
        ),
        (lambda: Clipped(_built()), "must not be built"),
        (lambda: Clipped("adam"), "must be a Keras optimizer. Received: inner"),
        (
            lambda: Clipped(keras.optimizers.SGD(), []),
            "`rules` must hold at least one rule. Received: rules=[].",
        ),
        (
            lambda: Clipped(keras.optimizers.SGD(), clipping.AutoClip()),
            "`rules` must be a list of rules.",
        ),
        (
            lambda: Clipped(keras.optimizers.SGD(), [1.0]),
            "`rules` must be a list of rules. Received: rules=[1.0].",
        ),
        (
            lambda: clipping.ByValue(0),
            "`limit` must be a positive number. Received: limit=0.",
        ),
        (lambda: clipping.ByNorm(-1.0), "Received: limit=-1.0."),
        (lambda: clipping.ByGlobalNorm(float("nan")), "Received: limit=nan."),
        (lambda: clipping.Adaptive(0.0), "Received: clipping=0.0."),
        (lambda: clipping.Adaptive(epsilon=0), "Received: epsilon=0."),
        (
            lambda: clipping.Adaptive(exclude="logits"),
            "`exclude` must be a list of patterns. Received: exclude='logits'.",
        ),
        (
            lambda: clipping.AutoClip(101),
            "`percentile` must be between 0 and 100. Received: percentile=101.",
        ),
        (lambda: clipping.AutoClip(window=1), "Received: window=1."),
        (lambda: clipping.ZClip(z=0), "Received: z=0."),
        (lambda: clipping.ZClip(alpha=1), "Received: alpha=1."),
        (lambda: clipping.ZClip(warm_up=2.5), "Received: warm_up=2.5."),
    ],
)
def test_bad_input_gets_a_sentence(make, message):
    with pytest.raises((ValueError, TypeError)) as raised:
        make()
    assert message in str(raised.value)


def test_rule_of_another_optimizer_is_refused():
    rule = clipping.AutoClip()
    for _ in range(2):
        optimizer = Clipped(keras.optimizers.SGD(), [rule])
        if rule is not None and hasattr(rule, "threshold"):
            with pytest.raises(ValueError, match="belong to one optimizer"):
                optimizer.build([keras.Variable([1.0])])
        else:
            optimizer.build([keras.Variable([1.0])])
