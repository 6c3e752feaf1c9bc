"""The classes that targets stand for, and that outputs predict."""

from typing import Any

import numpy as np

from kerasbn._monitor.heads import Head

# A class below this share of the elements is looked at on rows of its own.
_RARE = 0.1


def is_multi_label(y: np.ndarray, head: Head) -> bool:
    """Whether the classes of a row do not exclude each other."""
    return "binary" in str(head.loss) and y.ndim > 1 and y.shape[-1] > 1


def classes_of(y: np.ndarray, head: Head) -> Any:
    """The class of each element; `None` if the loss is for numbers."""
    loss = str(head.loss)
    if "crossentropy" not in loss and "hinge" not in loss:
        return None
    if "sparse" in loss or y.ndim == 1 or is_multi_label(y, head):
        return y[..., 0] if y.ndim > 1 and y.shape[-1] == 1 else y
    return y.argmax(axis=-1) if y.shape[-1] > 1 else y[..., 0]


def predicted_classes(
    predictions: np.ndarray, y: np.ndarray, head: Head
) -> np.ndarray:
    """The class that each element is given, likewise."""
    if predictions.shape[-1] > 1 and not is_multi_label(y, head):
        return predictions.argmax(axis=-1)
    limit = 0.0 if head.from_logits or "hinge" in str(head.loss) else 0.5
    found = (predictions > limit).astype(int)
    return found[..., 0] if found.ndim > 1 and found.shape[-1] == 1 else found


def is_rare(y: np.ndarray, head: Head) -> Any:
    """Whether each element belongs to a rare class; `None` for numbers."""
    classes = _labels(y, head)
    if classes is None:
        return None
    labels, counts = np.unique(classes, return_counts=True)
    return np.isin(classes, labels[counts < _RARE * classes.size])


def balance(y: np.ndarray, head: Head) -> dict[str, float] | None:
    """Shares of the most frequent class and of the rarest; `None` for none.

    Of labels that do not exclude each other, the means of both shares.
    """
    classes = _labels(y, head)
    if classes is None:
        return None
    if is_multi_label(y, head):
        shares = classes.reshape(-1, classes.shape[-1]).mean(axis=0)
        shares = np.minimum(shares, 1.0 - shares)
        return {
            "majority": float(1.0 - shares.mean()),
            "rarest": float(shares.mean()),
            "distinct": 2,
        }
    labels, counts = np.unique(classes, return_counts=True)
    shares = counts / counts.sum()
    return {
        "majority": float(shares.max()),
        "rarest": float(shares.min()),
        "distinct": len(labels),
    }


def _labels(y, head):
    """The classes if they are whole numbers: no NaN, and no soft labels."""
    classes = classes_of(y, head)
    if classes is None or (classes != np.round(classes)).any():
        return None
    return classes
