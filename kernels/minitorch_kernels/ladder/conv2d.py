"""The ladder of convolutions: from seven plain loops to threads, each rung with one idea more than that below it.

Each rung is conv2d; its gradients, `RUNG_dx` and `RUNG_dw`, are convolutions again (`_gradients`) and so run on it too.
GFLOP/s in float32 on one core of a Xeon with AVX-512 (197 at most), windows of 3x3, forward, dx, dw:

    N, C, H, O        16, 16, 32, 16    16, 64, 16, 64    8, 128, 28, 128
    python                     0.004
    loops              1.4  1.4  4.5     1.4  1.4  3.1      1.3  1.3  3.1
    rows                15   15  4.6     6.7  6.7  3.5      9.8  9.6  3.4
    im2col              20   20  9.9      53   52   32       53   56   44
    implicit            42   41   42     112  110  114      134  133  134
    ../cpu/conv.py     146  145  129     162  166  160      167  167  163
    winograd.py        153  158  173     393  402  379      415  408  367
"""
from __future__ import annotations

from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import conv, memory, parallel
from ..cpu.jit import jit
from . import matmul
from .matmul import in_turn, over_addresses, zeros
from .tile import HEIGHT


def python(x, w, b, stride, padding, dilation, groups):
    """Seven plain loops: images, outputs, their rows and columns, channels, rows and columns of the window.

    Bound: the interpreter.
    """
    return _directly(_seven_loops, x, w, b, stride, padding, dilation, groups)


def _seven_loops(x, w, y, stride, dilation, groups):
    outputs = w.shape[0] // groups
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            first = o // outputs * w.shape[1]  # channel that the group of output o reads
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    total = y[n, o, i, j]
                    for c in range(w.shape[1]):
                        for p in range(w.shape[2]):
                            for q in range(w.shape[3]):
                                total += w[o, c, p, q] * x[n, first + c, i * stride[0] + p * dilation[0],
                                                           j * stride[1] + q * dilation[1]]
                    y[n, o, i, j] = total


def loops(x, w, b, stride, padding, dilation, groups):
    """The same seven loops, compiled: types are known before, so a product is one instruction.

    Lifts the interpreter. Bound: one product at a time, and each index is computed for it anew.
    """
    return _directly(_loops, x, w, b, stride, padding, dilation, groups)


_loops = jit(_seven_loops)


def rows(x, w, b, stride, padding, dilation, groups):
    """Loops exchanged: one weight meets a whole row of x, so one instruction does a vector of products.

    Lifts the instructions. Bound: each product loads and stores its sum, and rows are short.
    """
    return _directly(_rows, x, w, b, stride, padding, dilation, groups)


