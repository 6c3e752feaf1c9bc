"""What works on another backend than TensorFlow, in a process of its own."""

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import keras, numpy as np, kerasbn
x = np.random.default_rng(0).normal(5.0, 3.0, (64, 3)).astype("float32")
y = x[:, :1]
model = keras.Sequential([
    keras.Input((3,)),
    kerasbn.layers.InputBatchNormalization(bound=None),
    keras.layers.Dense(8, use_bias=False),
    kerasbn.layers.BatchNormalization(synchronized=True, name="pooled"),
    keras.layers.Dense(1),
])
model.save("model.keras")
model = keras.models.load_model("model.keras")
assert model.get_layer("pooled").get_config()["synchronized"]
model.compile(kerasbn.optimizers.sgd(), "mean_squared_error")
model.fit(x, y, batch_size=16, verbose=0)
first = model.layers[0]
np.testing.assert_allclose(first.moving_mean, x.mean(axis=0), rtol=1e-4)
np.testing.assert_allclose(first.moving_variance, x.var(axis=0), rtol=1e-4)
assert int(model.get_layer("pooled").seen_batches) == 4
kerasbn.calibrate(model, x)
outputs = model.predict(x, verbose=0)
for other in (kerasbn.fold(model), kerasbn.to_keras(model)):
    np.testing.assert_allclose(
        other.predict(x, verbose=0), outputs, rtol=1e-4, atol=1e-5)
weights = {}
for name, optimizer in (
    ("stock", keras.optimizers.SGD(0.1, global_clipnorm=0.1)),
    ("ours", kerasbn.optimizers.Clipped(
        keras.optimizers.SGD(0.1), [kerasbn.clipping.ByGlobalNorm(0.1)])),
    ("found", kerasbn.optimizers.Clipped("adam")),
):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    network.compile(optimizer, "mean_squared_error")
    bad = x if name == "stock" else np.concatenate([x, x[:16] * np.nan])
    network.fit(bad, y if name == "stock" else np.concatenate([y, y[:16]]),
                batch_size=16, shuffle=False, verbose=0)
    weights[name] = network.get_weights()[0]
np.testing.assert_allclose(weights["ours"], weights["stock"], rtol=1e-5)
assert int(optimizer.skipped_steps) == 1
assert float(optimizer.rules[0].threshold) > 0
before = [each.numpy() for each in model.variables]
assert 1e-4 < kerasbn.find_learning_rate(model, x, y, steps=40).suggested < 10
for old, new in zip(before, model.variables, strict=True):
    np.testing.assert_array_equal(new.numpy(), old)
monitor = kerasbn.callbacks.GradientMonitor(None)
try:
    model.fit(x, y, verbose=0, callbacks=[monitor])
except RuntimeError as error:
    assert "The backend must be TensorFlow" in str(error), error
else:
    raise AssertionError("the monitor said nothing")
"""


def test_layers_and_inference_work_on_jax(tmp_path):
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr
