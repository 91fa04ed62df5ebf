"""minitorch: a neural-network framework from scratch, shaped like PyTorch.

>>> import minitorch as mt
>>> x = mt.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x ** 2).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""
from __future__ import annotations

import importlib as _importlib
import math as _math
from importlib.util import find_spec as _find_spec
from typing import Any as _Any

from minitorch_kernels import explain, use
from minitorch_kernels.parallel import get_num_threads, set_num_threads

from . import dtypes as _dtypes
from . import errors, ops
from .device import device
from .dtypes import (
    dtype,
    get_default_dtype,
    promote_types,
    set_default_dtype,
)
from .engine import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .op import FUNCTIONS as _FUNCTIONS
from .tensor import Size, Tensor

__version__ = "0.1.0"
e, pi, inf, nan = _math.e, _math.pi, _math.inf, _math.nan
newaxis = None

globals().update({name: getattr(_dtypes, name) for name in _dtypes.NAMES})
globals().update(_FUNCTIONS)  # every op and composite, by its name: defined in ops/, listed nowhere else

# functions that stand in a module which is imported when they are first used
_ELSEWHERE = {"compile": "capture", "save": "checkpoint", "load": "checkpoint"}


def __getattr__(name: str) -> _Any:
    """Any other module of this folder, imported when first used: `minitorch.nn` costs nothing to who needs none."""
    if name in _ELSEWHERE:
        return getattr(_importlib.import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    if not name.startswith("__") and _find_spec(f"{__name__}.{name}"):
        return _importlib.import_module(f"{__name__}.{name}")
    import difflib

    near = difflib.get_close_matches(name, __dir__(), 1)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'" +
                         (f"; the nearest that exists is '{near[0]}'" if near else ""))


def __dir__() -> list[str]:
    import pkgutil

    return sorted({*globals(), *_ELSEWHERE, *(module.name for module in pkgutil.iter_modules(__path__))})
