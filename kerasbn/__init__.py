"""Deep Keras networks that train, and a TensorBoard trace that shows why.

- models: builders of networks that train: `mlp`, `cnn`, `rnn`, `dcgan`; `GAN`
- layers: `BatchNormalization` and `InputBatchNormalization`
- optimizers: presets that clip: `sgd`, `adam`, `adamw`, `nadam`, `rmsprop`,
  `lion`; `Clipped` wraps any optimizer
- clipping: rules for `Clipped`: `ByValue`, `ByNorm`, `ByGlobalNorm`,
  `Adaptive`, `AutoClip`, `ZClip`, and their base class `Rule`
- callbacks: `GradientMonitor` records gradients; `RecoverFromNonFinite` returns
  to good weights after NaN

- diagnose: find what is wrong with a run, a log directory or an untrained model
- Finding: one such problem, with its evidence and remedy
- rescue: find the changes that make a model train, and return a `Rescue`
- find_learning_rate: choose a learning rate by short runs, and return
  `LearningRates`
- calibrate: compute exact moving statistics from data
- fold: multiply batch normalization into its neighbors, and return a `Fold`
- to_keras: rebuild a model in stock layers

Each has its own help, such as `help(kerasbn.models.mlp)`.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# The command reads files, lists and copies: it needs no Keras, which takes
# seconds to import.
_program = os.path.basename("".join(sys.argv[:1]))
_is_command = _program in ("kerasbn", "kerasbn.exe") or (
    _program == "-m" and "kerasbn" in sys.orig_argv  # python -m kerasbn
)

# At once: what a saved model may hold, so that Keras can load it, and what
# `diagnose` does with a model.
if TYPE_CHECKING or not _is_command:
    from kerasbn import _monitor as _monitor
    from kerasbn import clipping as clipping
    from kerasbn import layers as layers
    from kerasbn import models as models
    from kerasbn import optimizers as optimizers

# When first used: the other names, for which Python calls `__getattr__`.
_LATER = {
    "callbacks": "kerasbn.callbacks",
    "diagnosis": "kerasbn.diagnosis",
    "inference": "kerasbn.inference",
    "Rescue": "kerasbn._rescue.result",
    "rescue": "kerasbn._rescue.search",
    "LearningRates": "kerasbn._learning_rate.result",
    "find_learning_rate": "kerasbn._learning_rate.search",
    "Finding": "kerasbn.diagnosis",
    "diagnose": "kerasbn.diagnosis",
    "Fold": "kerasbn.inference",
    "calibrate": "kerasbn.inference",
    "fold": "kerasbn.inference",
    "to_keras": "kerasbn.inference",
}

if TYPE_CHECKING:  # the same for type checkers
    from kerasbn import callbacks as callbacks
    from kerasbn import diagnosis as diagnosis
    from kerasbn import inference as inference
    from kerasbn._learning_rate.result import LearningRates as LearningRates
    from kerasbn._learning_rate.search import (
        find_learning_rate as find_learning_rate,
    )
    from kerasbn._rescue.result import Rescue as Rescue
    from kerasbn._rescue.search import rescue as rescue
    from kerasbn.diagnosis import Finding as Finding
    from kerasbn.diagnosis import diagnose as diagnose
    from kerasbn.inference import Fold as Fold
    from kerasbn.inference import calibrate as calibrate
    from kerasbn.inference import fold as fold
    from kerasbn.inference import to_keras as to_keras
else:

    def __getattr__(name):
        if name not in _LATER:
            raise AttributeError(f"module 'kerasbn' has no attribute {name!r}")
        home = importlib.import_module(_LATER[name])
        return (
            home if home.__name__ == f"kerasbn.{name}" else getattr(home, name)
        )

    def __dir__():
        return [*globals(), *_LATER]
