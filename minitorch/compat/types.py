"""Types for annotations under PyTorch's names."""
from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import Any, TypeAlias, Union

from minitorch.device import device as _device
from minitorch.dtypes import dtype as _dtype
from minitorch.storage import TypedStorage, UntypedStorage
from minitorch.tensor import Size, Tensor

_int, _float, _bool, _complex, _size_t = builtins.int, builtins.float, builtins.bool, builtins.complex, Sequence[int]
Number: TypeAlias = Union[int, float, bool]  # noqa: UP007  an object at run time
Device: TypeAlias = Union[_device, str, int, None]  # noqa: UP007
FileLike: TypeAlias = Union[str, "os.PathLike[str]", Any]
Storage: TypeAlias = Union[UntypedStorage, TypedStorage]  # noqa: UP007
_size: TypeAlias = Union[Size, list[int], tuple[int, ...]]  # noqa: UP007
_TensorOrTensors: TypeAlias = Union[Tensor, Sequence[Tensor]]  # noqa: UP007
_device_t, _dtype_t = _device, _dtype

__all__ = ["Device", "FileLike", "Number", "Storage"]
