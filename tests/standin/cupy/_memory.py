"""Device memory: bytes with a pattern before and after them, given out and taken back by pools as by CuPy's."""
from __future__ import annotations

import ctypes
import threading
import weakref
from contextlib import contextmanager

import numpy as np

from . import _launching
from ._errors import OutOfMemoryError

GUARD, UNIT = 256, 512  # bytes of the pattern on each side at least; what sizes are rounded up to
PATTERN, GARBAGE = 0xA5, 0xFF  # garbage is NaN in every float type
TOTAL = 143_771 << 20  # bytes of a device
blocks = set()  # all that have not been given back to the device
leased = weakref.WeakValueDictionary()  # the memory in use, by address
held = dict.fromkeys(range(_launching.DEVICES), 0)  # bytes that have been allocated of each


class Block:
    """Bytes of a device, at an address that is a multiple of 512; outside of what is in use lies the pattern."""

    def __init__(self, size, device):
        self.size, self.device, self.alive = size, device, True
        memory = np.empty(size + 2 * GUARD + UNIT, np.uint8)
        start = -(memory.ctypes.data + GUARD) % UNIT
        self.bytes = memory[start:start + size + 2 * GUARD]
        self.ptr = memory.ctypes.data + start + GUARD
        held[device] += size
        blocks.add(self)

    def free(self):
        """Give it back to the device: who reads it from now on reads garbage."""
        if self.alive:
            self.alive = False
            blocks.discard(self)
            self.bytes[:] = GARBAGE
            held[self.device] -= self.size


class PooledMemory:
    """A block in use, `used` bytes of it; it goes back to its pool when nothing refers to it any more."""

    recorded = False  # whether a graph works with it, for other arrays in their turn too

    def __init__(self, block, size, pool):
        self.block, self.size, self.used, self.ptr = block, block.size, size, block.ptr
        self.device_id = block.device
        self._pool = weakref.ref(pool) if pool is not None else lambda: None
        leased[self.ptr] = self
        block.bytes[:GUARD] = PATTERN
        block.bytes[GUARD:GUARD + size] = GARBAGE
        block.bytes[GUARD + size:] = PATTERN

    @property
    def device(self):
        return _launching.Device(self.device_id)

    def check(self, what):
        """Raises EmulationError where something was written outside of the bytes in use."""
        data = self.block.bytes
        whole = np.all(data[:GUARD] == PATTERN) and np.all(data[GUARD + self.used:] == PATTERN)
        if not (whole or self.recorded):
            from ._emulation import EmulationError

            raise EmulationError(f"{what}: wrote outside of an array of {self.used} bytes")

    def check_alive(self, what):
        if not self.block.alive:
            raise _launching.CUDARuntimeError(700, what)

    def remembered(self):
        """Its block, without keeping it from going back to its pool."""
        found = PooledMemory.__new__(PooledMemory)
        found.block, found.size, found.device_id, found._pool = self.block, 0, self.device_id, None
        return found

    def __del__(self):
        if self._pool is not None and self.block is not None:
            pool = self._pool()
            if pool is None:
                self.block.free()
            else:
                pool._take_back(self.block)


