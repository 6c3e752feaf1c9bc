"""Deep Keras networks that train, and a TensorBoard trace that shows why."""

from kerasbn import callbacks as callbacks
from kerasbn import layers as layers
from kerasbn import models as models
from kerasbn import optimizers as optimizers
from kerasbn.inference import Fold as Fold
from kerasbn.inference import calibrate as calibrate
from kerasbn.inference import fold as fold
from kerasbn.inference import to_keras as to_keras

__version__ = "0.1.0"
