import keras
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import kerasbn


def _trained_on(layer, *batches, **kwargs):
    for batch in batches:
        layer(np.asarray(batch, "float32"), training=True, **kwargs)
    return layer


def _rows(scale=1.0, offset=0.0, rows=1000, columns=3):
    generator = np.random.default_rng(1)
    noise = generator.gamma(2.0, size=(rows, columns))
    return ((noise + offset) * scale).astype("float32")


@pytest.mark.parametrize("scale", [1e-12, 1e-5, 1.0, 1e5, 1e12])
@pytest.mark.parametrize("offset", [0.0, -100.0, 1e4])
def test_input_layer_equals_standard_scaler_after_one_epoch(scale, offset):
    x = _rows(scale, offset)
    layer = _trained_on(
        kerasbn.layers.InputBatchNormalization(bound=None),
        *np.array_split(x, 31),
    )
    expected = StandardScaler().fit_transform(x.astype("float64"))
    actual = layer(x, training=False).numpy()
    # float32 holds the pooled statistics to a few parts in a million.
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=2e-5)


def test_input_layer_compiled_by_xla_keeps_the_precision():
    import tensorflow as tf

    layer = kerasbn.layers.InputBatchNormalization(bound=None)
    x = _rows(offset=1e4)
    layer.build(x.shape)
    step = tf.function(lambda b: layer(b, training=True), jit_compile=True)
    for batch in np.split(x, 10):
        step(batch)
    expected = StandardScaler().fit_transform(x.astype("float64"))
    actual = layer(x, training=False).numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=2e-5)


