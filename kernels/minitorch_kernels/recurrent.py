"""Recurrent kernels: one layer in one direction over all its steps, and the gradients of that.

What the inputs add to the gates, x = input @ w_ih^T + b_ih, comes in for all steps at once: it is one product, which
the caller makes. The rows of x and y lie step after step, and in a step one for each sequence that is still running,
longest sequences first: step t has sizes[t] rows, never more than the step before. So sequences of different lengths
need no padding. A reverse direction runs from the last step to the first, and a sequence that ends early joins there.

With s = h @ w^T + b, and the sigmoid function written σ, a step makes of x, s and the states h and c

    tanh    h' = tanh(x + s)                                                     Elman 1990
    relu    h' = max(x + s, 0)
    lstm    i, f, g, o: the quarters of x + s                                    Hochreiter and Schmidhuber 1997,
            c' = σ(f) c + σ(i) tanh(g),  h' = σ(o) tanh(c')                      Gers et al. 2000
    gru     r = σ(x_r + s_r),  z = σ(x_z + s_z),  n = tanh(x_n + r s_n)          Cho et al. 2014
            h' = (1 - z) n + z h

where `p`, if there is one, projects lstm's h' to fewer numbers: h' @ p^T (Sak et al. 2014).
"""
from __future__ import annotations

import numpy as np

from .cuda import cublaslt
from .norm import cast, widen
from .table import kernel

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


@kernel
def recurrent(xp, x, h, c, w, b, p, cell, sizes, reverse, keep=True):
    """All states of one layer in one direction: (y, h, c, saved), the last h and c of each sequence among them.

    h' = cell(x, h) for one step after the other: the cells' formulas stand at the top of this file.

    x (sum of sizes, gates * H), h (N, P) and c (N, H) at the start (c is None but for lstm), w (gates * H, P),
    b (gates * H) or None, p (P, H) or None, where P is H. `saved` saves `recurrent_backward` work; without `keep`
    it is None.

    >>> x, w = np.array([[0.0], [1.0]]), np.array([[1.0]])
    >>> recurrent(np, x, np.array([[2.0]]), None, w, None, None, "relu", (1, 1), False)[0]
    array([[2.],
           [3.]])
    """
    steps, last, memory = _run(xp, x, h, c, w, b, p, cell, sizes, reverse)
    y = _in_time(xp, [s.made for s in steps], reverse)
    return cast(y, x.dtype), cast(last, x.dtype), None if c is None else cast(memory, x.dtype), None


@kernel
def recurrent_backward(xp, dy, dh, dc, x, h, c, w, b, p, cell, sizes, reverse, weights=True, saved=None):
    """The gradients (dx, dh, dc, dw, db, dp) from those of y and of the last h and c, each of which may be None.

    Backpropagation through time (Werbos 1990). Where `weights` is False, dw, db and dp are None.

    >>> x, w, h = np.zeros((2, 1)), np.array([[3.0]]), np.array([[1.0]])
    >>> recurrent_backward(np, None, np.array([[1.0]]), None, x, h, None, w, None, None, "relu", (1, 1), False)[:2]
    (array([[3.],
           [1.]]), array([[9.]]))
    """
    steps, last, memory = _run(xp, x, h, c, w, b, p, cell, sizes, reverse)
    wide = widen(w)
    dh = xp.zeros(last.shape, last.dtype) if dh is None else widen(dh)
    if c is not None:
        dc = xp.zeros(memory.shape, memory.dtype) if dc is None else widen(dc)
    dxs, dss, dmades = [], [], []
    for s in reversed(steps):
        n = s.stop - s.start
        dmade = dh[:n] if dy is None else dh[:n] + widen(dy[s.start:s.stop])
        dmades.append(dmade)
        if p is not None:
            dmade = xp.matmul(dmade, widen(p))
        dx, ds, past, dmemory = _BACKWARD[cell](xp, dmade, None if c is None else dc[:n], s.h, s.c, s.values)
        carried = xp.matmul(ds, wide)
        dh = _first(xp, carried if past is None else carried + past, dh)
        dc = dc if c is None else _first(xp, dmemory, dc)
        dxs.append(dx)
        dss.append(ds)
    dw = db = dp = None
    if weights:
        ds = _in_time(xp, dss, not reverse)
        dw = xp.matmul(xp.transpose(ds, (1, 0)), _in_time(xp, [s.h for s in steps], reverse))
        db = None if b is None else xp.sum(ds, axis=0)
        if p is not None:
            dmade = _in_time(xp, dmades, not reverse)
            dp = xp.matmul(xp.transpose(dmade, (1, 0)), _in_time(xp, [s.full for s in steps], reverse))
    return tuple([None if g is None else cast(g, x.dtype)
                  for g in (_in_time(xp, dxs, not reverse), dh, None if c is None else dc, dw, db, dp)])


def order(sizes: tuple[int, ...], reverse: bool) -> list[tuple[int, int]]:
    """(first row, number of rows) of each step, in the order in which the steps run.

    >>> order((3, 2, 2), True)
    [(5, 2), (3, 2), (0, 3)]
    """
    steps, start = [], 0
    for n in sizes:
        steps.append((start, n))
        start += n
    return steps[::-1] if reverse else steps


