"""Saving and loading: PyTorch's files, old and new, and safetensors files, both ways, without executing anything.

`save` writes the zip file that PyTorch's `torch.load(path, weights_only=True)` reads; `load` reads all formats that
PyTorch has had. A file is data here: `unpickler.py` builds tensors and plain containers out of it, `names.py` is the
whole list of what it may refer to, and anything else is refused by name.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, Union

from ..device import device
from ..errors import CheckpointError as CheckpointError
from .loading import default_restore_location, get_unsafe_globals_in_checkpoint, load
from .saving import DEFAULT_PROTOCOL, save
from .settings import (
    LoadEndianness,
    add_safe_globals,
    clear_safe_globals,
    get_crc32_options,
    get_default_load_endianness,
    get_safe_globals,
    safe_globals,
    set_crc32_options,
    set_default_load_endianness,
)
from .unpickler import RefusedError

# what `load` takes as `map_location`, for annotations: an object at run time
MAP_LOCATION: TypeAlias = Union[Callable[[Any, str], Any], device, str, dict[str, str], None]  # noqa: UP007

__all__ = [
    "DEFAULT_PROTOCOL", "LoadEndianness", "add_safe_globals", "clear_safe_globals", "default_restore_location",
    "get_crc32_options", "get_default_load_endianness", "get_safe_globals", "get_unsafe_globals_in_checkpoint", "load",
    "safe_globals", "save", "set_crc32_options", "set_default_load_endianness",
]
