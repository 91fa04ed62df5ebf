"""Convolution and its two adjoints: three ops, each of which is the gradient of the others.

The convolution y = conv(x, w) is linear in x and in w. Its adjoints are conv_dx(dy, w) and conv_dw(dy, x); their
gradients in turn are convolutions again, so derivatives of any order run on the same three kernels. A transposed
convolution is conv_dx with a bias.
"""
from __future__ import annotations

from typing import Any

from .. import dtypes
from ..errors import DTypeError, ShapeError
from ..op import op
from ..shapes import ntuple


def _define(nd: int) -> None:
    """The three ops in `nd` dimensions. One dimension runs as two, with height 1."""
    name, kernel = f"conv{nd}d", f"conv{max(nd, 2)}d"

    def conv(k, x, weight, bias=None, /, stride=1, padding=0, dilation=1, groups=1):
        """Cross-correlation of x (N, C, *size) with weight (O, C/groups, *kernel), plus bias (O,).

        y[n, o, p] = bias[o] + Σ over c, q of x[n, c, stride p + dilation q - padding] weight[o, c, q]

        `padding` is a size, one an axis, "valid" (none), or "same": the output has the input's size, for stride 1.
        """
        _check(name, nd, x, weight, bias, groups)
        part = None
        if type(padding) is str:
            padding, part = _named_padding(name, nd, padding, stride, dilation, weight.shape)
        options = _options(name, nd, stride, padding, dilation, groups)
        x_shape, w_shape = x.shape, weight.shape
        x_full, w_full = _full(x_shape, nd), _full(w_shape, nd)
        _check_sizes(name, x_full, w_full, options)
        if not w_shape[1]:
            return _of_nothing(k, x, weight, bias, _flat(_empty_shape(x_full, w_full, options), x_shape, nd))
        y = getattr(k, kernel)(k.xp.reshape(x, x_full), k.xp.reshape(weight, w_full), bias, *options)
        y_full = y.shape
        if part is not None:
            y = y[part].copy()
        y_part = y.shape

        def full(dy):
            dy = k.xp.reshape(dy, y_part)
            return dy if part is None else k.slice_dx(dy, part, y_full)

        def dx(dy):
            dx = getattr(k, kernel + "_dx")(full(dy), k.xp.reshape(weight, w_full), x_full, *options)
            return k.xp.reshape(dx, x_shape)

        def dw(dy):
            dw = getattr(k, kernel + "_dw")(full(dy), k.xp.reshape(x, x_full), w_full, *options)
            return k.xp.reshape(dw, w_shape)

        def db(dy):
            return channel_sum(k, k.xp.reshape(dy, y_part))

        return k.xp.reshape(y, _flat(y_part, x_shape, nd)), dx, dw, db

    def conv_dx(k, dy, w, /, x_shape, stride, padding, dilation, groups):
        """The gradient of the convolution for its input.

        dx[n, c, stride p + dilation q - padding] += dy[n, o, p] w[o, c, q], over all o, p and q
        """
        y = getattr(k, kernel + "_dx")(dy, w, x_shape, stride, padding, dilation, groups)
        w_shape = w.shape
        return (y, lambda g: getattr(k, kernel)(g, w, None, stride, padding, dilation, groups),
                lambda g: getattr(k, kernel + "_dw")(dy, g, w_shape, stride, padding, dilation, groups))

    def conv_dw(k, dy, x, /, w_shape, stride, padding, dilation, groups):
        """The gradient of the convolution for its weight.

        dw[o, c, q] = Σ over n, p of dy[n, o, p] x[n, c, stride p + dilation q - padding]
        """
        y = getattr(k, kernel + "_dw")(dy, x, w_shape, stride, padding, dilation, groups)
        x_shape = x.shape
        return (y, lambda g: getattr(k, kernel)(x, g, None, stride, padding, dilation, groups),
                lambda g: getattr(k, kernel + "_dx")(dy, g, x_shape, stride, padding, dilation, groups))

    def conv_transpose(k, x, weight, bias=None, /, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        """The adjoint of convolution: x (N, C, *size), weight (C, O/groups, *kernel), bias (O,).

        y[n, o, stride p + dilation q - padding] += x[n, c, p] weight[c, o, q], over all c, p and q
        """
        full_name = f"conv_transpose{nd}d"
        _check_transposed(full_name, nd, x, weight, bias, groups)
        options = _options(full_name, nd, stride, padding, dilation, groups)
        extra = (0,) * (max(nd, 2) - nd) + ntuple(full_name, "output_padding", output_padding, nd)
        x_shape, w_shape = x.shape, weight.shape
        x_full, w_full = _full(x_shape, nd), _full(w_shape, nd)
        y_full = _transposed_shape(full_name, x_full, w_full, options, extra)
        behind = [e // s for e, s in zip(extra, options[0])]  # windows on y that start where x has ended

        def full(x):
            x = k.xp.reshape(x, x_full)
            return k.xp.pad(x, [(0, 0), (0, 0), *((0, n) for n in behind)]) if any(behind) else x

        y = getattr(k, kernel + "_dx")(full(x), k.xp.reshape(weight, w_full), y_full, *options)
        if bias is not None:
            y = y + k.xp.reshape(bias, (-1,) + (1,) * (len(y_full) - 2))

        def dx(dy):
            dx = getattr(k, kernel)(k.xp.reshape(dy, y_full), k.xp.reshape(weight, w_full), None, *options)
            if any(behind):
                dx = dx[(slice(None), slice(None), *map(slice, x_full[2:]))]
            return k.xp.reshape(dx, x_shape)

        def dw(dy):
            dw = getattr(k, kernel + "_dw")(full(x), k.xp.reshape(dy, y_full), w_full, *options)
            return k.xp.reshape(dw, w_shape)

        def db(dy):
            return channel_sum(k, k.xp.reshape(dy, y_full))

        return k.xp.reshape(y, _flat(y_full, x_shape, nd)), dx, dw, db

    conv.__name__, conv_transpose.__name__ = name, f"conv_transpose{nd}d"
    conv_dx.__name__, conv_dw.__name__ = f"{kernel}_dx", f"{kernel}_dw"
    op(conv, method=False)
    op(conv_transpose, method=False)
    if nd > 1:
        op(conv_dx, method=False, function=False)
        op(conv_dw, method=False, function=False)


def channel_sum(k: Any, x: Any) -> Any:
    """The sum over all axes but the second: along memory first, which is where NumPy's sum is quick."""
    n, c = x.shape[:2]
    size = 1
    for s in x.shape[2:]:
        size *= s
    return k.xp.sum(k.xp.sum(k.xp.reshape(x, (n, c, size)), axis=2), axis=0)


def _options(name: str, nd: int, stride: Any, padding: Any, dilation: Any, groups: int) -> tuple:
    """stride, padding, dilation as tuples of two or three, and groups, as the kernels take them."""
    stride, padding, dilation = (ntuple(name, key, value, nd) for key, value in
                                 (("stride", stride), ("padding", padding), ("dilation", dilation)))
    for key, value, least in (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)):
        if min(value) < least:
            raise ShapeError(f"{name}: {key} expects values of at least {least}, got {value}")
    if nd == 1:
        return (1, *stride), (0, *padding), (1, *dilation), groups
    return stride, padding, dilation, groups


def _named_padding(name: str, nd: int, padding: str, stride: Any, dilation: Any, w_shape: tuple) -> tuple:
    """The sizes that "valid" and "same" mean, and what to keep of the output, or None for all of it.

    Where "same" asks for one more after than before, both sides get the larger size, and the first output goes.
    """
    if padding == "valid":
        return 0, None
    if padding != "same":
        raise RuntimeError(f"{name}: Invalid padding string {padding!r}, expected 'valid' or 'same'")
    if max(ntuple(name, "stride", stride, nd)) > 1:
        raise RuntimeError(f"{name}: padding='same' is not supported for strided convolutions, got stride={stride}")
    total = [d * (n - 1) for d, n in zip(ntuple(name, "dilation", dilation, nd), w_shape[2:])]
    after = tuple(t - t // 2 for t in total)
    if not any(t % 2 for t in total):
        return after, None
    keep = [slice(t % 2, None) for t in total]
    return after, (slice(None), slice(None), *([slice(None)] * (max(nd, 2) - nd)), *keep)


def _empty_shape(x: tuple, w: tuple, options: tuple) -> tuple:
    stride, padding, dilation, _ = options
    return (x[0], 0, *[(n + 2 * p - d * (kernel - 1) - 1) // s + 1
                       for n, s, p, d, kernel in zip(x[2:], stride, padding, dilation, w[2:])])


def _of_nothing(k: Any, x: Any, w: Any, b: Any, shape: tuple) -> tuple:
    """A convolution without input channels: as PyTorch's it has no output channels either, whatever the weight says."""
    shapes, dtype = [None if a is None else a.shape for a in (x, w, b)], x.dtype
    return (k.xp.zeros(shape, dtype), *[lambda dy, shape=shape: k.xp.zeros(shape, dtype) for shape in shapes])


def _full(shape: tuple, nd: int) -> tuple:
    """The shape with a batch axis, and a height of 1 in one dimension."""
    if len(shape) == nd + 1:
        shape = (1, *shape)
    return (*shape[:2], 1, shape[2]) if nd == 1 else tuple(shape)


def _flat(full: tuple, x_shape: tuple, nd: int) -> tuple:
    """The output's shape, with just the axes that the input had."""
    shape = (*full[:2], full[3]) if nd == 1 else tuple(full)
    return shape if len(x_shape) == nd + 2 else shape[1:]


def _check(name: str, nd: int, x: Any, w: Any, b: Any, groups: int) -> None:
    if len(x.shape) not in (nd + 1, nd + 2):
        raise ShapeError(f"{name}: input expects {nd + 1}D (unbatched) or {nd + 2}D (batched), "
                         f"but x has shape {tuple(x.shape)}")
    if len(w.shape) != nd + 2:
        raise ShapeError(f"{name}: weight expects {nd + 2} dimensions, got shape {tuple(w.shape)}")
    if groups < 1 or w.shape[0] % groups:
        raise ShapeError(f"{name}: groups={groups} expects to divide the {w.shape[0]} output channels of weight")
    if not w.shape[0]:
        raise ShapeError(f"{name}: expected weight to be at least 1 at dimension 0, but got weight of size "
                         f"{list(w.shape)}")
    channels = x.shape[-nd - 1]
    if channels != w.shape[1] * groups:
        raise ShapeError(f"{name}: weight expects {w.shape[1] * groups} input channels, "
                         f"but x of shape {tuple(x.shape)} has {channels}")
    _check_rest(name, x, w, b, w.shape[0])


def _check_transposed(name: str, nd: int, x: Any, w: Any, b: Any, groups: int) -> None:
    if len(x.shape) not in (nd + 1, nd + 2):
        raise ShapeError(f"{name}: input expects {nd + 1}D (unbatched) or {nd + 2}D (batched), "
                         f"but x has shape {tuple(x.shape)}")
    if len(w.shape) != nd + 2:
        raise ShapeError(f"{name}: weight expects {nd + 2} dimensions, got shape {tuple(w.shape)}")
    if 0 in w.shape[:2]:
        raise ShapeError(f"{name}: non-empty weight expected, but got: {list(w.shape)}")
    channels = x.shape[-nd - 1]
    if channels != w.shape[0] or groups < 1 or channels % groups:
        raise ShapeError(f"{name}: weight of shape {tuple(w.shape)} expects {w.shape[0]} input channels, divisible "
                         f"by groups={groups}, but x of shape {tuple(x.shape)} has {channels}")
    _check_rest(name, x, w, b, w.shape[1] * groups)


def _check_rest(name: str, x: Any, w: Any, b: Any, outputs: int) -> None:
    if b is not None and tuple(b.shape) != (outputs,):
        raise ShapeError(f"{name}: bias expects shape ({outputs},), got {tuple(b.shape)}")
    if x.dtype != w.dtype or (b is not None and b.dtype != x.dtype):
        types = ", ".join(dtypes.from_numpy(a.dtype).name for a in (x, w, b) if a is not None)
        raise DTypeError(f"{name}: input, weight and bias expect one type, got {types}")


def _check_sizes(name: str, x: tuple, w: tuple, options: tuple) -> None:
    _, padding, dilation, _ = options
    for axis, (size, kernel, pad, step) in enumerate(zip(x[2:], w[2:], padding, dilation)):
        if size + 2 * pad < step * (kernel - 1) + 1:
            raise ShapeError(f"{name}: Kernel size can't be greater than actual input size: along axis {axis + 2} the "
                             f"padded input has {size + 2 * pad}, the kernel spans {step * (kernel - 1) + 1}")


def _transposed_shape(name: str, x: tuple, w: tuple, options: tuple, extra: tuple) -> tuple:
    stride, padding, dilation, groups = options
    sizes = tuple((n - 1) * s - 2 * p + d * (kernel - 1) + e + 1
                  for n, s, p, d, kernel, e in zip(x[2:], stride, padding, dilation, w[2:], extra))
    if min(sizes) < 1:
        raise ShapeError(f"{name}: the output of x with shape {x} would have size {sizes}, expected at least 1")
    for e, s, d in zip(extra, stride, dilation):
        if e >= max(s, d):
            raise ShapeError(f"{name}: output padding must be smaller than either stride or dilation, "
                             f"got output_padding {extra}, stride {stride}, dilation {dilation}")
    return (x[0], w[1] * groups, *sizes)


for _nd in (1, 2, 3):
    _define(_nd)
