"""How right the diagnosis is, and how often the rescue helps: an evaluation.

Healthy baselines on fourteen families of data and networks get one fault each:
learning rate, initializer, activation, input scale, output against loss,
clipping, statistics, NaN. A case counts as faulty only if its validation score
(accuracy, or R2 of a regression) is, beyond that of a constant guess, below 0.8
of its healthy twin's, and as healthy only if it reaches 0.97 of the best score
of its family. Six of the families took no part in choosing the thresholds; they
are reported apart.

A fault is found "before" training by `kerasbn.diagnose(model, x, y)`, in
"training" by the monitor alone; "until" is the share of the steps after which
that happens (median). It is "right" if the first problem at the end is one that
the fault may be called by. A healthy run is an alarm if anything is found in it
at any time. A case is rescued if it reaches 0.95 of the twin's score in the
same epochs.

This takes some 50 minutes on two cores. A folder keeps the results, and a
second run goes on where the first was broken off.

    python benchmarks/diagnosis.py [FOLDER]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import multiprocessing
import pathlib
import pickle
import random
import sys
import tempfile
import time
import zlib
from typing import NamedTuple

import keras
import numpy as np
from sklearn import datasets, model_selection, preprocessing

import kerasbn
from kerasbn._monitor import first_look
from kerasbn._rescue import changes
from kerasbn._rescue.changes import Change
from kerasbn.diagnosis import _judge

SEED, STEPS = 0, 500
RESCUED = 48  # cases: each takes a rescue and three trainings


def digits():
    x, y = datasets.load_digits(return_X_y=True)
    return x / 16, y


def iris():
    return datasets.load_iris(return_X_y=True)


def cancer():
    return datasets.load_breast_cancer(return_X_y=True)


def wine():
    return datasets.load_wine(return_X_y=True)


def moons():
    return datasets.make_moons(1200, noise=0.15, random_state=0)


def circles():
    return datasets.make_circles(1200, noise=0.08, factor=0.5, random_state=0)


def blobs():
    return datasets.make_blobs(
        1200, 8, centers=5, cluster_std=4.0, random_state=0
    )[:2]


def diabetes():
    x, y = datasets.load_diabetes(return_X_y=True)
    return x, (y - y.mean()) / y.std()


def plane():
    x, y = datasets.make_regression(
        1000, 15, n_informative=8, noise=20.0, random_state=0
    )[:2]
    return x, (y - y.mean()) / y.std()


def labels():
    return datasets.make_multilabel_classification(
        1200, 20, n_classes=5, random_state=0
    )[:2]


def digit_images():
    x, y = digits()
    return x.reshape(-1, 8, 8, 1), y


def stripes():
    """Images of stripes in four directions, with noise."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 1000)
    angle = (y * np.pi / 4)[:, None, None]
    rows, columns = np.mgrid[:12, :12]
    phase = rng.uniform(0, 2 * np.pi, 1000)[:, None, None]
    wave = np.sin(rows * np.cos(angle) + columns * np.sin(angle) + phase)
    return (wave + rng.normal(0, 0.7, wave.shape))[..., None], y


def sines():
    """Sequences by frequency: three classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 1000)
    time_steps = np.arange(24)
    wave = np.sin(
        time_steps * (0.3 + 0.25 * y)[:, None]
        + rng.uniform(0, 2 * np.pi, (1000, 1))
    )
    return (wave + rng.normal(0, 0.3, wave.shape))[..., None], y


def majority():
    """Sequences of signs: whether the first nine have more of one."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (1200, 15))
    return x[..., None], (x[:, :9].sum(axis=1) > 0).astype(int)


class Family(NamedTuple):
    data: object
    kind: str  # of the network
    task: str
    held_out: bool = False


