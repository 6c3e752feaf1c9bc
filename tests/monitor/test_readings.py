"""Every reading against `tf.GradientTape`, whatever `fit` runs on."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasbn
from kerasbn._monitor import recorder, train_step
from kerasbn._run import files

_ROWS = 16


def _x(shape=(6,)):
    return np.random.default_rng(0).normal(size=(_ROWS, *shape)).astype("f4")


def _y():
    return (_x().sum(axis=1) > 0).astype("float32")


def _dense():
    return kerasbn.models.mlp((6,), [8] * 2, 1), _x()


def _embedding():
    layers = keras.layers
    tokens = np.random.default_rng(0).integers(0, 5, (_ROWS, 4))
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int64"),
            layers.Embedding(7, 3),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    return model, tokens


def _frozen():
    model = kerasbn.models.mlp((6,), [8] * 2, 1)
    model.get_layer("hidden_0").trainable = False
    return model, _x()


def _shared():
    inputs = keras.Input((6,))
    layer = keras.layers.Dense(6, "relu")
    return keras.Model(
        inputs, keras.layers.Dense(1)(layer(layer(inputs)))
    ), _x()


def _nested():
    inner = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, "tanh")])
    return keras.Sequential([inner, keras.layers.Dense(1)]), _x()


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(5, "elu")
        self.second = keras.layers.Dense(1)

    def call(self, x):
        return self.second(self.first(x))


def _subclassed():
    return Subclassed(), _x()


class OwnStep(Subclassed):
    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


def _own_step():
    return OwnStep(), _x()


def _two_ways():
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    both = keras.layers.Concatenate()([a, b])
    outputs = {
        name: keras.layers.Dense(1, name=name)(both) for name in ("p", "q")
    }
    return keras.Model({"a": a, "b": b}, outputs), {"a": _x(), "b": 2 * _x()}


def _recurrent():
    x = _x((5, 3))
    return keras.Sequential([keras.layers.GRU(4), keras.layers.Dense(1)]), x


def _images():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.SeparableConv2D(3, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1),
        ]
    )
    return model, _x((6, 6, 2))


_MODELS = [
    _dense,
    _embedding,
    _frozen,
    _shared,
    _nested,
    _subclassed,
    _own_step,
    _two_ways,
    _recurrent,
    _images,
]
_MODES = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
    "three steps per execution": {"steps_per_execution": 3},
}


def _targets(model, x):
    if isinstance(x, dict):
        return {"p": _y(), "q": 1 - _y()}
    return _y()


def _expected(model, x, y):
    """What a tape says of the step to come, loss and gradients by path."""
    call = {}
    if "training" in inspect.signature(model.call).parameters:
        call["training"] = True
    state = [v.numpy() for v in model.non_trainable_variables]
    with tf.GradientTape() as tape:
        predictions = model(x, **call)
        loss = model.compute_loss(x, y, predictions)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, variables)
    for variable, value in zip(
        model.non_trainable_variables, state, strict=True
    ):
        variable.assign(value)
    return loss.numpy(), {
        v.path: np.asarray(tf.convert_to_tensor(g), "float64")
        for v, g in zip(variables, gradients, strict=True)
    }


def _check(history, row, loss, gradients, before, after):
    """One reading against the tape, and the weights around the step."""

    def close(found, expected):  # float32 sums in another order
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)

    np.testing.assert_allclose(history["loss"][row], loss, rtol=1e-5)
    total = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
    close(history["global_norm"][row], total)
    assert set(history["gradient_norm"]) == set(gradients)
    for path, gradient in gradients.items():
        expected = {
            "gradient_norm": np.linalg.norm(gradient),
            "gradient_rms": np.sqrt(np.mean(gradient**2)),
            "gradient_max": np.abs(gradient).max(),
            "non_finite": 0,
        }
        for group, value in expected.items():
            close(history[group][path][row], value)
        # Rounding decides whether an entry that cancels is exactly 0.
        zeros = np.mean(np.abs(gradient) == 0), np.mean(np.abs(gradient) < 1e-7)
        found = history["zero_share"][path][row]
        assert zeros[0] - 0.13 <= found <= zeros[1] + 1e-6
        weight = np.linalg.norm(before[path])
        close(history["weight_norm"][path][row], weight)
        change = np.linalg.norm(after[path] - before[path])
        ratio = change / weight if weight else float(change > 0)
        np.testing.assert_allclose(
            history["update_ratio"][path][row], ratio, rtol=2e-3, atol=1e-6
        )


def _weights(model):
    return {
        v.path: v.numpy().astype("float64") for v in model.trainable_variables
    }


# All models in a graph, all modes on one model, and the pairs in which a mode
# does to a model what it does not to that one: rows of an embedding and loops
# compiled by XLA, a train step of the user called eagerly.
@pytest.mark.parametrize(
    ("build", "mode"),
    [
        *((build, "graph") for build in _MODELS),
        *((_nested, mode) for mode in _MODES if mode != "graph"),
        (_embedding, "xla"),
        (_recurrent, "xla"),
        (_embedding, "eager"),
        (_own_step, "eager"),
        (_two_ways, "eager"),
        (_own_step, "three steps per execution"),
    ],
)
def test_reading_equals_the_tape(build, mode):
    model, x = build()
    model.compile("sgd", "mean_squared_error", **_MODES[mode])
    y = _targets(model, x)
    if not model.built:
        model(x)
    loss, gradients = _expected(model, x, y)
    before = _weights(model)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    model.fit(x, y, batch_size=_ROWS, verbose=0, callbacks=[monitor])
    assert monitor.history["step"].tolist() == [1]
    _check(monitor.history, 0, loss, gradients, before, _weights(model))


_CLIPS = [
    {},
    {"clipnorm": 0.3},
    {"clipvalue": 0.05},
    {"global_clipnorm": 0.2},
]


def _clipped(gradients, clipnorm=None, clipvalue=None, global_clipnorm=None):
    """Keras's formulas in NumPy: the norms, and which variables changed."""
    total = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
    after = {}
    for path, g in gradients.items():
        if clipnorm:
            g = g * min(1.0, clipnorm / max(np.linalg.norm(g), 1e-30))
        if clipvalue:
            g = np.clip(g, -clipvalue, clipvalue)
        if global_clipnorm:
            g = g * min(1.0, global_clipnorm / total)
        after[path] = g
    norm = np.sqrt(sum(np.sum(g**2) for g in after.values()))
    changed = [
        np.linalg.norm(after[p]) < np.linalg.norm(g) * (1 - 1e-5)
        for p, g in gradients.items()
    ]
    return norm, np.mean(changed)


