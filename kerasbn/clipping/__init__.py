"""Rules that clip gradients, for `kerasbn.optimizers.Clipped`.

A rule gets all gradients of a step and returns those to apply. `ByValue`,
`ByNorm` and `ByGlobalNorm` have fixed limits. The others find theirs:
`Adaptive` from the weights, `AutoClip` and `ZClip` from the norms of earlier
steps, which are variables of the optimizer, saved and loaded with it.

Example:
>>> import keras, kerasbn
>>> optimizer = kerasbn.optimizers.Clipped(
...     keras.optimizers.SGD(1.0), [kerasbn.clipping.ByGlobalNorm(1.0)])
>>> first, second = keras.Variable([0.0, 0.0]), keras.Variable([0.0])
>>> gradients = [keras.ops.array([3.0, 0.0]), keras.ops.array([4.0])]
>>> optimizer.apply(gradients, [first, second])  # the whole norm is 5
>>> [round(float(v), 6) for v in (first.numpy()[0], second.numpy()[0])]
[-0.6, -0.8]
"""

from kerasbn.clipping._adaptive import Adaptive as Adaptive
from kerasbn.clipping._fixed import ByGlobalNorm as ByGlobalNorm
from kerasbn.clipping._fixed import ByNorm as ByNorm
from kerasbn.clipping._fixed import ByValue as ByValue
from kerasbn.clipping._rule import Rule as Rule
from kerasbn.clipping._running import AutoClip as AutoClip
from kerasbn.clipping._running import ZClip as ZClip