def test_input_layer_normalizes_the_first_batch_with_its_own_statistics():
    x = _rows(scale=1e6, offset=1e3)
    layer = kerasbn.layers.InputBatchNormalization(bound=None)
    output = layer(x, training=True).numpy()
    np.testing.assert_allclose(output.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(output.std(axis=0), 1, rtol=1e-5)


def test_input_layer_normalizes_a_later_batch_with_all_rows_seen():
    first, second = _rows()[:50], _rows(offset=3)[50:150]
    layer = kerasbn.layers.InputBatchNormalization(bound=None)
    _trained_on(layer, first)
    output = layer(second, training=True).numpy()
    scaler = StandardScaler().fit(np.concatenate([first, second]))
    np.testing.assert_allclose(
        output, scaler.transform(second), rtol=1e-4, atol=1e-5
    )


def test_output_is_clipped_at_the_bound_and_untouched_within():
    x = np.array([[0.0]] * 99 + [[1.0]], "float32")  # 9.9 deviations away
    clipped = kerasbn.layers.InputBatchNormalization()(x, training=True).numpy()
    expected = np.clip(StandardScaler().fit_transform(x), -3, 3)
    np.testing.assert_allclose(clipped, expected, rtol=1e-5)


@pytest.mark.parametrize("bound", [0, -1.0])
def test_bound_that_is_not_positive_is_refused(bound):
    with pytest.raises(ValueError, match="`bound` must be a positive number"):
        kerasbn.layers.InputBatchNormalization(bound=bound)


@pytest.mark.parametrize("constant", [0.0, 1e-12, 0.1, 7e12])
def test_constant_feature_comes_out_as_zero(constant):
    x = np.full((33, 1), constant, "float32")
    layer = kerasbn.layers.InputBatchNormalization()
    assert not layer(x, training=True).numpy().any()
    assert not layer(x, training=False).numpy().any()


def test_momentum_lets_the_input_layer_follow_a_drift():
    layer = kerasbn.layers.InputBatchNormalization(momentum=0.5)
    ones, threes = np.full((4, 1), 1.0), np.full((4, 1), 3.0)
    _trained_on(layer, ones, ones, ones, threes)
    # Halfway from 1 to 3; variance 0 within, 0.5 * 0.5 * 2**2 between batches.
    assert layer.moving_mean.numpy() == 2.0
    assert layer.moving_variance.numpy() == 1.0


def test_masked_steps_do_not_reach_the_statistics():
    x = np.array([[[1.0], [3.0], [np.nan]], [[5.0], [7.0], [99.0]]], "float32")
    mask = np.array([[1, 1, 0], [1, 1, 0]], bool)
    for layer in (
        kerasbn.layers.InputBatchNormalization(),
        kerasbn.layers.BatchNormalization(),
    ):
        _trained_on(layer, x, mask=mask)
        np.testing.assert_allclose(layer.moving_mean.numpy(), [4.0], rtol=1e-6)
        np.testing.assert_allclose(
            layer.moving_variance.numpy(), [5.0], rtol=1e-6
        )


@pytest.mark.parametrize("shape", [(2,), (2, 4), (2, 3, 1)])
@pytest.mark.parametrize(
    "name", ["BatchNormalization", "InputBatchNormalization"]
)
def test_mask_of_a_wrong_shape_is_refused(name, shape):
    layer = getattr(kerasbn.layers, name)()
    with pytest.raises(ValueError, match="without their features"):
        layer(np.zeros((2, 3, 1)), training=True, mask=np.ones(shape, bool))


@pytest.mark.parametrize("axis", [0, 2, -3])
@pytest.mark.parametrize(
    "name", ["BatchNormalization", "InputBatchNormalization"]
)
def test_axis_without_features_is_refused(name, axis):
    layer = getattr(kerasbn.layers, name)(axis=axis)
    with pytest.raises(ValueError, match="`axis` must be an axis of the input"):
        layer.build((None, 3))


def test_input_of_another_rank_is_refused():
    layer = _trained_on(kerasbn.layers.InputBatchNormalization(), _rows())
    with pytest.raises(ValueError, match="expected ndim=2, found ndim=3"):
        layer(np.zeros((2, 3, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", ["BatchNormalization", "InputBatchNormalization"]
)
def test_non_finite_batch_is_skipped_and_counted(name, value):
    layer = getattr(kerasbn.layers, name)()
    good = np.array([[1.0], [3.0]], "float32")
    _trained_on(layer, good, np.array([[value], [3.0]], "float32"))
    assert layer.moving_mean.numpy() == 2.0
    assert layer.moving_variance.numpy() == 1.0
    assert layer.skipped_batches.numpy() == 1
    assert layer.seen_batches.numpy() == 1


def test_batch_of_one_row_does_not_harm_the_statistics():
    layer = kerasbn.layers.BatchNormalization()
    _trained_on(layer, [[1.0], [3.0]], [[100.0]])
    assert layer.moving_variance.numpy() == 1.0
    assert layer.skipped_batches.numpy() == 1


def test_moving_statistics_are_warm_started():
    layer = _trained_on(
        kerasbn.layers.BatchNormalization(), [[1.0], [3.0]], [[11.0], [13.0]]
    )
    # Step 0 keeps nothing; step 1 keeps 1 / (1 + 9).
    expected = 0.1 * 2 + 0.9 * 12
    np.testing.assert_allclose(layer.moving_mean.numpy(), [expected], rtol=1e-6)


def test_momentum_bounds_the_warm_up():
    layer = kerasbn.layers.BatchNormalization(momentum=0.05)
    _trained_on(layer, [[1.0], [3.0]], [[11.0], [13.0]])
    expected = 0.05 * 2 + 0.95 * 12
    np.testing.assert_allclose(layer.moving_mean.numpy(), [expected], rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((64, 3), {}),
        ((64, 3), {"scale": False}),
        ((64, 3), {"center": False}),
        ((8, 5, 3), {}),
        ((4, 5, 6, 3), {}),  # the fused operation
        ((4, 5, 6, 3), {"scale": False, "center": False}),
        ((4, 3, 6, 5), {"axis": 1}),
        ((2, 3, 4, 5, 3), {}),
    ],
    ids=str,
)
def test_training_output_and_gradients_equal_the_stock_layer(shape, options):
    import tensorflow as tf

    generator = np.random.default_rng(0)
    x = tf.constant(generator.normal(5, 2, shape).astype("float32"))
    results = []
    for kind in (keras.layers, kerasbn.layers):
        layer = kind.BatchNormalization(**options)
        layer.build(x.shape)
        for variable in layer.trainable_variables:
            variable.assign([0.5, 1.0, 2.0])
        variables = [variable.value for variable in layer.trainable_variables]
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                output = layer(x, training=True)
                loss = tf.reduce_sum(output**3)
            gradients = tape.gradient(loss, [x, *variables])
            sharpness = tf.reduce_sum(
                tf.square(tf.convert_to_tensor(gradients[0]))
            )
        second = outer.gradient(sharpness, x)
        results.append([output, *gradients, second])
    for stock, ours in zip(*results, strict=True):
        # Sums that cancel to 0 leave rounding: compare to the largest entry.
        scale = np.abs(stock).max()
        np.testing.assert_allclose(ours, stock, atol=2e-5 * scale)


def test_fused_operation_moves_the_statistics_like_the_plain_one():
    x = np.random.default_rng(0).normal(3, 2, (2, 2, 2, 3)).astype("float32")
    fused = _trained_on(kerasbn.layers.BatchNormalization(), x)
    np.testing.assert_allclose(
        fused.moving_variance.numpy(), x.var(axis=(0, 1, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(
        fused.moving_mean.numpy(), x.mean(axis=(0, 1, 2)), rtol=1e-5
    )


def test_synchronized_statistics_are_sound_far_from_zero():
    x = _rows(offset=1e4)
    layer = kerasbn.layers.BatchNormalization(synchronized=True)
    output = layer(x, training=True).numpy()
    # The stock layer's output has a deviation of 313 here (keras 3.15).
    np.testing.assert_allclose(output.std(axis=0), 1.0, rtol=1e-2)


def test_synchronized_layer_pools_replicas_and_honours_masks(run_on_two_cpus):
    run_on_two_cpus(
        """
x = (np.arange(8.0).reshape(2, 4, 1) ** 2 + 1000).astype("float32")
mask = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
with strategy.scope():
    layer = kerasbn.layers.BatchNormalization(synchronized=True)
    layer.build((None, 4, 1))
def values(array):
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            array[context.replica_id_in_sync_group][None]))
run = tf.function(lambda x, mask: layer(x, training=True, mask=mask))
strategy.run(run, args=(values(x), values(mask)))
kept = x[mask]
for variable, expected in (
    (layer.moving_mean, kept.mean()), (layer.moving_variance, kept.var())):
    for replica in strategy.experimental_local_results(variable.value):
        np.testing.assert_allclose(replica.numpy(), [expected], rtol=1e-6)
"""
    )


@pytest.mark.parametrize(
    "name", ["BatchNormalization", "InputBatchNormalization"]
)
def test_frozen_layer_uses_and_keeps_its_moving_statistics(name):
    layer = _trained_on(getattr(kerasbn.layers, name)(), _rows())
    before = [w.numpy() for w in layer.weights]
    layer.trainable = False
    frozen = layer(_rows(offset=5), training=True)
    np.testing.assert_array_equal(frozen, layer(_rows(offset=5)))
    for weight, kept in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), kept)


def test_input_layer_computes_in_float32_whatever_the_policy():
    keras.config.set_dtype_policy("mixed_float16")
    x = np.array([[70000.0], [80000.0]], "float32")  # inf in float16
    output = kerasbn.layers.InputBatchNormalization()(x, training=True)
    np.testing.assert_allclose(output.numpy(), [[-1.0], [1.0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float16", "float64"])
def test_input_layer_takes_any_numeric_dtype(dtype):
    x = np.array([[1], [3]], dtype)
    output = kerasbn.layers.InputBatchNormalization()(x, training=True)
    np.testing.assert_allclose(output.numpy(), [[-1.0], [1.0]], rtol=1e-6)


def test_images_have_one_statistic_per_channel():
    x = np.random.default_rng(0).normal(size=(8, 5, 6, 3)).astype("float32")
    layer = _trained_on(kerasbn.layers.InputBatchNormalization(), x)
    assert layer.moving_mean.shape == (3,)
    np.testing.assert_allclose(
        layer.moving_mean.numpy(), x.mean(axis=(0, 1, 2)), atol=1e-5
    )
    channels_first = _trained_on(
        kerasbn.layers.InputBatchNormalization(axis=1), x.transpose(0, 3, 1, 2)
    )
    np.testing.assert_allclose(
        channels_first.moving_mean.numpy(),
        layer.moving_mean.numpy(),
        atol=1e-5,
    )


@pytest.mark.parametrize("momentum", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize(
    "name", ["BatchNormalization", "InputBatchNormalization"]
)
def test_momentum_outside_its_range_is_refused(name, momentum):
    with pytest.raises(ValueError, match="`momentum` must lie between 0 and 1"):
        getattr(kerasbn.layers, name)(momentum=momentum)


def test_renorm_is_refused():
    with pytest.raises(ValueError, match="`renorm` must be False"):
        kerasbn.layers.BatchNormalization(renorm=True)
