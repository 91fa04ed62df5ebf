"""The safetensors format: eight bytes of length, a JSON header, and the arrays' bytes one after the other."""
from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ... import dtypes
from ...errors import CheckpointError
from ..files import Source

NAMES = {"BOOL": dtypes.bool, "U8": dtypes.uint8, "I8": dtypes.int8, "I16": dtypes.int16, "U16": dtypes.uint16,
         "F16": dtypes.float16, "BF16": dtypes.bfloat16, "I32": dtypes.int32, "U32": dtypes.uint32,
         "F32": dtypes.float32, "C64": dtypes.complex64, "F64": dtypes.float64, "I64": dtypes.int64,
         "U64": dtypes.uint64}  # narrow types first
_NAME_OF = {dtype: name for name, dtype in NAMES.items()}
MAX_HEADER = 100_000_000  # bytes: the published limit


class SafetensorError(CheckpointError):
    """A file that is no safetensors file, or a damaged one."""


class Entry(NamedTuple):
    """One array of a file: type, shape, and where its bytes are."""

    dtype: dtypes.dtype
    shape: tuple[int, ...]
    place: int
    size: int


def header(source: Source) -> tuple[dict[str, Entry], dict[str, str]]:
    """What arrays a file has, and its metadata. Raises SafetensorError where the header contradicts itself."""
    start = source.tell()
    length = int.from_bytes(source.read(8), "little")
    text = source.read(length) if length <= min(MAX_HEADER, source.size) else b""
    data = start + 8 + length
    try:
        described = json.loads(text.decode())
        metadata = described.pop("__metadata__", {})
        entries = {name: _entry(name, part, data) for name, part in described.items()}
    except SafetensorError:
        raise
    except Exception as error:
        raise SafetensorError(f"not a safetensors file, or a damaged one: its header is no description of arrays "
                              f"({error!r})") from None
    end = data
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].place, item[1].size)):
        if entry.place != end:
            raise SafetensorError(f"a damaged safetensors file: {name} begins at byte {entry.place}, expected {end}")
        end += entry.size
    if end != source.size:
        raise SafetensorError(f"a damaged safetensors file: it has {source.size} bytes, expected {end}")
    return entries, metadata


def array(source: Source, entry: Entry) -> np.ndarray:
    """That array, in memory of its own or of the mapped file."""
    return source.bytes_at(entry.place, entry.size).view(dtypes.to_numpy(entry.dtype)).reshape(entry.shape)


def read(source: Source) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the metadata of a file."""
    entries, metadata = header(source)
    return {name: array(source, entry) for name, entry in entries.items()}, metadata


def write(out: Callable[[Any], Any], arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Write C-contiguous `arrays`, the widest types first, so that all of them are aligned."""
    described: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    kinds = {name: dtypes.from_numpy(a.dtype) for name, a in arrays.items()}
    for name, dtype in kinds.items():
        if dtype not in _NAME_OF:
            raise SafetensorError(f"safetensors: {name} is {dtype}, which the format does not have")
    ranks = {dtype: rank for rank, dtype in enumerate(reversed(NAMES.values()))}
    order = sorted(arrays, key=lambda name: (ranks[kinds[name]], name))
    end = 0
    for name in order:
        a = arrays[name]
        described[name] = {"dtype": _NAME_OF[kinds[name]], "shape": list(a.shape),
                           "data_offsets": [end, end + a.nbytes]}
        end += a.nbytes
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    out(len(text).to_bytes(8, "little") + text)
    for name in order:
        out(arrays[name].reshape(-1).view(np.uint8).data)


def _entry(name: str, part: dict[str, Any], data: int) -> Entry:
    dtype, shape, (first, last) = NAMES.get(part["dtype"]), part["shape"], part["data_offsets"]
    if dtype is None:
        raise SafetensorError(f"{name} has the type {part['dtype']}; known are {', '.join(NAMES)}")
    numbers = (*shape, first, last)
    if not all([type(n) is int and n >= 0 for n in numbers]) or last - first != math.prod(shape) * dtype.itemsize:
        raise SafetensorError(f"a damaged safetensors file: {name} of shape {shape} lies in bytes {first} to {last}")
    return Entry(dtype, tuple(shape), data + first, last - first)
