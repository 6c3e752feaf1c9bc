"""What every test starts from."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _fresh_start():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
