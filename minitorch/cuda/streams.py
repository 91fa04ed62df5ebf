"""Streams and events of the GPU, over CuPy's. Raising NoCudaError where there is none is CuPy's loader's work."""
from __future__ import annotations

import sys
from typing import Any

from ..device import cupy, gpu_number
from ..device import device as as_device
from ..tensor import Tensor


class Stream:
    """A queue of work on a GPU. Streams that show the same queue are equal."""

    def __init__(self, device: Any = None, priority: int = 0, _stream: Any = None, **_: Any):
        cp = cupy()
        self.device_index = gpu_number(as_device("cuda" if device is None else device), use=True)
        if _stream is None:
            with cp.cuda.Device(self.device_index):
                _stream = cp.cuda.Stream(non_blocking=True, priority=max(min(priority, 0), -1))
        self._stream, self.priority = _stream, priority

    @property
    def cuda_stream(self) -> int:
        return self._stream.ptr

    @property
    def device(self) -> as_device:
        return as_device("cuda", self.device_index)

    def synchronize(self) -> None:
        """Wait until its work is done."""
        self._stream.synchronize()

    def query(self) -> bool:
        """Whether its work is done."""
        return self._stream.done

    def record_event(self, event: Event | None = None) -> Event:
        """An event that happens when the work given to it so far is done."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let its further work wait for an event."""
        if event._recorded:
            self._stream.wait_event(event._event)

    def wait_stream(self, stream: Stream) -> None:
        """Let its further work wait for what another stream has been given."""
        self.wait_event(stream.record_event())

    def __enter__(self) -> Stream:
        self._context = [*getattr(self, "_context", ()), StreamContext(self)]
        self._context[-1].__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._context.pop().__exit__(*exception)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.device_index, self.cuda_stream) == (other.device_index,
                                                                                       other.cuda_stream)

    def __hash__(self) -> int:
        return hash((self.device_index, self.cuda_stream))

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """A queue that another library made, by the address of its handle."""

    def __init__(self, stream_ptr: int, device: Any = None, **_: Any):
        super().__init__(device, _stream=cupy().cuda.Stream.from_external(_Handle(stream_ptr)))


class _Handle:
    """An address, by the protocol that CuPy takes streams of other libraries by."""

    def __init__(self, address: int):
        self._address = address

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._address


class Event:
    """A mark in a stream; with `enable_timing` the time between two can be read."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False, **_: Any):
        self._event, self._device = cupy().cuda.Event(block=blocking, disable_timing=not enable_timing), _number(None)
        self._timed, self._blocking, self._recorded = enable_timing, blocking, False

    @property
    def cuda_event(self) -> int:
        return self._event.ptr

    def record(self, stream: Stream | None = None) -> None:
        """Put the mark behind the work given to the stream so far."""
        stream = current_stream() if stream is None else stream
        if stream.device_index != self._device and not self._recorded:  # events belong to a GPU: that of their stream
            cp, self._device = cupy(), stream.device_index
            with cp.cuda.Device(self._device):
                self._event = cp.cuda.Event(block=self._blocking, disable_timing=not self._timed)
        self._event.record(stream._stream)
        self._recorded = True

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between this event and `end_event`."""
        if not (self._timed and end_event._timed):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if not (self._recorded and end_event._recorded):
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return cupy().cuda.get_elapsed_time(self._event, end_event._event)

    def synchronize(self) -> None:
        """Wait for it."""
        if self._recorded:
            self._event.synchronize()

    def query(self) -> bool:
        """Whether it has happened; True where it was never recorded."""
        return not self._recorded or self._event.done

    def wait(self, stream: Stream | None = None) -> None:
        """Let a stream's further work wait for it."""
        (current_stream() if stream is None else stream).wait_event(self)


class StreamContext:
    """Within the block work goes to this stream, and its GPU is the current one; None changes nothing."""

    def __init__(self, stream: Stream | None):
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            self._device = cupy().cuda.Device(self.stream.device_index)
            self._device.__enter__()
            self.stream._stream.__enter__()

    def __exit__(self, *exception: Any) -> None:
        if self.stream is not None:
            self.stream._stream.__exit__(*exception)
            self._device.__exit__(*exception)


def stream(stream: Stream | None) -> StreamContext:
    """Within the block work goes to this stream."""
    return StreamContext(stream)


def set_stream(stream: Stream) -> None:
    """Let work go to this stream from now on, on its GPU."""
    if stream is not None:
        cupy().cuda.Device(stream.device_index).use()
        stream._stream.use()


def current_stream(device: Any = None) -> Stream:
    """The stream that work on a GPU goes to."""
    cp, number = cupy(), _number(device)
    return Stream(number, _stream=cp.cuda.get_current_stream(number))


def default_stream(device: Any = None) -> Stream:
    """The stream that work goes to where none was chosen."""
    return Stream(_number(device), _stream=cupy().cuda.Stream.null)


def record_stream(self: Tensor, stream: Stream) -> None:
    """Say that `stream` works with this tensor: its memory is not given to others before that work is done, however
    early the tensor goes."""
    _sweep()
    array = self._array
    if hasattr(array.data, "mem") and array.data.mem is not None:
        _used_elsewhere.append([array.data.mem, stream, None])


Tensor.record_stream = record_stream  # type: ignore[attr-defined]
_used_elsewhere: list[list] = []  # memory, the stream that uses it, and once nobody else holds it, what to wait for


def _sweep() -> None:
    """Let go of the memory that nobody else holds, and with which the streams are done."""
    for entry in list(_used_elsewhere):
        if entry[2] is None and sys.getrefcount(entry[0]) <= 2:
            entry[2] = entry[1].record_event()
        if entry[2] is not None and entry[2].query():
            _used_elsewhere.remove(entry)


def _number(where: Any) -> int:
    return gpu_number(as_device("cuda" if where is None else where))
