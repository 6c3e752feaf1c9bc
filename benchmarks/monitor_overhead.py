"""What GradientMonitor costs: a step with it over a step without it.

Two models of one kind train in one process, a step of one after a step of the
other, each by Keras's own `fit` in a thread that waits for its turn. Run:

    python benchmarks/monitor_overhead.py
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tempfile
import threading
import time

import keras
import numpy as np
import tensorflow as tf

import kerasbn

STEPS, WARM_UP = 820, 20


class Turn(keras.callbacks.Callback):
    """First in the list of callbacks: waits for its turn, starts the clock."""

    def __init__(self, mine, other):
        super().__init__()
        self.mine, self.other, self.seconds = mine, other, []

    def on_train_batch_begin(self, batch, logs=None):
        self.mine.acquire()
        self.start = time.perf_counter()


class EndOfTurn(keras.callbacks.Callback):
    """Last in the list of callbacks: stops the clock, hands the turn over."""

    def __init__(self, turn):
        super().__init__()
        self.turn = turn

    def on_train_batch_end(self, batch, logs=None):
        self.turn.seconds.append(time.perf_counter() - self.turn.start)
        self.turn.other.release()


def fit(batch_size, turn, monitors):
    """Train a 20 x 100 network, a step in each turn."""
    x = np.random.default_rng(0).normal(size=(batch_size, 64)).astype("float32")
    y = np.zeros(batch_size, "int32")
    model = kerasbn.models.mlp(
        (64,), [100] * 20, 10, output_activation="softmax"
    )
    model.compile(
        kerasbn.optimizers.sgd(0.01), "sparse_categorical_crossentropy"
    )
    data = tf.data.Dataset.from_tensors((x, y)).repeat(STEPS)
    callbacks = [turn, *monitors, EndOfTurn(turn)]
    model.fit(data, shuffle=False, verbose=0, callbacks=callbacks)


def ratio(batch_size, monitors):
    """Median of ten steps with the monitors over ten steps without."""
    first, second = threading.Semaphore(1), threading.Semaphore(0)
    turns = Turn(first, second), Turn(second, first)
    threads = [
        threading.Thread(target=fit, args=(batch_size, turn, watching))
        for turn, watching in zip(turns, ([], monitors), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Ten steps together: one in ten is read by the host, and must count.
    plain, watched = (
        np.reshape(turn.seconds[WARM_UP:], (-1, 10)).sum(axis=1)
        for turn in turns
    )
    return np.median(watched / plain), np.median(plain) * 100


if __name__ == "__main__":
    print("20 x 100 MLP, step with the monitor over step without, median")
    for batch_size in (32, 256):
        for every in (None, 10, 1):
            log_dir = tempfile.mkdtemp()
            monitors = (
                [kerasbn.callbacks.GradientMonitor(log_dir, every=every)]
                if every
                else []
            )
            value, milliseconds = ratio(batch_size, monitors)
            name = f"every={every}" if every else "no monitor (the noise)"
            print(
                f"batch {batch_size:<5}{name:<24}{value:.3f}"
                f"   (plain step {milliseconds:.1f} ms)"
            )
