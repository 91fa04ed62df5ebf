"""`safetensors.torch`: tensors in safetensors files."""
from __future__ import annotations

import io
from typing import Any

import numpy as np

from ...device import device as as_device
from ...device import move
from ...roots import offset_of, root_of
from ...tensor import Tensor
from ..files import Source, opened, replace
from . import format as _format


def save_file(tensors: dict[str, Tensor], filename: Any, metadata: dict[str, str] | None = None) -> None:
    """Write contiguous tensors to a path; it holds the old file or the new one whole, whenever the process dies.

    Raises ValueError for what is no contiguous tensor, RuntimeError for tensors that share memory: the format has
    no sharing (`save_model` leaves the doubles out).
    """
    arrays = _arrays(tensors)
    replace(filename, lambda file: _format.write(file.write, arrays, metadata))


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The content of a file of these tensors.

    >>> from minitorch import arange
    >>> load(save({"a": arange(3)}))
    {'a': tensor([0, 1, 2])}
    """
    file = io.BytesIO()
    _format.write(file.write, _arrays(tensors), metadata)
    return file.getvalue()


def load_file(filename: Any, device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a file. Raises FileNotFoundError, or SafetensorError where it is damaged or of another kind."""
    with opened(filename) as source:
        arrays = _format.read(source)[0]
    return {name: Tensor._wrap(move(array, as_device(device))) for name, array in arrays.items()}


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors in the content of a file."""
    arrays = _format.read(Source(io.BytesIO(data), "<bytes>"))[0]
    return {name: Tensor._wrap(array) for name, array in arrays.items()}


def save_model(model: Any, filename: str, metadata: dict[str, str] | None = None,
               force_contiguous: bool = True) -> None:
    """Write a module's values; of tensors that share memory one, and the names of the others as metadata."""
    metadata = dict(metadata or {})
    kept: dict[str, Tensor] = {}
    for group in _sharing(model.state_dict()):
        first = group[0][0]
        kept[first] = group[0][1].contiguous() if force_contiguous else group[0][1]
        metadata.update({name: first for name, _ in group[1:]})
    save_file(kept, filename, metadata)


def load_model(model: Any, filename: Any, strict: bool = True, device: Any = "cpu") -> tuple[list[str], list[str]]:
    """Load what `save_model` wrote into a module; the names that were missing and those that were not expected."""
    tensors = load_file(filename, device)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    doubles = {name for group in _sharing(model.state_dict()) for name, _ in group
               if any(other in tensors for other, _ in group)}
    missing = sorted(set(missing) - doubles)
    if strict and (missing or unexpected):
        raise RuntimeError(f"Error(s) in loading state_dict for {type(model).__name__}:\n    "
                           f"Missing key(s): {missing}; unexpected key(s): {sorted(unexpected)}")
    return missing, unexpected


def storage_ptr(tensor: Tensor) -> int:
    """The address of the memory that a tensor lies in, the same for all views of it."""
    return tensor.untyped_storage().data_ptr()


def storage_size(tensor: Tensor) -> int:
    """The bytes of the memory that a tensor lies in."""
    return tensor.untyped_storage().nbytes()


def _find_shared_tensors(state_dict: dict[str, Tensor]) -> list[set[str]]:
    """The names of the tensors, those together that lie in the same memory and overlap."""
    return [{name for name, _ in group} for group in _sharing(state_dict)]


def _is_complete(tensor: Tensor) -> bool:
    """Whether a tensor is all of the memory that it lies in."""
    return tensor.data_ptr() == storage_ptr(tensor) and tensor._array.nbytes == storage_size(tensor)


def _remove_duplicate_names(state_dict: dict[str, Tensor], *, preferred_names: list[str] | None = None,
                            discard_names: list[str] | None = None) -> dict[str, list[str]]:
    """Of the tensors that share memory the name to keep, and those to leave out; the first in the alphabet is kept.

    Raises RuntimeError where none of those that share memory, or one that shares none, is all of it.
    """
    doubles: dict[str, list[str]] = {}
    for names in _find_shared_tensors(state_dict):
        complete = {name for name in names if _is_complete(state_dict[name])}
        if not complete:
            raise RuntimeError("Error while trying to find names to remove to save state dict, but found no suitable "
                               f"name to keep for saving amongst: {names}. None is covering the entire storage")
        choice = (complete & set(preferred_names or ())) or (complete - set(discard_names or ())) or complete
        kept = min(choice)
        if len(names) > 1:
            doubles[kept] = sorted(names - {kept})
    return doubles


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """The tensors' arrays, where the format can hold them."""
    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    for name, t in tensors.items():
        if not isinstance(t, Tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(t)}")
        if not t.is_contiguous():
            raise ValueError(f"You are trying to save a non contiguous tensor: `{name}` which is not allowed. Save its "
                             "contiguous() copy, or the tensor that it is a part of")
    shared = [[name for name, _ in group] for group in _sharing(tensors) if len(group) > 1]
    if shared:
        raise RuntimeError("save_file: some tensors share memory, which would be written twice, and not be shared when "
                           f"it is loaded: {shared}. Use `save_model`, or clone() them")
    return {name: move(t._array, as_device("cpu")) for name, t in tensors.items()}


def _sharing(tensors: dict[str, Tensor]) -> list[list[tuple[str, Tensor]]]:
    """The tensors, those together whose memory overlaps; the largest first."""
    spans: dict[int, list] = {}
    for name, t in tensors.items():
        root = root_of(t._array)
        start = offset_of(t._array, root) or 0
        spans.setdefault(id(root), []).append((start, start + t._array.nbytes, name, t))
    groups: list[list[tuple[str, Tensor]]] = []
    for on_root in spans.values():
        end = -1
        for start, last, name, t in sorted(on_root, key=lambda span: (span[0], -span[1])):
            if start < end and last > start:
                groups[-1].append((name, t))
            else:
                groups.append([(name, t)])
            end = max(end, last)
    return [sorted(group, key=lambda item: -item[1].numel()) for group in groups]
