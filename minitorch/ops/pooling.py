"""Pooling over windows of 1 to 3 spatial axes of (N, C, *size), or of (C, *size)."""
from __future__ import annotations

from math import prod
from typing import Any

from ..errors import ShapeError
from ..op import FUNCTIONS, composite, op
from ..shapes import ntuple


@op(method=False, function=False)
def max_pool(k, x, /, kernel, stride, padding, dilation, ceil_mode):
    """The largest value of each window.

    y[p] = max over q of x[stride p + dilation q - padding], q running over the window
    """
    y, index = k.max_pool(x, kernel, stride, padding, dilation, ceil_mode, True)
    shape, windows = x.shape, (kernel, stride, padding, dilation)
    return y, lambda dy: k.max_pool_dx(dy, index, shape, windows)


@op(method=False, function=False)
def max_pool_indices(k, x, /, kernel, stride, padding, dilation, ceil_mode):
    """The largest value of each window, and its place within the plane."""
    values, index = k.max_pool(x, kernel, stride, padding, dilation, ceil_mode)
    shape, windows = x.shape, (kernel, stride, padding, dilation)
    return [values, index], lambda dy: k.max_pool_dx(dy[0], index, shape, windows)


@op(method=False, function=False)
def adaptive_max_pool_indices(k, x, /, output_size):
    """The largest value of each of `output_size` windows, and its place within the plane."""
    values, index = k.adaptive_max_pool(x, output_size)
    shape = x.shape
    return [values, index], lambda dy: k.max_pool_dx(dy[0], index, shape, ())


@op(method=False, function=False)
def max_pool_dx(k, dy, /, index, x_shape, windows=None):
    """Each gradient carried to the place its value came from."""
    return k.max_pool_dx(dy, index, x_shape, windows), lambda g: k.max_unpick(g, index)


@op(method=False, function=False)
def max_unpick(k, x, /, index):
    """The values of each plane at the places `index`, 0 where that is -1."""
    shape = x.shape
    return k.max_unpick(x, index), lambda dy: k.max_pool_dx(dy, index, shape)


