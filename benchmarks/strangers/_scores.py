"""What the owner of a program looks at."""

import numpy as np


def _predicted(model, x):
    found = model.predict(x, verbose=0, batch_size=256)
    return np.nan_to_num(np.asarray(found, "float64"))


def _classes(found, y, logits=False):
    """Predicted and true classes, flat, over the last axis of `found`."""
    y = np.asarray(y)
    if found.shape[-1] > 1 and found.ndim > 1:
        if y.shape == found.shape:
            y = y.argmax(-1)
        return found.argmax(-1).ravel(), y.ravel()
    chosen = found.ravel() > (0 if logits else 0.5)
    return chosen.astype(int), (y.ravel() > 0).astype(int)


def accuracy(model, x, y):
    chosen, y = _classes(_predicted(model, x), y)
    return float((chosen == y).mean())


def logit_accuracy(model, x, y):
    chosen, y = _classes(_predicted(model, x), y, logits=True)
    return float((chosen == y).mean())


def balanced(model, x, y):
    """The mean recall of the classes."""
    chosen, y = _classes(_predicted(model, x), y)
    return float(np.mean([(chosen[y == c] == c).mean() for c in np.unique(y)]))


def labels(model, x, y):
    """The mean of recall and specificity over the entries of multi-label y."""
    chosen, y = _predicted(model, x) > 0.5, np.asarray(y) > 0.5
    return float((chosen[y].mean() + (~chosen[~y]).mean()) / 2)


def r2(model, x, y):
    found = _predicted(model, x)
    y = np.asarray(y, "float64").reshape(found.shape)
    error = np.mean((found - y) ** 2, axis=0)
    share = 1 - error / np.maximum(y.var(axis=0), 1e-12)
    return float(max(-1.0, share.mean()))