# Each pair of a clip, an accumulation and a mode; XLA once with accumulation.
@pytest.mark.parametrize(
    ("clip", "micro_steps", "mode"),
    [
        *((clip, steps, "eager") for clip in _CLIPS for steps in (None, 2)),
        *zip(_CLIPS[:2], (None, 2), ["graph"] * 2, strict=True),
        (_CLIPS[3], 2, "xla"),
        (_CLIPS[2], 2, "three steps per execution"),
    ],
    ids=str,
)
def test_norms_before_and_after_clipping(clip, micro_steps, mode):
    model, x = _dense()
    y = _y()
    model.compile(
        keras.optimizers.SGD(
            0.01, gradient_accumulation_steps=micro_steps, **clip
        ),
        "mean_squared_error",
        **_MODES[mode],
    )
    loss, gradients = _expected(model, x, y)
    before = _weights(model)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    repeats = micro_steps or 1
    data = tf.data.Dataset.from_tensors((x, y)).repeat(repeats)
    model.fit(data, shuffle=False, verbose=0, callbacks=[monitor])
    history = monitor.history
    # The same batch again has the same gradient, hence the same average.
    assert history["step"].tolist() == [1]
    norm, share = _clipped(gradients, **clip)
    np.testing.assert_allclose(
        history["clipped/global_norm"], [norm], rtol=2e-5
    )
    np.testing.assert_allclose(history["clipped/share"], [share])
    _check(history, 0, loss, gradients, before, _weights(model))


@pytest.mark.parametrize("mode", ["graph", "three steps per execution"])
def test_accumulated_gradient_is_that_of_the_whole_batch(mode):
    model, x = _nested()
    y = _y()
    model.compile(
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=4),
        "mean_squared_error",
        **_MODES[mode],
    )
    loss, gradients = _expected(model, x, y)
    before = _weights(model)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[monitor])
    _check(monitor.history, 0, loss, gradients, before, _weights(model))
    model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=[monitor])
    assert monitor.history["step"].tolist() == [1, 2, 3, 4]


