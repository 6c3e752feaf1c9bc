"""Recurrent networks for sequences."""

from collections.abc import Sequence

import keras

from kerasbn.layers import InputBatchNormalization
from kerasbn.models import _initializers, _options

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

    Features are normalized by the first layer, over all rows and steps. Each
    entry of `units` is one recurrent layer, and layer normalization follows it:

        recurrent_i                GRU, LSTM or SimpleRNN
        recurrent_i_normalization  `keras.layers.LayerNormalization`

    Layer normalization takes its statistics from one row at one step. Batch
    normalization is awkward here: statistics differ from step to step, so that
    each step needs its own, long sequences leave few rows for the last ones,
    and padding must be kept out (Cooijmans et al., 2017; Ba et al., 2016).
    "batch" pools rows and steps alike, for sequences of one kind and length.
    Both stand between the recurrent layers, not inside the cell: inside, Keras
    could not use the fused kernels that make recurrent layers fast on a GPU.

    What normalization between layers does not bound is the gradient through
    many steps. The recurrent kernel starts orthogonal, which keeps the length
    of a gradient (Saxe et al., 2014), an LSTM starts by remembering, with a
    forget bias of 1 (Jozefowicz et al., 2015), and for the spikes that are
    left the remedy is clipping (Pascanu et al., 2013): train with an optimizer
    of `kerasbn.optimizers`.

    Masks are honoured by every layer: padded steps enter no statistic and
    change no output. They come from `mask_value`, or from an embedding in
    front, which learns its own scale, so pass `normalize_inputs=False`:

        embedding = keras.layers.Embedding(tokens, 64, mask_zero=True)
        keras.Sequential([embedding, *model.layers[1:]])

    Args:
        input_shape: `(steps, features)`, as in `keras.Input`. `None` as steps
            takes sequences of any length.
        units: Units of each recurrent layer, first to last.
        output_units: Units of the output layer.
        cell: "gru", "lstm" or "simple_rnn". A GRU learns as well as an LSTM
            with three quarters of the weights (Chung et al., 2014).
        output_activation: Activation of the output layer. `None` is linear.
        activation: Activation inside the cell, by its Keras name. Unbounded
            ones explode over many steps, and all but tanh are slow on a GPU.
        kernel_initializer: Initializer of the kernels that take the inputs.
            `None` chooses it to fit `activation`; see `mlp`.
        normalize_inputs: Whether `kerasbn.layers.InputBatchNormalization` is
            the first layer.
        normalization: "layer", "batch", or `None`.
        dropout: Dropout rate between the layers, in [0, 1). Not from step to
            step, where it would forget (Zaremba et al., 2014).
        return_sequences: Whether there is an output for each step, as in
            `keras.layers.GRU`, rather than for the sequence.
        mask_value: Value that fills the features of a padded step, as in
            `keras.layers.Masking`. `None`: no step is masked.
        name: Name of the model.

    Returns:
        A functional `keras.Model`, not compiled, of output shape
        `(batch, output_units)`, or `(batch, steps, output_units)`. Under a
        mixed precision policy the output is float32.

    Raises:
        ValueError: If `input_shape` is not that of a sequence, `units` is empty
            or not positive, `mask_value` is NaN, or `cell`, `normalization` or
            `activation` is not known.

    Example:
    >>> import kerasbn
    >>> model = kerasbn.models.rnn((None, 3), [8, 8], 1, mask_value=0.0)
    >>> model.get_layer("recurrent_0").output.shape
    (None, None, 8)
    >>> model.get_layer("recurrent_1").output.shape
    (None, 8)

    Reference:
        [Ba et al., 2016](https://arxiv.org/abs/1607.06450);
        [Cooijmans et al., 2017](https://arxiv.org/abs/1603.09025);
        [Saxe et al., 2014](https://arxiv.org/abs/1312.6120);
        [Jozefowicz et al., 2015](https://proceedings.mlr.press/v37/jozefowicz15.html);
        [Pascanu et al., 2013](https://arxiv.org/abs/1211.5063);
        [Chung et al., 2014](https://arxiv.org/abs/1412.3555);
        [Zaremba et al., 2014](https://arxiv.org/abs/1409.2329).
    """
    _options.check_integers("units", units)
    _options.check_choice("cell", cell, tuple(_CELLS))
    _options.check_choice(
        "normalization", normalization, ("layer", "batch", None)
    )
    _options.check_activation_name("activation", activation)
    if output_activation is not None:
        _options.check_activation_name("output_activation", output_activation)
    if not _options.is_shape(input_shape, 2, may_vary=True):
        raise ValueError(
            "`input_shape` must be the steps and the features of a sequence. "
            f"Received: input_shape={input_shape!r}. Use (None, 1) for "
            "sequences of one feature, and give the data a last axis: "
            "x[..., None]."
        )
    if mask_value != mask_value:
        raise ValueError(
            "`mask_value` must be a number that data can equal. Received: "
            f"mask_value={mask_value}. Replace NaN by a value that the data "
            "does not hold."
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
            kernel_initializer=_initializers.redrawn(kernel_initializer)
            or _initializers.initializer(activation),
            return_sequences=return_sequences or index < len(units) - 1,
            name=label,
        )(x)
        if normalization is not None:
            x = _options.normalization_layer(
                normalization, f"{label}_normalization"
            )(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"{label}_dropout")(x)
    outputs = _options.output_layer(output_units, output_activation)(x)
    return keras.Model(inputs, outputs, name=name)