class MemoryPool:
    """Blocks by size, kept for the next who asks for that size. What is free when the pool goes is lost, as in CuPy."""

    def __init__(self, allocator=None):
        self._free, self._used, self._limit, self._lock = {}, {}, {}, threading.RLock()

    def malloc(self, size):
        size, device = int(size), _launching.local.device
        rounded = max(-(-size // UNIT), 1) * UNIT
        with self._lock:
            blocks = self._free.get((device, rounded))
            if blocks:
                block = blocks.pop()
            else:
                limit = self._limit.get(device, 0)
                if (limit and self.total_bytes() + rounded > limit) or held[device] + rounded > TOTAL:
                    raise OutOfMemoryError(rounded, self.total_bytes(), limit)
                block = Block(rounded, device)
            self._used[device] = self._used.get(device, 0) + rounded
        return MemoryPointer(PooledMemory(block, size, self), 0)

    def _take_back(self, block):
        with self._lock:
            self._free.setdefault((block.device, block.size), []).append(block)
            self._used[block.device] -= block.size

    def used_bytes(self):
        return self._used.get(_launching.local.device, 0)

    def free_bytes(self):
        return sum(size * len(blocks) for (device, size), blocks in self._free.items()
                   if device == _launching.local.device)

    def total_bytes(self):
        return self.used_bytes() + self.free_bytes()

    def n_free_blocks(self):
        return sum(len(blocks) for (device, _), blocks in self._free.items() if device == _launching.local.device)

    def free_all_blocks(self, stream=None):
        with self._lock:
            for key in [key for key in self._free if key[0] == _launching.local.device]:
                for block in self._free.pop(key):
                    block.free()

    def free_all_free(self):
        self.free_all_blocks()

    def set_limit(self, size=None, fraction=None):
        if size is not None and fraction is not None:
            raise ValueError("size and fraction cannot be specified at one time")
        if fraction is not None:
            if not 0 <= fraction <= 1:
                raise ValueError(f"memory limit fraction out of range: {fraction}")
            size = int(fraction * TOTAL)
        self._limit[_launching.local.device] = size or 0

    def get_limit(self):
        return self._limit.get(_launching.local.device, 0)


class UnownedMemory:
    """Memory that somebody else keeps."""

    def __init__(self, ptr, size, owner, device_id=-1):
        self.ptr, self.size, self._owner = ptr, size, owner
        self.device_id = _launching.local.device if device_id < 0 else device_id
        self.block = getattr(getattr(owner, "_lease", None), "block", None) or _Elsewhere(self)

    @property
    def device(self):
        return _launching.Device(self.device_id)

    def check(self, what):
        """Its bounds are the owner's."""

    check_alive = check

    def remembered(self):
        return self


class _Elsewhere:
    """The bytes of unowned memory, as a block."""

    def __init__(self, memory):
        self.device, self.alive, self.ptr = memory.device_id, True, memory.ptr
        self.bytes = np.ctypeslib.as_array((ctypes.c_uint8 * memory.size).from_address(memory.ptr))


class MemoryPointer:
    """An address in device memory, and the copies from and to it."""

    def __init__(self, mem, offset):
        self.mem, self.ptr = mem, mem.ptr + offset

    @property
    def _lease(self):
        return self.mem

    @property
    def device_id(self):
        return self.mem.device_id

    @property
    def device(self):
        return self.mem.device

    def __int__(self):
        return self.ptr

    def __add__(self, offset):
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    __radd__ = __add__

    def __sub__(self, offset):
        return self + -offset

    def copy_from_host(self, mem, size):
        _launching.forbid("", _SYNCHRONOUS)
        self._copy("copy_from_host", self.ptr, _address(mem), size)

    def copy_from_host_async(self, mem, size, stream=None):
        address = _address(mem)
        with stream or _launching.current():
            _launching.forbid("", RuntimeError("the current stream is capturing, so H2D transfers are disallowed"))
            self._copy("copy_from_host_async", self.ptr, address, size)

    def copy_to_host(self, mem, size):
        _launching.forbid("", _SYNCHRONOUS)
        self._copy("copy_to_host", _address(mem), self.ptr, size)

    def copy_to_host_async(self, mem, size, stream=None):
        address = _address(mem)
        with stream or _launching.current():
            _launching.forbid("", RuntimeError("the current stream is capturing, so D2H transfers are disallowed"))
            self._copy("copy_to_host_async", address, self.ptr, size)

    def copy_from_device(self, src, size):
        self.copy_from_device_async(src, size)

    def copy_from_device_async(self, src, size, stream=None):
        with stream or _launching.current():
            copy("copy_from_device", (self, src) if src.device_id == self.device_id else (self,), self.ptr, src.ptr,
                 size)

    def copy_from(self, mem, size):
        (self.copy_from_device if isinstance(mem, MemoryPointer) else self.copy_from_host)(mem, size)

    def copy_from_async(self, mem, size, stream=None):
        copy = self.copy_from_device_async if isinstance(mem, MemoryPointer) else self.copy_from_host_async
        copy(mem, size, stream)

    def memset(self, value, size):
        _launching.forbid("", _SYNCHRONOUS)
        self.memset_async(value, size)

    def memset_async(self, value, size, stream=None):
        with stream or _launching.current():
            _launching.run("memset", (self,), lambda ptr=self.ptr: ctypes.memset(ptr, value, size))

    def _copy(self, name, to, source, size):
        copy(name, (self,), to, source, size)


def copy(name, pointers, to, source, size):
    """Copy bytes from address to address, as work of the current stream."""
    _launching.run(name, pointers, lambda: ctypes.memmove(to, source, size))


_SYNCHRONOUS = RuntimeError("the current stream is capturing, so synchronous API calls are disallowed")


def _address(mem):
    return getattr(mem, "value", mem)


# Page-locked memory of the host

class PinnedMemoryPointer:
    """Page-locked bytes; NumPy arrays can lie there, as the buffer is a ctypes array's."""

    @staticmethod
    def of(size):
        kind = type("PinnedMemoryPointer", (PinnedMemoryPointer, ctypes.c_uint8 * max(size, 1)), {})
        found = kind()
        _pinned[found.ptr] = weakref.ref(found)
        return found

    @property
    def ptr(self):
        return ctypes.addressof(self)

    def size(self):
        return len(self)

    def __del__(self):
        _pinned.pop(self.ptr, None)


class PinnedMemoryPool:
    """Page-locked memory for who asks."""

    def malloc(self, size):
        return PinnedMemoryPointer.of(size)

    def free_all_blocks(self):
        """Nothing is kept."""

    def n_free_blocks(self):
        return 0


def is_pinned(address):
    return any(found() is not None and 0 <= address - at < len(found()) for at, found in list(_pinned.items()))


_pinned = {}
default_pool, default_pinned_pool = MemoryPool(), PinnedMemoryPool()


class _Allocators(threading.local):
    def __init__(self):
        self.inner = []


_allocators, _everywhere, _pinned_allocator = _Allocators(), [default_pool.malloc], [default_pinned_pool.malloc]


def alloc(size):
    """Memory of the current allocator."""
    return get_allocator()(size)


def get_allocator():
    return _allocators.inner[-1] if _allocators.inner else _everywhere[0]


def set_allocator(allocator=None):
    if _allocators.inner:
        raise ValueError("Can't change the global allocator inside `using_allocator` context manager")
    _everywhere[0] = allocator or default_pool.malloc


@contextmanager
def using_allocator(allocator=None):
    _allocators.inner.append(allocator or default_pool.malloc)
    try:
        yield
    finally:
        _allocators.inner.pop()


def alloc_pinned_memory(size):
    return _pinned_allocator[0](size)


def set_pinned_memory_allocator(allocator=None):
    _pinned_allocator[0] = allocator or default_pinned_pool.malloc
