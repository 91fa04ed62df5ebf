"""The zip files that PyTorch writes: stored records, each aligned to 64 bytes, under one folder's name."""
from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ..errors import CheckpointError
from .files import Source

ALIGNMENT = 64
LARGE = 0xFFFFFFFF  # a size or place from here on stands in the fields of zip64,
ELSEWHERE = 0xFFFFFFFF  # and this in its own
_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")
_END64, _LOCATOR = struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
_VERSION, _UTF8, _DATE = 45, 0x0800, 0x21  # 1 January 1980


def write(out: Callable[[Any], Any], records: Iterable[tuple[str, Any]], checksums: bool = True) -> None:
    """Write `records`, names and bytes-like contents, as one zip file by calls of `out`, from its start to its end."""
    place, directory = 0, []
    for name, content in records:
        content = memoryview(content)
        size = content.nbytes
        crc = zlib.crc32(content) if checksums else 0
        encoded = name.encode()
        sizes = struct.pack("<2H2Q", 1, 16, size, size) if size >= LARGE else b""
        start = place + _LOCAL.size + len(encoded) + len(sizes)
        padding = -(start + 4) % ALIGNMENT
        extra = sizes + struct.pack("<2sH", b"FB", padding) + b"\0" * padding
        stored = ELSEWHERE if sizes else size
        out(_LOCAL.pack(b"PK\3\4", _VERSION, _UTF8, 0, 0, _DATE, crc, stored, stored, len(encoded), len(extra)))
        out(encoded + extra)
        out(content)
        far = struct.pack("<2H3Q", 1, 24, size, size, place) if sizes or place >= LARGE else b""
        directory.append(_CENTRAL.pack(
            b"PK\1\2", _VERSION, _VERSION, _UTF8, 0, 0, _DATE, crc, *(ELSEWHERE if far else size,) * 2, len(encoded),
            len(far), 0, 0, 0, 0, ELSEWHERE if far else place) + encoded + far)
        place = start + 4 + padding + size
    entries, length, count = b"".join(directory), sum(map(len, directory)), len(directory)
    out(entries)
    wide = place + length >= LARGE or count >= 0xFFFF
    if wide:
        out(_END64.pack(b"PK\6\6", 44, _VERSION, _VERSION, 0, 0, count, count, length, place))
        out(_LOCATOR.pack(b"PK\6\7", 0, place + length, 1))
    numbers = (0xFFFF, 0xFFFF, ELSEWHERE, ELSEWHERE) if wide else (count, count, length, place)
    out(_END.pack(b"PK\5\6", 0, 0, *numbers, 0))


class Record(NamedTuple):
    """Where a record's content lies, and the checksum that it should have; 0 where none was computed."""

    place: int
    size: int
    checksum: int


class Archive:
    """The records of a zip file by name, without the folder's name."""

    def __init__(self, source: Source):
        self.source = source
        try:
            with zipfile.ZipFile(source.raw) as file:
                entries = file.infolist()
        except Exception as error:  # on damaged directories zipfile raises nearly anything
            raise CheckpointError(f"a zip file that is damaged or truncated ({error})") from None
        self.records: dict[str, Record] = {}
        if sum(entry.file_size for entry in entries) > source.size:
            raise CheckpointError("its records are larger than the file: no file of PyTorch is compressed")
        folders = {entry.filename.partition("/")[0] for entry in entries}
        for entry in entries:
            name = entry.filename.partition("/")[2]
            if len(folders) > 1 or name in self.records:
                raise CheckpointError(f"a zip file, but not of PyTorch: it has {entry.filename!r} twice, or "
                                      f"{len(folders)} folders")
            self.records[name] = self._record(entry)
        if "data.pkl" not in self.records:
            raise CheckpointError("a zip file, but not of PyTorch: it has no data.pkl")
        if "constants.pkl" in self.records:
            raise CheckpointError("a TorchScript file (torch.jit.save), which holds a program; load it with PyTorch, "
                                  "and save its state_dict()")

    def read(self, name: str) -> np.ndarray:
        """The content of a record, checked against its checksum, unless the file is mapped. Raises CheckpointError."""
        record = self.records.get(name)
        if record is None:
            raise CheckpointError(f"the record {name} is missing")
        content = self.source.bytes_at(record.place, record.size)
        if self.source.mapped is None and record.checksum and zlib.crc32(content.data) != record.checksum:
            raise CheckpointError(f"the record {name} is damaged: its checksum is wrong")
        return content

    def _record(self, entry: zipfile.ZipInfo) -> Record:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise CheckpointError(f"the record {entry.filename} is compressed or encrypted, which PyTorch never does")
        header = self.source.bytes_at(entry.header_offset, _LOCAL.size).tobytes()
        if header[:4] != b"PK\3\4":
            raise CheckpointError(f"the record {entry.filename} is not where the directory says: damaged")
        place = entry.header_offset + _LOCAL.size + sum(_LOCAL.unpack(header)[-2:])
        return Record(place, entry.file_size, entry.CRC)
