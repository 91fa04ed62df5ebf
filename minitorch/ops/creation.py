"""Tensors from nothing: filled with a value, with a sequence, with what is given."""
from __future__ import annotations

import functools
import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes, shapes
from ..device import array_module, chosen, device_of, move
from ..device import device as as_device
from ..engine import mode
from ..errors import DTypeError, ShapeError
from ..inplace import write
from ..meta import meta_array
from ..op import FUNCTIONS, composite
from ..tensor import Tensor
from .values import array_from

__all__ = ["array_from"]


def factory(make: Callable | None = None, *, sized: bool = False) -> Any:
    """Publish `make(xp, ..., dtype)`, which returns an array of the module `xp`, as a function that returns a tensor.

    The function has PyTorch's keywords too: dtype, device, requires_grad, out; memory_format is
    accepted and means nothing here, and the only layout is strided. `sized`: `make(xp, shape, ..., dtype)` is called as
    `f(2, 3)`, `f((2, 3))` or `f(size=...)`, its dtype is the default one unless said, and `f_like` and the method
    `new_f` come with it.
    """
    if make is None:
        return functools.partial(factory, sized=sized)
    name = make.__name__
    build = functools.partial(_build, make)

    @functools.wraps(make)
    def create(*args, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False,
               memory_format=None, **options):
        if sized:
            args = (sizes(name, args if args else options.pop("size", ())),)
        if dtype is None and (sized or out is not None):
            dtype = out.dtype if out is not None else dtypes.get_default_dtype()
        if layout is not None:
            _strided(name, layout)
        t = build(args, options, dtype, device, requires_grad)
        if memory_format is not None:
            memory_format.check(t._array.ndim)
        if pin_memory:
            t = t.pin_memory()
        return t if out is None else write(out, t, resize=True)

    create.__dict__["__signature__"] = _signature(make)
    composite(create, method=False)
    if sized:
        _publish_like(name, build)
        _publish_new(name, build)
    return create


def _publish_like(name: str, build: Callable) -> None:
    def like(input, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
             memory_format=None, **options):
        require_tensor(f"{name}_like", input)
        if layout is not None:
            _strided(f"{name}_like", layout)
        if memory_format is not None:
            memory_format.check(input._array.ndim)
        return build((input._array.shape,), options, dtype or input.dtype,
                     device_of(input._array) if device is None else device, requires_grad)

    like.__name__ = like.__qualname__ = f"{name}_like"
    like.__doc__ = f"`{name}` of the shape, type and device of `input`."
    composite(like, method=False)


def _publish_new(name: str, build: Callable) -> None:
    def new(self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False, **options):
        if layout is not None:
            _strided(f"new_{name}", layout)
        return build((sizes(f"new_{name}", size or options.pop("size", ())),), options, dtype or self.dtype,
                     device_of(self._array) if device is None else device, requires_grad)

    if name in ("zeros", "ones", "empty"):
        new.__name__ = new.__qualname__ = f"new_{name}"
        new.__doc__ = f"`{name}` of the type and device of this tensor."
        setattr(Tensor, new.__name__, new)


def _strided(name: str, layout: Any) -> None:
    if str(layout) != "torch.strided":
        raise NotImplementedError(f"{name}: layout={layout} is not here: make the tensor and call to_sparse(), or use "
                                  "sparse_coo_tensor")


