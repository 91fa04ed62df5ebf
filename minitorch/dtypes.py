"""Element types: PyTorch's names and promotion rules over NumPy's dtypes."""
from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from .errors import DTypeError, MissingError


class dtype:
    """An element type, printed as PyTorch prints it. There is one object a type, so compare with `is` or `==`."""

    def __init__(self, name: str, kind: builtins.int, itemsize: builtins.int):
        self.name, self.kind, self.itemsize = name, kind, itemsize
        self.is_floating_point, self.is_complex = kind == FLOAT, kind == COMPLEX
        self.is_signed = name not in ("bool", "uint8", "uint16", "uint32", "uint64")

    @property
    def numpy(self) -> np.dtype:
        """The NumPy dtype. Raises MissingError for bfloat16 and float8 where ml_dtypes is not installed."""
        return to_numpy(self)

    def to_complex(self) -> dtype:
        return complex128 if self in (float64, complex128) else complex64

    def to_real(self) -> dtype:
        return {complex64: float32, complex128: float64}.get(self, self)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name  # pickled as a name of this module, so that it stays one object


BOOL, INT, FLOAT, COMPLEX = range(4)  # PyTorch's categories: the higher one decides a promotion

bool = dtype("bool", BOOL, 1)
uint8 = dtype("uint8", INT, 1)
uint16 = dtype("uint16", INT, 2)
uint32 = dtype("uint32", INT, 4)
uint64 = dtype("uint64", INT, 8)
int8 = dtype("int8", INT, 1)
int16 = short = dtype("int16", INT, 2)
int32 = int = dtype("int32", INT, 4)
int64 = long = dtype("int64", INT, 8)
float16 = half = dtype("float16", FLOAT, 2)
bfloat16 = dtype("bfloat16", FLOAT, 2)
float32 = float = dtype("float32", FLOAT, 4)
float64 = double = dtype("float64", FLOAT, 8)
float8_e4m3fn = dtype("float8_e4m3fn", FLOAT, 1)  # for storage and `_scaled_mm`; NumPy has them from ml_dtypes
float8_e5m2 = dtype("float8_e5m2", FLOAT, 1)
float8_e4m3fnuz = dtype("float8_e4m3fnuz", FLOAT, 1)
float8_e5m2fnuz = dtype("float8_e5m2fnuz", FLOAT, 1)
float8_e8m0fnu = dtype("float8_e8m0fnu", FLOAT, 1)
complex64 = cfloat = dtype("complex64", COMPLEX, 8)
complex128 = cdouble = dtype("complex128", COMPLEX, 16)

WORDS = {"Float": float32, "Double": float64, "Half": float16, "BFloat16": bfloat16, "Byte": uint8, "Char": int8,
         "Short": int16, "Int": int32, "Long": int64, "Bool": bool, "ComplexFloat": complex64,
         "ComplexDouble": complex128, "UInt16": uint16, "UInt32": uint32, "UInt64": uint64}
_WORD_OF = {d: word for word, d in WORDS.items()}


def word(d: dtype) -> str:
    """The name that error messages and the types of former years use: "Long" for int64."""
    return _WORD_OF.get(d, d.name)

ALL = (bool, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, bfloat16, float32, float64,
       complex64, complex128)
FLOAT8 = (float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, float8_e8m0fnu)
NAMES = (*[d.name for d in (*ALL, *FLOAT8)], "short", "int", "long", "half", "float", "double", "cfloat", "cdouble")


def get_default_dtype() -> dtype:
    """The floating type of `tensor(1.5)`, `zeros(2)` and of integers divided."""
    return _default


def set_default_dtype(d: Any) -> None:
    """Set it. Raises TypeError where `d` is not a floating type."""
    global _default
    d = as_dtype(d)
    if not d.is_floating_point:
        raise TypeError(f"set_default_dtype: expects a floating type, got {d}")
    _default = d


def as_dtype(d: Any) -> dtype:
    """The dtype that `d` means: one of ours, NumPy's, or Python's bool, int, float, complex.

    >>> as_dtype(np.float64), as_dtype("int8")
    (torch.float64, torch.int8)
    """
    if isinstance(d, dtype):
        return d
    if d in _PYTHON:
        return _PYTHON[d]
    try:
        return from_numpy(np.dtype(d))
    except TypeError:
        raise TypeError(f"dtype: expects a dtype such as float32, got {d!r}") from None