FAMILIES = {
    "digits": Family(digits, "dense", "classes"),
    "iris": Family(iris, "dense", "classes"),
    "cancer": Family(cancer, "dense", "binary"),
    "moons": Family(moons, "dense", "binary"),
    "blobs": Family(blobs, "dense", "classes"),
    "diabetes": Family(diabetes, "dense", "regression"),
    "digit images": Family(digit_images, "conv", "classes"),
    "sines": Family(sines, "recurrent", "classes"),
    "wine": Family(wine, "dense", "classes", True),
    "circles": Family(circles, "dense", "binary", True),
    "plane": Family(plane, "dense", "regression", True),
    "labels": Family(labels, "dense", "labels", True),
    "stripes": Family(stripes, "conv", "classes", True),
    "majority": Family(majority, "recurrent", "binary", True),
}


class Setting(NamedTuple):
    """A network and its training, as a user would write it in Keras."""

    depth: int = 3
    units: int = 32
    activation: str = "relu"
    initializer: object = "he_normal"
    bias: float = 0.0
    normalization: str | None = None
    momentum: float = 0.99
    optimizer: str = "adam"
    learning_rate: object = 1e-3
    clipnorm: float | None = None
    batch_size: int = 32
    scaled: bool = True
    factor: float = 1.0  # of the inputs
    offset: float = 0.0
    nan: float = 0.0  # share of the rows with a NaN
    output: str | None = None  # None: what fits the task
    loss: object = None
    output_units: int | None = None
    dropout: float = 0.0
    decay: bool = False  # of the learning rate, to zero
    input_normalization: bool = False


BASES = {
    "dense": [
        Setting(3, activation="relu"),
        Setting(3, activation="tanh", initializer="glorot_uniform"),
        Setting(6, activation="elu", optimizer="sgd", learning_rate=0.02),
        Setting(10, activation="relu", normalization="batch"),
        Setting(20, activation="elu", normalization="batch"),
        Setting(5, activation="gelu", normalization="layer"),
    ],
    "conv": [
        Setting(3, 16, activation="relu"),
        Setting(4, 16, activation="elu", optimizer="sgd", learning_rate=0.02),
        Setting(6, 16, activation="relu", normalization="batch"),
    ],
    "recurrent": [
        Setting(1, 24, activation="gru", learning_rate=3e-3),
        Setting(2, 24, activation="lstm", learning_rate=5e-3),
        Setting(1, 24, activation="simple_rnn", learning_rate=2e-3),
    ],
}
HEALTHY = {
    "rate / 2": lambda s: s._replace(learning_rate=s.learning_rate / 2),
    "rate x 2": lambda s: s._replace(learning_rate=s.learning_rate * 2),
    "batch 8": lambda s: s._replace(batch_size=8),
    "batch 64": lambda s: s._replace(
        batch_size=64, learning_rate=s.learning_rate * 1.4
    ),
    "rate decays": lambda s: s._replace(
        decay=True, learning_rate=s.learning_rate * 1.5
    ),
    "clipped": lambda s: s._replace(clipnorm=1.0),
    "dropout": lambda s: s._replace(dropout=0.1),
    "raw, normalized inside": lambda s: s._replace(
        scaled=False, factor=100.0, input_normalization=True
    ),
    "rmsprop": lambda s: s._replace(
        optimizer="rmsprop", learning_rate=min(s.learning_rate, 2e-3)
    ),
    "logits": lambda s: s._replace(output="logits"),
}
VANISHING = {"vanishing_gradient", "saturated_activation"}
TOO_HIGH = {
    "learning_rate_too_high",
    "oscillating_loss",
    "non_finite",
    "exploding_gradient",
}


def normal(deviation):
    return ("normal", deviation)


