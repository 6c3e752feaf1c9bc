"""The code that a script writes for a layer, an optimizer or `compile`.

Arguments that have their default are left out, and names that Keras gave. An
object that cannot be written, such as a lambda, is "...".
"""

import importlib
import inspect
import json
import re
import warnings
from typing import Any

import keras
import numpy as np

UNKNOWN = "..."
_ROOMS = {
    f"keras.{each}": getattr(keras, each)
    for each in (
        *("layers", "losses", "metrics", "initializers", "regularizers"),
        *("constraints", "activations", "ops"),
    )
} | {
    "keras.optimizers.schedules": keras.optimizers.schedules,
    "keras.optimizers": keras.optimizers,
    "keras": keras,
}
# Keras stores a pair where the script has one number.
_SIZES = {"kernel_size", "strides", "pool_size", "dilation_rate", "size"}
_INITIALIZERS = {"uniform": "random_uniform", "normal": "random_normal"}
# Where an argument that is not given follows another.
_FOLLOWS = {"strides": "pool_size", "value_dim": "key_dim"}
# What Keras sets by itself, and no argument that a script would write.
_SET_BY_KERAS = {"zero_output_for_mask", "auto_scale_loss"}
_COMPILED = (
    *("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics"),
    *("run_eagerly", "steps_per_execution"),
)
_USUAL = {"run_eagerly": False, "steps_per_execution": 1}


def layer(given: Any) -> str:
    """Return the code of a layer, or of anything else that has a config."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a lambda that is read
            # Huber's config forgets its delta; with Keras 3.15.
            config = {**getattr(given, "_fn_kwargs", {}), **given.get_config()}
    except Exception:  # of the user's class: "..." tells it
        return f"{_public(type(given))}({UNKNOWN})"
    if isinstance(given, keras.layers.Lambda):
        return f"{_public(type(given))}({UNKNOWN})"
    if isinstance(given, keras.layers.InputLayer):
        return _input(config)
    if callable(getattr(given, "activation", None)) and "activation" in config:
        config["activation"] = given.activation
    if isinstance(given, keras.layers.Bidirectional):
        config = _one_direction(config)
    return _written(type(given), config)


def compile(model: Any) -> str:
    """Return the call that compiled a model, "" if it is not known."""
    # Keras has no public record of it; with Keras 3.15.
    given = getattr(getattr(model, "_compile_config", None), "config", None)
    if type(model).compile is not keras.Model.compile:
        return ""  # the user's, with arguments of its own
    if not isinstance(given, dict) or given.get("optimizer") is None:
        return ""
    arguments = [
        f"{name}={value(given[name])}"
        for name in _COMPILED
        if given.get(name) is not None and given[name] != _USUAL.get(name)
    ]
    return f"model.compile({', '.join(arguments)})"


def style(model: Any) -> str:
    if isinstance(model, keras.Sequential):
        return "sequential"
    return "functional" if isinstance(model, keras.Function) else "subclassed"


def value(given: Any) -> str:
    """Return the code of an argument."""
    if isinstance(given, np.generic):
        given = given.item()
    if isinstance(given, float):
        return _number(given)
    if isinstance(given, str):
        return json.dumps(given, ensure_ascii=False)
    if given is None or given is ... or isinstance(given, bool | int):
        return UNKNOWN if given is ... else repr(given)
    if isinstance(given, dict):
        return _of_dict(given)
    if isinstance(given, list):
        return "[" + ", ".join(map(value, given)) + "]"
    if isinstance(given, tuple):
        comma = "," * (len(given) == 1)
        return "(" + ", ".join(map(value, given)) + comma + ")"
    if isinstance(given, np.ndarray):
        return value(given.tolist()) if given.size <= 32 else UNKNOWN
    if isinstance(given, keras.DTypePolicy):
        return value(given.name)
    if hasattr(given, "get_config"):
        text = layer(given)
        return _short(given, text)
    return _function(given) if callable(given) else UNKNOWN


def _number(given):
    """The shortest decimal for it, a variable's float32 included."""
    single = np.float32(given)
    return repr(float(str(single)) if float(single) == given else given)


def _of_dict(given):
    name, config = given.get("class_name"), given.get("config")
    if name is None or "config" not in given:
        if set(given) == {"value"}:  # a lambda, serialized
            return UNKNOWN
        inside = (f"{value(k)}: {value(v)}" for k, v in given.items())
        return "{" + ", ".join(inside) + "}"
    if name == "DTypePolicy":
        return value(config["name"])
    if name == "function":
        return str(config) if str(config).isidentifier() else UNKNOWN
    cls = _class(given)
    if cls is None:
        return f"{name}({UNKNOWN})"
    return _short(cls, _written(cls, config))


def _short(given, text):
    """A name for an initializer that has no arguments."""
    name = re.fullmatch(r"keras\.initializers\.(\w+)\(\)", text)
    if name is None:
        return text
    return value(snake_case(name.group(1)))


