"""What the GPU's memory holds: the figures of CuPy's pool and their peaks, which are 0 where there is no GPU."""
from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any
from weakref import WeakSet, finalize

from ..device import cuda_used, cupy, gpu_number, gpus
from ..device import device as as_device
from ..errors import NoCudaError

ROUND = 512  # bytes: the pool hands out multiples


class OutOfMemoryError(RuntimeError):
    """The device's memory does not suffice."""


class _Peaks:
    """The most bytes that one GPU's arrays held, and the pool, since somebody last asked to count anew.

    The pool tells what is held by counting it up, which is too slow for every array that is made. So `bound` adds up
    what was handed out, as if nothing came back; only once that exceeds the peak must the pool be asked.
    """

    __slots__ = ("bound", "count", "most", "reserved")

    def __init__(self) -> None:
        self.bound = self.most = self.reserved = self.count = 0


_peaks: dict[int, _Peaks] = {}
_pools: WeakSet[Pool] = WeakSet()
_default: Pool | None = None  # CuPy's own, which most arrays lie in
_retired: list[tuple[Any, Any]] = []  # pools that nobody takes memory from any more, with their GPUs


class Pool:
    """Memory of CuPy's for arrays; a captured graph has one of its own, since it has its addresses in it."""

    def __init__(self, memory: Any = None):
        cp = cupy()
        self.memory = cp.cuda.MemoryPool() if memory is None else memory
        self.allocate = counted(cp, self.memory)
        _pools.add(self)
        if memory is None:
            finalize(self, _retire, self.memory, cp.cuda.Device()).atexit = False


def install(cp: Any) -> None:
    """Let CuPy's arrays come through `counted`, unless somebody has chosen another allocator."""
    global _default
    pool = cp.get_default_memory_pool()
    if cp.cuda.get_allocator() == pool.malloc:
        _default = Pool(pool)
        cp.cuda.set_allocator(_default.allocate)


def _retire(memory: Any, device: Any) -> None:
    _retired.append((memory, device))
    _give_back()


def _give_back() -> None:
    """Give the idle memory of retired pools back to the GPU: CuPy's pools do not when they go, and must stay until
    no array lies in them. Not while a graph is captured, since that waits for the GPU."""
    if gpus.capturing is not None:
        return
    pools = []
    while _retired:
        pools.append(_retired.pop())
    for memory, device in pools:
        with device:
            memory.free_all_blocks()
            if memory.total_bytes():
                _retired.append((memory, device))


def counted(cp: Any, pool: Any) -> Any:
    """An allocator on `pool` that knows its peak, and raises OutOfMemoryError with PyTorch's words."""
    lacking, current = cp.cuda.memory.OutOfMemoryError, cp.cuda.runtime.getDevice
    first = _peaks.setdefault(current(), _Peaks())

    def allocate(size: int) -> Any:
        try:
            memory = pool.malloc(size)
        except lacking:
            raise OutOfMemoryError(_lacking(cp, size)) from None
        peaks = first if not gpus.several else _peaks.setdefault(current(), _Peaks())
        peaks.count += 1
        peaks.bound += -(-size // ROUND) * ROUND
        if peaks.bound > peaks.most:
            peaks.bound = sum([p.memory.used_bytes() for p in _pools])
            peaks.most = max(peaks.most, peaks.bound)
        return memory

    return allocate


def _lacking(cp: Any, size: int) -> str:
    number, (free, total) = cp.cuda.runtime.getDevice(), cp.cuda.runtime.memGetInfo()
    used, held, _ = _figures(None)
    return (f"CUDA out of memory. Tried to allocate {_bytes(size)}. GPU {number} has a total capacity of "
            f"{_bytes(total)} of which {_bytes(free)} is free. Of the memory that this process holds, {_bytes(used)} "
            f"is allocated by arrays, and {_bytes(held - used)} is reserved by the pool but unallocated. "
            "Smaller batches need less; cuda.empty_cache() gives back what is unallocated, for other processes")


def _bytes(n: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "bytes" else f"{n:.2f} {unit}"
        n /= 1024
    return f"{n:.2f} GiB"


def _figures(device: Any) -> tuple[int, int, _Peaks]:
    """Bytes that arrays hold on a GPU, that the pool holds, and their peaks until now."""
    if not cuda_used():
        return 0, 0, _Peaks()
    try:
        cp = cupy()
    except NoCudaError:
        return 0, 0, _Peaks()
    number = gpu_number(as_device("cuda" if device is None else device))
    with cp.cuda.Device(number):
        used, total = (sum([count() for count in counts]) for counts in
                       zip(*[(p.memory.used_bytes, p.memory.total_bytes) for p in _pools]))
    peaks = _peaks.setdefault(number, _Peaks())
    peaks.most, peaks.reserved = max(peaks.most, used), max(peaks.reserved, total)  # the pool shrinks when asked only
    return used, total, peaks


def memory_allocated(device: Any = None) -> int:
    """Bytes that arrays hold on a GPU."""
    return _figures(device)[0]


def memory_reserved(device: Any = None) -> int:
    """Bytes that CuPy's pool holds on a GPU, used or not."""
    return _figures(device)[1]


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that arrays held at any time since the start, or since `reset_peak_memory_stats`."""
    return _figures(device)[2].most


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that the pool held: it only shrinks in `empty_cache`."""
    return _figures(device)[2].reserved


def reset_peak_memory_stats(device: Any = None) -> None:
    """Count the peaks from now on."""
    used, total, peaks = _figures(device)
    peaks.bound = peaks.most = used
    peaks.reserved = total


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """Count the arrays from now on."""
    _figures(device)[2].count = 0


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
    """Current and peak bytes, allocated and reserved, and the number of arrays made, under PyTorch's names; empty
    without a GPU."""
    used, total, peaks = _figures(device)
    if not _pools:
        return OrderedDict()
    return OrderedDict([("allocated_bytes.all.current", used), ("allocated_bytes.all.peak", peaks.most),
                        ("reserved_bytes.all.current", total), ("reserved_bytes.all.peak", peaks.reserved),
                        ("allocation.all.allocated", peaks.count)])


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """The same as a table."""
    return "\n".join(f"{name:32} " + (f"{value / 2**20:12.1f} MiB" if "bytes" in name else f"{value:12}")
                     for name, value in memory_stats(device).items())


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of a GPU. Raises NoCudaError without one."""
    cp = cupy()
    with cp.cuda.Device(gpu_number(as_device("cuda" if device is None else device))):
        return cp.cuda.runtime.memGetInfo()


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Let arrays hold at most this share of the GPU's memory. Raises NoCudaError without one."""
    cp = cupy()
    if not isinstance(fraction, float):
        raise TypeError("Invalid type for fraction argument, must be `float`")
    if not 0 <= fraction <= 1:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0.0~1.0")
    with cp.cuda.Device(gpu_number(as_device("cuda" if device is None else device))):
        cp.get_default_memory_pool().set_limit(fraction=fraction)


def empty_cache() -> None:
    """Give the pool's idle memory back to the GPU. What captured graphs work with stays: it only looks idle."""
    _figures(None)
    if _default is not None:
        _default.memory.free_all_blocks()
    _give_back()


def ipc_collect() -> None:
    """Nothing: no memory is shared between processes. Raises NoCudaError without a GPU."""
    cupy()
