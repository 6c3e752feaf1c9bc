"""Recurrent networks for sequences."""

from collections.abc import Sequence

import keras

from kerasbn.layers import InputBatchNormalization
from kerasbn.models import _blocks, _checks, _initializers

_CELLS = {
    "gru": keras.layers.GRU,
    "lstm": keras.layers.LSTM,
    "simple_rnn": keras.layers.SimpleRNN,
}


def rnn(
    input_shape: tuple[int | None, ...],
    units: Sequence[int],
    output_units: int,
    *,
    cell: str = "gru",
    output_activation: str | None = None,
    activation: str = "tanh",
    kernel_initializer: str | keras.initializers.Initializer | None = None,
    normalize_inputs: bool = True,
    normalization: str | None = "layer",
    dropout: float = 0.0,
    return_sequences: bool = False,
    mask_value: float | None = None,
    name: str = "rnn",
) -> keras.Model:
    """Build a recurrent network that trains on long sequences.

    The first layer normalizes the features over all rows and steps. Each entry
    of `units` is a recurrent layer, followed by layer normalization:

        recurrent_i                GRU, LSTM or SimpleRNN
        recurrent_i_normalization  `keras.layers.LayerNormalization`

    Layer normalization takes its statistics from one row at one step (Ba et
    al., 2016); "batch" pools rows and steps, for sequences of one kind and
    length. Neither bounds the gradient through many steps: train with an
    optimizer of `kerasbn.optimizers`, which clips (Pascanu et al., 2013).

    Every layer respects masks, which come from `mask_value` or an embedding in
    front. An embedding learns its own scale: pass `normalize_inputs=False`.

        embedding = keras.layers.Embedding(tokens, 64, mask_zero=True)
        keras.Sequential([embedding, *model.layers[1:]])

    Args:
        input_shape: `(steps, features)`, as in `keras.Input`. With `None` as
            steps, sequences may have any length.
        units: Units of each recurrent layer, first to last.
        output_units: Units of the output layer.
        output_activation: Activation of the output layer. `None` is linear.
        cell: "gru", "lstm" or "simple_rnn". A GRU learns as well as an LSTM
            with three quarters of the weights (Chung et al., 2014).
        activation: Keras name of the activation inside the cell. Unbounded ones
            explode over many steps, and only tanh is fast on a GPU.
        kernel_initializer: Initializer of the input kernels; see `mlp`.
        normalize_inputs: Whether `InputBatchNormalization` is the first layer.
        normalization: "layer", "batch", or `None`.
        dropout: Dropout rate between the layers, in [0, 1). Between steps it
            would erase memory (Zaremba et al., 2014).
        return_sequences: Whether there is an output for each step, as in
            `keras.layers.GRU`, instead of one for the sequence.
        mask_value: Value of all features in a padded step, as in
            `keras.layers.Masking`. `None` masks no step.
        name: Name of the model.

    Returns:
        A functional `keras.Model`, not compiled, with an output in float32.

    Raises:
        ValueError: If a shape, a number of units or a name is not valid, or
            `mask_value` is NaN.

    Example:
    >>> import kerasbn
    >>> model = kerasbn.models.rnn((None, 3), [8, 8], 1, mask_value=0.0)
    >>> model.get_layer("recurrent_0").output.shape
    (None, None, 8)
    >>> model.get_layer("recurrent_1").output.shape
    (None, 8)

    Reference:
        [Ba et al., 2016](https://arxiv.org/abs/1607.06450);
        [Pascanu et al., 2013](https://arxiv.org/abs/1211.5063);
        [Chung et al., 2014](https://arxiv.org/abs/1412.3555);
        [Zaremba et al., 2014](https://arxiv.org/abs/1409.2329).
    """
    _checks.check_integers("units", units)
    _checks.check_choice("cell", cell, tuple(_CELLS))
    _checks.check_normalization(normalization)
    _checks.check_activation_name("activation", activation)
    _checks.check_activation_name("output_activation", output_activation)
    if not _checks.is_shape(input_shape, 2, may_vary=True):
        raise ValueError(
            "`input_shape` must be the steps and the features of a sequence. "
            f"Received: input_shape={input_shape!r}. Use (None, 1) for "
            "sequences of one feature, and give the data a last axis: "
            "x[..., None]."
        )
    if mask_value != mask_value:
        raise ValueError(
            "`mask_value` must be a number that data can equal. Received: "
            f"mask_value={mask_value}. Replace NaN in the data with a value "
            "that does not occur in it, and pass that."
        )

    inputs = keras.Input(input_shape)
    x = inputs
    if mask_value is not None:
        x = keras.layers.Masking(mask_value, name="masking")(x)
    if normalize_inputs:
        x = InputBatchNormalization(name="input_normalization")(x)
    for index, count in enumerate(units):
        label = f"recurrent_{index}"
        x = _CELLS[cell](
            count,
            activation=activation,
            kernel_initializer=_initializers.fitting(
                kernel_initializer, activation
            ),
            return_sequences=return_sequences or index < len(units) - 1,
            name=label,
        )(x)
        layers = _blocks.normalization_layers(
            normalization, f"{label}_normalization"
        )
        x = _blocks.chained(x, layers)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"{label}_dropout")(x)
    outputs = _blocks.output_layer(output_units, output_activation)(x)
    return keras.Model(inputs, outputs, name=name)