def _keras_optimizers():
    for name, kind in sorted(vars(keras.optimizers).items()):
        if (
            isinstance(kind, type)
            and issubclass(kind, keras.optimizers.Optimizer)
            and name
            not in ("Optimizer", "MultiOptimizer", "LossScaleOptimizer")
        ):
            yield pytest.param(kind, "eager", id=name)


class Own(keras.optimizers.Optimizer):
    """A user's own: the sign of the gradient."""

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, learning_rate * keras.ops.sign(gradient))


def _multi():
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(
            keras.optimizers.SGD(0.01, clipnorm=0.3),
            {"hidden.*": keras.optimizers.Adam(0.01)},
        )
    )


# Those of Keras that stand for themselves differ in what they do with a
# gradient once they have it, which a graph does not change.
@pytest.mark.parametrize(
    ("make", "mode"),
    [
        *_keras_optimizers(),
        pytest.param(lambda: Own(0.01), "eager", id="own"),
        pytest.param(keras.optimizers.Adam, "graph", id="Adam in a graph"),
        pytest.param(_multi, "graph", id="MultiOptimizer"),
        pytest.param(
            lambda: keras.optimizers.LossScaleOptimizer(
                keras.optimizers.Adam(), initial_scale=2.0**12
            ),
            "graph",
            id="LossScaleOptimizer",
        ),
        pytest.param(
            lambda: keras.optimizers.SGD(loss_scale_factor=64.0),
            "graph",
            id="loss_scale_factor",
        ),
    ],
)
def test_any_optimizer_is_read(make, mode):
    model, x = _dense()
    y = _y()
    model.compile(make(), "mean_squared_error", **_MODES[mode])
    loss, gradients = _expected(model, x, y)
    before = _weights(model)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    model.fit(x, y, batch_size=_ROWS, verbose=0, callbacks=[monitor])
    _check(monitor.history, 0, loss, gradients, before, _weights(model))


def test_multi_optimizer_clips_what_each_inner_one_is_handed():
    model, x = _dense()
    y = _y()
    model.compile(_multi(), "mean_squared_error")
    _, gradients = _expected(model, x, y)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    model.fit(x, y, batch_size=_ROWS, verbose=0, callbacks=[monitor])
    adam = {p: g for p, g in gradients.items() if p.startswith("hidden")}
    sgd = {p: g for p, g in gradients.items() if not p.startswith("hidden")}
    expected = np.hypot(_clipped(adam)[0], _clipped(sgd, clipnorm=0.3)[0])
    np.testing.assert_allclose(
        monitor.history["clipped/global_norm"], [expected], rtol=2e-5
    )


@pytest.mark.parametrize("mode", ["eager", "xla", "three steps per execution"])
def test_mixed_precision_undoes_the_scale_and_counts_skipped_steps(mode):
    keras.config.set_dtype_policy("mixed_float16")
    model, x = _dense()
    y = _y()
    model.compile(
        keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.01), initial_scale=2.0**40
        ),
        "mean_squared_error",
        **_MODES[mode],
    )
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    steps = 40
    data = tf.data.Dataset.from_tensors((x, y)).repeat(steps)
    model.fit(data, shuffle=False, verbose=0, callbacks=[monitor])
    done = int(model.optimizer.iterations)
    assert 0 < done < steps
    assert monitor.skipped_steps == steps - done
    assert monitor.history["step"].tolist() == list(range(1, done + 1))
    assert monitor.first_non_finite is None
    # No digit of the scale is left in the norm.
    assert 1e-2 < monitor.history["global_norm"][0] < 1e2


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_weights_of_half_precision_are_read(policy):
    keras.config.set_dtype_policy(policy)
    model, x = _dense()
    model.compile("sgd", "mean_squared_error")
    before = np.linalg.norm(model.trainable_variables[0].numpy().astype("f8"))
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    model.fit(x, _y(), batch_size=_ROWS, verbose=0, callbacks=[monitor])
    path = model.trainable_variables[0].path
    weight = monitor.history["weight_norm"][path]
    np.testing.assert_allclose(weight, before, rtol=1e-5)


