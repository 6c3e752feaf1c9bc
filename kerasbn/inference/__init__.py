"""From a trained network to one that is deployed.

Exact statistics, batch normalization folded away, and stock layers only.
"""

from kerasbn.inference._calibrate import calibrate as calibrate
from kerasbn.inference._fold import Fold as Fold
from kerasbn.inference._fold import fold as fold
from kerasbn.inference._to_keras import to_keras as to_keras
