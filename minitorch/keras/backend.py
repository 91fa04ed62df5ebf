"""What Keras calls its backend: the float type, epsilon, layer names, and arrays as tensors."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import nearest
from ..ops.values import from_numpy
from ..tensor import Tensor

_settings: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "training": None}
_names: Counter[str] = Counter()


def backend() -> str:
    """The name of the library below.

    >>> backend()
    'minitorch'
    """
    return "minitorch"


def floatx() -> str:
    """The name of the type of new weights, and of floating-point arrays that are handed in."""
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    """Choose "float16", "bfloat16", "float32" or "float64". Raises ValueError for another name."""
    if value not in ("float16", "bfloat16", "float32", "float64"):
        raise ValueError(f"set_floatx: expected float16, bfloat16, float32 or float64, got {value!r}")
    _settings["floatx"] = value


def epsilon() -> float:
    """The small number that losses keep probabilities away from 0 and 1 by."""
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    """Choose `epsilon()`."""
    _settings["epsilon"] = value


def image_data_format() -> str:
    """Where images have their channels, unless a layer says otherwise."""
    return "channels_last"


def clear_session() -> None:
    """Begin to number layer names anew."""
    _names.clear()


def unique_name(name: str) -> str:
    """`name`, from its second use on with a number: dense, dense_1, dense_2."""
    _names[name] += 1
    return name if _names[name] == 1 else f"{name}_{_names[name] - 1}"


def snake_case(name: str) -> str:
    """A class's name as layers are named.

    >>> snake_case("MaxPooling2D"), snake_case("GRU"), snake_case("LayerNormalization")
    ('max_pooling2d', 'gru', 'layer_normalization')
    """
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_training() -> bool | None:
    """Whether the call that is going on is one of training: dropout drops then. None outside all calls that say so."""
    return _settings["training"]


@contextmanager
def phase(training: bool | None) -> Iterator[None]:
    """Within the block calls are calls of training, or not."""
    before, _settings["training"] = _settings["training"], training
    try:
        yield
    finally:
        _settings["training"] = before


def dtype_of(name: Any) -> Any:
    """A data type from its name, from NumPy's type, or None for `floatx()`."""
    if isinstance(name, dtypes.dtype):
        return name
    return getattr(dtypes, str(np.dtype(name)) if name is not None and name != "bfloat16" else name or floatx())


def as_tensor(x: Any, dtype: Any = None) -> Tensor:
    """A tensor of an array, a list or a number; floating-point values get the type `floatx()` unless `dtype` says."""
    if not isinstance(x, Tensor):
        array = np.asarray(x)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"expected numbers, got an array of dtype {array.dtype}")
        x = from_numpy(np.require(array.astype(array.dtype.newbyteorder("="), copy=False), requirements=["C", "W"]))
    wanted = dtype_of(dtype) if dtype is not None or x.is_floating_point() else x.dtype
    return x if x.dtype == wanted else x.to(wanted)


def as_array(x: Any) -> np.ndarray:
    """A tensor, array or list as a NumPy array."""
    return x.numpy(force=True) if isinstance(x, Tensor) else np.asarray(x)


def map_structure(f: Any, x: Any) -> Any:
    """`f` of each member of nested lists, tuples and dicts."""
    if isinstance(x, Mapping):
        return {key: map_structure(f, value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [map_structure(f, value) for value in x]
    return f(x)


def flatten(x: Any) -> list[Any]:
    """The members of nested lists, tuples and dicts, in order."""
    if isinstance(x, Mapping):
        x = list(x.values())
    return [leaf for part in x for leaf in flatten(part)] if isinstance(x, (list, tuple)) else [x]


def without_batch(shape: Any) -> Any:
    """A shape, or nested lists of shapes, with None for the number of samples."""
    return of_shapes(lambda one: (None, *one[1:]) if one else one, shape)


def of_shapes(f: Any, shape: Any) -> Any:
    """`f` of each shape, as a tuple, in nested lists and dicts of shapes, which files have as lists."""
    if isinstance(shape, dict):
        return {key: of_shapes(f, value) for key, value in shape.items()}
    if isinstance(shape, (list, tuple)) and any([isinstance(n, (list, tuple, dict)) for n in shape]):
        return [of_shapes(f, part) for part in shape]
    return None if shape is None else f(tuple(shape))


def lookup(kind: str, identifier: Any, table: Mapping[str, Any]) -> Any:
    """What `identifier` stands for: a name in `table` (a class there is called), or the thing itself.

    Raises ValueError for a name that is not there.
    """
    if isinstance(identifier, str):
        if identifier not in table:
            raise ValueError(f"Could not interpret {kind} identifier: {identifier}{nearest(identifier, table)}")
        found = table[identifier]
        return found() if isinstance(found, type) else found
    if identifier is not None and not callable(identifier):
        raise ValueError(f"Could not interpret {kind} identifier: {identifier}")
    return identifier() if isinstance(identifier, type) else identifier
