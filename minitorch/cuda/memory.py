"""What the GPU's memory holds: the figures of CuPy's pool, which are 0 where there is no GPU."""
from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any

from ..device import cuda_used, cupy
from ..errors import NoCudaError

_peaks = {"allocated": 0, "reserved": 0}  # CuPy counts no peaks: the most that was seen when somebody asked


class OutOfMemoryError(RuntimeError):
    """The device's memory does not suffice."""


def _pool() -> Any:
    """CuPy's pool, or None where no array can be on a GPU."""
    if not cuda_used():
        return None
    try:
        return cupy().get_default_memory_pool()
    except NoCudaError:
        return None


def memory_allocated(device: Any = None) -> int:
    """Bytes that arrays hold on the current GPU."""
    pool = _pool()
    return pool.used_bytes() if pool else 0


def memory_reserved(device: Any = None) -> int:
    """Bytes that CuPy's pool holds on the current GPU, used or not."""
    pool = _pool()
    return pool.total_bytes() if pool else 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that arrays held at any time that one of these functions was asked: a lower bound of the peak,
    since CuPy keeps no count of it."""
    _peaks["allocated"] = max(_peaks["allocated"], memory_allocated())
    return _peaks["allocated"]


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that the pool held: it only shrinks in `empty_cache`, so this is the peak."""
    _peaks["reserved"] = max(_peaks["reserved"], memory_reserved())
    return _peaks["reserved"]


def reset_peak_memory_stats(device: Any = None) -> None:
    """Count the peaks from now on."""
    _peaks.update(allocated=memory_allocated(), reserved=memory_reserved())


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def _renamed(old: str, new: Any) -> Any:
    def function(device=None):
        warnings.warn(f"`torch.cuda.{old}` has been renamed to `torch.cuda.{new.__name__}`", FutureWarning, 2)
        return new(device)

    function.__name__ = function.__qualname__ = old
    return function


memory_cached = _renamed("memory_cached", memory_reserved)
max_memory_cached = _renamed("max_memory_cached", max_memory_reserved)


def memory_stats(device: Any = None) -> OrderedDict[str, int]:
    """Current and peak bytes, allocated and reserved, under PyTorch's names; empty without a GPU."""
    if _pool() is None:
        return OrderedDict()
    return OrderedDict([("allocated_bytes.all.current", memory_allocated()),
                        ("allocated_bytes.all.peak", max_memory_allocated()),
                        ("reserved_bytes.all.current", memory_reserved()),
                        ("reserved_bytes.all.peak", max_memory_reserved())])


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """The same as a table."""
    return "\n".join(f"{name:32} {value / 2**20:12.1f} MiB" for name, value in memory_stats().items())


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of the current GPU. Raises NoCudaError without one."""
    return cupy().cuda.runtime.memGetInfo()


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Let arrays hold at most this share of the GPU's memory. Raises NoCudaError without one."""
    cupy().get_default_memory_pool().set_limit(fraction=fraction)


def empty_cache() -> None:
    """Give the pool's idle memory back to the GPU."""
    max_memory_reserved()
    pool = _pool()
    if pool:
        pool.free_all_blocks()


def ipc_collect() -> None:
    """Nothing: no memory is shared between processes. Raises NoCudaError without a GPU."""
    cupy()
