"""Properties of the layers over scales, offsets, shapes and masks."""

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

import kerasbn

_SETTINGS = settings(max_examples=25, deadline=None)


@st.composite
def _batches(draw):
    """Rows of several features, each of a scale of its own, in batches."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(2, 40), min_size=1, max_size=8))
    scale = 10.0 ** generator.uniform(-12, 12, columns)
    offset = draw(st.sampled_from([0.0, 1.0, -50.0, 1e4]))
    noise = generator.normal(size=(sum(sizes), columns))
    x = ((noise + offset) * scale).astype("float32")
    return np.split(x, np.cumsum(sizes)[:-1])


@_SETTINGS
@given(_batches())
def test_input_layer_is_a_standard_scaler_of_all_rows_seen(batches):
    layer = kerasbn.layers.InputBatchNormalization(bound=None)
    output = [layer(batch, training=True) for batch in batches][-1]
    seen = np.concatenate(batches).astype("float64")
    expected = StandardScaler().fit_transform(seen)[-len(batches[-1]) :]
    np.testing.assert_allclose(output.numpy(), expected, rtol=1e-4, atol=2e-5)


@_SETTINGS
@given(_batches(), st.integers(0, 2**32 - 1))
def test_order_of_the_batches_does_not_matter(batches, seed):
    shuffled = list(batches)
    np.random.default_rng(seed).shuffle(shuffled)
    statistics = []
    for order in (batches, shuffled):
        layer = kerasbn.layers.InputBatchNormalization()
        for batch in order:
            layer(batch, training=True)
        statistics.append(
            (layer.moving_mean.numpy(), layer.moving_variance.numpy())
        )
    for one, other in zip(*statistics, strict=True):
        # Relative to the spread of the feature, not to a mean near 0.
        deviation = np.sqrt(statistics[0][1])
        np.testing.assert_allclose(
            one / deviation, other / deviation, rtol=1e-4, atol=1e-4
        )


@_SETTINGS
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_masked_entries_count_as_if_they_were_not_there(
    shape, columns, seed, hidden
):
    generator = np.random.default_rng(seed)
    x = generator.normal(3, 2, (4, *shape, columns)).astype("float32")
    mask = generator.uniform(size=x.shape[:-1]) < 0.7
    mask.flat[:2] = True
    x[~mask] = generator.choice([np.nan, np.inf, 1e30])
    name = "BatchNormalization" if hidden else "InputBatchNormalization"
    layer = getattr(kerasbn.layers, name)()
    layer(x, training=True, mask=mask)
    kept = x[mask].astype("float64")
    np.testing.assert_allclose(
        layer.moving_mean.numpy(), kept.mean(axis=0), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        layer.moving_variance.numpy(), kept.var(axis=0), rtol=1e-5, atol=1e-6
    )


@_SETTINGS
@given(_batches())
def test_statistics_never_become_non_finite(batches):
    for layer in (
        kerasbn.layers.InputBatchNormalization(),
        kerasbn.layers.BatchNormalization(),
    ):
        for batch in batches:
            layer(batch, training=True)
            layer(batch * np.float32("nan"), training=True)
            layer(batch, training=True, mask=np.zeros(len(batch), bool))
        for weight in layer.weights:
            assert np.isfinite(weight.numpy()).all(), weight.path
        assert layer.skipped_batches.numpy() == 2 * len(batches)


def test_model_keeps_its_output_through_save_clone_and_export(tmp_path):
    import tensorflow as tf

    x = np.random.default_rng(0).normal(7, 3, (64, 4)).astype("float32")
    model = kerasbn.models.mlp((4,), [8, 8], 2)
    model.compile("sgd", "mean_squared_error")
    model.fit(x, x[:, :2], verbose=0)
    expected = model(x).numpy()

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), expected)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(x), expected)
    model.export(str(tmp_path / "served"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(served.serve(x), expected, rtol=1e-5, atol=1e-6)


def test_mixed_float16_model_trains_and_loads(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    x = np.random.default_rng(0).normal(1e6, 1e5, (64, 4)).astype("float32")
    model = kerasbn.models.mlp((4,), [8, 8], 1)
    model.compile(kerasbn.optimizers.adam(0.01), "mean_squared_error")
    y = (x[:, :1] - 1e6) / 1e5
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


def test_stock_weights_can_be_taken_over_in_order():
    stock, ours = (
        kind.BatchNormalization() for kind in (keras.layers, kerasbn.layers)
    )
    for layer in (stock, ours):
        layer.build((None, 3))
    names = [weight.name for weight in stock.weights]
    assert [weight.name for weight in ours.weights[: len(names)]] == names
    known = stock.get_config()
    assert {key: ours.get_config()[key] for key in known if key != "name"} == {
        key: known[key] for key in known if key != "name"
    }
