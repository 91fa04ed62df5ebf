"""Recurrent layers: one direction over packed rows, whole networks, and single steps."""
from __future__ import annotations

import numpy as np

from . import BadInput, OpCase, Sample, register

GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(cell, x, h, c, w, b):
    """One sequence, one step, from the definition: x are the gates' sums over the input."""
    s = w @ h + (0 if b is None else b)
    size = len(s) // GATES[cell]
    if cell == "gru":
        r, z = sigmoid(x[:size] + s[:size]), sigmoid(x[size:2 * size] + s[size:2 * size])
        return (1 - z) * np.tanh(x[2 * size:] + r * s[2 * size:]) + z * h, None
    if cell == "lstm":
        i, f, g, o = (x + s).reshape(4, size)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    return np.tanh(x + s) if cell == "tanh" else np.maximum(x + s, 0), None


def one_direction(x, h, c, w, b=None, p=None, cell="tanh", sizes=(), reverse=False):
    """Sequence after sequence: [y, h, c] of packed rows."""
    starts = np.cumsum([0, *sizes])
    y, last, cells = np.zeros((len(x), w.shape[1])), h.copy(), None if c is None else c.copy()
    for i in range(len(h)):
        state, memory = h[i], None if c is None else c[i]
        rows = [starts[t] + i for t, n in enumerate(sizes) if i < n]
        for row in rows[::-1] if reverse else rows:
            state, memory = step(cell, x[row], state, memory, w, b)
            state = state if p is None else p @ state
            y[row] = state
        last[i] = state
        if c is not None:
            cells[i] = memory
    return [y, last] if c is None else [y, last, cells]


def network(cell, x, hx, params, has_biases=True, layers=1, dropout=0.0, train=False, bidirectional=False,
            batch_first=False):
    """All layers of a network without dropout, on padded sequences."""
    data = np.swapaxes(x, 0, 1) if batch_first else x
    states = list(hx) if cell == "lstm" else [hx]
    directions, each = 1 + bidirectional, len(params) // (layers * (1 + bidirectional))
    ends = [[] for _ in states]
    for layer in range(layers):
        outputs = []
        for i in range(layer * directions, (layer + 1) * directions):
            w_ih, w_hh, *more = params[i * each:(i + 1) * each]
            b_ih, b_hh, *more = more if has_biases else (0, None, *more)
            steps, n, _ = data.shape
            y, *last = one_direction((data @ w_ih.T + b_ih).reshape(steps * n, len(w_ih)), states[0][i],
                                     states[1][i] if cell == "lstm" else None, w_hh, b_hh, *more, cell=cell,
                                     sizes=(n,) * steps, reverse=i % directions == 1)
            outputs.append(y.reshape(steps, n, w_hh.shape[1]))
            for kept, state in zip(ends, last):
                kept.append(state)
        data = np.concatenate(outputs, axis=2)
    return [np.swapaxes(data, 0, 1) if batch_first else data, *(np.stack(kept) for kept in ends)]


def rows(cell, sizes, size, bias=True, projection=0):
    """Arguments for `recurrent`: x, h, c, w, b, p. Those of relu stay away from its kink."""
    def make(rng):
        n, gates, width = max(sizes), GATES[cell], projection or size
        draw = rng.standard_normal
        x, h, c = draw((sum(sizes), gates * size)), draw((n, width)), draw((n, size)) if cell == "lstm" else None
        small = 0.1 if cell == "relu" else 1.0
        w, b = draw((gates * size, width)) * small / np.sqrt(size), draw(gates * size) * small if bias else None
        x = np.sign(x) * (2 + abs(x)) if cell == "relu" else x
        return x, h, c, w, b, draw((projection, size)) if projection else None
    return make


def weights(rng, cell, inputs, size, layers=1, directions=1, bias=True, projection=0):
    """The weights of a network, in PyTorch's order."""
    found, rows = [], GATES[cell] * size
    for layer in range(layers):
        for _ in range(directions):
            width = projection or size
            shapes = [(rows, directions * width if layer else inputs), (rows, width), *[(rows,)] * (2 * bias),
                      *[(projection, size)] * bool(projection)]
            found += [rng.standard_normal(shape) * 0.5 for shape in shapes]
    return found


def whole(cell, steps, n, inputs, size, layers=1, directions=1, bias=True, projection=0, batch_first=False):
    """Arguments for a network."""
    def make(rng):
        x = rng.standard_normal((n, steps, inputs) if batch_first else (steps, n, inputs))
        h = rng.standard_normal((layers * directions, n, projection or size))
        hx = (h, rng.standard_normal((layers * directions, n, size))) if cell == "lstm" else h
        params = weights(rng, cell, inputs, size, layers, directions, bias, projection)
        return x, hx, params, bias, layers, 0.0, True, directions == 2, batch_first
    return make


def one_step(cell, n, inputs, size, bias=True):
    """Arguments for a cell; n None: one sequence alone."""
    def make(rng):
        batch = () if n is None else (n,)
        h = rng.standard_normal((*batch, size))
        hx = (h, rng.standard_normal((*batch, size))) if cell == "lstm" else h
        w = weights(rng, cell, inputs, size, bias=bias)
        return rng.standard_normal((*batch, inputs)), hx, *w, *([] if bias else [None, None])
    return make