# For each fault, the problems that it may be called by, and its change.
FAULTS = {
    "rate 1e-7": (
        {"learning_rate_too_low"},
        lambda s: s._replace(learning_rate=1e-7),
    ),
    "rate / 1000": (
        {"learning_rate_too_low"},
        lambda s: s._replace(learning_rate=s.learning_rate / 1000),
    ),
    "rate 1": (TOO_HIGH, lambda s: s._replace(learning_rate=1.0)),
    "rate 10": (TOO_HIGH, lambda s: s._replace(learning_rate=10.0)),
    "zeros": (
        {"symmetric_units"},
        lambda s: s._replace(initializer="zeros"),
    ),
    "constant": (
        {"symmetric_units"},
        lambda s: s._replace(initializer=("constant", 0.1)),
    ),
    "initializer too small": (
        {"vanishing_gradient"},
        lambda s: s._replace(
            depth=max(s.depth, 8),
            initializer=normal(0.01),
            normalization=None,
        ),
    ),
    "initializer too large": (
        {"exploding_gradient", "saturated_activation", "non_finite"},
        lambda s: s._replace(
            depth=max(s.depth, 6), initializer=normal(2.0), normalization=None
        ),
    ),
    "deep sigmoid": (
        VANISHING,
        lambda s: s._replace(
            depth=12,
            activation="sigmoid",
            initializer="glorot_uniform",
            normalization=None,
        ),
    ),
    "deep plain": (
        VANISHING,
        lambda s: s._replace(
            depth=40,
            activation="tanh",
            initializer=normal(0.1),
            normalization=None,
        ),
    ),
    "inputs x 10,000": (
        {"input_scale"},
        lambda s: s._replace(factor=1e4, normalization=None),
    ),
    "inputs + 1,000": (
        {"input_scale"},
        lambda s: s._replace(offset=1e3, normalization=None),
    ),
    "dead units": (
        {"dead_units"},
        lambda s: s._replace(activation="relu", bias=-8.0, normalization=None),
    ),
    "saturated": (
        {"saturated_activation"},
        lambda s: s._replace(
            activation="tanh",
            initializer=normal(8.0),
            normalization=None,
            depth=4,
        ),
    ),
    "relu as output": (
        {"output_mismatch"},
        lambda s: s._replace(output="relu"),
    ),
    "wrong output": ({"output_mismatch"}, "by task"),
    "wrong loss": ({"output_mismatch"}, "by task"),
    "clipped to 1e-5": (
        {"clipping_always_on"},
        lambda s: s._replace(
            optimizer="sgd", learning_rate=0.02, clipnorm=1e-5
        ),
    ),
    "slow statistics": (
        {"batch_statistics_mismatch"},
        lambda s: s._replace(normalization="batch", momentum=0.9999),
    ),
    "NaN in the data": ({"non_finite"}, lambda s: s._replace(nan=0.02)),
}
WRONG_OUTPUT = {
    "classes": lambda s: s._replace(output="softmax", output_units=1),
    "binary": lambda s: s._replace(output="softmax"),
    "labels": lambda s: s._replace(output="softmax"),
    "regression": lambda s: s._replace(output="sigmoid"),
}
WRONG_LOSS = {
    "classes": lambda s: s._replace(output="softmax", loss="from_logits"),
    "binary": lambda s: s._replace(output="tanh"),
    "labels": lambda s: s._replace(output="linear"),
    "regression": lambda s: s._replace(loss="binary_crossentropy"),
}


def changed(setting, fault, family):
    change = FAULTS[fault][1]
    if change == "by task":
        tables = {"wrong output": WRONG_OUTPUT, "wrong loss": WRONG_LOSS}
        change = tables[fault][family.task]
    return change(setting)


def cases(name):
    """Names and settings of a family's cases: healthy ones, then faulty."""
    family = FAMILIES[name]
    bases = BASES[family.kind]
    choose = random.Random(zlib.crc32(name.encode()) + SEED)
    found = {f"base {i}": (None, base) for i, base in enumerate(bases)}
    for title, change in HEALTHY.items():
        if title == "batch 8" and family.kind == "recurrent":
            continue
        found[title] = (None, change(choose.choice(bases)))
    for fault in FAULTS:
        if family.kind == "recurrent" and fault in (
            "deep sigmoid",
            "deep plain",
            "dead units",
            "saturated",
            "slow statistics",
            "initializer too small",
            "inputs + 1,000",
        ):
            continue
        if family.kind == "conv" and fault in ("deep sigmoid", "deep plain"):
            continue
        base = choose.choice(bases)
        found[fault] = (base, changed(base, fault, family))
    return found


