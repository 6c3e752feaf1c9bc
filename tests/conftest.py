"""What every test starts from."""

import gc
import json
import subprocess
import sys

import pytest

# Runs one script after another, each told by a line, and answers with a line:
# null, or the traceback of what the script raised.
_TWO_CPUS = """
import json, sys, traceback
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import keras, kerasbn
names = dict(globals())
for line in sys.stdin:
    keras.utils.set_random_seed(0)
    try:
        exec(json.loads(line), dict(names))
        error = None
    except Exception:
        error = traceback.format_exc()
    print(json.dumps(error), flush=True)
"""


@pytest.fixture(autouse=True, scope="session")
def _what_is_imported_stays():
    # Python looks for garbage among all objects; those of Keras and TensorFlow
    # are many and live as long as the process: a sixth of the tests' time.
    import kerasbn  # noqa: F401

    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture(autouse=True)
def _fresh_start():
    # Imported here: the process that only hands out the tests needs no Keras.
    import keras

    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def run_on_two_cpus(tmp_path_factory):
    """Run a script on two logical CPUs, which need a process of their own.

    All scripts share that process, for its imports take seconds.
    """
    told = tmp_path_factory.mktemp("two_cpus") / "stderr"
    with (
        told.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", _TWO_CPUS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            bufsize=1,
        ) as process,
    ):
        questions, answers = process.stdin, process.stdout
        assert questions
        assert answers

        def run(code):
            print(json.dumps(code), file=questions)
            answer = answers.readline()
            assert answer, told.read_text()
            error = json.loads(answer)
            assert error is None, error

        yield run
        questions.close()
