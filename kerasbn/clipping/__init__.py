"""Rules that clip gradients, to be composed in `kerasbn.optimizers.Clipped`.

A rule is given the gradients of one step, all together, and returns what is to
be applied. Fixed limits are for those who know them: `ByValue`, `ByNorm`,
`ByGlobalNorm`. The others find theirs: `Adaptive` in the weights, `AutoClip`
and `ZClip` in the norms of the steps before. What a rule remembers stands in
variables of the optimizer, and is saved and loaded with it.

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
