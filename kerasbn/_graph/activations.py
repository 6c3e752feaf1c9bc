"""Activations: their names, and the range in which a unit is alive."""

from keras import layers

NAN = float("nan")  # as a bound, none: every comparison with it is false
_POSITIVE, _ANY = (0.0, NAN), (NAN, NAN)
_TANH, _SIGMOID, _ELU = (-0.99, 0.99), (0.01, 0.99), (-0.99, NAN)
_SELU = (-0.99 * 1.0507009873554805 * 1.6732632423543772, NAN)  # scale * alpha
# By activation: the open interval that a live unit reaches, and the one outside
# which an output is saturated. Zeros of a ReLU are not: half is healthy.
INTERVALS = {
    **dict.fromkeys(("relu", "gelu", "mish"), (_POSITIVE, None)),
    **dict.fromkeys(("silu", "swish", "hardsilu"), (_POSITIVE, None)),
    **dict.fromkeys(("leakyrelu", "prelu"), (_ANY, None)),
    **dict.fromkeys(("tanh", "softsign"), (_TANH, _TANH)),
    **dict.fromkeys(("elu", "celu"), (_ELU, _ELU)),
    "selu": (_SELU, _SELU),
    "sigmoid": (_SIGMOID, _SIGMOID),
    "hardsigmoid": ((0.0, 1.0), (0.0, 1.0)),
    "hardtanh": ((-1.0, 1.0), (-1.0, 1.0)),
    "relu6": (_POSITIVE, (NAN, 6.0)),
    "softplus": ((0.01, NAN), None),
}


def name(activation):
    if not callable(activation):
        return ""
    name = getattr(activation, "__name__", type(activation).__name__)
    return name.lower().replace("_", "")


def intervals(activation):
    live, steep = INTERVALS.get(name(activation), (None, None))
    if isinstance(activation, layers.ELU):
        live = steep = (-0.99 * activation.alpha, NAN)
    if isinstance(activation, layers.ReLU) and activation.negative_slope:
        live = _ANY
    if isinstance(activation, layers.ReLU) and activation.max_value:
        steep = (NAN, activation.max_value)
    return live, steep