def _function(given):
    name = getattr(given, "__name__", UNKNOWN)
    short = name.removesuffix("_v2")  # tf.nn.softmax
    for room in ("activations", "losses", "metrics"):
        known = getattr(getattr(keras, room), short, None)
        if known is given or (room == "activations" and known):
            return value(short)
    return name if name.isidentifier() else UNKNOWN


def _class(given):
    name = given["class_name"]
    registered = given.get("registered_name")
    found = registered and keras.saving.get_registered_object(registered)
    module = given.get("module")
    if found is None and module:
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError:  # a module of the user; "..." tells it
            found = None
    return found


def _public(cls):
    """The class as a script names it."""
    name = cls.__name__
    for path, room in _ROOMS.items():
        if getattr(room, name, None) is cls:
            return f"{path}.{name}"
    room = cls.__module__.split(".")
    if room[0] != "kerasbn":
        return name
    return ".".join([*(e for e in room if not e.startswith("_")), name])


def _written(cls, config):
    arguments, known = [], False
    parameters = _parameters(cls)
    for name, default in parameters.items():
        if name in ("name", "dtype", "trainable") or name in _SET_BY_KERAS:
            continue
        if name not in config:
            if default is inspect.Parameter.empty:
                return f"{_public(cls)}({UNKNOWN})"
            continue
        known = True
        text = _argument(name, config[name])
        if default is inspect.Parameter.empty:
            arguments.append(text)
        elif not _is_default(name, text, default, config):
            arguments.append(f"{name}={text}")
    if not known and not _public(cls).startswith(("keras.", "kerasbn.")):
        return (
            f"{_public(cls)}({UNKNOWN})" if parameters else f"{cls.__name__}()"
        )
    return f"{_public(cls)}({', '.join(arguments + _common(cls, config))})"


def _common(cls, config):
    """Arguments that every layer has."""
    found = []
    if issubclass(cls, keras.layers.Layer):
        if config.get("trainable") is False:
            found.append("trainable=False")
        policy = value(config.get("dtype"))
        if policy not in ("None", value(keras.config.dtype_policy().name)):
            found.append(f"dtype={policy}")
    name, usual = config.get("name"), _parameters(cls).get("name")
    auto = rf"({cls.__name__}|{snake_case(cls.__name__)})(_\d+)?"
    if name and name != usual and not re.fullmatch(auto, name):
        found.append(f"name={value(name)}")
    return found


def _parameters(cls):
    """The defaults of all arguments, those of the base classes included."""
    found: dict[str, Any] = {}
    for each in cls.__mro__:
        if "__init__" not in vars(each):
            continue
        inside = list(inspect.signature(each.__init__).parameters.values())[1:]
        for one in inside:
            if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                # A subclass gives what its base class needs.
                needed = one.default is one.empty and each is not cls
                if not needed or "__init__" not in vars(cls):
                    found.setdefault(one.name, one.default)
        if not any(one.kind == one.VAR_KEYWORD for one in inside):
            break
    return found


def _argument(name, given):
    if name in _SIZES and isinstance(given, list | tuple):
        return value(given[0]) if len({*given}) == 1 else value(tuple(given))
    if name == "axis" and isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    return value(given)


def _is_default(name, text, default, config):
    if name == "data_format":
        return text == value(keras.config.image_data_format())
    if default is None and name in _FOLLOWS:
        other = _FOLLOWS[name]
        return text in ("None", _argument(other, config.get(other)))
    if name.endswith("initializer") and isinstance(default, str):
        default = _INITIALIZERS.get(default, snake_case(default))
    usual = _argument(name, default)
    if name == "activation" and default is None:
        return text in ("None", '"linear"')
    return usual == text or _equal(usual, text)


def _equal(*texts):
    numbers = all(re.fullmatch(r"-?[\d.]+(e-?\d+)?", e) for e in texts)
    return numbers and len({*map(float, texts)}) == 1


def _input(config):
    rows, *shape = config["batch_shape"]
    arguments = [value(tuple(shape))]
    if rows is not None:
        arguments.append(f"batch_size={rows}")
    if config["dtype"] != keras.config.floatx():
        arguments.append(f"dtype={value(config['dtype'])}")
    for name in ("sparse", "ragged"):
        if config.get(name):
            arguments.append(f"{name}=True")
    if not re.fullmatch(r"(input_layer|keras_tensor)(_\d+)?", config["name"]):
        arguments.append(f"name={value(config['name'])}")
    return f"keras.Input({', '.join(arguments)})"


def _one_direction(config):
    """The config of a `Bidirectional`, as its layer was before it was named."""

    def unnamed(given, prefix, **changes):
        inside = {**given["config"], **changes}
        inside["name"] = inside["name"].removeprefix(prefix)
        return {**given, "config": inside}

    forward = unnamed(config["layer"], "forward_")
    config = {**config, "layer": forward}
    if config.get("backward_layer"):
        reverse = forward["config"]["go_backwards"]
        back = unnamed(
            config["backward_layer"], "backward_", go_backwards=reverse
        )
        config["backward_layer"] = None if back == forward else back
    return config


def snake_case(name: str) -> str:
    start = "(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])"
    return re.sub(start, "_", name).lower()