def cell_reference(cell):
    def reference(x, hx, w_ih, w_hh, b_ih, b_hh):
        states = [np.atleast_2d(s) for s in (hx if cell == "lstm" else [hx])]
        x_2d = np.atleast_2d(x)
        gates = x_2d @ w_ih.T + (0 if b_ih is None else b_ih)
        found = one_direction(gates, states[0], states[1] if cell == "lstm" else None, w_hh, b_hh, cell=cell,
                              sizes=(len(x_2d),))
        found = [s.reshape(*x.shape[:-1], s.shape[-1]) for s in found]
        return (found[0], found[2]) if cell == "lstm" else found[0]
    return reference


def kinds(cell):
    """Samples of one direction: alike and different lengths, one row, none, and enough for whole panels of w."""
    options = {"cell": cell}
    found = [
        Sample(rows(cell, (3, 3), 2), {**options, "sizes": (3, 3)}),
        Sample(rows(cell, (3, 2, 2, 1), 3), {**options, "sizes": (3, 2, 2, 1)}),
        Sample(rows(cell, (3, 3, 1, 1, 1), 2, bias=False), {**options, "sizes": (3, 3, 1, 1, 1), "reverse": True}),
        Sample(rows(cell, (1,), 1), {**options, "sizes": (1,)}),
        Sample(rows(cell, (1, 1, 1, 1), 5), {**options, "sizes": (1, 1, 1, 1), "reverse": True}),
        Sample(rows(cell, (0, 0), 3), {**options, "sizes": (0, 0)}, name="no sequences"),
        Sample(rows(cell, (19, 19, 11, 9, 2), 37), {**options, "sizes": (19, 19, 11, 9, 2)}, big=True,
               dtypes=("float64", "float32")),
        Sample(rows(cell, (9,) * 6, 64, bias=False), {**options, "sizes": (9,) * 6, "reverse": True}, big=True,
               dtypes=("float64", "float32")),
    ]
    if cell == "lstm":
        found += [
            Sample(rows(cell, (3, 2, 1, 1), 4, projection=2), {**options, "sizes": (3, 2, 1, 1)}),
            Sample(rows(cell, (2, 2), 3, bias=False, projection=1), {**options, "sizes": (2, 2), "reverse": True}),
        ]
    return found


for _cell in GATES:
    register(OpCase("recurrent", one_direction, kinds(_cell), variant=_cell, torch=None,
                    kernels=("recurrent", "recurrent_backward")))

BAD = np.zeros((2, 3, 4))
for _name, _cell in (("rnn_tanh", "tanh"), ("rnn_relu", "relu"), ("lstm", "lstm"), ("gru", "gru")):
    _hx = (np.zeros((1, 3, 2)),) * 2 if _cell == "lstm" else np.zeros((1, 3, 2))
    _w = weights(np.random.default_rng(0), _cell, 4, 2)
    _n = GATES[_cell] * 2
    register(OpCase(_name, lambda *args, cell=_cell: network(cell, *args), [
        Sample(whole(_cell, 3, 2, 4, 3), name="plain"),
        Sample(whole(_cell, 2, 3, 2, 3, layers=2, directions=2, batch_first=True), name="deep, both directions"),
        Sample(whole(_cell, 1, 1, 1, 1, bias=False), name="small"),
        Sample(whole(_cell, 2, 0, 3, 2, layers=2), name="no sequences"),
        *[Sample(whole("lstm", 3, 2, 4, 5, layers=2, directions=2, bias=bias, projection=2), name=f"projected, {bias}")
          for bias in (True, False) if _cell == "lstm"],
    ], dtypes=("float64", "float32"), errors=[
        BadInput((BAD[0], _hx, _w), {}, RuntimeError, "input expects 3 dimensions"),
        BadInput((BAD[:0], _hx, _w), {}, RuntimeError, "sequence length to be larger than 0"),
        BadInput((BAD[..., :3], _hx, _w), {}, RuntimeError, "inconsistent input_size: got 3 expected 4"),
        BadInput((BAD[:, :2], _hx, _w), {}, RuntimeError, r"h expects shape \(2, 2\)"),
        BadInput((BAD, _hx, _w[:3]), {}, RuntimeError, "params expects 4 weights"),
        BadInput((BAD, _hx, _w, True, 2), {}, RuntimeError, "params expects 4 weights for each of 2"),
        BadInput((BAD, _hx, [_w[0], _w[1], _w[2][:-1], _w[3]]), {}, RuntimeError, rf"b_ih expects shape \({_n},\)"),
        BadInput((BAD, _hx, [_w[0], _w[1][:-1], *_w[2:]]), {}, RuntimeError, "w_ih and w_hh expect"),
        BadInput((BAD, _hx, [_w[0], _w[1].astype(np.float16), *_w[2:]]), {}, RuntimeError, "expect one dtype"),
    ]))
    register(OpCase(f"{_name}_cell", cell_reference(_cell), [
        Sample(one_step(_cell, 3, 2, 4), name="some sequences"),
        Sample(one_step(_cell, None, 2, 3), name="one sequence"),
        Sample(one_step(_cell, 1, 1, 1, bias=False), name="small"),
        Sample(one_step(_cell, 0, 2, 3), name="no sequences"),
    ], dtypes=("float64", "float32"), torch=None, errors=[
        BadInput((np.zeros((2, 2, 4)), _hx, *_w), {}, RuntimeError, "input expects"),
        BadInput((np.zeros((3, 3)), (np.zeros((3, 2)),) * 2 if _cell == "lstm" else np.zeros((3, 2)), *_w), {},
                 RuntimeError, "inconsistent input_size"),
        BadInput((np.zeros((3, 4)), (np.zeros((2, 2)),) * 2 if _cell == "lstm" else np.zeros((2, 2)), *_w), {},
                 RuntimeError, r"h expects shape \(3, 2\)"),
    ]))