def test_schedule_is_recorded_as_learning_rate():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model, x = _dense()
    model.compile(keras.optimizers.SGD(schedule), "mean_squared_error")
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    model.fit(x, _y(), batch_size=4, verbose=0, callbacks=[monitor])
    np.testing.assert_allclose(
        monitor.history["learning_rate"], [0.1, 0.05, 0.025, 0.0125], rtol=1e-6
    )


def test_train_on_batch_is_read_between_begin_and_end():
    model, x = _dense()
    y = _y()
    model.compile("sgd", "mean_squared_error")
    loss, gradients = _expected(model, x, y)
    before = _weights(model)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    monitor.set_model(model)
    monitor.on_train_begin()
    model.train_on_batch(x, y)
    after = _weights(model)
    for _ in range(24):
        model.train_on_batch(x, y)
    monitor.on_train_end()
    assert monitor.history["step"].tolist() == list(range(1, 26))
    _check(monitor.history, 0, loss, gradients, before, after)
    function = model.train_function
    model.train_on_batch(x, y)
    assert model.train_function is function
    assert len(monitor.history["step"]) == 25


def test_generative_pair_with_two_optimizers_is_read():
    class Pair(keras.Model):
        def __init__(self):
            super().__init__()
            self.one = keras.layers.Dense(1, name="one")
            self.two = keras.layers.Dense(1, name="two")
            self.first_optimizer = keras.optimizers.SGD(0.1)
            self.second_optimizer = keras.optimizers.Adam(0.1)

        def call(self, x):
            return self.one(x) + self.two(x)

        def train_step(self, data):
            x, y = data
            for layer, optimizer in (
                (self.one, self.first_optimizer),
                (self.two, self.second_optimizer),
            ):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean((layer(x)[:, 0] - y) ** 2)
                found = tape.gradient(loss, layer.trainable_variables)
                optimizer.apply(found, layer.trainable_variables)
            return {"loss": loss}

    model = Pair()
    model.compile()
    model(_x())
    kernel = model.two.kernel.numpy()
    bias = model.two.bias.numpy()
    error = _x() @ kernel + bias - _y()[:, None]
    gradient = 2 * _x().T @ error / _ROWS
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    model.fit(_x(), _y(), batch_size=_ROWS, verbose=0, callbacks=[monitor])
    history = monitor.history
    np.testing.assert_allclose(
        history["gradient_norm"][model.two.kernel.path],
        [np.linalg.norm(gradient)],
        rtol=1e-5,
    )
    assert len(history["gradient_norm"]) == 4
    np.testing.assert_allclose(history["loss"], np.mean(error**2), rtol=1e-5)
    assert monitor.first_non_finite is None


def test_replicas_are_summed_under_mirrored_strategy(run_on_two_cpus):
    run_on_two_cpus(
        """
x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
y = x.sum(axis=1, keepdims=True) ** 2
def build():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "tanh", name="a"),
         keras.layers.Dense(1, name="b")], name="net")
    model.compile(keras.optimizers.SGD(0.1), "mean_squared_error")
    return model
def read(model):
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1, layers=False)
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0,
              callbacks=[monitor])
    return monitor
alone = read(build()).history
with strategy.scope():
    model = build()
monitor = read(model)
both = monitor.history
assert both["step"].tolist() == [1, 2, 3, 4], both["step"]
assert dict.keys(both) == dict.keys(alone)
for name in alone:
    np.testing.assert_allclose(
        both[name], alone[name], rtol=1e-3, atol=1e-6, err_msg=name)
"""
    )


def _skipping(kind):
    sgd = keras.optimizers.SGD(0.01)
    if kind == "Clipped":
        return kerasbn.optimizers.Clipped(sgd, [])
    return keras.optimizers.LossScaleOptimizer(sgd, initial_scale=2.0**10)


