"""What a tensor says of itself: its sizes, its type, where and how it lies in memory."""
from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from . import dtypes
from .device import is_pinned as lies_pinned
from .device import pinned_empty
from .limits import finfo, iinfo
from .op import FUNCTIONS, composite
from .shapes import axis
from .tensor import Size, Tensor

method = functools.partial(composite, function=False)


# Sizes

@method
def size(self, dim=None):
    """The shape, or its entry `dim`."""
    shape = self._array.shape
    if dim is None:
        return Size(shape)
    if not shape:
        raise IndexError(f"size: Dimension specified as {dim} but tensor has no dimensions")
    return shape[axis("size", self._array, dim)]


@method
def dim(self):
    """The number of dimensions."""
    return self._array.ndim


@composite
def numel(input):
    """The number of elements."""
    return input._array.size


@composite
def is_same_size(self, other):
    """Whether the shapes are equal."""
    return self._array.shape == other._array.shape


Tensor.ndimension, Tensor.nelement = Tensor.dim, Tensor.numel


# Types

@composite
def is_floating_point(input):
    """Whether its type is a floating one."""
    return input.dtype.is_floating_point


@composite
def is_complex(input):
    """Whether its type is a complex one."""
    return input.dtype.is_complex


@composite
def is_signed(self):
    """Whether its type has negative numbers."""
    return self.dtype.is_signed


@composite
def is_inference(self):
    """Whether it was made under inference_mode."""
    return self._inference


@composite
def is_nonzero(input):
    """Whether its one element is not zero. Raises RuntimeError where there are more, or none."""
    return bool(input)


@composite(method=False)
def result_type(tensor1, tensor2):
    """The type of tensor1 + tensor2, either of which may be a number."""
    return dtypes.result_type(*(x._array if isinstance(x, Tensor) else x for x in (tensor1, tensor2)))


@composite(method=False)
def can_cast(from_, to):
    """Whether an in-place result of type `from_` may be written to a tensor of type `to`."""
    return from_.kind <= to.kind


@composite(method=False)
def is_tensor(obj):
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


# Memory

class layout:
    """How elements are laid out. `strided` is the only layout here."""

    def __init__(self, name: str):
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> str:
        return self._name


class memory_format(layout):
    """An order of dimensions in memory. Tensors here are contiguous in NCHW order whichever is asked for."""

    def __init__(self, name: str, rank: int | None = None):
        super().__init__(name)
        if rank is not None:
            self.rank = rank  # the number of dimensions that it is for

    def check(self, ndim: int) -> None:
        """Raise RuntimeError where this order is not for tensors of that many dimensions."""
        if ndim != getattr(self, "rank", ndim):
            raise RuntimeError(f"required rank {self.rank} tensor to use {self._name} format, got {ndim} dimensions")


strided = layout("strided")
contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")
channels_last, channels_last_3d = memory_format("channels_last", 4), memory_format("channels_last_3d", 5)


@method
def stride(self, dim=None):
    """The distance from one element to the next, in elements, along each dimension or along `dim`."""
    array = self._array
    if array.size == 0:  # where NumPy's strides mean nothing
        strides = tuple(math.prod(max(n, 1) for n in array.shape[i + 1:]) for i in range(array.ndim))
    else:
        strides = tuple(s // array.itemsize for s in array.strides)
    return strides if dim is None else strides[axis("stride", array, dim)]


@method
def storage_offset(self):
    """The number of elements between the start of the memory and the first element."""
    owner = self._array
    while type(owner.base) is type(owner):
        owner = owner.base
    return (_address(self._array) - _address(owner)) // self._array.itemsize


@method
def data_ptr(self):
    """The address of the first element."""
    return _address(self._array)


@method
def is_contiguous(self, memory_format=None):
    """Whether the elements follow each other in memory."""
    if memory_format is not None and self._array.ndim != getattr(memory_format, "rank", self._array.ndim):
        return False
    return bool(self._array.flags.c_contiguous)


@method
def element_size(self):
    """Bytes an element."""
    return self._array.itemsize


@method
def is_set_to(self, other):
    """Whether both show the same memory in the same way."""
    a, b = self._array, other._array
    return a.shape == b.shape and a.strides == b.strides and _address(a) == _address(b)


@composite
def get_device(self):
    """The number of its GPU, -1 on the CPU."""
    return self._array.device.id if self.is_cuda else -1


@method
def pin_memory(self, device=None):
    """A copy of it in page-locked memory, from which copies to a GPU can run while the CPU goes on; itself where it
    lies there already. Raises RuntimeError for a tensor that is not on the CPU, NoCudaError where there is no GPU."""
    if not isinstance(self._array, np.ndarray):
        raise RuntimeError(f"cannot pin '{self.type()}' only dense CPU tensors can be pinned")
    if is_pinned(self):
        return self
    array = pinned_empty(self._array.shape, self._array.dtype)
    array[...] = self._array
    return Tensor._wrap(array)


@method
def is_pinned(self, device=None):
    """Whether it lies in page-locked memory."""
    return lies_pinned(self._array)


@method
def is_shared(self):
    """Whether other processes see its memory."""
    from .multiprocessing.sharing import shared_memory

    return shared_memory(self._array) is not None


@method
def share_memory_(self):
    """Move it to memory that processes which get it see too: what one changes in place, all have."""
    from .multiprocessing.sharing import share

    return share(self)


def _address(array: Any) -> int:
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


_PROPERTIES = {
    "layout": lambda self: strided,
    "nbytes": lambda self: self._array.nbytes,
    "itemsize": lambda self: self._array.itemsize,
    "is_cuda": lambda self: not isinstance(self._array, np.ndarray) and self.device.type == "cuda",
    "is_meta": lambda self: hasattr(self._array, "is_meta"),
    "is_cpu": lambda self: isinstance(self._array, np.ndarray),
    "output_nr": lambda self: getattr(self._node, "index", 0),
    **{f"is_{kind}": lambda self: False for kind in ("sparse", "sparse_csr", "quantized", "mkldnn", "nested",
                                                     "mps", "xpu", "xla", "ipu", "mtia", "maia", "vulkan")},
}
for _name, _get in _PROPERTIES.items():
    setattr(Tensor, _name, property(_get))

FUNCTIONS.update(finfo=finfo, iinfo=iinfo, layout=layout, memory_format=memory_format, strided=strided,
                 contiguous_format=contiguous_format, preserve_format=preserve_format, channels_last=channels_last,
                 channels_last_3d=channels_last_3d)