class _Step:
    """What one step read (h, c), worked out (values, full: its h before the projection), and made."""

    __slots__ = ("c", "full", "h", "made", "start", "stop", "values")


def _run(xp, x, h, c, w, b, p, cell, sizes, reverse):
    """The steps in the order in which they run, and the last h and c."""
    x, h, w, b, p, c = [None if a is None else widen(a) for a in (x, h, w, b, p, c)]
    across, steps = xp.transpose(w, (1, 0)), []
    for start, n in order(sizes, reverse):
        step = _Step()
        step.start, step.stop, step.h, step.c = start, start + n, h[:n], None if c is None else c[:n]
        s = xp.matmul(step.h, across)
        s = s if b is None else s + b
        step.full, memory, step.values = _FORWARD[cell](xp, x[start:start + n], s, step.h, step.c)
        step.made = step.full if p is None else xp.matmul(step.full, xp.transpose(p, (1, 0)))
        h, c = _first(xp, step.made, h), None if c is None else _first(xp, memory, c)
        steps.append(step)
    return steps, h, c


def _tanh(xp, x, s, h, c):
    y = xp.tanh(x + s)
    return y, c, (y,)


def _tanh_backward(xp, dh, dc, h, c, values):
    ds = dh * (1 - values[0] * values[0])
    return ds, ds, None, dc


def _relu(xp, x, s, h, c):
    y = xp.maximum(x + s, 0.0)
    return y, c, (y,)


def _relu_backward(xp, dh, dc, h, c, values):
    ds = xp.where(values[0] > 0, dh, 0.0 * dh)
    return ds, ds, None, dc


def _lstm(xp, x, s, h, c):
    i, f, g, o = _parts(x + s, 4)
    i, f, g, o = _sigmoid(xp, i), _sigmoid(xp, f), xp.tanh(g), _sigmoid(xp, o)
    c = f * c + i * g
    t = xp.tanh(c)
    return o * t, c, (i, f, g, o, t)


def _lstm_backward(xp, dh, dc, h, c, values):
    i, f, g, o, t = values
    dc = dc + dh * o * (1 - t * t)
    di, df, dg, do = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)
    ds = xp.concatenate([di, df, dg, do], axis=1)
    return ds, ds, None, dc * f


def _gru(xp, x, s, h, c):
    (x_r, x_z, x_n), (s_r, s_z, s_n) = _parts(x, 3), _parts(s, 3)
    r, z = _sigmoid(xp, x_r + s_r), _sigmoid(xp, x_z + s_z)
    n = xp.tanh(x_n + r * s_n)
    return n + z * (h - n), c, (r, z, n, s_n)


def _gru_backward(xp, dh, dc, h, c, values):
    r, z, n, s_n = values
    dn = dh * (1 - z) * (1 - n * n)
    dr, dz = dn * s_n * r * (1 - r), dh * (h - n) * z * (1 - z)
    return xp.concatenate([dr, dz, dn], axis=1), xp.concatenate([dr, dz, dn * r], axis=1), dh * z, dc


_FORWARD = {"tanh": _tanh, "relu": _relu, "lstm": _lstm, "gru": _gru}
_BACKWARD = {"tanh": _tanh_backward, "relu": _relu_backward, "lstm": _lstm_backward, "gru": _gru_backward}


def _sigmoid(xp, x):
    return 0.5 * xp.tanh(0.5 * x) + 0.5  # cannot overflow


def _parts(x, count):
    """The columns of x in `count` equal parts."""
    width = x.shape[1] // count
    return [x[:, i * width:(i + 1) * width] for i in range(count)]


def _first(xp, new, old):
    """`old` with `new` for its first rows."""
    n = new.shape[0]
    return new if n == old.shape[0] else xp.concatenate([new, old[n:]], axis=0)


def _in_time(xp, arrays, backwards):
    """One array of those of all steps, in the order of time."""
    return xp.concatenate(arrays[::-1] if backwards else arrays, axis=0)


def _refuses(x, h, c, w, b, p, *rest, **options):
    if x.dtype != F32 and x.dtype != F64:
        return "float32 and float64 only"
    return "projections" if p is not None else _not_alike(x, h, c, w, b)


def _refuses_cuda(x, h, c, w, b, p, *rest, **options):
    if x.dtype.char not in cublaslt.TYPES:
        return "floats only"
    return cublaslt.missing() or _not_alike(x, h, c, w, b, p)


def _not_alike(x, *others):
    if x.size == 0:
        return "no elements"
    for other in others:
        if other is not None and other.dtype != x.dtype:
            return "arrays of one dtype only"
    return None


def _refuses_backward(dy, dh, dc, *arguments, **options):
    return _refuses(*arguments)


def _refuses_backward_cuda(dy, dh, dc, *arguments, **options):
    return _refuses_cuda(*arguments)


recurrent.version("numba", "cpu", "minitorch_kernels.cpu.recurrent:recurrent", refuses=_refuses)
recurrent_backward.version("numba", "cpu", "minitorch_kernels.cpu.recurrent:recurrent_backward",
                           refuses=_refuses_backward)
recurrent.version("cuda", "cuda", "minitorch_kernels.cuda.recurrent:recurrent", refuses=_refuses_cuda)
recurrent_backward.version("cuda", "cuda", "minitorch_kernels.cuda.recurrent:recurrent_backward",
                           refuses=_refuses_backward_cuda)
