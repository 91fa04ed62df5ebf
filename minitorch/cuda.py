"""The GPU, through CuPy: whether there is one, which one is current, its memory. Importing this touches neither."""
from __future__ import annotations

from typing import Any

from .device import cupy, device
from .errors import DeviceError, MissingError


def is_available() -> bool:
    """Whether CuPy is installed and finds a usable GPU."""
    try:
        cupy()
    except (MissingError, DeviceError):
        return False
    return True


def device_count() -> int:
    """The number of GPUs; 0 without CuPy or driver."""
    return cupy().cuda.runtime.getDeviceCount() if is_available() else 0


def current_device() -> int:
    """The number of the GPU that `device("cuda")` means. Raises DeviceError or MissingError where there is none."""
    return cupy().cuda.Device().id


def set_device(where: Any) -> None:
    """Make a GPU the current one, by number or device."""
    cupy().cuda.Device(_number(where)).use()


def synchronize(where: Any = None) -> None:
    """Wait until the GPU has done all work given to it."""
    cupy().cuda.Device(_number(where)).synchronize()


def get_device_name(where: Any = None) -> str:
    """The GPU's name, as its driver gives it."""
    return cupy().cuda.runtime.getDeviceProperties(_number(where))["name"].decode()


def get_device_capability(where: Any = None) -> tuple[int, int]:
    """The GPU's compute capability, (major, minor)."""
    properties = cupy().cuda.runtime.getDeviceProperties(_number(where))
    return properties["major"], properties["minor"]


def memory_allocated(where: Any = None) -> int:
    """Bytes that arrays hold on the current GPU."""
    return cupy().get_default_memory_pool().used_bytes() if is_available() else 0


def memory_reserved(where: Any = None) -> int:
    """Bytes that CuPy's pool holds on the current GPU, used or not."""
    return cupy().get_default_memory_pool().total_bytes() if is_available() else 0


def empty_cache() -> None:
    """Give the pool's idle memory back to the GPU."""
    if is_available():
        cupy().get_default_memory_pool().free_all_blocks()


def manual_seed(seed: int) -> None:
    """Seed the generator. Numbers for the GPU are drawn on the CPU, so this is `minitorch.manual_seed` where there is
    a GPU, and nothing where there is none, as in PyTorch."""
    if is_available():
        from .ops.random import manual_seed as seed_generator

        seed_generator(seed)


manual_seed_all = manual_seed


def _number(where: Any) -> int:
    if where is None:
        return current_device()
    found = device(where)
    if found.type != "cuda":
        raise ValueError(f"cuda: expected a cuda device, got {found}")
    return current_device() if found.index is None else found.index
