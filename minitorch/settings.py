"""Switches of the whole framework under PyTorch's names. Most only remember: what they ask for is so anyway."""
from __future__ import annotations

import warnings
from typing import Any

from minitorch_kernels.parallel import get_num_threads

_state: dict[str, Any] = {"deterministic": False, "warn_only": False, "warn_always": False, "interop_threads": None}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Remember it: every operation here is deterministic as it is, for any number of threads."""
    _state.update(deterministic=bool(mode), warn_only=bool(mode) and warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What was set."""
    return _state["deterministic"]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What was set."""
    return _state["warn_only"]


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same switch as a number or word: 0 "default", 1 "warn", 2 "error"."""
    words = {"default": 0, "warn": 1, "error": 2}
    level = words.get(debug_mode, debug_mode) if isinstance(debug_mode, str) else debug_mode
    if level not in (0, 1, 2):
        raise RuntimeError(f"set_deterministic_debug_mode: expects one of {', '.join(words)}, or 0, 1, 2, "
                           f"got {debug_mode!r}")
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2."""
    return 0 if not _state["deterministic"] else 1 if _state["warn_only"] else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Whether products of float32 on the GPU may use tensor cores: "highest" (no), "high", "medium"."""
    from .backends import cuda

    if precision not in cuda._PRECISIONS:
        warnings.warn(f"{precision} is not one of 'highest', 'high', or 'medium'; the current "
                      "setFloat32MatmulPrecision call has no effect.", stacklevel=2)
        return
    cuda._set_precision(precision)


def get_float32_matmul_precision() -> str:
    """What was set; "highest" at first."""
    from .backends import cuda

    return str(cuda._state["precision"])


def set_flush_denormal(mode: bool) -> bool:
    """False: numbers below the normal ones are always kept."""
    return False


def set_warn_always(b: bool) -> None:
    """Remember it: Python's `warnings` filters decide."""
    _state["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """What was set."""
    return _state["warn_always"]


def set_num_interop_threads(n: int) -> None:
    """Remember it: operations run one after the other."""
    if not isinstance(n, int) or n < 1:
        raise RuntimeError(f"set_num_interop_threads: expects a positive integer, got {n!r}")
    _state["interop_threads"] = n


def get_num_interop_threads() -> int:
    """What was set; at first the number of threads."""
    return _state["interop_threads"] or get_num_threads()


def compiled_with_cxx11_abi() -> bool:
    """True: for programs that choose a binary by it."""
    return True


def is_vulkan_available() -> bool:
    """False."""
    return False


def typename(obj: Any) -> str:
    """The name of a tensor's type ("torch.FloatTensor"), else of the object's class with its module."""
    from .tensor import Tensor

    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", None) or ""
    return kind.__qualname__ if module in ("", "builtins", "__builtin__") else f"{module}.{kind.__qualname__}"


def _assert(condition: Any, message: str) -> None:
    """`assert condition, message` as a function."""
    if not bool(condition):
        raise AssertionError(message)
