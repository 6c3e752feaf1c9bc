"""Deep Keras networks that train, and a TensorBoard trace that shows why."""

from kerasbn import callbacks as callbacks
from kerasbn import layers as layers
from kerasbn import models as models
from kerasbn import optimizers as optimizers

__version__ = "0.1.0"
