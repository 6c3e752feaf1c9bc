"""A learning rate from short runs of a model that are taken back."""

import itertools
from typing import Any

import keras

from kerasbn._learning_rate.batches import batches
from kerasbn._learning_rate.result import LearningRates
from kerasbn._learning_rate.trials import Trials
from kerasbn._monitor import optimizers, rehearsal

# The best rate of a short run is too high for a long one: on 24 pairs of data
# and optimizer a third of it was within 2 % of the best score in 82 % of the
# runs, the rate itself in 63 %, half of it in 72 %, a quarter in 83 %.
_SAFE = 3.0
_FEWEST_STEPS = 40  # five decades, and three runs


def find_learning_rate(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    batch_size: int = 32,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    steps: int = 150,
) -> LearningRates:
    """Find a learning rate for a compiled model in some hundred train steps.

    Short runs start from the same weights and take the same batches in the same
    order, with the optimizer and the clipping of the model. The first ones
    compare powers of ten, from the highest downward, to the first that is too
    low; three longer ones compare rates half a decade apart. Each loss is that
    of a batch before it is trained on. The suggestion is a third of the middle
    between the best rate and the lowest that lowers the loss nearly as far,
    because the best rate of a short run is too high for a long one.

    The model stays as it was: weights, moving statistics, seeds, metrics and
    optimizer are put back, after an error too. A rate variable serves all runs,
    so the step is traced once.

    Args:
        model: A compiled model, built or not. Its `train_step` may be your own
            if it returns a `loss`.
        x: What `fit` takes: arrays, a structure of them, a `tf.data.Dataset`, a
            `keras.utils.PyDataset` or a generator, of which it takes a third of
            `steps` batches at most.
        y: Targets, if `x` holds arrays.
        batch_size: Rows of a batch of arrays, as for `fit`.
        sample_weight: Weights of the rows, if `x` holds arrays.
        class_weight: Weight of each class, as for `fit`.
        steps: Train steps of all runs together, 40 or more. More than the
            default 150 found no better rates.

    Returns:
        A `LearningRates`: `suggested` is the rate, or the largest rate of the
        schedule that the optimizer has. A warm-up is left out of the runs.

    Raises:
        RuntimeError: If the model is not compiled.
        ValueError: If there is no data, or the step returns no loss.

    Example:
    >>> import keras, numpy as np, kerasbn
    >>> keras.utils.set_random_seed(0)
    >>> x = np.random.default_rng(0).normal(size=(400, 4))
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(1e-6), "mean_squared_error")
    >>> rates = kerasbn.find_learning_rate(model, x, x[:, :1])
    >>> 0.01 < rates.suggested < 0.5
    True
    >>> model.optimizer.learning_rate = rates.suggested

    Reference:
        [Smith, 2017](https://arxiv.org/abs/1506.01186) on the range test, and
        [Wu et al., 2018](https://arxiv.org/abs/1803.02021) on the bias of short
        runs; `benchmarks/learning_rate.py` compares.
    """
    _check(model, steps)
    data = batches(
        x, y, sample_weight, class_weight, batch_size, -(-steps // 3)
    )
    current = optimizers.peak_rate(model.optimizer)
    with rehearsal.Rehearsal(model, data[0]) as rehearsed:

        def run(rate, count, limit):
            rehearsed.restart()
            losses: list[float] = []
            for batch in itertools.islice(itertools.cycle(data), count):
                losses.append(rehearsed.step(batch, rate))
                if not losses[-1] <= limit:
                    break
            return losses

        trials = Trials(run, steps)
        best = trials.best()
    return LearningRates(
        best / _SAFE, current, trials.untrained, trials.runs, trials.spent
    )


def _check(model, steps):
    if not model.compiled or model.optimizer is None:
        raise RuntimeError(
            "`model` must be compiled with an optimizer before its learning "
            f"rate is chosen. Received: model={model.name!r}. Call "
            "`model.compile` first."
        )
    if steps < _FEWEST_STEPS:
        raise ValueError(
            f"`steps` must be at least {_FEWEST_STEPS}, to compare some rates. "
            f"Received: steps={steps}."
        )
