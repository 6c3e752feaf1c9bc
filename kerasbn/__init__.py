"""Deep Keras networks that train, and a TensorBoard trace that shows why.

Each name is imported when it is first used: a run can be judged from its files
by a machine without Keras, or without waiting for it.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasbn import callbacks as callbacks
    from kerasbn import clipping as clipping
    from kerasbn import diagnosis as diagnosis
    from kerasbn import inference as inference
    from kerasbn import layers as layers
    from kerasbn import models as models
    from kerasbn import optimizers as optimizers
    from kerasbn.diagnosis import Finding as Finding
    from kerasbn.diagnosis import diagnose as diagnose
    from kerasbn.inference import Fold as Fold
    from kerasbn.inference import calibrate as calibrate
    from kerasbn.inference import fold as fold
    from kerasbn.inference import to_keras as to_keras
    from kerasbn.rescue import Rescue as Rescue
    from kerasbn.rescue import rescue as rescue

__version__ = "0.1.0"

_MODULES = (
    "callbacks",
    "clipping",
    "diagnosis",
    "inference",
    "layers",
    "models",
    "optimizers",
)
# Names at the top, and the modules that they live in.
_LIFTED = {
    "Finding": "diagnosis",
    "diagnose": "diagnosis",
    "Fold": "inference",
    "calibrate": "inference",
    "fold": "inference",
    "to_keras": "inference",
    "Rescue": "rescue",
    "rescue": "rescue",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _LIFTED:
        module = importlib.import_module(f"kerasbn.{_LIFTED[name]}")
        value = globals()[name] = getattr(module, name)
        return value
    if name in _MODULES:
        return importlib.import_module(f"kerasbn.{name}")
    raise AttributeError(f"module 'kerasbn' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, whether imported yet or not."""
    return sorted({*globals(), *_MODULES, *_LIFTED})


class _Package(types.ModuleType):
    """A package whose `rescue` is the function, not the file it stands in."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Import sets each submodule as an attribute of its package."""
        if name in _LIFTED and isinstance(value, types.ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


def _import_saved_kinds():
    """Import what registers the classes that a saved model may hold."""
    importlib.import_module("kerasbn.models")  # and layers
    importlib.import_module("kerasbn.optimizers")  # and clipping


class _Registration:
    """Registers what a saved model may hold when Keras is imported later.

    Keras loads a saved model by the classes that are registered, and imports no
    module but its own. So it stands first in `sys.meta_path`, finds modules as
    the others would, and is gone once Keras is imported: by its user, or by a
    module of kerasbn, which is to be whole before others import from it.
    """

    def __init__(self):
        self._inside = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Have the import that brings Keras end with that of the classes."""
        if self._inside or not (name == "keras" or name.startswith("kerasbn.")):
            return None
        others = [each for each in sys.meta_path if each is not self]
        found = (each.find_spec(name, path, target) for each in others)
        spec = next(filter(None, found), None)
        loader: Any = spec and spec.loader
        if loader:  # none in a namespace package, a mere folder named keras

            def exec_module(module):
                del loader.exec_module
                self._inside = True
                try:
                    loader.exec_module(module)
                finally:
                    self._inside = False
                if "keras" in sys.modules and self in sys.meta_path:
                    sys.meta_path.remove(self)
                    _import_saved_kinds()

            loader.exec_module = exec_module
        return spec


sys.modules[__name__].__class__ = _Package
if "keras" in sys.modules:
    _import_saved_kinds()
else:
    sys.meta_path.insert(0, _Registration())
