"""The files that `save` wrote before it wrote PyTorch's: safetensors files whose metadata describe containers."""
from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..device import device
from ..errors import CheckpointError
from ..tensor import Size, Tensor
from .files import Source
from .safetensors import format as safetensors

FORMAT = "minitorch"  # the metadata key; its value is the JSON of what holds the tensors


def read(source: Source) -> tuple[Any, list[tuple[Tensor, np.ndarray]]]:
    """What such a file holds, or the dict of tensors of any other safetensors file; and each tensor with its array."""
    arrays, metadata = safetensors.read(source)
    tensors = {name: Tensor._wrap(array) for name, array in arrays.items()}
    pairs = [(t, t._array) for t in tensors.values()]
    if FORMAT not in metadata:
        return tensors, pairs
    try:
        return _decode(json.loads(metadata[FORMAT]), tensors), pairs
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"the description of its contents is damaged ({error!r})") from None


def _decode(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The value that a description is of."""
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
