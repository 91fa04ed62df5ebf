"""Keras's interface, thin over the core: `import minitorch.keras as keras`.

Data lies as Keras has it, (N, H, W, C) and (N, T, C); layers are modules, weights are parameters, and what they compute
are tensors, so that the core's functions work on all of them.

>>> from minitorch import keras
>>> keras.utils.set_random_seed(0)
>>> model = keras.Sequential([keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])
>>> model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse")
>>> x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
>>> history = model.fit(x, x ** 2, epochs=60, verbose=0)
>>> history.history["loss"][-1] < 0.01
True
"""
from __future__ import annotations

import importlib as _importlib
from importlib.util import find_spec as _find_spec
from typing import Any as _Any

from .. import errors as _errors
from . import backend
from . import backend as config
from .callbacks import Callback
from .initializers import Initializer
from .layers import Layer
from .layers.base import Variable
from .losses import Loss
from .metrics import Metric
from .models import Model, Sequential
from .optimizers import Optimizer
from .regularizers import Regularizer
from .symbolic import Input, KerasTensor

__version__ = "3.15.1"  # the Keras that this is shaped like


def __getattr__(name: str) -> _Any:
    if not name.startswith("_") and _find_spec(f"{__name__}.{name}"):
        return _importlib.import_module(f"{__name__}.{name}")
    _absent(name)


_absent = _errors.absent_from("keras", lambda: __dir__(), {
    "constraints": "'keras.regularizers', or Variable.assign after each step",
    "applications": "'torchvision.models'"})


def __dir__() -> list[str]:
    import pkgutil

    return sorted({*globals(), *(module.name for module in pkgutil.iter_modules(__path__))})