def split(name, setting):
    family = FAMILIES[name]
    x, y = family.data()
    x, y = x.astype("float32"), y.astype("float32")
    stratify = y if family.task in ("classes", "binary") else None
    x, x_val, y, y_val = model_selection.train_test_split(
        x, y, test_size=0.3, random_state=0, stratify=stratify
    )
    if setting.scaled and x.ndim == 2:
        scaler = preprocessing.StandardScaler().fit(x)
        x, x_val = scaler.transform(x), scaler.transform(x_val)
    x, x_val = (each * setting.factor + setting.offset for each in (x, x_val))
    if setting.nan:
        rows = np.random.default_rng(0).random(len(x)) < setting.nan
        x[rows, ..., 0] = np.nan
    return x, y, x_val, y_val


def initializer(setting):
    """Return an initializer for one layer, so that the seeds differ."""
    if isinstance(setting.initializer, str):
        return setting.initializer
    kind, value = setting.initializer
    if kind == "normal":
        return keras.initializers.RandomNormal(stddev=value)
    return keras.initializers.Constant(value)


def build(name, setting, x, y):
    """The compiled network of a case."""
    family = FAMILIES[name]
    layers = keras.layers
    norms = {
        "batch": lambda: layers.BatchNormalization(momentum=setting.momentum),
        "layer": layers.LayerNormalization,
    }
    stack = [keras.Input(x.shape[1:])]
    if setting.input_normalization:
        stack.append(kerasbn.layers.InputBatchNormalization())
    for index in range(setting.depth):
        options = {
            "kernel_initializer": initializer(setting),
            "bias_initializer": keras.initializers.Constant(setting.bias),
        }
        normalized = setting.normalization is not None
        if family.kind == "recurrent":
            kinds = {
                "gru": layers.GRU,
                "lstm": layers.LSTM,
                "simple_rnn": layers.SimpleRNN,
            }
            kind = kinds.get(setting.activation, layers.SimpleRNN)
            del options["bias_initializer"]
            if options["kernel_initializer"] == "he_normal":
                del options["kernel_initializer"]
            if not isinstance(setting.initializer, str) or (
                setting.initializer == "zeros"
            ):
                options["recurrent_initializer"] = initializer(setting)
            last = index == setting.depth - 1
            stack.append(
                kind(setting.units, return_sequences=not last, **options)
            )
        elif family.kind == "conv":
            stack.append(
                layers.Conv2D(
                    setting.units,
                    3,
                    padding="same",
                    use_bias=not normalized or setting.bias != 0,
                    **options,
                )
            )
        else:
            stack.append(
                layers.Dense(
                    setting.units,
                    use_bias=not normalized or setting.bias != 0,
                    **options,
                )
            )
        if family.kind != "recurrent":
            if normalized:
                stack.append(norms[setting.normalization]())
            stack.append(layers.Activation(setting.activation))
        if setting.dropout:
            stack.append(layers.Dropout(setting.dropout))
    if family.kind == "conv":
        stack.append(layers.GlobalAveragePooling2D())
    units = {
        "classes": int(np.max(y)) + 1,
        "binary": 1,
        "labels": y.shape[-1],
        "regression": 1,
    }[family.task]
    fitting = {
        "classes": ("softmax", "sparse_categorical_crossentropy"),
        "binary": ("sigmoid", "binary_crossentropy"),
        "labels": ("sigmoid", "binary_crossentropy"),
        "regression": ("linear", "mean_squared_error"),
    }
    output, loss = fitting[family.task]
    logits = setting.output == "logits" or setting.loss == "from_logits"
    if logits and family.task != "regression":
        kinds = {
            "classes": keras.losses.SparseCategoricalCrossentropy,
        }
        kind = kinds.get(family.task, keras.losses.BinaryCrossentropy)
        loss = kind(from_logits=True)
    elif setting.loss:
        loss = setting.loss
    if setting.output == "logits":
        output = "linear"
    elif setting.output:
        output = setting.output
    stack.append(layers.Dense(setting.output_units or units, activation=output))
    model = keras.Sequential(stack)
    rate = setting.learning_rate
    if setting.decay:
        rate = keras.optimizers.schedules.CosineDecay(rate, STEPS)
    kind = {
        "adam": keras.optimizers.Adam,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
    }[setting.optimizer]
    options = {"momentum": 0.9} if setting.optimizer == "sgd" else {}
    model.compile(kind(rate, clipnorm=setting.clipnorm, **options), loss)
    return model


