"""The GPU, through CuPy: whether there is one, which one is current, its memory. Importing this touches neither."""
from __future__ import annotations

import importlib
from typing import Any

from ..device import cupy, gpu_number
from ..device import device as _device
from ..errors import NoAttributeError, NoCudaError
from ..legacy import CUDA_TYPES
from ..ops.random import default_on_gpu
from ..tensor import Tensor
from .graphs import CUDAGraph, graph, graph_pool_handle, is_current_stream_capturing, make_graphed_callables
from .memory import (
    OutOfMemoryError,
    empty_cache,
    ipc_collect,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_accumulated_memory_stats,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from .random import (
    get_rng_state,
    get_rng_state_all,
    initial_seed,
    manual_seed,
    manual_seed_all,
    seed,
    seed_all,
    set_rng_state,
    set_rng_state_all,
)
from .streams import (
    Event,
    ExternalStream,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    set_stream,
    stream,
)

globals().update(CUDA_TYPES)  # torch.cuda.FloatTensor and its kind


def is_available() -> bool:
    """Whether CuPy is installed and finds a usable GPU."""
    try:
        cupy()
    except NoCudaError:
        return False
    return True


def device_count() -> int:
    """The number of GPUs; 0 without CuPy or driver."""
    return cupy().cuda.runtime.getDeviceCount() if is_available() else 0


def current_device() -> int:
    """The number of the GPU that `device("cuda")` means. Raises NoCudaError where there is none."""
    return cupy().cuda.runtime.getDevice()


def set_device(device: Any) -> None:
    """Make a GPU the current one, by number or device; numbers below 0 change nothing."""
    if not (isinstance(device, int) and device < 0):
        cupy().cuda.Device(_number(device, use=True)).use()


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all work given to it."""
    cupy().cuda.Device(_number(device)).synchronize()


class device:
    """Within the block this GPU is the current one; None and numbers below 0 change nothing."""

    def __init__(self, device: Any):
        self.idx = -1 if device is None else device if isinstance(device, int) else _number(device)

    def __enter__(self) -> None:
        if self.idx >= 0:
            self._before = [*getattr(self, "_before", ()), cupy().cuda.Device()]
            set_device(self.idx)

    def __exit__(self, *exception: Any) -> None:
        if self.idx >= 0:
            self._before.pop().use()


class device_of(device):
    """Within the block the GPU of a tensor is the current one; a tensor on the CPU changes nothing."""

    def __init__(self, obj: Tensor):
        super().__init__(obj.get_device() if obj.is_cuda else None)


def get_device_name(device: Any = None) -> str:
    """The GPU's name, as its driver gives it."""
    return cupy().cuda.runtime.getDeviceProperties(_number(device))["name"].decode()


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The GPU's compute capability, (major, minor)."""
    properties = cupy().cuda.runtime.getDeviceProperties(_number(device))
    return properties["major"], properties["minor"]


class _Properties:
    """A GPU's properties: name, major, minor, total_memory (bytes), multi_processor_count and others of PyTorch's."""

    def __init__(self, found: dict):
        self.name, self.major, self.minor = found["name"].decode(), found["major"], found["minor"]
        self.total_memory, self.multi_processor_count = found["totalGlobalMem"], found["multiProcessorCount"]
        self.warp_size, self.L2_cache_size = found["warpSize"], found["l2CacheSize"]
        self.max_threads_per_multi_processor = found["maxThreadsPerMultiProcessor"]
        self.regs_per_multiprocessor = found["regsPerMultiprocessor"]
        self.shared_memory_per_block = found["sharedMemPerBlock"]
        self.shared_memory_per_block_optin = found["sharedMemPerBlockOptin"]
        self.shared_memory_per_multiprocessor = found["sharedMemPerMultiprocessor"]

    def __repr__(self) -> str:
        return (f"_CudaDeviceProperties(name='{self.name}', major={self.major}, minor={self.minor}, "
                f"total_memory={self.total_memory >> 20}MB, multi_processor_count={self.multi_processor_count})")


def get_device_properties(device: Any = None) -> _Properties:
    """Its name, compute capability, memory and number of multiprocessors."""
    return _Properties(cupy().cuda.runtime.getDeviceProperties(_number(device)))


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether one GPU can read another's memory."""
    return bool(cupy().cuda.runtime.deviceCanAccessPeer(_number(device), _number(peer_device)))


def get_arch_list() -> list[str]:
    """The architectures of the GPUs that are there: kernels are compiled for those when first used."""
    found = {get_device_capability(i) for i in range(device_count())}
    return [f"sm_{major}{minor}" for major, minor in sorted(found)]


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the GPU computes in bfloat16, which compute capability 8.0 does."""
    return is_available() and get_device_capability() >= (8, 0)


def init() -> None:
    """Look for the GPU now. Raises NoCudaError where there is none."""
    cupy()


def is_initialized() -> bool:
    """Whether CuPy has been loaded and finds a GPU."""
    from ..device import cuda_used

    return cuda_used() and is_available()


def __getattr__(name: str) -> Any:
    if name in ("amp", "random", "nvtx"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "default_generators":
        return tuple(map(default_on_gpu, range(device_count())))
    raise NoAttributeError(f"module 'torch.cuda' has no attribute '{name}'", name, lambda: globals())


def _number(where: Any, use: bool = False) -> int:
    found = _device("cuda" if where is None else where)
    if found.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {found}")
    return gpu_number(found, use)
