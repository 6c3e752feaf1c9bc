"""Batch normalization whose inference statistics can be trusted."""

from kerasbn.layers._batch_normalization import (
    BatchNormalization as BatchNormalization,
)
from kerasbn.layers._input_batch_normalization import (
    InputBatchNormalization as InputBatchNormalization,
)
