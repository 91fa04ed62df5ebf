"""cupy.ndarray: a NumPy array in device memory, which is read and written by work on a stream alone."""
from __future__ import annotations

import operator

import numpy as np

from . import _launching, _memory


class ndarray:
    """An array of a device. `_data` is the NumPy array of its bytes, `_lease` the memory that they lie in."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C", *, copy=False):
        shape = (int(shape),) if np.ndim(shape) == 0 else tuple(operator.index(n) for n in shape)
        dtype = checked(np.dtype(dtype))
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        pointer = _memory.alloc(max(size, 1)) if memptr is None else memptr
        self._lease, self._base = pointer.mem, None
        self._data = _over(pointer, shape, dtype, strides, order or "C")

    @classmethod
    def _view(cls, data, owner):
        found = cls.__new__(cls)
        found._data, found._lease = data, owner._lease
        found._base = owner if owner._base is None else owner._base
        return found

    # What it is

    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    itemsize = property(lambda self: self._data.itemsize)
    nbytes = property(lambda self: self._data.nbytes)
    strides = property(lambda self: self._data.strides)
    flags = property(lambda self: Flags(self._data))
    base = property(lambda self: self._base)
    device = property(lambda self: _launching.Device(self._lease.device_id))
    T = property(lambda self: ndarray._view(self._data.T, self))
    mT = property(lambda self: ndarray._view(self._data.mT, self))
    flat = property(lambda self: (self[i] for i in np.ndindex(self.shape)))
    cstruct = property(lambda self: self.data.ptr)

    @property
    def data(self):
        return _memory.MemoryPointer(self._lease, self._data.ctypes.data - self._lease.ptr if self.size else 0)

    @property
    def shape(self):
        return self._data.shape

    @shape.setter
    def shape(self, shape):
        self._data = self.reshape(shape)._data

    @property
    def real(self):
        return ndarray._view(self._data.real, self)

    @real.setter
    def real(self, value):
        self.real[...] = value

    @property
    def imag(self):
        return ndarray._view(self._data.imag, self) if self.dtype.kind == "c" else new(np.zeros_like(self._data))

    @imag.setter
    def imag(self, value):
        ndarray._view(self._data.imag, self)[...] = value

    @property
    def __cuda_array_interface__(self):
        return {"shape": self.shape, "typestr": self.dtype.str, "descr": self.dtype.descr, "version": 3,
                "strides": None if self.flags.c_contiguous else self.strides, "data": (self.data.ptr, False),
                "stream": 1}

    def __dlpack_device__(self):
        return 2, self._lease.device_id

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return _Capsule(self)

    def toDlpack(self):
        return _Capsule(self)

    # From and to the host

    def get(self, stream=None, order="C", out=None, blocking=True):
        with _launching.on_device_of(self), stream or _launching.current():
            _launching.forbid("", RuntimeError("the current stream is capturing, so D2H transfers are disallowed"))
            if out is None:
                order = "FC"[self._data.flags.c_contiguous] if order == "A" else order
                out = np.empty(self.shape, self.dtype, order)
            elif self.dtype != out.dtype:
                raise TypeError(f"{out.dtype} array cannot be obtained from {self.dtype} array")
            elif self.shape != out.shape:
                raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: {out.shape}")
            _launching.do("get", (self._lease,), lambda data=self._data: np.copyto(out, data))
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self._data.flags.c_contiguous or self._data.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        with stream or _launching.current():
            _launching.forbid("", RuntimeError("the current stream is capturing, so H2D transfers are disallowed"))
            _launching.do("set", (self._lease,), lambda data=self._data: np.copyto(data, arr))

    def item(self, *where):
        return self.get().item(*where)

    def tolist(self):
        return self.get().tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy "
                        "array explicitly.")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        import cupy

        if "out" in options:
            options["out"], = options["out"]
        found = getattr(cupy, ufunc.__name__, None)
        if found is None or (method != "__call__" and not hasattr(found, method)):
            return NotImplemented
        return (found if method == "__call__" else getattr(found, method))(*inputs, **options)

    def __array_function__(self, function, types, arguments, options):
        import cupy

        place = cupy
        for name in [*function.__module__.split(".")[1:], function.__name__]:
            place = getattr(place, name, None)
        if place is None or not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        return place(*arguments, **options)

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __complex__(self):
        return complex(self.get())

    def __index__(self):
        return operator.index(self.get())

    def __repr__(self):
        return repr(self.get())

    def __str__(self):
        return str(self.get())

    def __format__(self, spec):
        return format(self.get(), spec)

    def __reduce__(self):
        return _restored, (self.get(),)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        with _launching.on_device_of(self):
            return self.copy()

    # Elements

    def __len__(self):
        return len(self._data)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        index, arrays = self._index(index)
        if arrays:
            return work("getitem", lambda x, *_: x[self._wrapped(index)], self, *arrays)
        return ndarray._view(self._data[(*index, ...)] if ... not in index else self._data[index], self)

    def __setitem__(self, index, value):
        index, arrays = self._index(index, masks=True)
        value = device_or_scalar(value)
        given = value if isinstance(value, ndarray) else None

        def write(data=self._data, value=given._data if given is not None else value):
            if value is not None and np.ndim(value) > 1 and data[index].ndim < np.ndim(value):
                value = value.reshape(value.shape[next((i for i, n in enumerate(value.shape) if n != 1), -1):])
            data[self._wrapped(index) if arrays else index] = value

        with np.errstate(all="ignore"):
            _launching.do("setitem", [a._lease for a in (self, *arrays, given) if a is not None], write)

    def _index(self, index, masks=False):
        """The index for NumPy, and the arrays of the device in it."""
        found, arrays = [], []
        for i in index if isinstance(index, tuple) else (index,):
            if isinstance(i, (list, np.ndarray)) and not isinstance(i, ndarray):
                i = np.asarray(i)
                i = i.astype(np.int64) if not i.size else i
                i = _copied(i) if i.ndim else i.item()
            if isinstance(i, ndarray):
                if i.dtype.kind not in "iub":
                    raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {i.dtype})")
                if i.dtype.kind == "b" and not masks:
                    _launching.forbid("", RuntimeError("the current stream is capturing, so D2H transfers are "
                                                       "disallowed"))
                arrays.append(i)
                i = i._data
            elif not (i is None or i is Ellipsis or isinstance(i, (slice, bool, np.bool_))):
                i = operator.index(i)
            elif isinstance(i, slice):
                i = slice(*[None if n is None else operator.index(n) for n in (i.start, i.stop, i.step)])
            found.append(i)
        return tuple(found), arrays

    def _wrapped(self, index):
        """Indices beyond an array's end begin anew, as on the device, which checks none."""
        taken = sum(i.ndim if getattr(i, "dtype", "") == "bool" else i is not None and i is not Ellipsis for i in index)
        axis, found = 0, []
        for i in index:
            if i is Ellipsis:
                axis += self.ndim - taken
            elif isinstance(i, np.ndarray) and i.dtype != bool:
                i, axis = i % max(self.shape[axis], 1), axis + 1
            elif isinstance(i, np.ndarray):
                axis += i.ndim
            elif i is not None:
                axis += 1
            found.append(i)
        return tuple(found)

    def fill(self, value):
        if isinstance(value, ndarray):
            value = value.get()
        if isinstance(value, np.ndarray):
            if value.shape != ():
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            value = value.item()
        _launching.do("fill", (self._lease,), lambda data=self._data: data.fill(value))

    # Layout

    def view(self, dtype=None):
        return ndarray._view(self._data if dtype is None else self._data.view(checked(np.dtype(dtype))), self)

    def copy(self, order="C"):
        return work("copy", lambda x: x.copy(order), self, keep_order=True)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        dtype = checked(np.dtype(dtype))
        if casting is not None:
            raise TypeError("casting is not supported yet")
        if not copy and dtype == self.dtype and (order in "KA" or (order == "C" and self.flags.c_contiguous)):
            return self
        if self.dtype.kind == "c" and dtype.kind not in "cb":
            return self.real.astype(dtype, order)
        return work("astype", lambda x: x.astype(dtype, order), self, keep_order=True)

    def reshape(self, *shape, order="C"):
        import cupy

        return cupy.reshape(self, shape[0] if len(shape) == 1 else shape, order)

    def transpose(self, *axes):
        axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return ndarray._view(self._data.transpose(axes), self)

    def flatten(self, order="C"):
        return work("flatten", lambda x: x.flatten(order), self)

    def sort(self, axis=-1, kind=None):
        import cupy

        self[...] = cupy.sort(self, axis, kind)

    def scatter_add(self, slices, value):
        from cupyx import scatter_add

        scatter_add(self, slices, value)


