"""Changes of a compiled model, made in a copy of it."""

import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from kerasbn import _cloning, _layer_changes, _surgery

_CLIP_ARGUMENTS = ("clipnorm", "clipvalue", "global_clipnorm")
# What of a schedule is a learning rate, and not a number of steps or a share.
_RATES = (
    "initial_learning_rate",
    "end_learning_rate",
    "warmup_target",
    "values",
)
# A model that trains in its own way would be copied without it.
_TRAINING = ("train_step", "test_step", "compute_loss", "fit", "compile")
_ABSENT: Any = object()


class Change(NamedTuple):
    """One thing that is done to a model.

    Attributes:
        kind: "normalize_inputs", "normalize_hidden", "initializer",
            "activation", "clipping", "learning_rate", "statistics" or "output".
        options: Of "activation": `activation`. Of "clipping": one of
            `clipnorm`, `clipvalue`, `global_clipnorm`. Of "learning_rate":
            `factor` or `value`. Of "output": any of `activation`, `units`,
            `loss`. The others have none.
    """

    kind: str
    options: dict[str, Any] = {}

    def __str__(self) -> str:
        """Return what is done, in a sentence."""
        return _TEXTS[self.kind][0](**self.options)

    @property
    def patch(self) -> str:
        """The code to write for it: lines taken away "-" and put in "+"."""
        return _TEXTS[self.kind][1](**self.options)


def expressible(model: Any) -> bool:
    """Whether `apply` can work on a model."""
    return not _obstacle(model)


def apply(
    model: keras.Model, changes: Sequence[Change], seed: int = 0
) -> keras.Model:
    """Make a compiled copy of a model with changes in it.

    The model, its weights and its optimizer stay as they are. Weights are
    taken over where their shape is the same and where they are finite; the
    state of the optimizer is not. Frozen layers are neither normalized nor
    initialized nor given another activation: someone chose to keep them.

    Args:
        model: A compiled, built, functional or sequential model.
        changes: Made in an order of their own: kernels are drawn last, to fit
            the activations that there are then.
        seed: For all that is drawn.

    Returns:
        A model compiled as `model` is, except for the changes. A sequential
        model stays one; those nested in a model become functional.

    Raises:
        ValueError: If the model or a change is not of such a kind.
    """
    obstacle = _obstacle(model)
    if obstacle:
        raise ValueError(
            "`model` must be compiled, built, and functional or sequential. "
            f"Received: model={getattr(model, 'name', model)!r}, {obstacle}. "
            "Make the changes by hand."
        )
    options = {}
    for change in changes:
        _check(change)
        options.setdefault(change.kind, {}).update(change.options)
    loss = options.get("output", {}).pop("loss", _ABSENT)
    with _drawing(seed):
        result = _surgery.rebuilt(_cloning.plain(model))
        for kind, change in _layer_changes.CHANGES.items():
            if kind in options and (kind != "output" or options[kind]):
                result = change(result, **options[kind])
        if isinstance(model, keras.Sequential):
            result = keras.Sequential(result.layers, name=model.name)
    _compile(result, model, loss, options)
    return result


def _obstacle(model):
    """Why a model cannot be copied with changes."""
    if not isinstance(model, keras.Model):
        return "which is not a Keras model"
    if not getattr(model, "compiled", False) or model.optimizer is None:
        return "which is not compiled"
    plain = _cloning.plain(model)
    if plain is None:
        return "which is subclassed or not built"
    for name in _TRAINING:
        if getattr(type(model), name) is not getattr(keras.Model, name):
            return f"whose class has its own `{name}`"
    for tensor in plain.inputs:
        if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
            return f"whose input {tensor.name!r} is sparse or ragged"
    for layer in model._flatten_layers(include_self=False):
        if getattr(layer, "lora_enabled", False) or getattr(
            layer, "quantization_mode", None
        ):
            return f"whose layer {layer.name!r} is quantized or has LoRA"
    for operation in _surgery.Graph(plain).operations:
        try:
            operation.get_config()
        except NotImplementedError:
            return f"whose layer {operation.name!r} has no `get_config`"
    return ""


