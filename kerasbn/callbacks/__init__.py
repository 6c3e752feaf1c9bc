"""A monitor of gradients, and a way back from NaN."""

from kerasbn._run import subjects
from kerasbn.callbacks._gradient_monitor import (
    GradientMonitor as GradientMonitor,
)
from kerasbn.callbacks._recover import (
    RecoverFromNonFinite as RecoverFromNonFinite,
)

subjects.run_of.register(GradientMonitor, lambda monitor, *ignored: monitor.run)
