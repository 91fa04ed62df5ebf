"""What holds for all files: classes declared safe, the byte order of old files, checksums."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

_declared: list[Any] = []  # classes and functions, or (one of them, the name that files call it)


class LoadEndianness(Enum):
    NATIVE, LITTLE, BIG = 1, 2, 3


_settings: dict[str, Any] = {"endianness": None, "checksums": True}


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Declare classes, or functions, that `load` may use: each itself, or `(it, "module.name")` as files call it.

    Their code runs on what a file holds. Without a declaration `load` refuses them.
    """
    _declared.extend(safe_globals)


def get_safe_globals() -> list[Any]:
    """What has been declared."""
    return list(_declared)


def clear_safe_globals() -> None:
    """Forget all declarations."""
    _declared.clear()


@contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """Declare for the `with` block."""
    before = list(_declared)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _declared[:] = before


def declared_by_name() -> dict[str, Any]:
    """What has been declared, by the name that files call it."""
    pairs = [entry if isinstance(entry, tuple) else (entry, f"{entry.__module__}.{entry.__qualname__}")
             for entry in _declared]
    return {name: value for value, name in pairs}


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order of files that do not state theirs; None means this machine's."""
    return _settings["endianness"]


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError(f"set_default_load_endianness: expects a LoadEndianness, got {type(endianness).__name__}")
    _settings["endianness"] = endianness


def get_crc32_options() -> bool:
    """Whether `save` computes the checksums of the records; `load` checks those that a file has."""
    return _settings["checksums"]


def set_crc32_options(compute_crc32: bool) -> None:
    _settings["checksums"] = bool(compute_crc32)