class Flags:
    """What `flags` knows."""

    def __init__(self, data):
        self._flags, self.owndata = data.flags, data.base is None

    c_contiguous = property(lambda self: self._flags.c_contiguous)
    f_contiguous = property(lambda self: self._flags.f_contiguous)
    fnc = property(lambda self: self._flags.fnc)
    forc = property(lambda self: self._flags.forc)

    def __getitem__(self, name):
        return {"C_CONTIGUOUS": self.c_contiguous, "F_CONTIGUOUS": self.f_contiguous, "OWNDATA": self.owndata}[name]


def work(name, function, *arrays, keep_order=False):
    """New arrays of what `function` makes of the NumPy arrays of `arrays`, or views where it returns such."""
    datas = [a._data for a in arrays]
    with np.errstate(all="ignore"):
        made = function(*datas)
    several = isinstance(made, (tuple, list))
    results = [_result(m, arrays, keep_order) for m in (made if several else [made])]
    fresh = [(r, i) for i, (r, is_view) in enumerate(results) if not is_view and isinstance(r, ndarray)]
    if fresh:
        def write(outs=tuple([(r._data, i) for r, i in fresh])):
            nonlocal made
            with np.errstate(all="ignore"):
                values = function(*datas) if made is None else made
            made = None  # the next time, in a graph's launch, it is computed anew
            for data, i in outs:
                data[...] = values[i] if several else values

        _launching.do(name, [a._lease for a in arrays] + [r._lease for r, _ in fresh], write)
    found = [r for r, _ in results]
    return found[0] if not several else made.__class__(*found) if hasattr(made, "_fields") else type_of(made, found)


