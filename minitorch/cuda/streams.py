"""Streams and events of the GPU, over CuPy's. Raising NoCudaError where there is none is CuPy's loader's work."""
from __future__ import annotations

from typing import Any

from ..device import cupy


class Stream:
    """A queue of work on the GPU."""

    def __init__(self, device: Any = None, priority: int = 0, _stream: Any = None):
        self._stream = cupy().cuda.Stream(non_blocking=True) if _stream is None else _stream

    @property
    def cuda_stream(self) -> int:
        return self._stream.ptr

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
        self._stream.wait_event(event._event)

    def wait_stream(self, stream: Stream) -> None:
        """Let its further work wait for what another stream has been given."""
        self.wait_event(stream.record_event())


class Event:
    """A mark in a stream; with `enable_timing` the time between two can be read."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False):
        self._event = cupy().cuda.Event(block=blocking, disable_timing=not enable_timing)

    def record(self, stream: Stream | None = None) -> None:
        """Put the mark behind the work given to the stream so far."""
        self._event.record(None if stream is None else stream._stream)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between this event and `end_event`."""
        return cupy().cuda.get_elapsed_time(self._event, end_event._event)

    def synchronize(self) -> None:
        """Wait for it."""
        self._event.synchronize()

    def query(self) -> bool:
        """Whether it has happened."""
        return self._event.done

    def wait(self, stream: Stream | None = None) -> None:
        """Let a stream's further work wait for it."""
        (current_stream() if stream is None else stream).wait_event(self)


class StreamContext:
    """Within the block work goes to this stream; None changes nothing."""

    def __init__(self, stream: Stream | None):
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            self.stream._stream.__enter__()

    def __exit__(self, *exception: Any) -> None:
        if self.stream is not None:
            self.stream._stream.__exit__(*exception)


def stream(stream: Stream | None) -> StreamContext:
    """Within the block work goes to this stream."""
    return StreamContext(stream)


def set_stream(stream: Stream) -> None:
    """Let work go to this stream from now on."""
    stream._stream.use()


def current_stream(device: Any = None) -> Stream:
    """The stream that work goes to."""
    return Stream(_stream=cupy().cuda.get_current_stream())


def default_stream(device: Any = None) -> Stream:
    """The stream that work goes to where none was chosen."""
    return Stream(_stream=cupy().cuda.Stream.null)
