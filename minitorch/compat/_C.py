"""The few names of `torch._C`, PyTorch's compiled part, that programs use."""
from __future__ import annotations

from minitorch.device import get_default_device
from minitorch.errors import LinAlgError, absent_from
from minitorch.ops.random import Generator
from minitorch.overrides import DisableTorchFunction, DisableTorchFunctionSubclass
from minitorch.tensor import Tensor, disabled_torch_function

_disabled_torch_function_impl = disabled_torch_function
_LinAlgError = LinAlgError
TensorBase = Tensor


def _get_tracing_state() -> None:
    """None: everything runs as Python, traced or not."""


def _get_default_device() -> str:
    """The type of the device on which new tensors lie."""
    return get_default_device().type


__all__ = ["DisableTorchFunction", "DisableTorchFunctionSubclass", "Generator", "TensorBase"]
__getattr__ = absent_from("torch._C", lambda: globals())