def type_of(made, found):
    return list(found) if isinstance(made, list) else tuple(found)


def _result(value, arrays, keep_order):
    """(array of the device, whether it is a view of one of `arrays`)."""
    if not isinstance(value, (np.ndarray, np.generic)):
        return value, True
    value = np.asarray(value)
    at = value.ctypes.data
    for a in arrays:
        if value.size and a._lease.block.bytes.ctypes.data <= at < a._lease.block.bytes.ctypes.data + \
                a._lease.block.bytes.nbytes:
            return ndarray._view(value, a), True
    order = "F" if keep_order and value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    return ndarray(value.shape, checked(value.dtype), order=order), False


def new(value):
    """A NumPy array's values, made on the device (not copied there)."""
    return work("new", lambda: value)


def _copied(value):
    """A NumPy array copied to the device."""
    value = np.asarray(value)
    y = ndarray(value.shape, value.dtype)
    if not value.ndim:
        y.fill(value.item() if value.dtype.kind in "biufc" else value)
        return y
    _launching.forbid("", RuntimeError("the current stream is capturing, so H2D transfers are disallowed"))
    held = value.copy()

    def write(data=y._data):
        data[...] = held

    _launching.do("copy to the device", (y._lease,), write)
    return y


def _restored(value):
    return _copied(value)


def _over(pointer, shape, dtype, strides, order):
    """The NumPy array at a pointer."""
    block = pointer.mem.block
    start = pointer.ptr - block.bytes.ctypes.data
    if strides is not None:
        return np.ndarray(shape, dtype, block.bytes.data, start, strides)
    return np.ndarray(shape, dtype, block.bytes.data, start, None, order if order in "CF" else "C")


def checked(dtype):
    """Raises ValueError for a dtype that the device has not."""
    if (dtype.kind not in "biufc" and dtype.name != "bfloat16" and dtype.fields is None) or dtype.char in "gG":
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def device_or_scalar(value):
    """`value` where a kernel takes it. Raises TypeError for NumPy arrays and sequences."""
    if isinstance(value, (ndarray, bool, int, float, complex, np.generic)):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value[()]
    raise TypeError(f"Unsupported type {type(value)}")


class _Capsule:
    """What DLPack hands over."""

    def __init__(self, array):
        self.array = array
