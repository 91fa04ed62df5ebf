"""Values of a recorded step as plain data, and marks by which an array is known again."""
from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..device import device
from ..op import OPS, Op
from ..tensor import Size, Tensor
from .wording import numpy

SAMPLE = 64  # elements of an array that are kept to compare it with
_PLAIN = (bool, int, float, complex, str, type(None))


class Unrecordable(TypeError):
    """A value that cannot be written down, such as a function."""


def packed(value: Any, slot_of: Callable[[Any], int]) -> Any:
    """`value` as numbers, strings, lists and dicts; arrays by their slot. Raises Unrecordable."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, Tensor):
        return {"tensor": slot_of(value._array)}
    if isinstance(value, np.generic):
        return {"scalar": value.item(), "of": value.dtype.name}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {"array": slot_of(value)}
    if isinstance(value, dict):
        return {"dict": [[packed(k, slot_of), packed(v, slot_of)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {_CONTAINERS.get(kind, "tuple"): [packed(v, slot_of) for v in value]}
    if isinstance(value, slice):
        return {"slice": [packed(v, slot_of) for v in (value.start, value.stop, value.step)]}
    if value is ...:
        return {"ellipsis": True}
    if isinstance(value, dtypes.dtype):
        return {"dtype": value.name}
    if isinstance(value, np.dtype) or (kind is type and issubclass(value, np.generic)):
        return {"numpy": np.dtype(value).name}
    if isinstance(value, device):
        return {"device": str(value)}
    if isinstance(value, Op):
        return {"op": value.name}
    raise Unrecordable(f"a {kind.__name__}")


def unpacked(value: Any, tensor_of: Callable[[int], Tensor]) -> Any:
    """What `packed` was given."""
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items()))
    if kind in ("tuple", "list", "size"):
        parts = [unpacked(v, tensor_of) for v in content]
        return parts if kind == "list" else Size(parts) if kind == "size" else tuple(parts)
    if kind == "dict":
        return {unpacked(k, tensor_of): unpacked(v, tensor_of) for k, v in content}
    if kind == "slice":
        return slice(*[unpacked(v, tensor_of) for v in content])
    simple: dict[str, Callable[[], Any]] = {
        "tensor": lambda: tensor_of(content), "array": lambda: tensor_of(content)._array, "ellipsis": lambda: ...,
        "scalar": lambda: _numpy_type(value["of"]).type(content), "dtype": lambda: getattr(dtypes, content),
        "numpy": lambda: _numpy_type(content), "device": lambda: device(content), "op": lambda: OPS[content],
    }
    return simple[kind]()


def checksum(array: Any) -> int:
    return zlib.crc32(numpy(array).tobytes())


def mark(array: Any, made_of: Any = ()) -> dict[str, Any]:
    """What an array is known again by: its bits' checksum, and a few of its elements for where bits may differ.

    `noise` is what rounding makes of zero: where it is a sum of the arrays that it is `made_of`, they may cancel.
    """
    array = numpy(array)
    flat = array.reshape(-1)
    if flat.size > SAMPLE:
        flat = flat[np.linspace(0, flat.size - 1, SAMPLE).astype(np.int64)]
    kind = array.dtype.kind
    wide = flat.astype(np.complex128 if kind == "c" else np.float64 if kind in "fV" else flat.dtype)
    return {"shape": list(array.shape), "dtype": array.dtype.name, "bits": checksum(array), "sample": wide.tolist(),
            "noise": _noise(array, made_of)}


def apart(then: dict[str, Any], now: dict[str, Any], tolerance: float) -> str:
    """In words how an array differs from the one that left the mark `then`; "" within the tolerance."""
    if (then["shape"], then["dtype"]) != (now["shape"], now["dtype"]):
        return f"{tuple(then['shape'])} {then['dtype']} then, {tuple(now['shape'])} {now['dtype']} now"
    if then["bits"] == now["bits"]:
        return ""
    a, b = np.asarray(then["sample"]), np.asarray(now["sample"])
    with np.errstate(all="ignore"):
        good = np.isfinite(a)
        scale = float(np.sqrt(np.mean(np.abs(a[good]) ** 2))) if good.any() else 0.0
        off = np.abs(a - b)
        wrong = ~((a == b) | (np.isnan(a) & np.isnan(b)) | (off <= tolerance * (np.abs(a) + scale) + then["noise"]))
    if not wrong.any():
        return ""
    i = int(np.argmax(np.where(wrong, np.where(np.isfinite(off), off, np.inf), -1)))
    return f"{a[i]:.8g} then, {b[i]:.8g} now, where they differ most"


def _noise(array: np.ndarray, made_of: Any) -> float:
    """Some roundings of the sum of absolute values that each element can be the sum of."""
    sizes = [float(np.abs(numpy(a).astype(np.float64)).sum()) for a in made_of
             if hasattr(a, "dtype") and a.dtype.kind in "fV"]
    if array.dtype.kind not in "fV" or not sizes or not np.isfinite(max(sizes)):
        return 0.0
    bits = {2: 8, 4: 23, 8: 52}.get(array.dtype.itemsize, 8)
    return 8 * 2.0 ** -bits * max(sizes) / max(array.size, 1)


def _numpy_type(name: str) -> np.dtype:
    return getattr(dtypes, name).numpy


_CONTAINERS: dict[type, str] = {list: "list", Size: "size"}
