"""The names with which programs build C++ and CUDA parts of their own; nothing is built here."""
from __future__ import annotations

from typing import Any, NoReturn

from minitorch.errors import MissingError, absent_from

CUDA_HOME = ROCM_HOME = None


def load(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises MissingError: what needs PyTorch's C++ cannot work on these tensors.

    >>> load("fused", ["fused.cpp"])
    Traceback (most recent call last):
    ...
    minitorch.errors.MissingError: cpp_extension.load: 'fused' needs PyTorch's C++; autograd.Function takes Python
    """
    raise _absent("load", repr(name))


def load_inline(name: str, cpp_sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises MissingError, as `load`."""
    raise _absent("load_inline", repr(name))


def CppExtension(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises MissingError, as `load`."""
    raise _absent("CppExtension", repr(name))


def CUDAExtension(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises MissingError, as `load`."""
    raise _absent("CUDAExtension", repr(name))


class BuildExtension:
    """The command of a setup.py; making one raises MissingError."""

    def __init__(self, *args: Any, **kwargs: Any):
        raise _absent("BuildExtension", "a setup.py's part")


def _absent(function: str, what: str) -> MissingError:
    return MissingError(f"cpp_extension.{function}: {what} needs PyTorch's C++; "
                        "autograd.Function takes Python")


__all__ = ["CUDA_HOME", "ROCM_HOME", "BuildExtension", "CUDAExtension", "CppExtension", "load", "load_inline"]
__getattr__ = absent_from("torch.utils.cpp_extension", lambda: __all__)
