"""cupy.ufunc: the first of its loops that takes the arguments' types computes; arguments are arrays or scalars."""
from __future__ import annotations

import ml_dtypes
import numpy as np

from . import _launching
from ._names import loops
from ._ndarray import device_or_scalar, ndarray, work

DTYPES = {"E": np.dtype(ml_dtypes.bfloat16)}
REDUCING = {"add": "sum", "multiply": "prod"}
ACCUMULATING = {"add": "cumsum", "multiply": "cumprod"}
SCATTERING = {"add": "add", "subtract": None, "maximum": "maximum", "minimum": "minimum", "bitwise_and": "bitwise_and",
              "bitwise_or": "bitwise_or", "bitwise_xor": "bitwise_xor"}
_KIND = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}
_WEAK = {bool: np.dtype(bool), int: np.dtype(np.int64), float: np.dtype(np.float64), complex: np.dtype(np.complex128)}


class ufunc:
    """One elementwise function; `computes` is NumPy's of that name, or one that does as much."""

    def __init__(self, name, computes, module="cupy"):
        self.name = self.__name__ = name
        self.types = ["->".join(loop) for loop in loops(name, module)]
        self._loops = [tuple(tuple(map(dtype_of, part)) for part in loop) for loop in loops(name, module)]
        self.nin, self.nout = (len(part) for part in self._loops[0])
        self.nargs, self._computes, self._found = self.nin + self.nout, computes, {}

    def __repr__(self):
        return f"<ufunc 'cupy_{self.name}'>"

    def __call__(self, *arguments, out=None, dtype=None, casting="same_kind", **wrong):
        if wrong:
            raise TypeError(f"Wrong arguments {wrong}")
        if not self.nin <= len(arguments) <= self.nargs:
            raise TypeError(f"Wrong number of arguments for 'cupy_{self.name}'. It must be either {self.nin} or "
                            f"{self.nargs} (with outputs), but given {len(arguments)}.")
        given, outs = [device_or_scalar(a) for a in arguments[:self.nin]], arguments[self.nin:]
        outs = outs or (out if isinstance(out, tuple) else () if out is None else (out,))
        takes, gives = self._loop(given, dtype)
        arrays = [a for a in given if isinstance(a, ndarray)]

        def compute(*datas):
            rest = iter(datas)
            values = [next(rest).astype(t, copy=False) if isinstance(a, ndarray) else _scalar(a, t)
                      for a, t in zip(given, takes)]
            found = self._computes(*values)
            if self.nout == 1:
                return np.asarray(found).astype(gives[0], copy=isinstance(found, np.ndarray) and found.base is not None)
            return tuple([np.asarray(f).astype(t, copy=False) for f, t in zip(found, gives)])

        if not any(o is not None for o in outs):
            return work(self.name, compute, *arrays)
        return self._into(outs, compute, arrays, gives, casting)

    def _into(self, outs, compute, arrays, gives, casting):
        for o, t in zip(outs, gives):
            if not isinstance(o, ndarray):
                raise TypeError(f"Unsupported type {type(o)}")
            if not can_cast(t, o.dtype, casting):
                raise TypeError(f"output (typecode '{t.char}') could not be coerced to provided output parameter "
                                f"(typecode '{o.dtype.char}') according to the casting rule \"{casting}\"")
        shape = np.broadcast_shapes(*[a.shape for a in arrays])
        for o in outs:
            if np.broadcast_shapes(shape, o.shape) != o.shape:
                raise ValueError("Out shape is mismatched")
        datas = [a._data for a in arrays]

        def write(places=tuple([o._data for o in outs])):
            with np.errstate(all="ignore"):
                found = compute(*datas)
                for place, value in zip(places, found if self.nout > 1 else (found,)):
                    place[...] = value.real if value.dtype.kind == "c" and place.dtype.kind != "c" else value

        _launching.do(self.name, [a._lease for a in (*arrays, *outs)], write)
        return outs[0] if self.nout == 1 else tuple(outs)

    def _loop(self, given, dtype):
        key = tuple([a.dtype if hasattr(a, "dtype") else type(a) for a in given]), dtype
        if key not in self._found:
            self._found[key] = self._first_loop(key[0], dtype)
        return self._found[key]

    def _first_loop(self, kinds, dtype):
        if dtype is not None:
            dtype = np.dtype(dtype)
            for takes, gives in self._loops:
                if all(t == dtype for t in gives):
                    return takes, gives
            raise TypeError(f"Wrong type ({dtype}) of arguments for cupy_{self.name}")
        weak = [k if isinstance(k, type) and k in _WEAK else None for k in kinds]
        types = [_WEAK[k] if k in _WEAK else np.dtype(k) for k in kinds]
        strongest = max([_KIND[t.kind] for t, w in zip(types, weak) if w is None], default=-1)
        if strongest < 0 or any(w is not None and _KIND[t.kind] > strongest for t, w in zip(types, weak)):
            weak = [None] * len(kinds)
        for takes, gives in self._loops:
            if all(can_cast(t, o, "safe") or (w is not None and _stays(w, o)) for t, w, o in zip(types, weak, takes)):
                return takes, gives
        raise TypeError(f"Wrong type ({tuple(types)}) of arguments for cupy_{self.name}")

    def outer(self, A, B, **options):
        return self(A.reshape(A.shape + (1,) * B.ndim), B, **options)

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        return self._by(REDUCING, "reduce")(array, axis, dtype, out, keepdims)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        return self._by(ACCUMULATING, "accumulate")(array, axis, dtype, out)

    def reduceat(self, array, indices, axis=0, dtype=None, out=None):
        raise NotImplementedError(f"`cupy_{self.name}.reduceat` is not supported yet")

    def at(self, a, indices, b=None):
        if self.name not in SCATTERING:
            raise NotImplementedError(f"`cupy_{self.name}.at` is not supported yet")
        scatter(self._computes, a, indices, b)

    def _by(self, table, what):
        import cupy

        if self.name not in table:
            raise NotImplementedError(f"`cupy_{self.name}.{what}` is not supported yet")
        return getattr(cupy, table[self.name])


def scatter(function, a, indices, value):
    """`function.at`, as work on the device."""
    index, arrays = a._index(indices, masks=True)
    value = device_or_scalar(value)
    if a.dtype.char not in ("efdiILQ" if function is np.add else "fdiILQ"):
        raise TypeError(f"cupy.{function.__name__}.at only supports int32, float16, float32, float64, uint32, uint64 "
                        f"as data type, got {a.dtype}")
    given = [value] if isinstance(value, ndarray) else []

    def write(data=a._data, value=value._data if given else value):
        function.at(data, a._wrapped(index), np.asarray(value).astype(data.dtype))

    _launching.do("scatter", [x._lease for x in (a, *arrays, *given)], write)


def dtype_of(letter):
    return DTYPES.get(letter) or np.dtype(letter)


def can_cast(given, wanted, casting):
    return given == wanted or np.can_cast(given, wanted, casting)


def _stays(weak, dtype):
    try:
        return np.result_type(weak(0), dtype) == dtype
    except TypeError:
        return False


def _scalar(value, dtype):
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(dtype) if dtype.kind != "i" and dtype.kind != "u" else dtype.type(value)
