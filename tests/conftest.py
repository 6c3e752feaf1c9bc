"""What every test starts from."""

import pytest


@pytest.fixture(autouse=True)
def _fresh_start():
    # Imported here: the process that only hands out the tests needs no Keras.
    import keras

    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
