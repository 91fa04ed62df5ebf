"""Recurrent layers on the CPU: a step is one product, over weights packed once, and one pass over the gates.

The product h @ w^T reads all of w for few rows of h, and does so at every step. So w is copied once, in the order in
which tiles of outputs read it, into panels of VECTORS vectors of columns; where few steps would use the copy, BLAS
makes the product. Each gate is padded to whole panels. What is kept for backward are the gates, and the h and c that
each step read, so that the gradient of w is one product over all steps at the end.

The passes over the gates are several short loops over a row that lies in the first cache: LLVM vectorises a loop only
if it can tell in a few comparisons that what it writes is not what it reads, so each loop writes one or two arrays.
"""
from __future__ import annotations

import math
from itertools import count

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import blas, memory
from ..recurrent import order
from . import vector
from .jit import jit
from .smooth import _by_type, _exp, _logistic
from .tasks import task

ROWS, VECTORS = (8, 2) if vector.MANY else (4, 3)  # of a tile: as many sums as hide the latency of multiply-add
AHEAD = 32  # places of the sum by which a tile asks for w in advance
LINE = 64  # bytes of a cache line
FEW = 3  # steps up to which packing costs more than it gains
UNITS = 4096  # hidden units in a part of a pass over the gates
WORK = 60  # operations that a pass costs a unit, about
VALUES = {"tanh": 1, "relu": 1, "lstm": 5, "gru": 4}  # numbers a unit that are kept: the gates, and tanh(c) or s_n


def recurrent(x, h, c, w, b, p, cell, sizes, reverse, keep=True):
    """See `minitorch_kernels.recurrent.recurrent`."""
    x, h = np.ascontiguousarray(x), h.copy(order="C")
    c = h[:0] if c is None else c.copy(order="C")
    size, gates = w.shape[1], len(w) // w.shape[1]
    rows = len(x) if keep else len(h)
    y, before = memory.empty((len(x), size), x.dtype), memory.empty((rows, size), x.dtype)
    cells = memory.empty((rows if len(c) else 0, size), x.dtype)
    multiply, width = _multiplier(w, gates, True, len(sizes))
    values = memory.empty((rows, VALUES[cell] * width), x.dtype)
    b = np.zeros(len(w), x.dtype) if b is None else b
    for start, n in order(sizes, reverse):
        at = start if keep else 0
        multiply(h, 0, n, values, at)
        parts, work, block = _parts(n, size)
        if cell == "gru":
            _gru(parts, work, block, n, x, start, b, values, at, width, h, before, y)
        elif cell == "lstm":
            _lstm(parts, work, block, n, x, start, b, values, at, width, h, before, c, cells, y)
        else:
            _rnn(parts, work, block, n, x, start, b, values, at, cell == "relu", h, before, y)
    return y, h, c if cell == "lstm" else None, (values, before, cells) if keep else None


def recurrent_backward(dy, dh, dc, x, h, c, w, b, p, cell, sizes, reverse, weights=True, saved=None):
    """See `minitorch_kernels.recurrent.recurrent_backward`."""
    values, before, cells = saved or recurrent(x, h, c, w, b, p, cell, sizes, reverse)[3]
    size = w.shape[1]
    multiply, width = _multiplier(w, 1, False, len(sizes))
    dy = np.zeros((len(x), size), x.dtype) if dy is None else np.ascontiguousarray(dy)
    past = np.zeros(h.shape, x.dtype) if dh is None else dh.copy(order="C")  # what reaches h but through the product
    dc = np.zeros((0 if c is None else len(c), size), x.dtype) if dc is None else dc.copy(order="C")
    through, g = np.zeros((len(h), width), x.dtype), np.empty(h.shape, x.dtype)
    dx = memory.empty(x.shape, x.dtype)
    ds = memory.empty(x.shape, x.dtype) if cell == "gru" else dx
    kept = values.shape[1] // VALUES[cell]
    for start, n in order(sizes, not reverse):
        parts, work, block = _parts(n, size)
        if cell == "gru":
            _gru_backward(parts, work, block, n, dy, start, past, through, g, values, kept, before, dx, ds)
        elif cell == "lstm":
            _lstm_backward(parts, work, block, n, dy, start, past, through, g, values, kept, cells, dc, dx)
        else:
            _rnn_backward(parts, work, block, n, dy, start, past, through, g, values, cell == "relu", dx)
        multiply(ds, start, n, through, 0)
    dw = db = None
    if weights:
        dw = blas.matmul(ds.T, before)
        db = None if b is None else blas.matmul(np.ones((1, len(ds)), ds.dtype), ds)[0]
    return dx, past + through[:, :size], dc if cell == "lstm" else None, dw, db, None


