"""The order of work on the devices: current device, streams, events, and graphs that streams record.

Work runs at once, as if each stream were synchronised after each call. While a stream captures, work is run too, so
that later calls see sensible values, and noted; the end of the capture puts back what it changed. A graph repeats the
work at the same addresses: what became of the memory there in the meantime it does not know, as on a GPU.
"""
from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import numpy as np

from ._errors import CUDARuntimeError

DEVICES = 2


class _Local(threading.local):
    def __init__(self):
        self.device, self.streams, self.before = 0, {}, []


local = _Local()
open_captures = []


def run(name, arguments, call):
    """A kernel's work: `do`, on the memory too that addresses in `arguments` point to; checks what it wrote to."""
    leases = [a._lease for a in arguments if hasattr(a, "_lease")]
    leases += [lease for a in arguments if getattr(a, "dtype", None) == "int64" for lease in _reached(a)]
    do(name, leases, call)
    for lease in leases:
        lease.check(name)


def do(name, leases, call):
    """Work on the current stream: `call()`, on the memory of `leases`."""
    for lease in leases:
        check_device(lease.device_id)
        lease.check_alive(name)
    capture = current()._capture
    if capture is not None:
        capture.add(leases, call)
    for other in open_captures:
        if other is not capture:
            other.keep(leases)
    call()


def _reached(table):
    """The memory that the addresses in an array point to: a kernel for lists of arrays gets them so."""
    from ._memory import leased

    words = getattr(table, "_data", np.zeros(0, np.int64)).ravel()
    memories = sorted(leased.values(), key=lambda memory: memory.ptr)
    if not memories or not words.size:
        return []
    words = np.unique(words[words >= memories[0].ptr])
    near = [memories[i - 1] for i in np.searchsorted([memory.ptr for memory in memories], words, "right")]
    return list({id(m): m for m, w in zip(near, words) if w < m.ptr + max(m.size, 1)}.values())


def forbid(what, error=None):
    """Raises where the current stream captures: `what` cannot be recorded."""
    stream = current()
    if stream._capture is not None:
        if error is None:
            stream._capture.valid = False
        raise error or CUDARuntimeError(900, what)


def current(device=None):
    """The device's current stream."""
    return local.streams.get(local.device if device is None else device, Stream.null)


def check_device(number):
    if number != local.device:
        raise ValueError(f"The device where the array resides ({number}) is different from the current device "
                         f"({local.device}). Peer access is unavailable between these devices.")


class Device:
    """A device; `with` makes it the current one."""

    def __init__(self, device=None):
        self.id = local.device if device is None else int(device)
        if not 0 <= self.id < DEVICES:
            raise CUDARuntimeError(101, "Device")

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __enter__(self):
        local.before.append(local.device)
        local.device = self.id
        return self

    def __exit__(self, *exception):
        local.device = local.before.pop()

    def use(self):
        local.device = self.id

    def synchronize(self):
        forbid("deviceSynchronize")

    @property
    def compute_capability(self):
        return "90"

    @property
    def mem_info(self):
        from .cuda.runtime import memGetInfo

        with self:
            return memGetInfo()

    def __repr__(self):
        return f"<CUDA Device {self.id}>"


