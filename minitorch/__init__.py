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

__path__.append(f"{__path__[0]}/compat")  # modules that only PyTorch programs ask for, as if they stood here
__version__ = "0.1.0"
e, pi, inf, nan = _math.e, _math.pi, _math.inf, _math.nan
newaxis = None

globals().update({name: getattr(_dtypes, name) for name in _dtypes.NAMES})
globals().update(_FUNCTIONS)  # every op and composite, by its name: defined in ops/, listed nowhere else

# functions that stand in a module which is imported when they are first used
_ELSEWHERE = {"compile": "capture", "save": "serialization", "load": "serialization"}
_ELSEWHERE.update({name: module for module, names in {
    "_C": "PyTorchFileReader PyTorchFileWriter",
    "amp": "autocast GradScaler",
    "amp.autocast_mode": """
        get_autocast_dtype set_autocast_dtype get_autocast_cpu_dtype get_autocast_gpu_dtype set_autocast_cpu_dtype
        set_autocast_gpu_dtype is_autocast_available is_autocast_enabled is_autocast_cpu_enabled set_autocast_enabled
        set_autocast_cpu_enabled is_autocast_cache_enabled set_autocast_cache_enabled clear_autocast_cache
        autocast_increment_nesting autocast_decrement_nesting""",
    "autograd.anomaly_mode": "is_anomaly_enabled set_anomaly_enabled is_anomaly_check_nan_enabled",
    "cuda.memory": "OutOfMemoryError",
    "device": "get_default_device set_default_device",
    "func": "vmap",
    "jit": "ScriptModule ScriptFunction",
    "extraction": "extract",
    "random": "fork_rng",
    "scaled": "_scaled_mm",
    "settings": """
        use_deterministic_algorithms are_deterministic_algorithms_enabled set_deterministic_debug_mode
        get_deterministic_debug_mode is_deterministic_algorithms_warn_only_enabled set_float32_matmul_precision
        get_float32_matmul_precision set_flush_denormal set_warn_always is_warn_always_enabled
        set_num_interop_threads get_num_interop_threads compiled_with_cxx11_abi is_vulkan_available typename _assert""",
    "sparse": "sparse_coo_tensor sparse_csr_tensor spmm dsmm smm hspmm",
    "sparse.coo": "sparse_coo",
    "sparse.csr": "sparse_csr",
    "summaries": "summary",
    "storage": """
        is_storage UntypedStorage TypedStorage FloatStorage DoubleStorage HalfStorage BFloat16Storage ByteStorage
        CharStorage ShortStorage IntStorage LongStorage BoolStorage""",
}.items() for name in names.split()})


def __getattr__(name: str) -> _Any:
    """Any other module of this folder, imported when first used: `minitorch.nn` costs nothing to who needs none."""
    if name in _ELSEWHERE:
        return getattr(_importlib.import_module(f"{__package__}.{_ELSEWHERE[name]}"), name)
    if (not name.startswith("__") or name in ("__config__", "__future__")) and _find_spec(f"{__package__}.{name}"):
        return _importlib.import_module(f"{__package__}.{name}")
    raise errors.NoAttributeError(f"module 'torch' has no attribute '{name}'", name, __dir__)


def __dir__() -> list[str]:
    import pkgutil

    return sorted({*globals(), *_ELSEWHERE, *(module.name for module in pkgutil.iter_modules(__path__))})