def score(name, model, x, y):
    """Accuracy, or R2: what a user looks at."""
    task = FAMILIES[name].task
    predicted = model.predict(x, verbose=0, batch_size=512)
    if task == "regression":
        error = np.mean((predicted.ravel() - y) ** 2)
        return float(max(0.0, np.nan_to_num(1 - error / y.var(), nan=0.0)))
    if not np.isfinite(predicted).all():
        predicted = np.zeros_like(predicted)
    if task == "classes":
        return float((predicted.argmax(axis=1) == y).mean())
    logits = getattr(model.loss, "from_logits", False)
    chosen = predicted.reshape(y.shape[0], -1) > (0.0 if logits else 0.5)
    return float((chosen == y.reshape(len(y), -1)).mean())


def epochs_of(rows, batch_size):
    return max(5, min(30, round(STEPS / -(-rows // batch_size))))


def run(name, title, setting):
    """Train a case once: its score, its run, steps at its epoch ends."""
    started = time.perf_counter()
    x, y, x_val, y_val = split(name, setting)
    keras.utils.set_random_seed(SEED)
    model = build(name, setting, x, y)
    before = first_look.before_training(model, x, y, setting.batch_size)
    monitor = kerasbn.callbacks.GradientMonitor(None)
    epochs = epochs_of(len(x), setting.batch_size)
    steps = -(-len(x) // setting.batch_size)
    failed = None
    try:
        model.fit(
            x, y, setting.batch_size, epochs, verbose=0, callbacks=[monitor]
        )
    except Exception as error:
        failed = repr(error)
    found = score(name, model, x_val, y_val) if failed is None else 0.0
    return {
        "score": found,
        "before": before,
        "run": monitor.run if failed is None else None,
        "epoch_ends": [steps * (i + 1) for i in range(epochs)],
        "seconds": time.perf_counter() - started,
        "failed": failed,
    }


ALWAYS = [
    Change("initializer"),
    Change("normalize_hidden"),
    Change("activation", {"activation": "elu"}),
    Change("clipping", {"clipnorm": 1.0}),
]
ALL = [
    *ALWAYS,
    Change("normalize_inputs"),
    Change("statistics"),
    Change("learning_rate", {"factor": 0.1}),
    Change("learning_rate", {"factor": 10.0}),
]


def repaired(name, title, setting):
    """Scores of a faulty case by remedy, and what the rescue cost."""
    x, y, x_val, y_val = split(name, setting)
    keras.utils.set_random_seed(SEED)
    model = build(name, setting, x, y)
    epochs = epochs_of(len(x), setting.batch_size)
    steps = epochs * -(-len(x) // setting.batch_size)

    def trained(model):
        keras.utils.set_random_seed(SEED)
        try:
            model.fit(x, y, setting.batch_size, epochs, verbose=0)
        except Exception:  # labels that the loss cannot take
            return 0.0
        return score(name, model, x_val, y_val)

    began = time.perf_counter()
    found = kerasbn.rescue(
        model, x, y, epochs=epochs, batch_size=setting.batch_size
    )
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    rescued = trained(found.model)
    one_training = time.perf_counter() - began
    choose = random.Random(zlib.crc32(f"{name} {title}".encode()))
    return {
        "rescue": rescued,
        "random": trained(changes.apply(model, [choose.choice(ALL)])),
        "always": trained(changes.apply(model, ALWAYS)),
        "changes": [each.kind for each in found.changes],
        "steps": sum(trial.steps for trial in found.trials) / steps,
        "seconds": seconds / one_training,
    }


def kept(folder, work, name, title, setting):
    """Return the result of `work`, from the folder if it was done before."""
    file = f"{work.__name__}_{name}_{title}.pickle"
    path = folder / file.replace(" ", "-").replace("/", "")
    if not path.exists():
        path.write_bytes(pickle.dumps(work(name, title, setting)))
    return pickle.loads(path.read_bytes())


def in_parallel(folder, work, jobs):
    """Do jobs in two processes, each `(name, title, setting)`."""
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    # New processes now and then: what TensorFlow compiles stays in memory.
    with context.Pool(2, maxtasksperchild=25) as pool:
        chunk = pool.imap(_work, [(folder, work, *job) for job in jobs])
        for done, (job, result) in enumerate(zip(jobs, chunk, strict=True)):
            state = f"\r{work.__name__} {done + 1}/{len(jobs)} {job[:2]}"
            print(f"{state:60}", end="", file=sys.stderr, flush=True)
            yield result


def _work(job):
    return kept(*job)


def all_runs(folder):
    """Every run: family, title, base, setting, result."""
    jobs = [
        (name, title, base, setting)
        for name in FAMILIES
        for title, (base, setting) in cases(name).items()
    ]
    short = [(name, title, setting) for name, title, _, setting in jobs]
    for job, result in zip(jobs, in_parallel(folder, run, short), strict=True):
        yield *job, result


def guess(name):
    """Return the score of the best constant guess."""
    y = split(name, BASES[FAMILIES[name].kind][0])[3]
    if FAMILIES[name].task == "regression":
        return 0.0
    if FAMILIES[name].task == "labels":
        return float(np.maximum(y.mean(axis=0), 1 - y.mean(axis=0)).mean())
    return float(np.unique(y, return_counts=True)[1].max() / len(y))


class Case(NamedTuple):
    """A run, judged."""

    family: str
    title: str
    setting: Setting
    base: Setting | None
    kind: str  # "healthy", "faulty", "harmless", or "neither"
    score: float
    twin: float  # score of the healthy twin
    early: list[str]  # problems found before training
    failed: bool  # labels that the loss cannot take: there was no training
    detected: float | None  # share of the steps until the monitor found any
    problems: list[str]  # at the end, in the order to deal with them

    @property
    def found(self):
        return bool(self.early) or self.detected is not None


def serious(run):
    found, _ = _judge.judge(run)
    return [each.problem for each in found if each.severity != "minor"]


def judged(runs):
    """The cases of all runs."""
    by_family = {}
    for name, title, base, setting, result in runs:
        by_family.setdefault(name, []).append((title, base, setting, result))
    for name, members in by_family.items():
        scores = {s: r["score"] for _, b, s, r in members if b is None}
        control, chance = max(scores.values()), guess(name)
        for title, base, setting, result in members:
            twin = control if base is None else scores[base]
            if base is None:
                good = result["score"] >= 0.97 * control
                kind = "healthy" if good else "neither"
            else:
                bad = result["score"] - chance < 0.8 * (twin - chance)
                good = result["score"] >= 0.97 * twin
                kind = "faulty" if bad else "harmless" if good else "neither"
            ends = result["epoch_ends"]
            early = serious(result["before"])
            detected, problems = None, early
            if result["run"] is not None:
                for end in ends:
                    problems = serious(result["run"].until(end))
                    if problems and detected is None:
                        detected = end / ends[-1]
            yield Case(
                name,
                title,
                setting,
                base,
                kind,
                result["score"],
                twin,
                early,
                result["run"] is None,
                detected,
                problems,
            )


def is_right(case):
    return case.problems[:1] and case.problems[0] in FAULTS[case.title][0]


def share(part, whole):
    return f"{len(part) / len(whole):.1%}" if whole else "-"


def diagnosis_table(cases):
    heads = "faulty before training either right until healthy alarms"
    print(f"\n{'families':12}" + "".join(f"{h:>10}" for h in heads.split()))
    for group, held_out in (("tuned on", False), ("kept out", True)):
        chosen = [c for c in cases if FAMILIES[c.family].held_out is held_out]
        faulty = [c for c in chosen if c.kind == "faulty"]
        healthy = [c for c in chosen if c.kind == "healthy"]
        trained = [c for c in faulty if not c.failed]
        found = [c for c in trained if c.detected is not None]
        row = [
            str(len(faulty)),
            share([c for c in faulty if c.early], faulty),
            share(found, trained),
            share([c for c in faulty if c.found], faulty),
            share([c for c in faulty if is_right(c)], faulty),
            f"{np.median([c.detected for c in found]):.1%}",
            str(len(healthy)),
            share([c for c in healthy if c.found], healthy),
        ]
        print(f"{group:12}" + "".join(f"{each:>10}" for each in row))
    harmless = [c for c in cases if c.kind == "harmless"]
    print(
        f"of {len(harmless)} faults that did no harm, "
        f"{len([c for c in harmless if c.found])} are found all the same"
    )
    print("missed, wrong or false:")
    for case in cases:
        wrong = case.kind == "faulty" and not is_right(case)
        if wrong or (case.kind == "healthy" and case.found):
            mark = "kept out " if FAMILIES[case.family].held_out else ""
            print(
                f"  {mark}{case.family}: {case.title} ({case.score:.2f} of "
                f"{case.twin:.2f}): {', '.join(case.problems) or 'nothing'}"
            )


def rescue_table(folder, cases):
    chosen = [
        c for c in cases if c.kind == "faulty" and FAMILIES[c.family].held_out
    ]
    count = len(chosen)
    chosen = random.Random(SEED).sample(chosen, min(count, RESCUED))
    jobs = [(c.family, c.title, c.setting) for c in chosen]
    results = list(in_parallel(folder, repaired, jobs))
    enough = [0.95 * c.twin for c in chosen]
    print(
        f"\nrescued, {len(chosen)} drawn from the {count} faulty runs of the "
        "families kept out:"
    )
    scores = {"as is": [c.score for c in chosen]} | {
        kind: [each[kind] for each in results]
        for kind in ("random", "always", "rescue")
    }
    changes = {"as is": 0, "random": 1, "always": len(ALWAYS)}
    changes["rescue"] = np.mean([len(each["changes"]) for each in results])
    for kind, found in scores.items():
        share = np.mean([s >= e for s, e in zip(found, enough, strict=True)])
        print(f"  {kind:8}{share:7.1%}{changes[kind]:6.1f} changes")
    print(
        "  a rescue takes "
        f"{np.median([each['steps'] for each in results]):.2f} trainings of "
        f"steps, {np.median([each['seconds'] for each in results]):.2f} of "
        f"time (medians; at most "
        f"{max(each['steps'] for each in results):.2f}, "
        f"{max(each['seconds'] for each in results):.2f})"
    )
    for case, result, least in zip(chosen, results, enough, strict=True):
        if result["rescue"] < least:
            print(
                f"  not rescued: {case.family}: {case.title} "
                f"({result['rescue']:.2f} of {case.twin:.2f}; always "
                f"{result['always']:.2f}): {', '.join(result['changes'])}"
            )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", help="for the results")
    folder = pathlib.Path(parser.parse_args().folder or tempfile.mkdtemp())
    cases = list(judged(all_runs(folder)))
    diagnosis_table(cases)
    rescue_table(folder, cases)


if __name__ == "__main__":
    main()