@pytest.mark.parametrize("kind", ["Clipped", "LossScaleOptimizer"])
def test_skipped_step_leaves_no_loss_behind(kind):
    x, y = _x(), _y()
    y[4:8] = np.nan  # the second of the batches
    model, _ = _dense()
    model.compile(_skipping(kind), "mean_squared_error")
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0, callbacks=[monitor])
    steps = _ROWS // 4 - 1
    assert monitor.history["step"].tolist() == list(range(1, steps + 1))
    assert np.isfinite(monitor.history["loss"]).all()
    assert monitor.skipped_steps == 1
    assert "not_learning" not in {each.problem for each in monitor.findings}
    if kind == "Clipped":  # nothing overflows there
        assert monitor.first_non_finite is not None
        assert monitor.first_non_finite.step == 2
        (finding,) = (
            each for each in monitor.findings if each.problem == "non_finite"
        )
        assert finding.severity == "serious"
        assert "no weight was touched" in finding.evidence


@pytest.mark.parametrize("kind", ["Clipped", "LossScaleOptimizer"])
def test_run_that_skips_every_step_is_judged(kind):
    model, x = _dense()
    model.compile(_skipping(kind), "mean_squared_error")
    monitor = kerasbn.callbacks.GradientMonitor(None)
    x[:] = np.nan
    model.fit(x, _y(), batch_size=4, verbose=0, callbacks=[monitor])
    assert monitor.skipped_steps == _ROWS // 4
    assert monitor.findings[0].problem == "non_finite"
    assert len(monitor.history["step"]) == 0


def test_step_that_was_skipped_before_the_first_is_not_forgotten():
    model, _ = _dense()
    model.compile(_skipping("Clipped"), "mean_squared_error")
    x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    y = x[:, :1].copy()
    x[:2] = np.nan  # the first step, which the host reads by itself
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    model.fit(x, y, batch_size=2, shuffle=False, verbose=0, callbacks=[monitor])
    assert monitor.history["step"].tolist() == list(range(1, 30))
    assert monitor.skipped_steps == 1
    assert monitor.first_non_finite is not None
    assert monitor.first_non_finite.step == 1


def test_run_without_a_whole_step_is_no_error():
    model, x = _dense()
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=100)
    model.compile(optimizer, "mean_squared_error")
    monitor = kerasbn.callbacks.GradientMonitor(None)
    model.fit(x, _y(), batch_size=4, verbose=0, callbacks=[monitor])
    assert str(monitor.findings) == "Nothing was recorded yet."


class TellsLoss(keras.Sequential):
    """A train step that computes its loss by itself."""

    logs = staticmethod(lambda loss: {"loss": loss})

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x, training=True)[:, 0] - y))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return self.logs(loss)


@pytest.mark.parametrize(
    ("logs", "knows"),
    [
        (lambda loss: {"loss": loss, "rmse": tf.sqrt(loss)}, True),
        (lambda loss: {"d_loss": loss, "g_loss": loss}, False),
        (lambda loss: {"loss": {"d": loss, "g": loss}}, False),
    ],
    ids=["loss", "other losses", "nested"],
)
@pytest.mark.parametrize("mode", ["graph", "xla", "eager"])
def test_loss_is_what_an_own_step_returns(logs, knows, mode, tmp_path):
    x, y = _x(), _y()
    model = TellsLoss([keras.Input((6,)), keras.layers.Dense(1)])
    model.logs = logs
    model.compile("sgd", **_MODES[mode])
    expected = np.mean((model.predict(x, verbose=0)[:, 0] - y) ** 2)
    monitor = kerasbn.callbacks.GradientMonitor(str(tmp_path), every=1)
    model.fit(x, y, batch_size=_ROWS, verbose=0, callbacks=[monitor])
    found = expected if knows else np.nan
    np.testing.assert_allclose(monitor.history["loss"], [found], rtol=1e-5)
    for run in (monitor.run, files.from_directory(str(tmp_path))):
        assert run.knows_loss is knows
    assert monitor.first_non_finite is None


