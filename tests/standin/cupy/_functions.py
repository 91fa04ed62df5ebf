"""CuPy's functions over NumPy's of the same names: with CuPy's parameters, for arrays of the device alone."""
from __future__ import annotations

from functools import partial

import numpy as np

from . import _launching
from ._names import NAMES, parameters
from ._ndarray import _copied, checked, ndarray, new, work
from ._ufunc import ufunc

LIBRARIES = {"matmul", "dot", "vdot", "inner", "tensordot", "einsum", "cov", "corrcoef", "polyfit", "vecdot"}
SYNCHRONOUS = {  # what reads a value back, or sorts by Thrust, which waits for its result
    "nonzero", "argwhere", "flatnonzero", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values",
    "bincount", "histogram", "histogram2d", "histogramdd", "compress", "extract", "delete", "isin", "in1d", "sort",
    "argsort", "lexsort", "msort", "sort_complex", "partition", "argpartition", "median", "percentile", "quantile",
    "nanmedian", "setdiff1d", "intersect1d", "union1d", "setxor1d", "trim_zeros"}
HOST = {"result_type", "can_cast", "isscalar", "promote_types", "broadcast_shapes", "min_scalar_type", "common_type",
        "shape", "ndim", "size", "iscomplexobj", "isrealobj", "finfo", "iinfo"}  # take NumPy's arrays too
SEQUENCES = {  # parameters that take lists
    "tup", "arrays", "arys", "operands", "condlist", "choicelist", "choices", "a_tuple", "seq", "shape", "axis",
    "axes", "pad_width", "shift", "newshape", "indices", "indices_or_sections", "repeats", "source",
    "destination", "bins", "dims", "reps", "multi_index", "xi", "s", "decimals", "kth", "sections", "order",
    "constant_values", "range", "subscripts", "fill_value", "keys", "q"}
WRAPPED = {"allclose", "array_equal", "array_equiv", "count_nonzero", "size"}  # where NumPy gives a Python number
KEEPING = {"empty_like", "zeros_like", "ones_like", "full_like", "copy"}


def function(module, name, computes):
    """`cupy.name` with the parameters that it has."""
    positional, named, star, stars = parameters(module, name)

    def call(*arguments, **options):
        if len(arguments) > len(positional) and not star:
            raise TypeError(f"{name}() takes {len(positional)} positional arguments but {len(arguments)} were given")
        unknown = [] if stars and module != "cupy.linalg" else [n for n in options if n not in named]
        if unknown and not (name == "einsum" and set(unknown) <= {"optimize", "out", "dtype"}):
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown[0]!r}")
        if module in ("cupy.linalg", "cupy.fft") or name in LIBRARIES:
            _launching.forbid("", NotImplementedError("calling cuBLAS and cuSOLVER APIs during stream capture is "
                                                      "currently unsupported"))
        elif name in SYNCHRONOUS:
            _launching.forbid(name)
        out = options.pop("out", None)
        if options.get("dtype") is not None:
            options["dtype"] = checked(np.dtype(options["dtype"]))
        arrays = []
        places = [_place(a, arrays, star or i >= len(positional) or positional[i] in SEQUENCES, name)
                  for i, a in enumerate(arguments)]
        named_places = {n: _place(a, arrays, n in SEQUENCES, name) for n, a in options.items()}

        def compute(*datas):
            found = computes(*[p(datas) for p in places], **{n: p(datas) for n, p in named_places.items()})
            return np.asarray(found) if name in WRAPPED else found

        made = work(name, compute, *arrays, keep_order=name in KEEPING)
        if out is None:
            return made
        import cupy

        cupy.copyto(out, made, casting="same_kind")
        return out

    call.__name__ = call.__qualname__ = name
    call.__module__ = module
    return call


def _place(value, arrays, sequence, name):
    """How the argument is found again among the NumPy arrays of `arrays`."""
    if isinstance(value, ndarray):
        at = len(arrays)
        arrays.append(value)
        return lambda datas: datas[at]
    if isinstance(value, np.ndarray) and name not in HOST:
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        if not sequence and any(not isinstance(v, (int, np.integer)) for v in value):
            raise TypeError(f"{name}: Unsupported type {type(value)}")
        places = [_place(v, arrays, sequence, name) for v in value]
        return lambda datas: type(value)([p(datas) for p in places])
    return lambda datas: value


# Where CuPy differs

def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    if isinstance(obj, ndarray):
        made = obj.copy(order) if copy else obj
        if dtype is not None and made.dtype != dtype:
            made = made.astype(dtype)
        if (order == "C" and not made.flags.c_contiguous) or (order == "F" and not made.flags.f_contiguous):
            made = made.copy(order)
    elif isinstance(obj, (list, tuple)) and any(isinstance(v, ndarray) for v in _leaves(obj)):
        import cupy

        if not all(isinstance(v, ndarray) for v in _leaves(obj)):
            raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a "
                            "NumPy array explicitly.")
        made = cupy.stack([array(v, copy=False) for v in obj])
        made = made if dtype is None else made.astype(dtype)
    else:
        if hasattr(obj, "__cuda_array_interface__"):
            return _shared(obj)
        host = np.asarray(obj, dtype=dtype)
        checked(host.dtype)
        made = _copied(host)
        if blocking:
            _launching.forbid("streamSynchronize")
        if order == "F" or (order in "KA" and host.ndim > 1 and host.flags.fnc):
            made = made.copy("F")
    return made.reshape((1,) * (ndmin - made.ndim) + made.shape) if made.ndim < ndmin else made


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, bool(copy), order or "K", blocking=blocking)


