"""Deep Keras networks that train, and a TensorBoard trace that shows why."""

import os
import sys
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# The command reads files, lists and copies: it needs no Keras, which takes
# seconds to import. Everyone else gets all names at once, so that Keras knows
# the classes that a saved model may hold.
_program = os.path.basename("".join(sys.argv[:1]))
_is_command = _program in ("kerasbn", "kerasbn.exe") or (
    _program == "-m" and "kerasbn" in sys.orig_argv  # python -m kerasbn
)

if TYPE_CHECKING or not _is_command:
    from kerasbn import callbacks as callbacks
    from kerasbn import clipping as clipping
    from kerasbn import diagnosis as diagnosis
    from kerasbn import inference as inference
    from kerasbn import layers as layers
    from kerasbn import models as models
    from kerasbn import optimizers as optimizers
    from kerasbn._rescue.search import Rescue as Rescue
    from kerasbn._rescue.search import rescue as rescue
    from kerasbn.diagnosis import Finding as Finding
    from kerasbn.diagnosis import diagnose as diagnose
    from kerasbn.inference import Fold as Fold
    from kerasbn.inference import calibrate as calibrate
    from kerasbn.inference import fold as fold
    from kerasbn.inference import to_keras as to_keras
