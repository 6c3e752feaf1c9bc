"""Preconfigured optimizers: stock Keras objects with gradients clipped.

Each function takes every argument of the Keras optimizer of its name and
returns that optimizer, with `clipnorm=1.0` by default: a gradient of one
variable whose L2 norm exceeds 1 is rescaled to norm 1. Ordinary gradients of a
normalized network pass unchanged; a spike cannot throw the weights away.
`clipvalue=...` or `global_clipnorm=...` replaces the default, and
`clipnorm=None` switches clipping off. `Clipped` wraps any optimizer for rules
that compose and adapt (`kerasbn.clipping`), and for float16 variables, whose
gradients of norm 256 and more become 0 under Keras's `clipnorm`.

`python benchmarks/presets.py` scores each preset against the stock optimizer.

Raises:
    ValueError: If a clip argument is not a positive number. Keras silently
        takes 0 and negative values as no clipping.

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
