"""Convolution (cross-correlation, as in PyTorch) in 2 and 3 dimensions, and the gradients of its operands.

Shapes: x (N, C, *size), w (O, C / groups, *window), b (O,) or None, y and dy (N, O, *out), where out = (size
+ 2 padding - dilation (window - 1) - 1) // stride + 1; stride, padding and dilation have one number for each
dimension. Formulas: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""
from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np

from .matmul import PATIENCE
from .norm import cast, widen
from .table import kernel


@kernel
def conv2d(xp, x, w, b, stride, padding, dilation, groups):
    """Each output sums a window of x weighted by w; `dilation` spreads it, `groups` split the channels.

    y[n, o, p] = b[o] + Σ over c, q of x[n, c, stride p + dilation q - padding] w[o, c, q]
    """
    return _conv(xp, x, w, b, stride, padding, dilation, groups)


@kernel
def conv2d_relu(xp, x, w, b, stride, padding, dilation, groups):
    """The positive part of `conv2d`; NaN stays NaN."""
    return xp.maximum(_conv(xp, x, w, b, stride, padding, dilation, groups), 0)


@kernel
def conv2d_dx(xp, dy, w, x_shape, stride, padding, dilation, groups):
    """The gradient of conv2d's x, whose shape is `x_shape`.

    dx[n, c, stride p + dilation q - padding] += dy[n, o, p] w[o, c, q], over all o, p and q
    """
    return _conv_dx(xp, dy, w, x_shape, stride, padding, dilation, groups)


@kernel
def conv2d_dw(xp, dy, x, w_shape, stride, padding, dilation, groups):
    """The gradient of conv2d's w, whose shape is `w_shape`.

    dw[o, c, q] = Σ over n, p of dy[n, o, p] x[n, c, stride p + dilation q - padding]
    """
    return _conv_dw(xp, dy, x, w_shape, stride, padding, dilation, groups)


@kernel
def conv3d(xp, x, w, b, stride, padding, dilation, groups):
    """conv2d with a third dimension: x (N, C, D, H, W)."""
    return _conv(xp, x, w, b, stride, padding, dilation, groups)


@kernel
def conv3d_dx(xp, dy, w, x_shape, stride, padding, dilation, groups):
    """The gradient of conv3d's x, whose shape is `x_shape`."""
    return _conv_dx(xp, dy, w, x_shape, stride, padding, dilation, groups)


@kernel
def conv3d_dw(xp, dy, x, w_shape, stride, padding, dilation, groups):
    """The gradient of conv3d's w, whose shape is `w_shape`."""
    return _conv_dw(xp, dy, x, w_shape, stride, padding, dilation, groups)


