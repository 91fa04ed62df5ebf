"""The machine's accelerator under PyTorch's names: the GPU, or none."""
from __future__ import annotations

from typing import Any

from minitorch import cuda
from minitorch.device import device
from minitorch.errors import DeviceError


def is_available() -> bool:
    """Whether there is a GPU."""
    return cuda.is_available()


def current_accelerator(check_available: bool = False) -> device | None:
    """device("cuda") where there is a GPU, else None."""
    return device("cuda") if cuda.is_available() else None


def device_count() -> int:
    """The number of GPUs."""
    return cuda.device_count()


def _needed() -> None:
    if not cuda.is_available():
        raise DeviceError("Cannot access accelerator device when none is available.")


def current_device_index() -> int:
    """The number of the current GPU. Raises DeviceError where there is none."""
    _needed()
    return cuda.current_device()


current_device_idx = current_device_index


def set_device_index(device: Any) -> None:
    """Make a GPU the current one. Raises DeviceError where there is none."""
    _needed()
    cuda.set_device(device)


set_device_idx = set_device_index


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all work. Raises DeviceError where there is none."""
    _needed()
    cuda.synchronize(device)


def current_stream(device: Any = None) -> Any:
    """The stream that work goes to. Raises DeviceError where there is none."""
    _needed()
    return cuda.current_stream(device)


empty_cache = cuda.empty_cache
memory_allocated, memory_reserved = cuda.memory_allocated, cuda.memory_reserved
max_memory_allocated, max_memory_reserved = cuda.max_memory_allocated, cuda.max_memory_reserved
memory_stats, reset_peak_memory_stats = cuda.memory_stats, cuda.reset_peak_memory_stats
