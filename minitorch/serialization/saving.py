"""`save`: values that hold tensors into a file that PyTorch reads."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from . import archive, legacy, settings
from .files import replace
from .pickler import dumps

DEFAULT_PROTOCOL = 2


def save(obj: Any, f: Any, pickle_module: Any = None, pickle_protocol: int = DEFAULT_PROTOCOL,
         _use_new_zipfile_serialization: bool = True, _disable_byteorder_record: bool = False) -> None:
    """Write `obj` to the path or binary file `f`, in PyTorch's format.

    Tensors keep type, shape, strides, `requires_grad`, and the memory that they share; hooks and the graph are not
    saved. Whole modules, and objects of the program's own classes, are written by reference, as pickle does: to be
    loaded, their classes must be declared with `add_safe_globals`, or `load` be told `weights_only=False`. A module's
    `state_dict()` is what other programs, and PyTorch, can read.

    A path is written beside itself and renamed at the end, so that it holds the old file or the new one whole,
    whenever the process dies. What cannot be saved raises TypeError, or pickle's errors, before anything is written.

    >>> import io
    >>> from minitorch import load, ones
    >>> file = io.BytesIO()
    >>> save({"w": ones(2), "epoch": 3}, file)
    >>> load(io.BytesIO(file.getvalue()))
    {'w': tensor([1., 1.]), 'epoch': 3}
    """
    if _use_new_zipfile_serialization:
        content, storages = dumps(obj, pickle_protocol)

        def write(out: Callable[[Any], Any]) -> None:
            folder = os.path.splitext(os.path.basename(f))[0] if isinstance(f, (str, os.PathLike)) else "archive"
            records = _records(str(folder) or "archive", content, storages, not _disable_byteorder_record)
            archive.write(out, records, settings.get_crc32_options())
    else:
        parts: list[Any] = []
        legacy.write(parts.append, obj, pickle_protocol)

        def write(out: Callable[[Any], Any]) -> None:
            for part in parts:
                out(part)

    if isinstance(f, (str, os.PathLike)):
        replace(f, lambda file: write(file.write))
    elif hasattr(f, "write"):
        write(f.write)
    else:
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute, got "
                             f"{type(f).__name__}")


def _records(folder: str, content: bytes, storages: list, byteorder: bool) -> Iterator[tuple[str, Any]]:
    """The records of a zip file, in PyTorch's order."""
    yield f"{folder}/data.pkl", content
    yield f"{folder}/.format_version", b"1"
    yield f"{folder}/.storage_alignment", str(archive.ALIGNMENT).encode()
    if byteorder:
        yield f"{folder}/byteorder", b"little"
    for storage in storages:
        yield f"{folder}/data/{storage.key}", storage.bytes()
    yield f"{folder}/version", b"3\n"
    number = int.from_bytes(hashlib.sha256(content).digest(), "little")
    yield f"{folder}/.data/serialization_id", f"{number % 10**40:040}".encode()