class Stream:
    """A queue of work; the null stream is everyone's to begin with."""

    null: Stream
    ptds: Stream

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.is_non_blocking, self.priority = non_blocking, priority or 0
        self.ptr = 0 if null else 2 if ptds else id(self)
        self.device_id = -1 if null or ptds else local.device
        self._capture = None
        self._used = []

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return hash(self.ptr)

    @classmethod
    def from_external(cls, obj):
        version, ptr = obj.__cuda_stream__()
        if version != 0:
            raise TypeError(f"__cuda_stream__() returned unsupported version {version}, only version 0 is supported")
        found = cls()
        found.ptr, found.device_id = ptr, -1
        return found

    def __enter__(self):
        self._match()
        self._used.append((local.device, local.streams.get(local.device)))
        local.streams[local.device] = self
        return self

    def __exit__(self, *exception):
        device, before = self._used.pop()
        local.streams[device] = before or Stream.null

    def use(self):
        self._match()
        local.streams[local.device] = self
        return self

    def _match(self):
        if self.device_id not in (-1, local.device):
            raise RuntimeError(f"The device that the stream is created on ({self.device_id}) does not match with the "
                               f"current device ({local.device})")

    def synchronize(self):
        self._refuse("streamSynchronize")

    @property
    def done(self):
        self._refuse("streamQuery")
        return True

    def record(self, event=None):
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        if event._capture is not None and self._capture is None and event._capture.open:
            self._capture = event._capture  # its work from now on is the graph's
            event._capture.streams.append(self)

    def is_capturing(self):
        return self._capture is not None

    def begin_capture(self, mode=None):
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._capture is not None:
            raise CUDARuntimeError(900, "streamBeginCapture")
        self._capture = _Capture(self)

    def end_capture(self):
        capture = self._capture
        if capture is None or capture.streams[0] is not self:
            raise CUDARuntimeError(1, "streamEndCapture")
        return capture.end()

    def launch_host_func(self, callback, arg):
        run("launch_host_func", (), lambda: callback(arg))

    def _refuse(self, what):
        if self._capture is not None:
            self._capture.valid = False
            raise CUDARuntimeError(900, what)


Stream.null, Stream.ptds = Stream(null=True), Stream(ptds=True)


class Event:
    """A mark in a stream."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self._timed, self._at, self._capture, self._device = not disable_timing, None, None, local.device

    def record(self, stream=None):
        stream = current() if stream is None else stream
        if self._device != (local.device if stream.device_id < 0 else stream.device_id):
            raise CUDARuntimeError(400, "eventRecord")
        self._at, self._capture = time.perf_counter(), stream._capture

    def synchronize(self):
        if self._capture is not None and self._capture.open:
            raise CUDARuntimeError(900, "eventSynchronize")

    @property
    def done(self):
        self.synchronize()
        return True


def get_elapsed_time(start_event, end_event):
    """Milliseconds between two events."""
    if not (start_event._timed and end_event._timed) or None in (start_event._at, end_event._at):
        raise CUDARuntimeError(400, "eventElapsedTime")
    return (end_event._at - start_event._at) * 1e3


class Graph:
    """Recorded work."""

    def __init__(self, *arguments, **options):
        raise NotImplementedError("currently this class cannot be initiated by the user and must be created via stream "
                                  "capture")

    def launch(self, stream=None):
        """Do the work again, at the same addresses."""
        with stream or current():
            forbid("graphLaunch")
            for leases, call in self._calls:
                for lease in leases:
                    if not lease.block.alive:
                        raise CUDARuntimeError(700, "graphLaunch: its memory was given back to the device")
                call()

    def upload(self, stream=None):
        """Nothing to send."""

    def debug_dot_str(self, flags=0):
        return f"digraph {{ {' '.join([f'n{i};' for i in range(len(self._calls))])} }}"


class _Capture:
    """What streams record: the calls, and what the memory held before them."""

    def __init__(self, stream):
        from ._memory import blocks

        self.streams, self.calls, self.valid, self.open = [stream], [], True, True
        self.before = {block: block.bytes.copy() for block in list(blocks)}  # kernels are given addresses too
        open_captures.append(self)

    def add(self, leases, call):
        for lease in leases:
            lease.recorded = True
            if lease.block not in self.before:
                self.before[lease.block] = lease.block.bytes.copy()
        self.calls.append(([lease.remembered() for lease in leases], call))

    def keep(self, leases):
        """What is done beside the capture stays done."""
        for lease in leases:
            self.before.pop(lease.block, None)

    def end(self):
        open_captures.remove(self)
        for stream in self.streams:
            stream._capture = None
        self.open = False
        for block, held in self.before.items():
            block.bytes[:] = held
        if not self.valid:
            raise CUDARuntimeError(901, "streamEndCapture")
        graph = Graph.__new__(Graph)
        graph._calls = self.calls
        return graph


@contextmanager
def on_device_of(array):
    with Device(array._lease.device_id):
        yield
