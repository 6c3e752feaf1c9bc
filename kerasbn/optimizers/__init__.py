"""Preconfigured optimizers: stock Keras objects with gradients clipped.

Each function takes every argument of the Keras optimizer of its name and
returns that optimizer. What differs is one default: `clipnorm=1.0`, which
rescales the gradient of a variable when its L2 norm exceeds 1. Ordinary
gradients of a normalized network pass unchanged; a spike cannot throw the
weights away. `clipvalue=...` or `global_clipnorm=...` replaces it and
`clipnorm=None` switches clipping off. `Clipped` wraps any of them, for rules
that compose and adapt (`kerasbn.clipping`), and for variables of float16, whose
gradients Keras's `clipnorm` makes 0 from a norm of 256 on.

Where a docstring gives scores, they are those of built networks: the best
validation accuracies within 200 steps of batches of 32, or for diabetes R2,
mean of 4 seeds, of the stock optimizer and the preset at their defaults, and of
the preset with one argument changed (`python benchmarks/presets.py`).

Raises:
    ValueError: If a clip argument is not a positive number. Keras takes 0 and
        negative values to mean no clipping, silently.

Reference:
    [Pascanu et al., 2013](https://arxiv.org/abs/1211.5063).
"""

from kerasbn.optimizers._clipped import Clipped as Clipped
from kerasbn.optimizers._presets import adam as adam
from kerasbn.optimizers._presets import adamw as adamw
from kerasbn.optimizers._presets import lion as lion
from kerasbn.optimizers._presets import nadam as nadam
from kerasbn.optimizers._presets import rmsprop as rmsprop
from kerasbn.optimizers._presets import sgd as sgd
