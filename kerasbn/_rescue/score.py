"""The score of a model on validation data."""

from typing import Any

import keras
import numpy as np

from kerasbn._monitor import model_description


def score_of(model: keras.Model, x: Any, y: Any) -> tuple[float, float]:
    """Return accuracy or R2, and its gain over that of a constant guess."""
    predicted = model.predict(x, verbose=0)
    predicted = predicted.reshape(len(predicted), -1)
    y = np.asarray(y).reshape(len(y), -1)
    columns = predicted.shape[1]
    if not np.isfinite(predicted).all():
        return 0.0, -1.0
    loss, from_logits = model_description.loss_of(model)
    if "crossentropy" not in str(loss):
        error = np.mean(np.square(predicted - y))
        score = 1.0 - error / max(y.var(axis=0).mean(), 1e-12)
        return float(score), float(max(-1.0, score))
    if columns > 1 and y.shape[1] == 1:
        right = predicted.argmax(axis=1) == y[:, 0]
        guess = max(np.mean(y == each) for each in np.unique(y))
    elif columns > 1 and (y.sum(axis=1) == 1).all():
        right = predicted.argmax(axis=1) == y.argmax(axis=1)
        guess = y.mean(axis=0).max()
    else:
        right = (predicted > (0.0 if from_logits else 0.5)) == (y > 0.5)
        guess = np.maximum(y.mean(axis=0), 1.0 - y.mean(axis=0)).mean()
    score = float(np.mean(right))
    return score, (score - guess) / max(1.0 - guess, 1e-12)
