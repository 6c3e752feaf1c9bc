"""Builders: networks with normalized inputs and hidden layers.

Each returns ordinary functional Keras models. Arguments of one name mean the
same in every builder; `mlp` explains them.
"""

from kerasbn.models._cnn import cnn as cnn
from kerasbn.models._dcgan import dcgan as dcgan
from kerasbn.models._gan import GAN as GAN
from kerasbn.models._mlp import mlp as mlp
from kerasbn.models._rnn import rnn as rnn
