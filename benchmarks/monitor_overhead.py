"""Cost of GradientMonitor: a step with it relative to one without.

Models of one kind train in one process, taking turns by steps, each by Keras's
own `fit` in a thread that waits for its turn. The monitor is compared with two
alternatives: a second `GradientTape` in each step, and
`keras.callbacks.TensorBoard(histogram_freq=1)`. Ratios are medians over groups
of neighbouring steps. It takes some 25 minutes:

    python benchmarks/monitor_overhead.py
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import keras
import numpy as np
import tensorflow as tf

import kerasbn

STEPS, WARM_UP, GROUP = 320, 20, 10
EPOCHS, EPOCH_STEPS = 14, 200


class Turn(keras.callbacks.Callback):
    """Wait for the turn and start the clock, as the first callback."""

    def __init__(self, mine, by_epoch):
        super().__init__()
        self.mine, self.by_epoch, self.seconds = mine, by_epoch, []

    def begin(self):
        self.mine.acquire()
        self.start = time.perf_counter()

    def on_train_batch_begin(self, batch, logs=None):
        if not self.by_epoch:
            self.begin()

    def on_epoch_begin(self, epoch, logs=None):
        if self.by_epoch:
            self.begin()


class EndOfTurn(keras.callbacks.Callback):
    """Stop the clock and pass the turn on, as the last callback."""

    def __init__(self, turn, following):
        super().__init__()
        self.turn, self.following = turn, following

    def end(self):
        self.turn.seconds.append(time.perf_counter() - self.turn.start)
        self.following.release()

    def on_train_batch_end(self, batch, logs=None):
        if not self.turn.by_epoch:
            self.end()

    def on_epoch_end(self, epoch, logs=None):
        if self.turn.by_epoch:
            self.end()


class SecondTape(keras.Model):
    """Differentiate a second time to see the gradients, as is often advised."""

    def train_step(self, data):
        logs = super().train_step(data)
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        norms = {
            variable.path: tf.norm(gradient)
            for variable, gradient in zip(
                self.trainable_variables, gradients, strict=True
            )
        }
        return {**logs, **norms}


def deep(depth=20):
    return kerasbn.models.mlp(
        (64,), [100] * depth, 10, output_activation="softmax"
    )


def wide():
    return kerasbn.models.mlp((64,), [1024] * 3, 10)


def cnn():
    layers = keras.layers
    body = []
    for filters in (16, 32, 64):
        body += [
            layers.Conv2D(filters, 3, use_bias=False, padding="same"),
            kerasbn.layers.BatchNormalization(),
            layers.Activation("elu"),
            layers.MaxPooling2D(),
        ]
    top = [layers.GlobalAveragePooling2D(), layers.Dense(10)]
    model = keras.Sequential([keras.Input((28, 28, 1)), *body, *top])
    return keras.Model(model.inputs, model.outputs)


def gru():
    inputs = keras.Input((100, 8))
    return keras.Model(
        inputs, keras.layers.Dense(10)(keras.layers.GRU(32)(inputs))
    )


def fit(build, batch_size, jit, callbacks, *, again=False, by_epoch=False):
    """Train on noise, differentiating a second time in each step if `again`."""
    model = build()
    if again:
        model = SecondTape(model.inputs, model.outputs)
    model.compile(
        kerasbn.optimizers.sgd(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    generator = np.random.default_rng(0)
    x = generator.normal(size=(batch_size, *model.input_shape[1:]))
    data = tf.data.Dataset.from_tensors(
        (x.astype("float32"), np.zeros(batch_size, "int32"))
    ).repeat(EPOCH_STEPS if by_epoch else STEPS)
    model.fit(
        data,
        epochs=EPOCHS if by_epoch else 1,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    return model


def ratios(build, batch_size, jit, variants, by_epoch=False):
    """Return the median of a group of steps relative to the first variant."""
    turns = [threading.Semaphore(place == 0) for place in range(len(variants))]
    threads, clocks = [], []
    for place, make in enumerate(variants):
        turn = Turn(turns[place], by_epoch)
        end = EndOfTurn(turn, turns[(place + 1) % len(variants)])
        again = make == "tape"
        callbacks = [turn, *([] if again else make()), end]
        clocks.append(turn)
        threads.append(
            threading.Thread(
                target=fit,
                args=(build, batch_size, jit, callbacks),
                kwargs={"again": again, "by_epoch": by_epoch},
            )
        )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    skip, group = (2, 1) if by_epoch else (WARM_UP, GROUP)
    # By groups of ten, because the host reads one step in ten.
    times = [
        np.reshape(clock.seconds[skip:], (-1, group)).sum(axis=1)
        for clock in clocks
    ]
    return [np.median(each / times[0]) for each in times], np.median(times[0])


def monitor(**options):
    directory = tempfile.mkdtemp()
    return [kerasbn.callbacks.GradientMonitor(directory, **options)]


def tensorboard():
    return [keras.callbacks.TensorBoard(tempfile.mkdtemp(), histogram_freq=1)]


def nothing():
    return []


def step_table():
    print("a step over one without monitor, median of groups of 10 steps")
    print(f"{'':32}{'noise':>8}{'default':>9}{'every=1':>9}{'2nd tape':>9}")
    for name, build, batch_size, jits in (
        ("20 x 100 MLP, batch 32", deep, 32, (False, True)),
        ("20 x 100 MLP, batch 256", deep, 256, (False, True)),
        ("3 x 1024 MLP, batch 256", wide, 256, (False, True)),
        ("CNN, batch 64", cnn, 64, (False, True)),
        ("GRU, 100 steps, batch 32", gru, 32, (False,)),
    ):
        for jit in jits:
            variants = [
                nothing,
                nothing,
                monitor,
                lambda: monitor(every=1),
                "tape",
            ]
            (_, *values), seconds = ratios(build, batch_size, jit, variants)
            print(
                f"{name + (', XLA' if jit else ''):32}{values[0]:8.3f}"
                + "".join(f"{value:9.3f}" for value in values[1:])
                + f"   ({seconds / GROUP * 1e3:.1f} ms)",
                flush=True,
            )


def epoch_table():
    print(f"\nan epoch of {EPOCH_STEPS} steps, with the work at its end")
    print(f"{'':32}{'noise':>8}{'default':>9}{'TensorBoard':>13}")
    variants = [nothing, nothing, monitor, tensorboard]
    for name, build, batch_size in (
        ("20 x 100 MLP, batch 32", deep, 32),
        ("CNN, batch 64", cnn, 64),
    ):
        (_, *values), _ = ratios(build, batch_size, False, variants, True)
        print(
            f"{name:32}{values[0]:8.3f}{values[1]:9.3f}{values[2]:13.3f}",
            flush=True,
        )


def depth_table():
    print("\ntime that the monitor adds to a step, by depth (batch 32)")
    for depth in (10, 30, 100, 300):
        variants = [nothing, monitor, lambda: monitor(every=1)]
        (_, *values), seconds = ratios(
            lambda depth=depth: deep(depth), 32, False, variants
        )
        step = seconds / GROUP * 1e3
        added = [(value - 1) * step * 1e3 / depth for value in values]
        print(
            f"{depth:4} layers: step {step:6.1f} ms, per layer default "
            f"{added[0]:5.1f} us, every=1 {added[1]:5.1f} us",
            flush=True,
        )


def size_table():
    print("\nevent files of 1,000 steps, 50 layers, default settings")
    directory = tempfile.mkdtemp()
    keras.utils.set_random_seed(0)
    model = deep(50)
    model.compile(
        kerasbn.optimizers.sgd(0.01),
        keras.losses.SparseCategoricalCrossentropy(),
    )
    x = np.random.default_rng(0).normal(size=(3200, 64)).astype("float32")
    model.fit(
        x,
        np.zeros(3200, "int32"),
        epochs=10,
        verbose=0,
        callbacks=[kerasbn.callbacks.GradientMonitor(directory)],
    )
    files = pathlib.Path(directory).rglob("events*")
    size = sum(file.stat().st_size for file in files)
    print(f"{size / 2**20:.2f} MB")


def memory_table():
    print("\nmemory that a process needs in addition with the monitor")
    for units in (175, 1800):
        used = [
            int(
                subprocess.run(
                    [sys.executable, __file__, "memory", str(units), watched],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            for watched in ("no", "yes")
        ]
        parameters = 64 * units + 3 * units**2
        print(
            f"{parameters:9,} parameters: {(used[1] - used[0]) / 1024:6.1f} MB "
            f"of {used[1] / 1024:.0f} MB"
        )


def memory(units, watched):
    """Print the peak memory of a process that trains, in KB."""
    callbacks = monitor() if watched == "yes" else []

    def build():
        return kerasbn.models.mlp((64,), [int(units)] * 4, 10)

    fit(build, 32, False, callbacks)
    # `ru_maxrss` would start from the parent's peak.
    status = pathlib.Path("/proc/self/status").read_text()
    print(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        memory(*sys.argv[2:])
    else:
        step_table()
        epoch_table()
        depth_table()
        size_table()
        memory_table()
