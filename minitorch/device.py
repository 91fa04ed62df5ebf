"""Devices: where an array lies, the array module and the kernels that work there."""
from __future__ import annotations

import functools
import sys
from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
from minitorch_kernels import kernels

from .errors import DeviceError, NoCudaError, NotStrided

cpu_kernels = kernels(np)

KINDS = ("cpu", "cuda", "meta", "mps", "xpu", "xla", "hpu", "ipu", "mtia", "hip", "vulkan")  # the first three work here
QUICK: dict[type, Any] = {np.ndarray: cpu_kernels}  # the kernels of an array, where its type alone tells them
ARRAYS: set[type] = {np.ndarray}  # the types of arrays that hold values: CuPy's is among them once CuPy is loaded
gpus = SimpleNamespace(several=False,  # whether more than one has been used: until then nothing asks which is current
                       capturing=None)  # while a graph is recorded: who takes over copies from the CPU's memory
_defaults: list[device] = []  # the devices of `with device(...)`, and of `set_default_device` before them


class device:
    """`device("cpu")`, `device("cuda:1")`, `device("cuda", 1)`.

    >>> device("cuda:1").index
    1
    >>> device("gpu")
    Traceback (most recent call last):
    RuntimeError: device: expects one of cpu, cuda, cuda:N, got 'gpu'
    """

    __slots__ = ("index", "type")
    index: int | None
    type: str

    def __init__(self, type: Any = "cpu", index: int | None = None):
        if isinstance(type, device):
            type, index = type.type, type.index
        elif isinstance(type, int):
            type, index = "cuda", type
        name, _, number = str(type).partition(":")
        if name not in KINDS or (number and not number.isdigit()):
            raise RuntimeError(f"device: expects one of cpu, cuda, cuda:N, got {type!r}")
        self.type = name
        self.index = int(number) if number else index

    def __enter__(self) -> device:
        """Within the block tensors that are made without a device are made on this one."""
        _defaults.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _defaults.pop()

    def __call__(self, function: Any) -> Any:
        @functools.wraps(function)
        def call(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return call

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self):
        return device, (self.type, self.index)


CPU, META = device("cpu"), device("meta")
_device = device


def get_default_device() -> device:
    """Where tensors are made for which no device is said."""
    return _defaults[-1] if _defaults else CPU


def set_default_device(device: Any) -> None:
    """Make tensors there from now on; None: on the CPU."""
    _defaults[:] = [] if device is None else [_device(device)]


def chosen() -> device | None:
    """The device that was set as default, None where none was."""
    return _defaults[-1] if _defaults else None


def device_of(array: Any) -> device:
    """The device that holds `array`."""
    if isinstance(array, (np.ndarray, np.generic)):
        return CPU
    if hasattr(array, "is_meta"):
        return META
    return device_of(array.veils) if hasattr(array, "veils") else device("cuda", array.data.device_id)


def kernels_of(array: Any) -> Any:
    """The kernels of the device that holds `array`."""
    found = QUICK.get(type(array))
    if found is not None:
        return found
    if isinstance(array, (np.ndarray, np.generic)):
        return cpu_kernels
    if hasattr(array, "is_meta"):
        from .meta import meta_kernels

        return meta_kernels
    return kernels_of(array.veils) if hasattr(array, "veils") else kernels(cupy())


def common_kernels(name: str, arrays: list[Any]) -> Any:
    """The kernels for arrays that must share a device. 0-d CPU arrays go anywhere: in `arrays` copies that lie beside
    the others take their places. Raises DeviceError."""
    kinds = {type(a) for a in arrays} - _NUMBERS
    if len(kinds) == 1:
        found = QUICK.get(*kinds)
        if found is not None:
            return found
    present = [a for a in arrays if hasattr(a, "dtype") and hasattr(a, "shape")]
    placed = [a for a in present if a.shape != () or device_of(a).type != "cpu"] or present
    where = {str(device_of(a)) for a in placed}
    if len(where) > 1:
        raise DeviceError(f"{name}: expected all tensors to be on the same device, but found at least two devices, "
                          + " and ".join(sorted(where)))
    if placed and hasattr(placed[0], "is_meta"):
        raise NotStrided(placed[0], f"{name}: meta tensors have no values")  # and run in their own way
    if placed and len(placed) < len(present) and device_of(placed[0]).type == "cuda":
        cp = cupy()
        with cp.cuda.Device(placed[0].data.device_id):
            arrays[:] = [_scalar(cp, a) if isinstance(a, np.ndarray) and a.shape == () else a for a in arrays]
    return kernels_of(placed[0]) if placed else cpu_kernels


def _scalar(cp: Any, a: np.ndarray) -> Any:
    """A 0-d array on the GPU: its value travels as an argument of a kernel, which is no copy to wait for."""
    if gpus.capturing is not None and gpus.capturing.is_here():
        return gpus.capturing.copied(cp, a)
    return cp.full((), a.item() if a.dtype.kind != "V" else float(a), a.dtype)


def array_module(where: device) -> Any:
    """numpy, or cupy with a usable GPU."""
    if where.type not in ("cpu", "cuda", "meta"):
        raise DeviceError(f"there is no device {str(where)!r} here")
    return cupy() if where.type == "cuda" else np


# Copies between devices

def alike(arrays: list[Any]) -> list[list[Any]]:
    """`arrays` in the lists that a kernel for lists takes at once: on the CPU one, else one a device and dtype."""
    if not arrays or isinstance(arrays[0], np.ndarray):
        return [arrays] if arrays else []
    found: dict[tuple, list[Any]] = {}
    for a in arrays:
        found.setdefault((str(device_of(a)), a.dtype), []).append(a)
    return list(found.values())


