"""What every test starts from."""

import subprocess
import sys

import pytest

_TWO_CPUS = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import keras, kerasbn
"""


@pytest.fixture(autouse=True)
def _fresh_start():
    # Imported here: the process that only hands out the tests needs no Keras.
    import keras

    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def run_on_two_cpus(tmp_path):
    """Run a script on two logical CPUs, which need a process of their own."""

    def run(code):
        script = tmp_path / "replicas.py"
        script.write_text(_TWO_CPUS + code)
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    return run
