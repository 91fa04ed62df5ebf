"""The few names of `torch._C`, PyTorch's compiled part, that programs use."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from minitorch._absent import stand_ins
from minitorch.device import device as as_device
from minitorch.device import get_default_device
from minitorch.dtypes import dtype as Dtype
from minitorch.errors import LinAlgError, absent_from
from minitorch.ops.random import Generator
from minitorch.overrides import DisableTorchFunction, DisableTorchFunctionSubclass
from minitorch.tensor import Tensor, disabled_torch_function

_disabled_torch_function_impl = disabled_torch_function
_LinAlgError = LinAlgError
globals().update(stand_ins(
    "torch", "torch.save and torch.load write and read files", "PyTorchFileReader PyTorchFileWriter"))
globals().update(stand_ins("torch._C", "there is no TorchScript", "Graph Node Value"))
TensorBase = Tensor
_TensorMeta = type(Tensor)


def _get_tracing_state() -> None:
    """None: everything runs as Python, traced or not."""


def _parse_to(*args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False, copy: bool = False,
              tensor: Tensor | None = None, memory_format: Any = None) -> tuple:
    """What arguments of `Tensor.to` and `Module.to` say: device, dtype, non_blocking and memory_format.

    >>> _parse_to("cpu", non_blocking=True)
    (device(type='cpu'), None, True, None)
    """
    for arg in (*args, tensor):
        if isinstance(arg, Tensor):
            device, dtype = arg.device, arg.dtype
        elif isinstance(arg, Dtype):
            dtype = arg
        elif isinstance(arg, bool):
            non_blocking = arg
        elif arg is not None:
            device = arg
    return None if device is None else as_device(device), dtype, non_blocking, memory_format


_nn = SimpleNamespace(_parse_to=_parse_to)


def _log_api_usage_once(event: str) -> None:
    """Nothing: nobody counts the users."""


def _get_default_device() -> str:
    """The type of the device on which new tensors lie."""
    return get_default_device().type


__all__ = ["DisableTorchFunction", "DisableTorchFunctionSubclass", "Generator", "TensorBase"]
__getattr__ = absent_from("torch._C", lambda: globals())
