"""cupy.cuda: devices, streams, graphs and memory."""
from __future__ import annotations

from .. import _launching, _memory
from .._launching import Device, Event, Graph, Stream, get_elapsed_time
from .._memory import (
    MemoryPointer,
    MemoryPool,
    PinnedMemoryPointer,
    PinnedMemoryPool,
    UnownedMemory,
    alloc,
    alloc_pinned_memory,
    get_allocator,
    set_allocator,
    set_pinned_memory_allocator,
    using_allocator,
)
from . import memory, nvtx, runtime, stream
from .stream import get_current_stream


def is_available():
    return True


def get_device_id():
    return _launching.local.device