@jit
def _rows(x, w, y, stride, dilation, groups):
    outputs = w.shape[0] // groups
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            for i in range(y.shape[2]):
                sums = y[n, o, i]
                for c in range(w.shape[1]):
                    channel = x[n, o // outputs * w.shape[1] + c]
                    for p in range(w.shape[2]):
                        for q in range(w.shape[3]):
                            weight, row = w[o, c, p, q], channel[i * stride[0] + p * dilation[0], q * dilation[1]:]
                            if stride[1] == 1:
                                for j in range(len(sums)):
                                    sums[j] += weight * row[j]
                            else:
                                for j in range(len(sums)):
                                    sums[j] += weight * row[j * stride[1]]


def rows_dw(dy, x, w_shape, stride, padding, dilation, groups):
    """dw by rows: a weight's gradient is the sum, over all rows of dy, of each one times the row of x that it met."""
    x, dy = (np.require(a, requirements="CW") for a in (_padded(x, padding), dy))
    dw = zeros(w_shape, x.dtype)
    _rows_dw(dy, x, dw, stride, dilation, groups)
    return dw


@jit
def _rows_dw(dy, x, dw, stride, dilation, groups):
    outputs, channels = dw.shape[0] // groups, dw.shape[1]
    for n in range(dy.shape[0]):
        for o in range(dy.shape[1]):
            for c in range(channels):
                channel = x[n, o // outputs * channels + c]
                for p in range(dw.shape[2]):
                    for q in range(dw.shape[3]):
                        total = dw[o, c, p, q]
                        for i in range(dy.shape[2]):
                            line, row = dy[n, o, i], channel[i * stride[0] + p * dilation[0], q * dilation[1]:]
                            if stride[1] == 1:
                                for j in range(len(line)):
                                    total += line[j] * row[j]
                            else:
                                for j in range(len(line)):
                                    total += line[j] * row[j * stride[1]]
                        dw[o, c, p, q] = total


def im2col(x, w, b, stride, padding, dilation, groups):
    """Windows copied into the columns of a matrix: the convolution is one product, and `matmul`'s ladder does it.

    Lifts loads and stores of sums. Bound: memory; a window of 3x3 makes nine numbers of each number of x.
    (Chellapilla, Puri and Simard, "High performance convolutional neural networks for document processing", 2006.)
    """
    windows = _windows(_padded(x, padding), w.shape[2:], stride, dilation)
    batch, _, *out = windows.shape[:4]
    depth, places = w[0].size, batch * prod(out)
    columns = memory.empty((*windows.shape[1:2], *windows.shape[4:], batch, *out), x.dtype)
    columns[:] = windows.transpose(1, 4, 5, 0, 2, 3)
    columns = columns.reshape(groups, depth, places)
    y = matmul.packed(w.reshape(groups, len(w) // groups, depth), columns).reshape(len(w), batch, *out)
    return _biased(np.ascontiguousarray(y.swapaxes(0, 1)), b)


def implicit(x, w, b, stride, padding, dilation, groups, run=in_turn):
    """The product of im2col without its matrix: an entry's address is that of its window plus that of its tap.

    Lifts the memory. The tile reads x where it lies. Bound: the arithmetic of one core.
    (Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014.)
    """
    x = np.ascontiguousarray(_padded(x, padding))
    (batch, *image), (outputs, channels) = x.shape, w.shape[:2]
    addresses = _windows(np.arange(prod(image)).reshape(1, *image), w.shape[2:], stride, dilation)[0]
    taps, out = addresses[:channels, 0, 0].reshape(-1), addresses.shape[1:3]
    y = memory.empty((batch, outputs, *out), x.dtype)
    for g, some in enumerate(parallel.chunks(outputs, outputs // groups)):
        windows = addresses[g * channels, :, :, 0, 0].reshape(-1)
        places = (np.arange(batch)[:, None] * prod(image) + windows).reshape(-1)
        places = np.append(places, np.zeros(HEIGHT, places.dtype))  # tiles end beyond the last
        sums = zeros((batch * prod(out), outputs // groups), x.dtype)
        over_addresses(x.reshape(-1), places, taps, w[some].reshape(-1, len(taps)).T, sums, run)
        y[:, some] = np.moveaxis(sums.reshape(batch, *out, outputs // groups), 3, 1)
    return _biased(y, b)


def threads(x, w, b, stride, padding, dilation, groups):
    """The places of all images cut into parts, which all cores compute at the same time.

    Lifts one core's arithmetic. The parts follow from the shapes alone: the same bits for any number of threads.
    """
    return implicit(x, w, b, stride, padding, dilation, groups, parallel.run)


def _gradients(forward):
    """`conv2d_dx` and `conv2d_dw` on the rung `forward`."""

    def dx(dy, w, x_shape, stride, padding, dilation, groups):
        dy, w = conv.turned(np, dy, w, x_shape, stride, padding, dilation, groups)
        return forward(dy, w, None, (1, 1), (0, 0), dilation, groups)

    def dw(dy, x, w_shape, stride, padding, dilation, groups):
        """The convolution of x by dy: images and channels change places, and so do stride and dilation."""
        if not dy.size:
            return np.zeros(w_shape, dy.dtype)
        batch, channels, *size = x.shape
        x = x.reshape(batch, groups, channels // groups, *size).transpose(2, 1, 0, 3, 4)
        x = x.reshape(channels // groups, groups * batch, *size)
        dw = forward(x, dy.swapaxes(0, 1), None, dilation, padding, stride, groups)
        return np.ascontiguousarray(dw[:, :, :w_shape[2], :w_shape[3]].swapaxes(0, 1))

    return dx, dw


python_dx, python_dw = _gradients(python)
loops_dx, loops_dw = _gradients(loops)
rows_dx, _ = _gradients(rows)  # whose window would be all of dy, and its rows as short as w's
im2col_dx, im2col_dw = _gradients(im2col)
implicit_dx, implicit_dw = _gradients(implicit)
threads_dx, threads_dw = _gradients(threads)


def _directly(kernel, x, w, b, stride, padding, dilation, groups):
    """y by `kernel(x, w, y, stride, dilation, groups)`, which adds to y, for a padded x."""
    x, w = (np.require(a, requirements="CW") for a in (_padded(x, padding), w))  # read-only ones would be compiled anew
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, dilation)]
    y = zeros((len(x), len(w), *out), x.dtype)
    kernel(x, w, y, stride, dilation, groups)
    return _biased(y, b)


def _padded(x, padding):
    return np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)]) if any(padding) else x


def _windows(x, window, stride, dilation):
    """A view of all windows of x (..., H, W): (..., *out, *window)."""
    span = [d * (n - 1) + 1 for n, d in zip(window, dilation)]
    return sliding_window_view(x, span, (-2, -1))[..., ::stride[0], ::stride[1], ::dilation[0], ::dilation[1]]


def _biased(y, b):
    return y if b is None else np.add(y, b[:, None, None], out=y)