def test_loss_that_is_nan_is_known():
    x, y = _x(), np.full(_ROWS, np.nan)
    model = TellsLoss([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd")
    monitor = kerasbn.callbacks.GradientMonitor(None)
    model.fit(x, y, batch_size=_ROWS, verbose=0, callbacks=[monitor])
    assert np.isnan(monitor.history["loss"]).all()
    assert monitor.run.knows_loss
    assert monitor.first_non_finite
    assert monitor.first_non_finite.origin == "forward"


class _Cut(keras.layers.Layer):
    def call(self, x):
        return tf.stop_gradient(x)


@pytest.mark.parametrize("clipped", [False, True], ids=["", "Clipped"])
@pytest.mark.parametrize("mode", _MODES)
def test_variable_that_no_gradient_reaches_is_zero_at_every_step(mode, clipped):
    dense = keras.layers.Dense
    model = keras.Sequential(
        [keras.Input((6,)), dense(3, name="before"), _Cut(), dense(1)]
    )
    weight = np.linalg.norm(model.layers[0].kernel)
    model.compile(
        _skipping("Clipped") if clipped else "sgd",
        "mean_squared_error",
        **_MODES[mode],
    )
    monitor = kerasbn.callbacks.GradientMonitor(None, every=6)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        model.fit(_x(), _y(), batch_size=1, verbose=0, callbacks=[monitor])
    assert monitor.history["step"].tolist() == [1, 6, 12]
    tables = monitor.run.tables
    # The largest norm of all steps, of those between two readings too.
    reached = (tables["gradient_norm_max"] > 0).all(axis=0)
    assert reached.tolist() == [False, False, True, True]
    assert (tables["zero_share"][:, :2] == 1).all()
    assert (tables["update_ratio"][:, :2] == 0).all()
    np.testing.assert_allclose(tables["weight_norm"][:, 0], weight, rtol=1e-5)
    assert np.isfinite(monitor.history["clipped/global_norm"]).all()


def test_step_without_any_gradient_leaves_the_model_as_it_was():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1), _Cut()])
    model.compile("sgd", "mean_squared_error")
    monitor = kerasbn.callbacks.GradientMonitor(None)
    with pytest.raises(ValueError, match="No gradients provided"):
        model.fit(_x(), _y(), verbose=0, callbacks=[monitor])
    assert not monitor.run.readings
    assert "train_step" not in vars(model)
    assert "compute_loss" not in vars(model)
    assert "apply" not in vars(model.optimizer)
    assert type(model.train_function).__name__ == "function"


_WEIGHTS = np.arange(_ROWS, dtype="float32")


@pytest.mark.parametrize("mode", ["graph", "xla", "eager"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"sample_weight": _WEIGHTS}, _WEIGHTS),
        ({"class_weight": {0: 3.0, 1: 5.0}}, 3 + 2 * _y()),
    ],
    ids=["none", "sample_weight", "class_weight"],
)
def test_batch_is_kept_with_its_weights(options, expected, mode):
    model, x = _dense()
    model.compile("sgd", "mean_squared_error", **_MODES[mode])
    kept = []

    class Reader(kerasbn.callbacks.GradientMonitor):
        def receive(self, window):
            super().receive(window)
            kept.extend(recorder.recorder_of(model).kept_batch() or ())

    model.fit(
        *(x, _y()),
        **options,
        batch_size=_ROWS,
        shuffle=False,
        verbose=0,
        callbacks=[Reader(None)],
    )
    for found, whole in zip(kept, (x, _y(), expected), strict=True):
        if whole is None:
            assert found is None
        else:
            np.testing.assert_allclose(found.numpy()[:_ROWS], whole)
            assert len(found) == (256 if mode == "xla" else _ROWS)


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_batch_is_kept_whatever_the_next_fit_is_given(mode):
    model, x = _dense()
    model.compile("sgd", "mean_squared_error", **_MODES[mode])
    kept, monitor = [], kerasbn.callbacks.GradientMonitor(None, every=1)

    def keep(step, numbers):
        found = recorder.recorder_of(model).kept_batch() or ()
        kept.append([each is not None and each.numpy()[0] for each in found])

    monitor.on_reading = keep
    data = tf.data.Dataset.from_tensor_slices
    weights = tf.range(_ROWS, dtype="float32") + 7.0
    for each in ((x, _y()), (x + 1, _y(), weights), (x - 1, _y())):
        model.fit(
            data(each).batch(_ROWS),
            shuffle=False,
            verbose=0,
            callbacks=[monitor],
        )
    for found, added, weight in zip(
        kept, (0, 1, -1), (False, 7.0, False), strict=True
    ):
        np.testing.assert_array_equal(found[0], x[0] + added)
        assert found[2] == weight


