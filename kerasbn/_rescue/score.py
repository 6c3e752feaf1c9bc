"""The score of a model on validation data."""

from typing import Any

import keras
import numpy as np

from kerasbn._monitor import heads


def score_of(model: keras.Model, x: Any, y: Any) -> tuple[float, float]:
    """Return accuracy or R2, and its gain over that of a constant guess.

    Labels per pixel or step count one by one; several outputs, on average.
    """
    predicted = model.predict(x, verbose=0)
    if isinstance(y, dict) and not isinstance(predicted, dict):
        y = [y[name] for name in model.output_names]
    outputs, targets = map(keras.tree.flatten, (predicted, y))
    losses: Any = getattr(model, "loss", None)
    if isinstance(losses, dict) and len(losses) < len(outputs):
        losses = [losses.get(name) for name in model.output_names]
    losses = keras.tree.flatten(losses)
    losses *= len(outputs) if len(losses) == 1 else 1
    scores = [
        _score(*each) for each in zip(outputs, targets, losses, strict=False)
    ]
    score, gain = np.mean(scores, axis=0)
    return float(score), float(gain)


def _score(predicted, y, loss):
    y = np.asarray(y)
    if not np.isfinite(predicted).all():
        return 0.0, -1.0
    name, from_logits = heads.loss_name(loss)
    if "crossentropy" not in str(name):
        y = y.reshape(len(y), -1)
        error = np.mean(np.square(predicted.reshape(len(predicted), -1) - y))
        score = 1.0 - error / max(y.var(axis=0).mean(), 1e-12)
        return score, max(-1.0, score)
    if "sparse" in str(name):
        labels = y.reshape(predicted.shape[:-1])
        counted = (labels >= 0) & (labels != getattr(loss, "ignore_class", -1))
        labels = labels[counted]
        right = predicted.argmax(axis=-1)[counted] == labels
        guess = max(np.mean(labels == each) for each in np.unique(labels))
    elif predicted.shape[-1] > 1 and (y.sum(axis=-1) == 1).all():
        right = predicted.argmax(axis=-1) == y.argmax(axis=-1)
        guess = y.reshape(-1, y.shape[-1]).mean(axis=0).max()
    else:
        y = y.reshape(predicted.shape)
        right = (predicted > (0.0 if from_logits else 0.5)) == (y > 0.5)
        share = y.reshape(-1, y.shape[-1]).mean(axis=0)
        guess = np.maximum(share, 1.0 - share).mean()
    score = float(np.mean(right))
    return score, (score - guess) / max(1.0 - guess, 1e-12)