def _build(make: Callable, args: tuple, options: dict, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    where = chosen() if device is None else as_device(device)
    wanted = None if dtype is None else dtypes.to_numpy(dtypes.as_dtype(dtype))
    if where is not None and where.type == "meta":
        array = _valueless(make, args, options, wanted)
    else:
        array = make(np if where is None else array_module(where), *args, **options, dtype=wanted)
    t = Tensor._wrap(array if where is None else move(array, where))
    if requires_grad:
        t.requires_grad = True
    if mode.inference:
        t._inference = True
    return t


def _valueless(make: Callable, args: tuple, options: dict, dtype: Any) -> Any:
    """The meta array for `make(xp, *args, dtype)`: nothing is computed where its shape is among the arguments, and no
    random numbers are drawn."""
    if args and isinstance(args[0], tuple) and dtype is not None:
        return meta_array(args[0], dtype)
    if make.__name__ == "full":  # with one element instead
        array = make(np, (), *args[1:], **{k: v for k, v in options.items() if k != "size"}, dtype=dtype)
        return meta_array(sizes("full", (args[0] if args else options["size"],)), array.dtype)
    state = FUNCTIONS["get_rng_state"]()
    try:
        array = make(np, *args, **options, dtype=dtype)
    finally:
        FUNCTIONS["set_rng_state"](state)
    return meta_array(array.shape, array.dtype)


def _signature(make: Callable) -> inspect.Signature:
    return inspect.Signature([p for p in inspect.signature(make).parameters.values() if p.name != "xp"])


# Filled with a value

@factory(sized=True)
def zeros(xp, size, dtype):
    """Zeros.

    >>> zeros(2, 3, dtype="int64")
    tensor([[0, 0, 0],
            [0, 0, 0]])
    """
    return xp.zeros(size, dtype)


@factory(sized=True)
def ones(xp, size, dtype):
    """Ones."""
    return xp.ones(size, dtype)


@factory(sized=True)
def empty(xp, size, dtype):
    """Memory as it is found."""
    return xp.empty(size, dtype)


@factory
def full(xp, size, fill_value, *, dtype=None):
    """`fill_value` everywhere; of its type unless `dtype` says otherwise."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}")
    if isinstance(fill_value, Tensor):
        fill_value = fill_value._array[()]
    value = array_from(fill_value) if dtype is None else fill_value
    return xp.full(sizes("full", (size,)), value, dtype or value.dtype)


@composite(method=False)
def full_like(input, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
              memory_format=None):
    """`fill_value` everywhere, of the shape, type and device of `input`."""
    require_tensor("full_like", input)
    if memory_format is not None:
        memory_format.check(input._array.ndim)
    return full(tuple(input.shape), fill_value, dtype=dtype or input.dtype,
                device=input.device if device is None else device, requires_grad=requires_grad)


@composite(function=False)
def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """`full` of the type and device of this tensor."""
    return full(size, fill_value, dtype=dtype or self.dtype, device=self.device if device is None else device,
                requires_grad=requires_grad)


@composite(method=False)
def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Memory as it is found, with elements `stride` apart."""
    extent = 1 + sum((n - 1) * s for n, s in zip(size, stride)) if all(size) else 0
    t = empty(extent, dtype=dtype, device=device)
    xp = array_module(t.device)
    t._array = xp.lib.stride_tricks.as_strided(t._array, size, [s * t._array.itemsize for s in stride])
    t.requires_grad = requires_grad
    return t


@composite(method=False)
def empty_permuted(size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False,
                   pin_memory=False):
    """Memory as it is found, whose dimensions lie in it in the order `physical_layout`."""
    if sorted(physical_layout) != list(range(len(size))):
        raise RuntimeError(f"empty_permuted: physical_layout must be a permutation of {len(size)} dimensions, got "
                           f"{physical_layout}")
    t = empty([size[d] for d in physical_layout], dtype=dtype, device=device)
    return t.permute([list(physical_layout).index(d) for d in range(len(size))]).detach().requires_grad_(requires_grad)


@composite(function=False)
def new_empty_strided(self, size, stride, *, dtype=None, layout=None, device=None, requires_grad=False,
                      pin_memory=False):
    """`empty_strided` of the type and device of this tensor."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, device=self.device if device is None else device,
                         requires_grad=requires_grad)


# Sequences

@factory
def arange(xp, start=0, end=None, step=1, *, dtype=None):
    """start, start + step, ... before `end`: int64 where all three are integers.

    >>> arange(1, 7, 2)
    tensor([1, 3, 5])
    """
    start, end, step = map(_number, (0, start, step) if end is None else (start, end, step))
    if step == 0 or (dtype is not None and dtype.kind in "iu" and int(step) == 0):
        raise ShapeError(f"arange: step must be nonzero, got {step}" + (f" as {dtype}" if step else ""))
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"arange: unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("arange: upper bound and lower bound inconsistent with step sign: "
                           f"{start} to {end} by {step}")
    if dtype == "int64":
        start, end, step = int(start), int(end), int(step)
    whole = all(isinstance(n, int) for n in (start, end, step))
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    if dtype is None:
        dtype = np.dtype("int64") if whole else _default()
    if dtype.kind in "biu":
        start, step = int(start), int(step)
        if start == 0 and step == 1:
            return xp.arange(count).astype(dtype, copy=False)
    return (start + xp.arange(count) * step).astype(dtype)


def inclusive_range(start=0, end=None, step=1, **options):
    """start, start + step, ... up to and with `end`. Deprecated for `arange`."""
    warnings.warn("range is deprecated because its behavior is inconsistent with Python's range; use arange",
                  UserWarning, stacklevel=2)
    start, end = (0, start) if end is None else (start, end)
    options.setdefault("dtype", dtypes.get_default_dtype())
    return arange(start, end + step * 0.5 if end != start else end + step, step, **options)


FUNCTIONS["range"] = inclusive_range


@factory
def linspace(xp, start, end, steps, *, dtype=None):
    """`steps` numbers from `start` to `end`, evenly spaced; from both ends inwards, so that both are exact."""
    return _spaced(xp, "linspace", start, end, steps, dtype, lambda x: x)


@factory
def logspace(xp, start, end, steps, base=10.0, *, dtype=None):
    """`base` to the power of `linspace(start, end, steps)`."""
    return _spaced(xp, "logspace", start, end, steps, dtype, lambda x: xp.power(base, x))


def _spaced(xp: Any, name: str, start: Any, end: Any, steps: int, dtype: Any, curve: Callable) -> Any:
    start, end = _number(start), _number(end)
    if isinstance(steps, float):
        raise TypeError(f"{name}(): argument 'steps' must be int, not float")
    if steps < 0:
        raise RuntimeError(f"{name}: number of steps must be non-negative, got {steps}")
    if dtype is None:
        dtype = _default() if not isinstance(start + end, complex) else dtypes.to_numpy(
            dtypes.get_default_dtype().to_complex())
    work = np.dtype("f8") if dtype.kind in "biu" else dtype
    if dtype.kind in "iu":
        start, end = int(start), int(end)
    i = xp.arange(steps)
    if work == np.float32:  # PyTorch's steps: rounded ends, a rounded gap, and one rounding of end + i * gap
        start, end = np.float32(start), np.float32(end)
        start, end, gap = float(start), float(end), float((end - start) / np.float32(max(steps - 1, 1)))
    else:
        gap = work.type((end - start) / max(steps - 1, 1)) if work.kind != "V" else (end - start) / max(steps - 1, 1)
    x = xp.where(i < steps // 2 + (steps == 1), start + i * gap, end - (steps - 1 - i) * gap)
    return curve(x.astype(work)).astype(dtype)


@factory
def eye(xp, n, m=None, *, dtype=None):
    """Ones on the diagonal of n by m zeros (n by n unless said)."""
    for argument, size in (("n", n), ("m", 0 if m is None else m)):
        if size < 0:
            raise RuntimeError(f"eye: {argument} must be greater or equal to 0, got {size}")
    return xp.eye(n, n if m is None else m, dtype=dtype or _default())


@factory
def tril_indices(xp, row, col, offset=0, *, dtype=None):
    """The rows and columns, a row of the result each, of the lower triangle of a row by col matrix."""
    return _triangle(xp, "tril_indices", row, col, dtype, lambda i, j: j - i <= offset)


@factory
def triu_indices(xp, row, col, offset=0, *, dtype=None):
    """The rows and columns, a row of the result each, of the upper triangle of a row by col matrix."""
    return _triangle(xp, "triu_indices", row, col, dtype, lambda i, j: j - i >= offset)


def _triangle(xp: Any, name: str, row: int, col: int, dtype: Any, inside: Callable) -> Any:
    for argument, size in (("row", row), ("col", col)):
        if size < 0:
            raise RuntimeError(f"{name}: {argument} must be non-negative, got {size}")
    i, j = xp.arange(row)[:, None], xp.arange(col)
    return xp.stack(xp.nonzero(inside(i, j))).astype(dtype or "int64")


# From other tensors

@composite(method=False)
def meshgrid(*tensors, indexing=None):
    """A view of each 1-d tensor along an axis of its own, of one common shape.

    `indexing` "ij" takes the axes in order; "xy" exchanges the first two.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid: expects a non-empty TensorList")
    if indexing is None:
        warnings.warn("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.",
                      UserWarning, stacklevel=2)
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if any(t.ndim > 1 for t in tensors):
        raise RuntimeError(f"meshgrid: Expected 0D or 1D tensors, got shapes {[tuple(t.shape) for t in tensors]}")
    if len({t.dtype for t in tensors}) > 1:
        raise DTypeError("meshgrid: expects all tensors to have the same dtype, "
                         f"got {', '.join(t.dtype.name for t in tensors)}")
    axes = list(range(len(tensors)))
    if indexing == "xy" and len(axes) > 1:
        axes[:2] = 1, 0
    shape = [0] * len(axes)
    for axis, t in zip(axes, tensors):
        shape[axis] = t.numel()
    return tuple(FUNCTIONS["broadcast_to"](
        FUNCTIONS["reshape"](t, tuple(t.numel() if i == axis else 1 for i in range(len(axes)))), tuple(shape))
        for axis, t in zip(axes, tensors))


# What the factories share

def sizes(name: str, size: tuple) -> tuple[int, ...]:
    """The shape that `f(2, 3)`, `f((2, 3))` and `f([2, 3])` mean. Raises TypeError or RuntimeError."""
    try:
        shape = shapes.sizes(size) if isinstance(size, (tuple, list)) else shapes.sizes((size,))
    except TypeError:
        raise TypeError(f"{name}(): argument 'size' must be tuple of ints, got {size}") from None
    if shape and min(shape) < 0:
        raise ShapeError(f"{name}: Dimension size must be non-negative, got {shape}")
    if len(shape) > 64:
        raise ShapeError(f"{name}: only tensors with up to 64 dims are supported, got {len(shape)}")
    return shape


def require_tensor(name: str, x: Any) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")


def _number(n: Any) -> Any:
    """A Python number of what may be a 0-d tensor or a NumPy scalar; bools count as integers."""
    n = n.item() if hasattr(n, "item") else n
    return int(n) if isinstance(n, bool) else n


def _default() -> np.dtype:
    return dtypes.to_numpy(dtypes.get_default_dtype())