def _parts(n, size):
    """(number of parts, work, rows in a part) of a pass over the gates of n rows."""
    block = max(1, UNITS // size)
    return -(-n // block), WORK * n * size, block


def _multiplier(w, gates, transposed, steps):
    """A function (a, start, n, out, at) for out[at:at + n] = a[start:start + n] @ w, or w^T where `transposed`.

    And `width`: the product's columns are gates, each of which takes so many columns of `out`; what stands in the last
    of them, beyond the gate, means nothing.
    """
    lane = vector.lanes(w.dtype)
    columns, panel = w.shape[1], VECTORS * lane
    width = -(-columns // panel) * panel
    depth = columns if transposed else len(w)
    if steps <= FEW:
        right = w.T if transposed else w

        def multiply(a, start, n, out, at):
            y = blas.matmul(a[start:start + n], right).reshape(n, gates, columns)
            out[at:at + n, :gates * width].reshape(n, gates, width)[:, :, :columns] = y

        return multiply, width
    w = np.ascontiguousarray(w)
    panels = gates * width // panel
    packed = vector.empty(panels * panel * depth, w.dtype)
    _pack(panels, packed.size, w.reshape(-1), columns, width // panel, depth, transposed, packed)
    work, turn = 2 * packed.size, count().__next__

    def multiply_packed(a, start, n, out, at):
        last = (panels - 1) * (turn() % 2)  # there and back: the cache still holds what was read last
        _multiply(panels, work * n, last, a, start, n, packed, out, at)

    return multiply_packed, width


@task
def _pack(part, w, columns, panels, depth, transposed, out):
    """Panel `part` of w, or of w^T: out[part, k, u] = w[k, column of u].

    A gate has `columns` columns in `panels` panels; what goes beyond its last column is zero.
    """
    panel = VECTORS * vector.lanes_of(out)
    gate, first = part // panels, part % panels * panel
    start, to, valid = gate * columns + first, part * depth * panel, min(panel, columns - first)
    for k in range(depth):
        if transposed:
            for u in range(valid):
                out[to + k * panel + u] = w[(start + u) * depth + k]
        else:
            for u in range(valid):
                out[to + k * panel + u] = w[start + k * columns + u]
        for u in range(valid, panel):
            out[to + k * panel + u] = 0


@task
def _multiply(part, last, a, start, n, panels, out, at):
    """A panel of out[at:at + n] = a[start:start + n] @ panels: panel `part`, or counted from the `last` one."""
    part = abs(last - part)
    depth, panel = a.shape[1], VECTORS * vector.lanes_of(out)
    for i in range(0, n, ROWS):
        _tile(a, (start + i) * depth, depth, min(ROWS, n - i), panels, part * depth * panel, depth, out,
              (at + i) * out.shape[1] + part * panel, out.shape[1])


@intrinsic
def _tile(typingctx, a, ia, a_row, rows, panels, ip, depth, out, io, out_row):
    """out[io + row * out_row + u] = sum over k < depth of a[ia + row * a_row + k] * panels[ip + k * panel + u].

    Rows from `rows` on do what the last one does, so that a tile always has its full height.
    """

    def codegen(context, builder, signature, arguments):
        a, ia, a_row, rows, panels, ip, depth, out, io, out_row = vector.data(context, builder, signature, arguments)
        kind, integer = vector.vector_of(signature.args[0]), vector.integer
        last = vector.add(builder, rows, -1)
        row = [builder.select(builder.icmp_signed("<", integer(r), last), integer(r), last) for r in range(ROWS)]
        below_first = [builder.mul(r, a_row) for r in row]
        right, line = builder.gep(panels, [ip]), LINE * kind.count // vector.REGISTER

        def body(k, values):
            first, *sums = values
            at = builder.gep(right, [builder.mul(k, integer(VECTORS * kind.count))])
            columns = [vector.load(builder, builder.gep(at, [integer(v * kind.count)]), kind) for v in range(VECTORS)]
            for u in range(0, VECTORS * kind.count, line):
                vector.prefetch(builder, builder.gep(at, [integer(AHEAD * VECTORS * kind.count + u)]), near=True)
            result = [vector.hidden(builder, builder.gep(first, [integer(1)]))]
            for r in range(ROWS):
                scalar = vector.splat(builder, builder.load(builder.gep(first, [below_first[r]])), kind)
                result += [vector.fma(builder, scalar, columns[v], sums[r * VECTORS + v]) for v in range(VECTORS)]
            return result

        zero = ir.Constant(kind, [0.0] * kind.count)
        _, *sums = vector.loop(builder, depth, 1, body, [builder.gep(a, [ia]), *[zero] * (ROWS * VECTORS)])
        for r in range(ROWS):
            place = builder.gep(out, [builder.add(io, builder.mul(row[r], out_row))])
            vector.keep(builder, sums[r * VECTORS:(r + 1) * VECTORS], place)
        return context.get_dummy_value()

    n = types.int64
    return types.void(a, n, n, n, panels, n, n, out, n, n), codegen


# The passes over the gates: rows `part * block` and on, of n. The rows of x, dy and dx begin at `start`, those of
# what is kept at `at`. `values` has the gates of a row one after the other, `width` numbers each.


@task
def _rnn(part, block, n, x, start, b, values, at, relu, h, before, y):
    size = h.shape[1]
    for i in range(part * block, min((part + 1) * block, n)):
        s = values[at + i, :size]
        _copy(h[i], before[at + i])
        if relu:
            _relu_gate(s, x[start + i], b)
        else:
            _tanh_gate(s, x[start + i], b)
        _copy(s, h[i])
        _copy(s, y[start + i])


@task
def _rnn_backward(part, block, n, dy, start, past, through, g, values, relu, dx):
    for i in range(part * block, min((part + 1) * block, n)):
        _arrived(past[i], through[i], dy[start + i], g[i])
        past[i, :] = 0
        _rnn_slope(g[i], values[start + i], relu, dx[start + i])


@task
def _lstm(part, block, n, x, start, b, values, at, width, h, before, c, cells, y):
    size = h.shape[1]
    for i in range(part * block, min((part + 1) * block, n)):
        row, given = values[at + i], x[start + i]
        _copy(h[i], before[at + i])
        _copy(c[i], cells[at + i])
        for gate in (0, 1, 3):
            _gate(row[gate * width:gate * width + size], given[gate * size:], b[gate * size:])
        _tanh_gate(row[2 * width:2 * width + size], given[2 * size:], b[2 * size:])
        _lstm_cell(row, row[width:], row[2 * width:], c[i])
        _lstm_state(row[3 * width:], c[i], row[4 * width:], h[i])
        _copy(h[i], y[start + i])


@task
def _lstm_backward(part, block, n, dy, start, past, through, g, values, width, cells, dc, dx):
    size = dc.shape[1]
    for i in range(part * block, min((part + 1) * block, n)):
        row, of_x = values[start + i], dx[start + i]
        _arrived(past[i], through[i], dy[start + i], g[i])
        past[i, :] = 0
        _lstm_slope_o(g[i], row[3 * width:], row[4 * width:], of_x[3 * size:], dc[i])
        _lstm_slope_i_g(dc[i], row, row[2 * width:], of_x, of_x[2 * size:])
        _lstm_slope_f(dc[i], row[width:], cells[start + i], of_x[size:])


@task
def _gru(part, block, n, x, start, b, values, at, width, h, before, y):
    size = h.shape[1]
    for i in range(part * block, min((part + 1) * block, n)):
        row, given = values[at + i], x[start + i]
        _copy(h[i], before[at + i])
        for gate in range(2):
            _gate(row[gate * width:gate * width + size], given[gate * size:], b[gate * size:])
        _gru_new(given[2 * size:], row, b[2 * size:], row[2 * width:2 * width + size], row[3 * width:])
        _gru_state(row[2 * width:], row[width:], h[i], y[start + i])


@task
def _gru_backward(part, block, n, dy, start, past, through, g, values, width, before, dx, ds):
    size = g.shape[1]
    for i in range(part * block, min((part + 1) * block, n)):
        row, of_x, of_s = values[start + i], dx[start + i], ds[start + i]
        r, z, new = row, row[width:], row[2 * width:]
        _arrived(past[i], through[i], dy[start + i], g[i])
        _gru_slope_n(g[i], z, new, of_x[2 * size:], past[i])
        _gru_slope_z(g[i], before[start + i], new, z, of_x[size:])
        _gru_slope_r(of_x[2 * size:], row[3 * width:], r, of_x, of_s[2 * size:])
        _copy(of_x[:2 * size], of_s)


@jit
def _copy(x, out):
    for j in range(len(x)):
        out[j] = x[j]


@jit
def _gate(s, x, b):
    for j in range(len(s)):
        s[j] = _logistic(s[j] + x[j] + b[j])


@jit
def _tanh_gate(s, x, b):
    for j in range(len(s)):
        s[j] = _tanh(s[j] + x[j] + b[j])


@jit
def _relu_gate(s, x, b):
    for j in range(len(s)):
        total = s[j] + x[j] + b[j]
        s[j] = s.dtype.type(0) if total < 0 else total


@jit
def _arrived(past, through, dy, g):
    """The gradient of a step's h: from later steps, through the product and past it, and from above."""
    for j in range(len(g)):
        g[j] = past[j] + through[j] + dy[j]


@jit
def _rnn_slope(g, y, relu, out):
    if relu:
        for j in range(len(g)):
            out[j] = g[j] if y[j] > 0 else g.dtype.type(0)
    else:
        for j in range(len(g)):
            out[j] = g[j] * (1 - y[j] * y[j])


@jit
def _lstm_cell(i, f, g, c):
    for j in range(len(c)):
        c[j] = f[j] * c[j] + i[j] * g[j]


@jit
def _lstm_state(o, c, t, h):
    for j in range(len(h)):
        t[j] = _tanh(c[j])
        h[j] = o[j] * t[j]


@jit
def _lstm_slope_o(g, o, t, do, dc):
    for j in range(len(g)):
        do[j] = g[j] * t[j] * o[j] * (1 - o[j])
        dc[j] += g[j] * o[j] * (1 - t[j] * t[j])


@jit
def _lstm_slope_i_g(dc, i, g, di, dg):
    for j in range(len(dc)):
        di[j] = dc[j] * g[j] * i[j] * (1 - i[j])
        dg[j] = dc[j] * i[j] * (1 - g[j] * g[j])


@jit
def _lstm_slope_f(dc, f, c, df):
    for j in range(len(dc)):
        df[j] = dc[j] * c[j] * f[j] * (1 - f[j])
        dc[j] *= f[j]


@jit
def _gru_new(x, r, b, new, s):
    for j in range(len(new)):
        s[j] = new[j] + b[j]
        new[j] = _tanh(x[j] + r[j] * s[j])


@jit
def _gru_state(new, z, h, y):
    for j in range(len(h)):
        y[j] = new[j] + z[j] * (h[j] - new[j])
        h[j] = y[j]


@jit
def _gru_slope_n(g, z, new, dn, past):
    for j in range(len(g)):
        dn[j] = g[j] * (1 - z[j]) * (1 - new[j] * new[j])
        past[j] = g[j] * z[j]


@jit
def _gru_slope_z(g, h, new, z, dz):
    for j in range(len(g)):
        dz[j] = g[j] * (h[j] - new[j]) * z[j] * (1 - z[j])


@jit
def _gru_slope_r(dn, s, r, dr, ds):
    for j in range(len(ds)):
        dr[j] = dn[j] * s[j] * r[j] * (1 - r[j])
        ds[j] = dn[j] * r[j]


def _tanh32(x):
    """tanh(x) to 2 ULP: an odd polynomial near 0 (Cephes, Moshier 1984), 1 - 2 / (exp(2 |x|) + 1) elsewhere."""
    size, square = abs(x), x * x
    far = ONE - TWO / (_exp(TWO * size) + ONE)
    near = ((((T9 * square + T7) * square + T5) * square + T3) * square + T1) * square * x + x
    far = -far if x < ZERO else far
    return near if size < NEAR else far


_tanh = _by_type(lambda x: math.tanh(x), _tanh32)
ZERO, ONE, TWO, NEAR = map(np.float32, (0, 1, 2, 0.625))
T1, T3, T5, T7, T9 = map(np.float32, (-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2,
                                      -5.70498872745e-3))
