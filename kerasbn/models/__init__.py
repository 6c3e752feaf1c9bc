"""Builders: networks whose inputs and hidden layers are normalized.

Each returns ordinary functional Keras models. They share their words: what is
required is the shape of one sample, the hidden layers and the output units;
`activation`, `normalization`, `normalize_inputs`, `dropout` and the others mean
the same in each builder that has them. See `mlp` for what they mean.
"""

from kerasbn.models._cnn import cnn as cnn
from kerasbn.models._dcgan import dcgan as dcgan
from kerasbn.models._gan import GAN as GAN
from kerasbn.models._mlp import mlp as mlp
from kerasbn.models._rnn import rnn as rnn