def _check(change):
    if change.kind not in _TEXTS:
        raise ValueError(
            f"`kind` must be one of {', '.join(_TEXTS)}. "
            f"Received: kind={change.kind!r}."
        )
    least, known = _OPTIONS.get(change.kind, (0, ()))
    if len(change.options) < least or set(change.options) - set(known):
        raise ValueError(
            f"`options` of {change.kind!r} must be from {sorted(known)}. "
            f"Received: options={change.options}."
        )


_OPTIONS = {
    "activation": (1, ("activation",)),
    "clipping": (0, _CLIP_ARGUMENTS),
    "learning_rate": (1, ("factor", "value")),
    "output": (1, ("activation", "units", "loss")),
}


@contextlib.contextmanager
def _drawing(seed):
    """Draw from `seed`, and leave the caller's random numbers alone.

    An initializer without a seed takes one from Python's generator.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _compile(result, model, loss, options):
    """Compile as `model` is, with another loss and optimizer."""
    metrics = model._compile_metrics
    losses = model._compile_loss
    result.compile(
        optimizer=_optimizer(model.optimizer, options),
        loss=model.loss if loss is _ABSENT else loss,
        loss_weights=losses and losses._user_loss_weights,
        metrics=metrics and _fresh(metrics._user_metrics),
        weighted_metrics=metrics and _fresh(metrics._user_weighted_metrics),
        run_eagerly=model.run_eagerly,
        steps_per_execution=model.steps_per_execution,
        jit_compile=model.jit_compile,
        auto_scale_loss=False,  # done in the optimizer that is copied
    )


def _fresh(metrics):
    """Metrics as the user gave them, without their state."""

    def fresh(metric):
        if not isinstance(metric, keras.metrics.Metric):
            return metric
        return type(metric).from_config(metric.get_config())

    return keras.tree.map_structure(fresh, metrics)


def _optimizer(optimizer, options):
    """A new optimizer of the same class, with the changes of its options."""
    config = optimizer.get_config()
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        inner = _optimizer(optimizer.inner_optimizer, options)
        del config["inner_optimizer"]
        return type(optimizer)(inner, **config)
    rate = getattr(optimizer, "_learning_rate", None)
    if isinstance(config.get("learning_rate"), dict):
        config["learning_rate"] = rate  # it has no state, and may be unnamed
    if "learning_rate" in options:
        rate = config.get("learning_rate")
        new = _learning_rate(optimizer, rate, **options["learning_rate"])
        config["learning_rate"] = new
    if "clipping" in options:
        config |= dict.fromkeys(_CLIP_ARGUMENTS)
        config |= options["clipping"]
    result = type(optimizer).from_config(config)
    # `get_config` forgets what AdamW must not decay.
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    if pattern is not None:
        result.exclude_from_weight_decay(var_names=[pattern.pattern])
    return result


def _learning_rate(optimizer, rate, factor=1.0, value=None):
    if value is not None:
        return float(value)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        config = rate.get_config()
        known = [key for key in _RATES if config.get(key) is not None]
        for key in known or _first_number(config):
            numbers = config[key]
            config[key] = (
                [factor * each for each in numbers]
                if isinstance(numbers, list | tuple)
                else factor * numbers
            )
        return type(rate).from_config(config)
    return factor * float(optimizer.learning_rate)


def _first_number(config):
    numbers = [key for key, value in config.items() if type(value) is float]
    return numbers[:1]


def _listed(options):
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _output_sentence(**options):
    said = {"activation": "activation", "units": "units", "loss": "loss"}
    parts = [f"{said[name]} {_shown(value)}" for name, value in options.items()]
    return f"Give the output {' and '.join(parts)}."


def _output_patch(loss=_ABSENT, **options):
    lines = []
    if options:
        units = options.pop("units", "units")
        arguments = [str(units), *filter(None, [_listed(options)])]
        lines = [
            "- keras.layers.Dense(units, activation=...)  # the last layer",
            f"+ keras.layers.Dense({', '.join(arguments)})",
        ]
    if loss is not _ABSENT:
        lines += [
            "- model.compile(optimizer, loss=...)",
            f"+ model.compile(optimizer, loss={_loss(loss)})",
        ]
    return "\n".join(lines)


def _shown(value):
    name = getattr(value, "name", getattr(value, "__name__", value))
    return "linear" if name is None else f"{name}"


def _loss(loss):
    if isinstance(loss, keras.losses.Loss):
        logits = loss.get_config().get("from_logits")
        arguments = "from_logits=True" if logits else ""
        return f"keras.losses.{type(loss).__name__}({arguments})"
    return repr(getattr(loss, "__name__", loss))


def _clipping_sentence(**options):
    used = {key: each for key, each in options.items() if each is not None}
    if not used:
        return "Do not clip the gradients."
    return f"Clip the gradients, {_listed(used)}."


def _clipping_patch(**options):
    return (
        "- optimizer = keras.optimizers.Adam(learning_rate)\n"
        f"+ optimizer = keras.optimizers.Adam(learning_rate, {_listed(options)})"
    )


def _rate_sentence(factor=1.0, value=None):
    if value is not None:
        return f"Set the learning rate to {value:g}."
    return f"Multiply the learning rate by {factor:g}."


def _rate_patch(factor=1.0, value=None):
    new = f"{factor:g} * learning_rate" if value is None else f"{value:g}"
    return (
        "- optimizer = keras.optimizers.Adam(learning_rate)\n"
        f"+ optimizer = keras.optimizers.Adam({new})"
    )


_TEXTS: dict[str, tuple[Callable[..., str], Callable[..., str]]] = {
    "normalize_inputs": (
        lambda: (
            "Normalize the inputs with kerasbn.layers.InputBatchNormalization."
        ),
        lambda: (
            "  inputs = keras.Input(shape)\n"
            "- x = inputs\n"
            "+ x = kerasbn.layers.InputBatchNormalization()(inputs)"
        ),
    ),
    "normalize_hidden": (
        lambda: (
            "Normalize each hidden layer before its activation with "
            "kerasbn.layers.BatchNormalization."
        ),
        lambda: (
            "- keras.layers.Dense(units, activation=activation)\n"
            "+ keras.layers.Dense(units, use_bias=False)\n"
            "+ kerasbn.layers.BatchNormalization()\n"
            "+ keras.layers.Activation(activation)"
        ),
    ),
    "initializer": (
        lambda: (
            "Draw the kernels by an initializer that fits the activation: He, "
            "LeCun for selu, Glorot for tanh, sigmoid and linear."
        ),
        lambda: (
            '- keras.layers.Dense(units, activation="relu")\n'
            '+ keras.layers.Dense(units, activation="relu", '
            'kernel_initializer="he_normal")'
        ),
    ),
    "activation": (
        lambda activation: f"Use {_shown(activation)} in the hidden layers.",
        lambda activation: (
            "- keras.layers.Dense(units, activation=...)\n"
            f"+ keras.layers.Dense(units, activation={_loss(activation)})"
        ),
    ),
    "clipping": (_clipping_sentence, _clipping_patch),
    "learning_rate": (_rate_sentence, _rate_patch),
    "statistics": (
        lambda: (
            "Use kerasbn.layers.BatchNormalization, whose statistics can be "
            "trusted from the first steps on."
        ),
        lambda: (
            "- keras.layers.BatchNormalization(momentum=...)\n"
            "+ kerasbn.layers.BatchNormalization()"
        ),
    ),
    "output": (_output_sentence, _output_patch),
}
