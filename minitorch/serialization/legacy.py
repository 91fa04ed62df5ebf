"""The formats before the zip file: PyTorch's sequence of pickles, and the tar file of its first months."""
from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import CheckpointError
from .files import Source
from .memory import Elements, Loaded, dtype_of, parts_of, swap
from .pickler import dumps
from .unpickler import Unpickler

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
Restore = Callable[[Loaded, str], Loaded]


def write(out: Callable[[Any], Any], obj: Any, protocol: int) -> None:
    """Write `obj` as PyTorch did before 1.6."""
    content, storages = dumps(obj, protocol, part=(None,))
    storages.sort(key=lambda storage: storage.key)
    for head in (MAGIC, PROTOCOL, _SYSTEM):
        out(dumps(head, protocol)[0])
    out(content)
    out(dumps([storage.key for storage in storages], protocol)[0])
    for storage in storages:
        out(struct.pack("<q", storage.count))
        out(storage.bytes())


def read(source: Source, build: Unpickler, restore: Restore) -> Any:
    """The value in the file from where `source` stands. Raises CheckpointError."""
    plain = Unpickler()
    if plain.load(source) != MAGIC:
        raise CheckpointError("a pickle, but not one of torch.save")
    version, system = plain.load(source), plain.load(source)
    if version != PROTOCOL:
        raise CheckpointError(f"of version {version!r} of PyTorch's older format; known is {PROTOCOL}")
    little = not isinstance(system, dict) or bool(system.get("little_endian", True))
    storages: dict[str, Elements] = {}
    budget = source.size

    def fetch(reference: Any) -> Elements:
        nonlocal budget
        kind, key, location, count, part = parts_of(reference)
        if key not in storages:
            size = count * dtype_of(kind).itemsize
            budget -= size
            if budget < 0:
                raise CheckpointError("its storages are larger than the file: truncated?")
            storages[key] = Elements(restore(Loaded(np.empty(size, np.uint8)), location), kind)
        return storages[key] if part is None else \
            Elements(storages[key].storage, kind, part[1] * dtype_of(kind).itemsize)

    build.fetch = fetch
    value = build.load(source)
    keys = plain.load(source)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise CheckpointError("the list of its storages is damaged")
    for key in keys:
        memory, dtype = storages[key].storage._bytes, storages[key].dtype
        if _integers(source, 1, "<q" if little else ">q")[0] * dtype.itemsize != memory.size:
            raise CheckpointError(f"the size of storage {key} is damaged")
        source.fill(memory, source.tell())
        if not little:
            swap(memory, dtype)
    return value


def read_tar(source: Source, build: Unpickler, restore: Restore) -> Any:
    """The value in a tar file: a file of storages, one of tensors on them, and a pickle that refers to these."""
    try:
        with tarfile.open(fileobj=source.raw, mode="r:") as tar:
            storages, tensors, content = [
                Source(io.BytesIO(_member(tar, name)), name) for name in ("storages", "tensors", "pickle")]
    except (tarfile.TarError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"a tar file, but not of PyTorch, or a damaged one ({error})") from None
    plain = Unpickler()
    known: dict[int, Any] = {}
    for _ in range(_count(plain.load(storages))):
        key, location, kind = plain.load(storages)
        size = _integers(storages, 1)[0] * dtype_of(kind).itemsize
        known[key] = Elements(restore(Loaded(storages.bytes_at(storages.tell(), size)), str(location)), kind)
    for key, root, offset, _ in plain.load(storages):
        start = known[root].start + offset * known[root].dtype.itemsize
        known[key] = Elements(known[root].storage, known[root], start)
    for _ in range(_count(plain.load(tensors))):
        key, storage, _ = plain.load(tensors)
        dimensions, = _integers(tensors, 1, "<i4x")
        shape, stride = _integers(tensors, dimensions), _integers(tensors, dimensions)
        known[key] = build.tensor(known[storage], _integers(tensors, 1)[0], shape, stride)

    def fetch(reference: Any) -> Any:
        return reference[0] if isinstance(reference, tuple) else known[int(reference)]

    build.fetch = fetch
    return build.load(content)


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.getmember(name)
    file = tar.extractfile(member) if member.isreg() and not member.issparse() else None
    if file is None:
        raise ValueError(f"{name} is no file")
    return file.read()


def _integers(source: Source, count: int, form: str = "") -> tuple[int, ...]:
    """The integers that stand at this place of the file."""
    if not 0 <= count <= 64:
        raise CheckpointError(f"a tensor of {count} dimensions")
    form = form or f"<{count}q"
    return struct.unpack(form, source.bytes_at(source.tell(), struct.calcsize(form)).tobytes())


def _count(value: Any) -> int:
    if type(value) is not int:
        raise CheckpointError("a number of storages or tensors is damaged")
    return value
