"""The bytes of a file that is read, wherever it lies, and files that are replaced as a whole."""
from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import minitorch_kernels.memory as memory
import numpy as np

from ..errors import CheckpointError


class Source:
    """A binary file to read from, which never gives, nor asks for memory for, more than it holds.

    `mapped` is the whole file as a vector of bytes, where it is mapped into memory and not read.
    """

    def __init__(self, raw: Any, name: str, mapped: np.ndarray | None = None):
        self.raw, self.name, self.mapped = raw, name, mapped
        here = raw.tell()
        self.size = raw.seek(0, os.SEEK_END) or raw.tell()
        raw.seek(here)

    def read(self, count: int = -1) -> bytes:
        left = self.size - self.raw.tell()
        return self.raw.read(left if count < 0 else max(min(count, left), 0))

    def readline(self) -> bytes:
        return self.raw.readline()

    def tell(self) -> int:
        return self.raw.tell()

    def seek(self, place: int) -> None:
        self.raw.seek(place)

    def bytes_at(self, place: int, count: int) -> np.ndarray:
        """That many bytes as memory of their own, or of the mapped file. Raises CheckpointError where it is shorter."""
        self._check(place, count)
        if self.mapped is not None and place % 64 == 0:
            return self.mapped[place:place + count]
        content = memory.empty((count,), np.uint8)
        self.fill(content, place)
        return content

    def fill(self, content: np.ndarray, place: int) -> None:
        """Read `content` from `place` on, and stand behind it then."""
        self._check(place, content.size)
        self.raw.seek(place)
        done = 0
        while done < content.size:
            if hasattr(self.raw, "readinto"):
                got = self.raw.readinto(content.data[done:])
            else:
                part = self.raw.read(content.size - done)
                got = len(part)
                content[done:done + got] = np.frombuffer(part, np.uint8)
            if not got:
                raise CheckpointError(f"it ends at byte {place + done}: truncated?")
            done += got

    def _check(self, place: int, count: int) -> None:
        if place < 0 or count < 0 or place + count > self.size:
            raise CheckpointError(f"it ends at byte {self.size}, but needs {count} bytes from {place} on: truncated?")


@contextmanager
def opened(f: Any, mmap: bool = False) -> Iterator[Source]:
    """A path or binary file as a source. Whatever is wrong with its content is raised with its name."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as raw, _named(os.fspath(f)):
            yield Source(raw, os.fspath(f), _mapped(raw) if mmap else None)
        return
    if mmap:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if not hasattr(f, "read"):
        raise AttributeError(f"load: expected f to be a path or a binary file with a 'read' method, got "
                             f"{type(f).__name__}")
    if isinstance(f, io.TextIOBase):
        raise TypeError("load: f was opened as text; open it with mode 'rb'")
    name = str(getattr(f, "name", "<file>"))
    if not (f.seekable() if hasattr(f, "seekable") else hasattr(f, "seek")):
        f = io.BytesIO(f.read())
    with _named(name):
        yield Source(f, name)


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise type(error)(f"load: {name}: {error}") from None


def _mapped(raw: Any) -> np.ndarray | None:
    import mmap

    if os.fstat(raw.fileno()).st_size == 0:
        return None
    return np.frombuffer(mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_COPY), np.uint8)


def replace(path: Any, write: Callable[[Any], None]) -> None:
    """Have `write(file)` write a file so that its name never leads to half of it, whenever the process dies."""
    path = os.path.realpath(path)
    directory, name = os.path.split(path)
    if not os.path.isdir(directory):
        raise RuntimeError(f"save: Parent directory {directory} does not exist.")
    if os.path.exists(path) and not os.path.isfile(path):  # a device or pipe is written to; a folder is refused
        with open(path, "wb") as file:
            write(file)
        return
    handle, temporary = tempfile.mkstemp(prefix=name[:100] + ".", suffix=".tmp", dir=directory)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, os.stat(path).st_mode if os.path.exists(path) else 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
