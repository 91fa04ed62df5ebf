"""`save` and `load`: tensors in plain containers, as safetensors files.

The tensors are the file's tensors, under their names where a state dict is saved, so that any safetensors reader
gets them. What holds them (dicts, lists, tuples, numbers, strings) is written as JSON into the file's metadata. Loading
reads numbers and builds those containers: nothing in a file is ever executed.
"""
from __future__ import annotations

import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import dtypes
from .device import device
from .errors import CheckpointError, MissingError
from .tensor import Size, Tensor

FORMAT = "minitorch"  # the metadata key; its value is the JSON of what holds the tensors


def save(obj: Any, f: Any, *ignored: Any, **also_ignored: Any) -> None:
    """Write `obj`, tensors in plain containers, to the path or binary file `f`.

    A path is written beside itself and renamed at the end, so that it holds the old file or the new one whole,
    whenever the process dies. Raises TypeError, before anything is written, for what is no plain container.

    >>> import os, tempfile
    >>> from minitorch import ones
    >>> path = os.path.join(tempfile.mkdtemp(), "checkpoint")
    >>> save({"w": ones(2), "epoch": 3}, path)
    >>> load(path)
    {'w': tensor([1., 1.]), 'epoch': 3}
    """
    tensors: dict[str, np.ndarray] = {}
    tree = _encode(obj, "", tensors, {})
    content = _serialise(tensors, json.dumps(tree))
    if hasattr(f, "write"):
        f.write(content)
    else:
        _replace(Path(f), content)


def load(f: Any, map_location: Any = None, *ignored: Any, **also_ignored: Any) -> Any:
    """Read what `save` wrote, or the tensors of any safetensors file as a dict.

    Raises FileNotFoundError, or CheckpointError, which names the file, where it is damaged or of another kind.
    """
    name = getattr(f, "name", "<file>") if hasattr(f, "read") else os.fspath(f)
    content = f.read() if hasattr(f, "read") else Path(f).read_bytes()
    arrays, metadata = _parse(content, name)
    tensors = {key: _placed(Tensor._wrap(array), map_location) for key, array in arrays.items()}
    if FORMAT not in metadata:
        return tensors
    try:
        return _decode(json.loads(metadata[FORMAT]), tensors)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"load: {name}: the description of its contents is damaged ({error!r})") from None


def _encode(value: Any, name: str, tensors: dict[str, np.ndarray], seen: dict) -> Any:
    """JSON for `value`. A tensor goes to `tensors` and stays behind as its name."""
    if isinstance(value, Tensor):
        array = value._array if isinstance(value._array, np.ndarray) else value._array.get()
        key = (array.ctypes.data, array.shape, array.strides, array.dtype.str)
        if array.size == 0 or key not in seen:
            seen[key] = _free_name(name or "tensor", tensors)
            tensors[seen[key]] = np.ascontiguousarray(array).reshape(array.shape)
        return {"tensor": seen[key]}
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return value if np.isfinite(value) else {"float": repr(value)}
    if isinstance(value, dict):
        kind = "ordered" if isinstance(value, OrderedDict) else "dict"
        return {kind: [[_encode(k, "", tensors, seen), _encode(v, _join(name, k), tensors, seen)]
                       for k, v in value.items()]}
    if isinstance(value, (list, tuple, set)):
        kind = "size" if isinstance(value, Size) else type(value).__name__
        if kind not in _CONTAINERS:
            kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(v, _join(name, i), tensors, seen) for i, v in enumerate(value)]}
    if isinstance(value, (dtypes.dtype, device)):
        return {type(value).__name__: value.name if isinstance(value, dtypes.dtype) else str(value)}
    if isinstance(value, (np.ndarray, np.generic)):
        return {"array": _encode(Tensor._wrap(np.asarray(value)), name, tensors, seen)}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    raise TypeError(f"save: {name or 'the object'} is a {type(value).__module__}.{type(value).__qualname__}; a "
                    "checkpoint holds tensors, numbers, strings, dicts, lists and tuples. Save a module's state_dict()")


def _decode(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The value that `_encode` described."""
    if not isinstance(node, dict):
        return node
    (kind, content), = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind in ("dict", "ordered"):
        pairs = [(_decode(k, tensors), _decode(v, tensors)) for k, v in content]
        return OrderedDict(pairs) if kind == "ordered" else dict(pairs)
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](_decode(v, tensors) for v in content)
    return _LEAVES[kind](content, tensors)


_CONTAINERS: dict[str, Callable] = {"list": list, "tuple": tuple, "set": set, "size": Size}
_LEAVES: dict[str, Callable] = {
    "float": lambda text, tensors: float(text),
    "complex": lambda parts, tensors: complex(*parts),
    "bytes": lambda text, tensors: bytes.fromhex(text),
    "dtype": lambda name, tensors: dtypes.as_dtype(name),
    "device": lambda name, tensors: device(name),
    "array": lambda node, tensors: _decode(node, tensors)._array,
}


def _serialise(tensors: dict[str, np.ndarray], tree: str) -> bytes:
    return _safetensors().numpy.save(tensors, {FORMAT: tree})


def _parse(content: bytes, name: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and metadata of a safetensors file. Raises CheckpointError."""
    try:
        arrays = _safetensors().numpy.load(content)
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8:8 + length]).get("__metadata__", {})
    except Exception as error:
        if content[:4] == b"PK\x03\x04" or content[:1] == b"\x80":
            raise CheckpointError(f"load: {name}: this is a pickle file, as PyTorch writes them, not a safetensors "
                                  "file. Loading it would run code from the file. Save its state dict with "
                                  "safetensors.torch.save_file") from None
        raise CheckpointError(f"load: {name}: not a safetensors file, or a damaged one ({error})") from None
    # the arrays lie in `content`, which is read-only: copies can be trained
    return {key: array.copy() for key, array in arrays.items()}, metadata


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that its name never leads to half of it."""
    directory = path.parent
    if not directory.is_dir():
        raise RuntimeError(f"save: Parent directory {directory} does not exist.")
    handle, temporary = tempfile.mkstemp(prefix=path.name + ".", suffix=".tmp", dir=directory)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(temporary, path.stat().st_mode)
        else:
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _placed(t: Tensor, where: Any) -> Tensor:
    if where is None or (callable(where) and not isinstance(where, device)):
        return t
    if isinstance(where, dict):
        where = where.get("cpu", "cpu")
    return t.to(where)


def _join(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)


def _free_name(name: str, taken: dict) -> str:
    candidate, number = name, 1
    while candidate in taken or candidate == "__metadata__":
        candidate, number = f"{name}#{number}", number + 1
    return candidate


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingError("save/load need the package safetensors: pip install safetensors") from None
    return safetensors