def test_parts_of_a_large_batch_keep_the_same_rows():
    model = keras.Sequential(
        [keras.Input((2**15,)), keras.layers.Dense(1, name="huge")]
    )
    model.compile("sgd", "mean_squared_error", jit_compile=True)
    step = train_step.MeasuredStep(model, 10, False)
    x, y = tf.zeros((200, 2**15)), tf.range(200.0)
    step.kept.keep((x, y, y))
    assert [len(each) for each in step.kept.value() or ()] == [128] * 3


class _OwnStep(keras.Sequential):
    """A user's train step, whose end is in the hands of a test."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        variables = self.trainable_variables
        self.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def _accumulating(kind):
    sgd = keras.optimizers.SGD(1e-9, gradient_accumulation_steps=2)
    if kind == "MultiOptimizer":
        by_path = keras.optimizers.OptimizerMap(sgd)
        return keras.optimizers.MultiOptimizer(by_path)
    return kerasbn.optimizers.Clipped(sgd, []) if kind == "Clipped" else sgd


@pytest.mark.parametrize("kind", ["SGD", "Clipped", "MultiOptimizer"])
def test_accumulated_gradients_are_found_in_any_order(kind):
    class Backwards(_OwnStep):
        def apply(self, gradients, variables):
            self.optimizer.build(variables)
            self.optimizer.apply(gradients[::-1], variables[::-1])

    x, y = _x(), _y()
    model = Backwards([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile(_accumulating(kind), "mean_squared_error")
    loss, gradients = _expected(model, x, y)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    model.fit(
        x,
        y,
        batch_size=_ROWS // 2,
        shuffle=False,
        verbose=0,
        callbacks=[monitor],
    )
    assert monitor.history["step"].tolist() == [1]
    np.testing.assert_allclose(monitor.history["loss"], [loss], rtol=1e-5)
    for path, gradient in gradients.items():
        norm = monitor.history["gradient_norm"][path]
        np.testing.assert_allclose(norm, [np.linalg.norm(gradient)], rtol=2e-5)


def test_multi_optimizer_that_is_a_function_is_read():
    sgd = keras.optimizers.SGD()
    model, x = _dense()
    multi = keras.optimizers.MultiOptimizer(lambda variable: sgd)
    model.compile(multi, "mean_squared_error")
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    model.fit(x, _y(), batch_size=_ROWS, verbose=0, callbacks=[monitor])
    assert monitor.history["step"].tolist() == [1]


@pytest.mark.parametrize("kind", ["Clipped", "LossScaleOptimizer"])
def test_variable_outside_of_the_model_is_left_out(kind):
    outside = [keras.Variable(1.0)]

    class Scaled(keras.Sequential):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                predictions = self(x, training=True) * outside[0]
                loss = self.compute_loss(x, y, predictions)
                loss = self.optimizer.scale_loss(loss)
            variables = [*outside, *self.trainable_variables]
            gradients = tape.gradient(loss, variables)
            self.optimizer.apply(gradients, variables)
            return {"loss": loss}

    x, y = _x(), _y()
    model = Scaled([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile(_skipping(kind), "mean_squared_error")
    _, gradients = _expected(model, x, y)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    model.fit(x, y, batch_size=_ROWS, verbose=0, callbacks=[monitor])
    total = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
    for name in ("global_norm", "clipped/global_norm"):
        np.testing.assert_allclose(monitor.history[name], [total], rtol=2e-5)


@pytest.mark.parametrize("container", [list, dict])
def test_optimizers_in_a_container_are_read(container):
    class Two(_OwnStep):
        def apply(self, gradients, variables):
            for number in range(2):
                one = slice(number, number + 1)
                self.parts[number].apply(gradients[one], variables[one])

    x, y = _x(), _y()
    model = Two([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile(loss="mean_squared_error")
    model.parts = container(enumerate(keras.optimizers.SGD() for _ in range(2)))
    if container is list:
        model.parts = [each for _, each in model.parts]
    _, gradients = _expected(model, x, y)
    monitor = kerasbn.callbacks.GradientMonitor(None, every=1)
    model.fit(x, y, batch_size=_ROWS, verbose=0, callbacks=[monitor])
    total = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
    np.testing.assert_allclose(
        monitor.history["global_norm"], [total], rtol=2e-5
    )