def ascontiguousarray(a, dtype=None):
    _device_array(a)
    same = dtype is None or a.dtype == dtype
    if same and a.flags.c_contiguous and a.ndim:
        return a
    return (a if a.ndim else a.reshape(1)).astype(dtype or a.dtype, "C")


def asfortranarray(a, dtype=None):
    _device_array(a)
    if a.flags.f_contiguous and (dtype is None or a.dtype == dtype):
        return a
    _launching.forbid("", NotImplementedError("calling cuBLAS API during stream capture is currently unsupported"))
    return a.astype(dtype or a.dtype, "F")


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(stream, order, out, blocking) if isinstance(a, ndarray) else np.asarray(a, order=order)


def empty(shape, dtype=float, order="C"):
    return ndarray(shape, float if dtype is None else dtype, order=order)


def copyto(dst, src, casting="same_kind", where=None):
    src_dtype = getattr(src, "dtype", np.min_scalar_type(src))
    if not np.can_cast(src_dtype, dst.dtype, casting):
        raise TypeError(f"Cannot cast {src_dtype} to {dst.dtype} in {casting} casting mode")
    if where is None:
        dst[...] = src
    else:
        import cupy

        dst[...] = cupy.where(where, src, dst)


def take(a, indices, axis=None, out=None):
    import cupy

    indices = indices if isinstance(indices, ndarray) or np.ndim(indices) == 0 else asarray(indices)
    length = a.size if axis is None else a.shape[axis]
    made = work("take", lambda x, *i: x.take((i[0] if i else indices) % max(length, 1), axis), a,
                *([indices] if isinstance(indices, ndarray) else []))
    if out is None:
        return made
    cupy.copyto(out, made)
    return out


def where(condition, x=None, y=None):
    if x is None and y is None:
        import cupy

        return cupy.nonzero(condition)
    return _where(condition.astype("?"), x, y)


def clip(a, a_min=None, a_max=None, out=None):
    if a.dtype.kind in "iuf":
        ends = (-np.inf, np.inf) if a.dtype.kind == "f" else (np.iinfo(a.dtype).min, np.iinfo(a.dtype).max)
        a_min, a_max = ends[0] if a_min is None else a_min, ends[1] if a_max is None else a_max
    return _clip(a, a_min, a_max, out=out)


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    return _variance("var", a, axis, dtype, out, ddof, keepdims)


def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    return _variance("std", a, axis, dtype, out, ddof, keepdims)


def _variance(name, a, axis, dtype, out, ddof, keepdims):
    made = _MOMENTS[name](a, axis=axis, dtype=dtype, ddof=ddof, keepdims=keepdims, out=out)
    return made.astype(np.float64) if made.dtype.name == "bfloat16" else made  # as CuPy: by the last of its branches


def sort(a, axis=-1, kind=None):
    return _sorted("sort", a, axis, kind)


def argsort(a, axis=-1, kind=None):
    return _sorted("argsort", a, axis, kind)


def _sorted(name, a, axis, kind):
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    if a.dtype.name == "bfloat16":
        raise TypeError("Unknown dtype bfloat16: Thrust sorts none")
    return _SORTS[name](a, axis=axis)


def repeat(a, repeats, axis=None):
    if isinstance(repeats, ndarray):
        raise TypeError("repeats should be an integer, a list or a tuple of integers")
    return work("repeat", lambda x: x.repeat(repeats, axis), a)


def get_array_module(*arrays):
    import cupy

    return cupy if any(isinstance(a, ndarray) for a in arrays) else np


def as_strided(x, shape=None, strides=None):
    return ndarray(x.shape if shape is None else shape, x.dtype, x.data, x.strides if strides is None else strides)


def diagonal(a, offset=0, axis1=0, axis2=1):
    data = a._data.diagonal(offset, axis1, axis2)
    data.flags.writeable = True
    return ndarray._view(data, a)


def from_dlpack(x, device=None, copy=None):
    held = x.__dlpack__() if hasattr(x, "__dlpack__") else x
    return ndarray._view(held.array._data, held.array)


_where, _clip = ufunc("where", np.where, "loops"), ufunc("clip", np.clip, "loops")
_MOMENTS = {name: function("cupy", name, getattr(np, name)) for name in ("var", "std")}
_SORTS = {name: function("cupy", name, partial(getattr(np, name), kind="stable")) for name in ("sort", "argsort")}
OWN = {"cupy": (array, asarray, ascontiguousarray, asfortranarray, asnumpy, empty, copyto, take, where, repeat,
                get_array_module, from_dlpack, diagonal, clip, var, std, sort, argsort),
       "cupy.lib.stride_tricks": (as_strided,)}


def namespace(module, source):
    """The names that are recorded of a module, over those of `source`, NumPy's."""
    found = {f.__name__: f for f in OWN.get(module, ())}
    for name, (kind, _) in NAMES[module].items():
        value = getattr(source, name, None)
        if name in found or value is None:
            continue
        if kind == "=":
            found[name] = ufunc(name, value, module)
        elif kind == "(":
            found[name] = function(module, name, value)
        elif not isinstance(value, type(np)):
            found[name] = value
    return found


def _device_array(a):
    if not isinstance(a, ndarray):
        raise TypeError(f"Argument 'a' has incorrect type (expected cupy._core.core._ndarray_base, got {type(a)})")


def _leaves(value):
    return [v for item in value for v in (_leaves(item) if isinstance(item, (list, tuple)) else [item])]


def _shared(owner):
    from ._memory import MemoryPointer, UnownedMemory

    about = owner.__cuda_array_interface__
    dtype = np.dtype(about["typestr"])
    size = int(np.prod(about["shape"])) * dtype.itemsize
    memory = UnownedMemory(about["data"][0], size, owner)
    return ndarray(about["shape"], dtype, MemoryPointer(memory, 0), about["strides"])