def from_numpy(d: np.dtype) -> dtype:
    """Our dtype for NumPy's. Raises TypeError for a type that tensors do not have (strings, objects, dates)."""
    try:
        return _OURS[d]
    except KeyError:
        name = d.newbyteorder("=").name
        for ours in (*ALL, *FLOAT8):
            if ours.name == name:
                _OURS[d] = ours
                return ours
    raise TypeError(f"can't convert np.ndarray of type {d}. The only supported types are: "
                    + ", ".join(t.name for t in ALL))


def to_numpy(d: dtype) -> np.dtype:
    """NumPy's dtype for ours."""
    found = _NUMPY.get(d)
    if found is None:  # bfloat16 and the float8 types, which NumPy gets from a package
        try:
            import ml_dtypes
        except ImportError:
            raise MissingError(f"{d.name} on the CPU needs the package ml_dtypes: pip install ml_dtypes") from None
        found = _NUMPY[d] = np.dtype(getattr(ml_dtypes, d.name))
        _OURS[found] = d
    return found


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest type that holds both, by PyTorch's table.

    >>> promote_types(int64, float16), promote_types(uint8, int8), promote_types(float16, bfloat16)
    (torch.float16, torch.int16, torch.float32)
    """
    a, b = as_dtype(a), as_dtype(b)
    if a is b:
        return a
    if a in FLOAT8 or b in FLOAT8:
        raise DTypeError(f"Promotion for Float8 Types is not supported, attempted to promote {a.name} and {b.name}")
    if a.kind != b.kind:
        low, high = sorted((a, b), key=lambda d: d.kind)
        if high is complex64 and low is float64:
            return complex128
        return high
    if {a, b} == {float16, bfloat16}:
        return float32
    if bfloat16 in (a, b):
        return a if b is bfloat16 else b
    if {a.name, b.name} & {"uint16", "uint32", "uint64"} and a.is_signed != b.is_signed:
        raise DTypeError(f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
                         f"{a.name} and {b.name}")
    return from_numpy(np.promote_types(to_numpy(a), to_numpy(b)))


def result_type(*operands: Any) -> dtype:
    """PyTorch's result type of arrays and Python scalars.

    Arrays with dimensions outrank 0-d arrays, and those outrank Python scalars: a lower rank counts only where its
    category (bool < int < float < complex) is higher.
    """
    ranks: list[dtype | None] = [None, None, None]
    for x in operands:
        rank, d = _rank(x)
        above = ranks[rank]
        ranks[rank] = d if above is None else promote_types(above, d)
    best: Any = None
    for ranked in ranks:
        if ranked is not None and (best is None or ranked.kind > best.kind):
            best = ranked
    return best


def promote(a: Any, b: Any) -> tuple[Any, Any]:
    """`a` and `b`, arrays or Python scalars, in forms whose NumPy arithmetic has PyTorch's result type."""
    kind = type(b)
    if kind is np.ndarray:
        if type(a) is np.ndarray:
            if a.dtype is b.dtype:
                return a, b
        elif type(a) in _WEAK and b.dtype.kind in _WEAK[type(a)]:
            return a, b
    elif kind in _WEAK and a.dtype.kind in _WEAK[kind]:
        return a, b
    target = to_numpy(result_type(a, b))
    return _cast(a, target), _cast(b, target)


def is_array(x: Any) -> Any:
    """Whether `x` is an array of any array module."""
    return hasattr(x, "__array_interface__") or hasattr(x, "__cuda_array_interface__")


# NumPy 2 keeps an array's type beside a Python scalar of these kinds, as PyTorch does; integers it keeps too, but
# raises where they do not fit, which PyTorch wraps round
_WEAK = {type(1.0): "fc", type(1): "fc", type(True): "biufc"}


def _cast(x: Any, target: np.dtype) -> Any:
    if not is_array(x):
        return x if target.kind in "fc" else np.array(x).astype(target)[()]  # a scalar goes with any array module
    return x if x.dtype == target else x.astype(target)


def _rank(x: Any) -> tuple[Any, dtype]:
    if isinstance(x, np.generic):
        x = x.item()  # NumPy's scalars count as Python's
    if is_array(x):
        return (0 if x.ndim else 1), from_numpy(x.dtype)
    if x is True or x is False:
        return 2, bool
    if isinstance(x, type(1)):
        return 2, int64
    if isinstance(x, type(1.0)):
        return 2, _default
    if isinstance(x, type(1j)):
        return 2, _default.to_complex()
    raise TypeError(f"expected a tensor or a number, got {type(x).__name__}")


_default = float32
_NUMPY = {d: np.dtype(d.name) for d in ALL if d is not bfloat16}
_OURS = {v: k for k, v in _NUMPY.items()}
_PYTHON: dict[Any, dtype] = {type(True): bool, type(1): int64, type(1.0): float64, type(1j): complex128}