@op(method=False, function=False)
def avg_pool(k, x, /, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """The mean of each window.

    y[p] = Σ over q of x[stride p + q - padding] / n, q running over the n elements of the window
    """
    options = kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
    shape = x.shape
    return k.avg_pool(x, *options), lambda dy: k.avg_pool_dx(dy, shape, *options)


@op(method=False, function=False)
def avg_pool_dx(k, dy, /, x_shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """Each gradient spread over its window."""
    options = kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
    return k.avg_pool_dx(dy, x_shape, *options), lambda g: k.avg_pool(g, *options)


@op(method=False, function=False)
def adaptive_avg_pool(k, x, /, output_size):
    """The mean of each of `output_size` windows that share the plane evenly."""
    shape = x.shape
    return k.adaptive_avg_pool(x, output_size), lambda dy: k.adaptive_avg_pool_dx(dy, shape)


@op(method=False, function=False)
def adaptive_avg_pool_dx(k, dy, /, x_shape):
    """Each gradient spread over its window."""
    size = tuple(dy.shape[2:])
    return k.adaptive_avg_pool_dx(dy, x_shape), lambda g: k.adaptive_avg_pool(g, size)


def _define(nd: int) -> None:
    def max_pool_nd(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        """Max pooling of (N, C, *size) or (C, *size).

        y[p] = max over q of x[stride p + dilation q - padding], q running over the window
        """
        name = f"max_pool{nd}d"
        x, batched = _batched(name, input, nd, channels=True)
        options = *_window(name, nd, kernel_size, stride, padding), ntuple(name, "dilation", dilation, nd), ceil_mode
        _check_window(name, x, *options)
        if not return_indices:
            return _unbatched(max_pool(x, *options), batched)
        return tuple(_unbatched(t, batched) for t in max_pool_indices(x, *options))

    def avg_pool_nd(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                    divisor_override=None):
        """Average pooling of (N, C, *size) or (C, *size).

        y[p] = Σ over q of x[stride p + q - padding] / n, q running over the n elements of the window
        """
        name = f"avg_pool{nd}d"
        x, batched = _batched(name, input, nd)
        kernel, stride, padding = _window(name, nd, kernel_size, stride, padding)
        _check_window(name, x, kernel, stride, padding, (1,) * nd, ceil_mode)
        if divisor_override == 0:
            raise RuntimeError(f"{name}: divisor must be not zero, got divisor_override=0")
        return _unbatched(avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override),
                          batched)

    def adaptive_avg_pool_nd(input, output_size):
        """Average pooling to a given output size; None keeps the input's.

        y[p] = mean of x[floor(p n / output_size)], ..., x[ceil((p + 1) n / output_size) - 1]
        """
        name = f"adaptive_avg_pool{nd}d"
        x, batched = _batched(name, input, nd)
        return _unbatched(adaptive_avg_pool(x, _output_size(name, nd, output_size, x)), batched)

    def adaptive_max_pool_nd(input, output_size, return_indices=False):
        """Max pooling to a given output size; None keeps the input's.

        y[p] = max of x[floor(p n / output_size)], ..., x[ceil((p + 1) n / output_size) - 1]
        """
        name = f"adaptive_max_pool{nd}d"
        x, batched = _batched(name, input, nd)
        result = [_unbatched(t, batched)
                  for t in adaptive_max_pool_indices(x, _output_size(name, nd, output_size, x))]
        return tuple(result) if return_indices else result[0]

    def max_unpool_nd(input, indices, kernel_size, stride=None, padding=0, output_size=None):
        """Each value put where max pooling found it, zero elsewhere: undoes max pooling with `return_indices`."""
        name = f"max_unpool{nd}d"
        x, batched = _batched(name, input, nd)
        index = indices if batched else indices.unsqueeze(0)
        if indices.shape != input.shape:
            raise ShapeError(f"{name}: Expected shape of indices to be that of input, {tuple(input.shape)}, but got "
                             f"{tuple(indices.shape)}")
        size = _unpooled_size(name, nd, x, _window(name, nd, kernel_size, stride, padding), output_size)
        (n, c), places = x._array.shape[:2], prod(size)
        if x.numel() and not x.is_meta and not 0 <= int(index.min()) <= int(index.max()) < places:
            raise ShapeError(f"{name}: Found an invalid max index: {int(index.max())} (output volumes are of size "
                             f"{'x'.join(map(str, size))})")
        flat, values = FUNCTIONS["zeros"](n, c, places, dtype=x.dtype, device=x.device), prod(x._array.shape[2:])
        y = flat.scatter(2, index.reshape(n, c, values), x.reshape(n, c, values)).reshape(n, c, *size)
        return _unbatched(y, batched)

    def lp_pool_nd(input, norm_type, kernel_size, stride=None, ceil_mode=False):
        """(sum of x^p)^(1/p) of each window."""
        kernel = ntuple(f"lp_pool{nd}d", "kernel_size", kernel_size, nd)
        mean = FUNCTIONS[f"avg_pool{nd}d"](input.pow(norm_type), kernel, stride, 0, ceil_mode)
        mean = FUNCTIONS["where"](mean == 0, 0.0, mean)  # whose gradient is 0 there: the root's is infinite
        return (mean * prod(kernel)).pow(1.0 / norm_type)

    for function in (max_pool_nd, avg_pool_nd, adaptive_avg_pool_nd, adaptive_max_pool_nd, max_unpool_nd, lp_pool_nd):
        function.__name__ = function.__name__.replace("_nd", f"{nd}d")
        composite(function, method=False)


def _batched(name: str, x: Any, nd: int, channels: bool = False) -> tuple[Any, bool]:
    if 0 in x._array.shape[-nd - channels:]:
        raise ShapeError(f"{name}: Expected input to have non-zero size for non-batch dimensions, got shape "
                         f"{tuple(x.shape)}")
    if x.ndim == nd + 2:
        return x, True
    if x.ndim == nd + 1:
        return x.unsqueeze(0), False
    raise ShapeError(f"{name}: input expects {nd + 1}D or {nd + 2}D, got shape {tuple(x.shape)}")


def _unbatched(y: Any, batched: bool) -> Any:
    return y if batched else y.squeeze(0)


def _window(name: str, nd: int, kernel: Any, stride: Any, padding: Any) -> tuple[tuple, tuple, tuple]:
    kernel = ntuple(name, "kernel_size", kernel, nd)
    stride = kernel if stride is None or stride == [] or stride == () else ntuple(name, "stride", stride, nd)
    return kernel, stride, ntuple(name, "padding", padding, nd)


def _check_window(name: str, x: Any, kernel: tuple, stride: tuple, padding: tuple, dilation: tuple,
                  ceil_mode: bool) -> None:
    if min(kernel) < 1 or min(stride) < 1 or min(dilation) < 1:
        raise ShapeError(f"{name}: kernel_size, stride and dilation expect values of at least 1, "
                         f"got {kernel}, {stride}, {dilation}")
    for size, n, pad, step in zip(x.shape[2:], kernel, padding, dilation):
        if pad < 0 or pad > ((n - 1) * step + 1) // 2:
            raise ShapeError(f"{name}: pad should be at most half of effective kernel size, but got pad={pad}, "
                             f"kernel_size={n} and dilation={step}")
        if size + 2 * pad < step * (n - 1) + 1 and not (ceil_mode and size + 2 * pad > 0):
            raise ShapeError(f"{name}: the kernel spans {step * (n - 1) + 1}, but the padded input of shape "
                             f"{tuple(x.shape)} has {size + 2 * pad}: output size is too small")


def _unpooled_size(name: str, nd: int, x: Any, window: tuple, output_size: Any) -> tuple[int, ...]:
    """The size that was pooled: the least one, or `output_size` where that lies within a stride of it."""
    default = tuple((n - 1) * s - 2 * p + k for n, k, s, p in zip(x.shape[2:], *window))
    if output_size is None:
        return default
    wanted = tuple(output_size)[-nd:]
    if len(wanted) != nd or any(abs(n - d) >= s for n, d, s in zip(wanted, default, window[1])):
        raise ValueError(f"{name}: invalid output_size {tuple(output_size)}: expected within {window[1]} of {default}")
    return wanted


def _output_size(name: str, nd: int, size: Any, x: Any) -> tuple[int, ...]:
    given = tuple(size) if isinstance(size, tuple | list) else (size,) * nd
    if len(given) != nd:
        raise ShapeError(f"{name}: output_size expects {nd} values, got {size}")
    sizes = tuple(n if s is None else int(s) for s, n in zip(given, x.shape[2:]))
    if min(sizes) < 0:
        raise ShapeError(f"{name}: elements of output_size must be greater than or equal to 0, got {sizes}")
    if not x.is_floating_point():
        raise NotImplementedError(f"{name}: expects a floating type, got {x.dtype}")
    return sizes


for _nd in (1, 2, 3):
    _define(_nd)
