"""A monitor of gradients, and a way back from NaN."""

import keras

from kerasbn import diagnosis
from kerasbn._monitor import first_look
from kerasbn.callbacks._gradient_monitor import (
    GradientMonitor as GradientMonitor,
)
from kerasbn.callbacks._recover import (
    RecoverFromNonFinite as RecoverFromNonFinite,
)

# `kerasbn.diagnose` knows log directories; here it learns of Keras.
diagnosis.run_of.register(keras.Model, first_look.before_training)
diagnosis.run_of.register(
    GradientMonitor, lambda monitor, *ignored: monitor.run
)