def _conv(xp, x, w, b, stride, padding, dilation, groups):
    """y = w @ columns(x): one product for each group (im2col; Chellapilla et al., 2006)."""
    outputs = w.shape[0]
    x = _pad(xp, x, padding, padding)
    columns, (batch, *out) = _columns(xp, x, w.shape[2:], stride, dilation, groups)
    w = xp.reshape(w, (groups, outputs // groups, columns.shape[1]))
    y = xp.swapaxes(xp.reshape(_product(xp, w, columns), (outputs, batch, *out)), 0, 1)
    return y if b is None else y + xp.reshape(b, (1, outputs) + (1,) * len(out))


def _conv_dx(xp, dy, w, x_shape, stride, padding, dilation, groups):
    """dx is a convolution with stride 1."""
    dy, w = turned(xp, dy, w, x_shape, stride, padding, dilation, groups)
    return _conv(xp, dy, w, None, (1,) * len(stride), (0,) * len(stride), dilation, groups)


def turned(xp, dy, w, x_shape, stride, padding, dilation, groups):
    """What the convolution with stride 1 that gives dx sums: the spread-out dy, padded, and its weights.

    Its window is w turned around, with input and output channels exchanged.
    """
    window, axes = w.shape[2:], range(len(stride))
    w = xp.reshape(w, (groups, w.shape[0] // groups, w.shape[1], *window))
    w = xp.flip(xp.swapaxes(w, 1, 2), tuple(3 + i for i in axes))
    w = xp.reshape(w, (x_shape[1], dy.shape[1] // groups, *window))
    dy = _spread(xp, dy, stride)
    reach = [dilation[i] * (window[i] - 1) for i in axes]
    before = [reach[i] - padding[i] for i in axes]
    after = [x_shape[2 + i] + reach[i] - before[i] - dy.shape[2 + i] for i in axes]
    return _pad(xp, dy, before, after), w


def _conv_dw(xp, dy, x, w_shape, stride, padding, dilation, groups):
    """dw = dy @ columns(x)^T, summed over the batch and all places by the product itself."""
    x = _pad(xp, x, padding, padding)
    columns, _ = _columns(xp, x, w_shape[2:], stride, dilation, groups)
    dy = xp.reshape(xp.swapaxes(dy, 0, 1), (groups, w_shape[0] // groups, columns.shape[2]))
    return xp.reshape(_product(xp, dy, xp.swapaxes(columns, 1, 2)), w_shape)


def _product(xp, a, b):
    """a @ b; products of 16-bit floats are summed in float32."""
    return cast(xp.matmul(widen(a), widen(b)), a.dtype)


def _columns(xp, x, window, stride, dilation, groups):
    """im2col of a padded x: (groups, C / groups * window, N * out), and what its last axis is: (N, *out)."""
    batch, channels, *size = x.shape
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(size, window, stride, dilation)]
    shifted = []
    for offset in product(*map(range, window)):
        starts = [i * d for i, d in zip(offset, dilation)]
        places = (slice(i, i + s * (n - 1) + 1, s) for i, s, n in zip(starts, stride, out))
        index = (slice(None), slice(None), *places)
        shifted.append(x[index])
    columns = xp.swapaxes(xp.stack(shifted, 1), 0, 2)  # (C, window, N, *out)
    return xp.reshape(columns, (groups, channels // groups * prod(window), batch * prod(out))), (batch, *out)


def _pad(xp, x, before, after):
    """x with so many zeros around each spatial dimension; a negative number cuts off instead."""
    widths = [(max(i, 0), max(j, 0)) for i, j in zip(before, after)]
    if any(i or j for i, j in widths):
        x = xp.pad(x, [(0, 0), (0, 0), *widths])
    if min(*before, *after) < 0:
        kept = (slice(max(-i, 0), n - max(-j, 0)) for i, j, n in zip(before, after, x.shape[2:]))
        index = (slice(None), slice(None), *kept)
        x = x[index]
    return x


def _spread(xp, x, stride):
    """x with stride - 1 zeros behind each element."""
    if max(stride) == 1:
        return x
    batch, channels, *size = x.shape
    x = xp.reshape(x, (batch, channels, *(n for s in size for n in (s, 1))))
    x = xp.pad(x, [(0, 0), (0, 0), *(w for s in stride for w in ((0, 0), (0, s - 1)))])
    return xp.reshape(x, (batch, channels, *(n * s for n, s in zip(size, stride))))


def _not_float(first: Any, second: Any, *_: Any, **__: Any) -> str | None:
    kind = first.dtype.char
    return None if kind == second.dtype.char and kind in "fd" else "float32 and float64 only"


def _not_float_bias(x: Any, w: Any, b: Any, *_: Any, **__: Any) -> str | None:
    return _not_float(x, w) or (None if b is None or b.dtype == x.dtype else "the bias has another dtype")


def _tile(x_shape: Any, w_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int, letter: str,
          dw: bool = False) -> int:
    """The fastest tile of Winograd's method, for conv2d or its weight gradient, or 0."""
    if w_shape[2:] != (3, 3) or stride != (1, 1) or dilation != (1, 1) or groups != 1 or max(padding) > 2:
        return 0
    if 0 in x_shape or 0 in w_shape:
        return 0
    from .cpu import winograd, winograd_dw  # they load Numba, which the convolution will need anyway

    return (winograd_dw.worth_dw if dw else winograd.worth)(x_shape, w_shape, padding, letter)


def _no_winograd(x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> str | None:
    return _not_float_bias(x, w, b) or (
        None if _tile(x.shape, w.shape, stride, padding, dilation, groups, x.dtype.char) else DIRECT)


def _no_winograd_dx(dy: Any, w: Any, x_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> str | None:
    turned, mirrored = (w.shape[1], w.shape[0], *w.shape[2:]), tuple(2 - p for p in padding)
    return _not_float(dy, w) or (
        None if _tile(dy.shape, turned, stride, mirrored, dilation, groups, dy.dtype.char) else DIRECT)


def _no_winograd_dw(dy: Any, x: Any, w_shape: Any, stride: Any, padding: Any, dilation: Any,
                    groups: int) -> str | None:
    shape = tuple(w_shape)
    return _not_float(dy, x) or (
        None if _tile(x.shape, shape, stride, padding, dilation, groups, x.dtype.char, dw=True) else DIRECT)


def _not_few(places: int, weights: int, groups: int) -> str | None:
    if groups != 1:
        return "one group only"
    return None if 0 < places <= FEW and weights >= HEAVY else f"up to {FEW} places for {HEAVY} weights or more only"


def _no_columns(x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> str | None:
    if w.size < HEAVY or len(x) > FEW:
        return _not_few(FEW + 1, w.size, groups)
    out = [(n + 2 * p - d * (k - 1) - 1) // s + 1
           for n, k, s, p, d in zip(x.shape[2:], w.shape[2:], stride, padding, dilation)]
    return _not_float_bias(x, w, b) or _not_few(len(x) * prod(out), w.size, groups)


def _no_columns_dx(dy: Any, w: Any, x_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> str | None:
    return _not_few(dy.size // max(dy.shape[1], 1), w.size, groups) or _not_float(dy, w)


def _no_columns_dw(dy: Any, x: Any, w_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> str | None:
    return _not_few(dy.size // max(dy.shape[1], 1), prod(w_shape), groups) or _not_float(dy, x)


FEW, HEAVY = 256, 1 << 17  # places and weights: where the product of columns beats the direct sum
DIRECT = "the direct sum is faster for this shape"
for _entry, _refuses in ((conv2d, _no_columns), (conv2d_relu, _no_columns), (conv2d_dx, _no_columns_dx),
                         (conv2d_dw, _no_columns_dw)):
    _entry.version("columns", "cpu", f"minitorch_kernels.cpu.columns:{_entry.name}", _refuses, backend="numba")
conv2d.version("winograd", "cpu", "minitorch_kernels.cpu.winograd:conv2d_of_table", _no_winograd, backend="numba")
conv2d_relu.version("winograd", "cpu", "minitorch_kernels.cpu.winograd:conv2d_relu_of_table", _no_winograd,
                    backend="numba")
conv2d_dx.version("winograd", "cpu", "minitorch_kernels.cpu.winograd:conv2d_dx_of_table", _no_winograd_dx,
                  backend="numba")
conv2d_dw.version("winograd", "cpu", "minitorch_kernels.cpu.winograd_dw:conv2d_dw_of_table", _no_winograd_dw,
                  backend="numba")
conv2d.version("numba", "cpu", "minitorch_kernels.cpu.conv:conv2d", _not_float_bias)
conv2d_relu.version("numba", "cpu", "minitorch_kernels.cpu.conv:conv2d_relu", _not_float_bias)
conv2d_dx.version("numba", "cpu", "minitorch_kernels.cpu.conv:conv2d_dx", _not_float)
conv2d_dw.version("numba", "cpu", "minitorch_kernels.cpu.conv:conv2d_dw", _not_float)
conv3d.version("numba", "cpu", "minitorch_kernels.cpu.conv:conv3d", _not_float_bias)
conv3d_dx.version("numba", "cpu", "minitorch_kernels.cpu.conv:conv3d_dx", _not_float)
conv3d_dw.version("numba", "cpu", "minitorch_kernels.cpu.conv:conv3d_dw", _not_float)


def _too_slow(batch: int, image: Any, weights: Any) -> str | None:
    return None if batch * prod(image) * prod(weights) <= PATIENCE else "the interpreter would take long"


def _enter(rung: str) -> None:
    """The rung of the ladder as a version of conv2d and of what goes with it."""
    slow = _too_slow if rung == "python" else lambda *_: None

    def refuses(x: Any, w: Any, b: Any, *_: Any, **__: Any) -> str | None:
        return _not_float_bias(x, w, b) or slow(len(x), x.shape[2:], w.shape)

    def refuses_dx(dy: Any, w: Any, x_shape: Any, *_: Any, **__: Any) -> str | None:
        return _not_float(dy, w) or slow(len(dy), x_shape[2:], w.shape)

    def refuses_dw(dy: Any, x: Any, w_shape: Any, *_: Any, **__: Any) -> str | None:
        return _not_float(dy, x) or slow(len(x), x.shape[2:], w_shape)

    def on_rung_relu(*arguments: Any, **options: Any) -> Any:
        """The positive part of conv2d on a rung of its ladder."""
        y = convolution.run(*arguments, **options)
        return np.maximum(y, 0, out=y)

    where = f"minitorch_kernels.ladder.conv2d:{rung}"
    conv2d.version(rung, "cpu", where, refuses, backend="ladder")
    convolution = conv2d.versions[-1]
    conv2d_relu.version(rung, "cpu", on_rung_relu, refuses, backend="ladder")
    conv2d_dx.version(rung, "cpu", where + "_dx", refuses_dx, backend="ladder")
    conv2d_dw.version(rung, "cpu", where + "_dw", refuses_dw, backend="ladder")


for _rung in ("threads", "implicit", "im2col", "rows", "loops", "python"):
    _enter(_rung)


def _not_16_or_32_bits(first: Any, second: Any, _: Any, stride: tuple, padding: tuple, dilation: tuple,
                       groups: int) -> str | None:
    kind = first.dtype.char
    if kind != second.dtype.char or kind not in "feE":
        return "float32, float16 and bfloat16 only"
    if not first.size or not second.size:
        return "nothing to sum"
    if groups * prod(stride) > 65535:
        return "a grid has room for 65535 groups, times the places in a stride, at most"
    return _too_many_places(first, groups)


def _too_many_places(x: Any, groups: int) -> str | None:
    return "places are counted in 32 bits" if x.size // x.shape[1] * groups >= 1 << 30 else None


def _not_cuda_dw(dy: Any, x: Any, *options: Any, **named: Any) -> str | None:
    return _not_16_or_32_bits(dy, x, *options, **named) or _too_many_places(x, x.shape[1] // options[0][1])


def _not_cuda_dx(first: Any, w: Any, *options: Any, **named: Any) -> str | None:
    return _not_16_or_32_bits(first, w, *options, **named) or (
        "a window of 2048 at most" if prod(w.shape[2:]) > 2048 else None)


def _not_cuda(x: Any, w: Any, b: Any, *options: Any, **named: Any) -> str | None:
    return _not_cuda_dx(x, w, b, *options, **named) or (
        None if b is None or b.dtype == x.dtype else "the bias has another dtype")


for _entry, _name, _reason in ((conv2d, "conv", _not_cuda), (conv2d_relu, "conv_relu", _not_cuda),
                                (conv2d_dx, "conv_dx", _not_cuda_dx), (conv2d_dw, "conv_dw", _not_cuda_dw),
                                (conv3d, "conv", _not_cuda), (conv3d_dx, "conv_dx", _not_cuda_dx),
                                (conv3d_dw, "conv_dw", _not_cuda_dw)):
    _entry.version("cuda", "cuda", f"minitorch_kernels.cuda.conv:{_name}", _reason)
conv2d.leads(conv2d_relu, conv2d_dx, conv2d_dw)