def move(array: Any, where: device, non_blocking: bool = False) -> Any:
    """`array` on the device `where`, itself if it is there already. Raises DeviceError without that device.

    With `non_blocking` a copy between pinned memory and a GPU is only begun, on the current stream: to the GPU from
    pinned memory, and to the CPU into memory that is pinned for it, whose values are there after `synchronize`.
    """
    if hasattr(array, "is_meta") or where.type == "meta":
        from .meta import meta_array, moved

        return moved(array, where) if hasattr(array, "is_meta") else meta_array(array.shape, array.dtype)
    if where.type == "cpu":
        return array if isinstance(array, np.ndarray) else _to_cpu(array, non_blocking)
    if where.type != "cuda":
        raise DeviceError(f"to: there is no device {str(where)!r} here")
    cp = cupy()
    here = None if isinstance(array, np.ndarray) else array.data.device_id
    there = gpu_number(where, use=True)
    if here == there:
        return array
    if not gpus.several and here is None:
        return _to_gpu(cp, array, non_blocking)
    with cp.cuda.Device(there):
        if here is None:
            return _to_gpu(cp, array, non_blocking)
        with cp.cuda.Device(here):
            array = cp.ascontiguousarray(array)
            made = cp.cuda.get_current_stream().record()
        cp.cuda.get_current_stream().wait_event(made)
        y = cp.empty(array.shape, array.dtype)
        y.data.copy_from_device_async(array.data, array.nbytes)
        return y


def gpu_number(where: device, use: bool = False) -> int:
    """The number of a GPU; of "cuda" that of the current one. Raises DeviceError where there is none of that number.

    `use`: something will lie there, or happen there, although another one is current."""
    cp = cupy()
    current = cp.cuda.runtime.getDevice()
    if where.index is None or where.index == current:
        return current
    count = cp.cuda.runtime.getDeviceCount()
    if where.index >= count:
        raise DeviceError(f"CUDA error: invalid device ordinal: {where} does not exist; there "
                          f"{'is 1 GPU' if count == 1 else f'are {count} GPUs'}, from cuda:0 on")
    if use:
        _use_several()
    return where.index


def pinned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A NumPy array in page-locked memory, which a GPU copies from and to while the CPU goes on."""
    dtype = np.dtype(dtype)
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    memory = cupy().cuda.alloc_pinned_memory(max(size, 1))
    return np.ndarray(shape, dtype, memory)


def is_pinned(array: Any) -> bool:
    """Whether an array lies in memory that `pinned_empty` gave."""
    while isinstance(array, np.ndarray):
        array = array.base
    return type(getattr(array, "obj", array)).__name__ == "PinnedMemoryPointer"


def _to_gpu(cp: Any, array: np.ndarray, non_blocking: bool) -> Any:
    if gpus.capturing is not None and gpus.capturing.is_here():
        return gpus.capturing.copied(cp, array)
    if not (non_blocking and is_pinned(array)):
        return cp.asarray(array, order="C", blocking=is_pinned(array))  # CuPy only begins a copy from pinned memory
    array = np.ascontiguousarray(array)
    y = cp.empty(array.shape, array.dtype)
    y.data.copy_from_host_async(array.ctypes.data, array.nbytes)
    _keep(cp, array)
    return y


def _to_cpu(array: Any, non_blocking: bool) -> np.ndarray:
    if not non_blocking:
        return array.get()
    cp = cupy()
    with cp.cuda.Device(array.data.device_id):
        array = cp.ascontiguousarray(array)
        y = pinned_empty(array.shape, array.dtype)
        array.data.copy_to_host_async(y.ctypes.data, array.nbytes)
        _keep(cp, y)
    return y


def _keep(cp: Any, array: np.ndarray) -> None:
    """Let pinned memory live until the copy that was begun is done."""
    while _copying and _copying[0][0].done:
        _copying.popleft()
    _copying.append((cp.cuda.get_current_stream().record(), array))


# CuPy

def cuda_used() -> bool:
    """Whether any CuPy array can exist: CuPy has been imported."""
    return "cupy" in sys.modules


def cupy() -> Any:
    """CuPy, imported now. Raises NoCudaError where it is not installed, or no GPU answers."""
    return _cupy or _load()


def _load() -> Any:
    global _cupy
    try:
        import cupy as cp
    except ImportError:
        raise NoCudaError("device 'cuda' needs CuPy, which is not installed: pip install cupy-cuda13x "
                           "(or cupy-cuda12x, after the driver's CUDA version)") from None
    if not cp.is_available():
        raise NoCudaError("device 'cuda': CuPy is installed, but finds no usable GPU and driver "
                          "(nvidia-smi shows whether the driver sees one)")
    _cupy = cp
    ARRAYS.add(cp.ndarray)
    if np.ndarray in QUICK:
        quicken()
    from .cuda import memory

    memory.install(cp)
    return cp


def quicken() -> None:
    """Let the type of an array tell its kernels, as far as it does."""
    QUICK[np.ndarray] = cpu_kernels
    if _cupy is not None and not gpus.several:
        QUICK[_cupy.ndarray] = kernels(_cupy)


def _use_several() -> None:
    """From now on each op, gradient and kernel runs on the GPU that its arrays lie on, whichever is current."""
    if not gpus.several:
        gpus.several = True
        QUICK.pop(_cupy.ndarray, None)
        from .cuda import placing

        placing.install(_cupy)


def beside(arrays: list[Any], function: Any, *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)` while the GPU of the arrays is the current one."""
    if not gpus.several:
        return function(*args, **kwargs)
    from .cuda.placing import beside

    return beside(arrays, function, *args, **kwargs)


_cupy: Any = None
_copying: deque[tuple[Any, np.ndarray]] = deque()  # copies from and to pinned memory that may not be done
_NUMBERS = {int, float, bool, complex, type(None)}
