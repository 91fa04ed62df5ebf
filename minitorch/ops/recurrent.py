"""Recurrent networks over whole sequences, and single steps of them: rnn, lstm, gru."""
from __future__ import annotations

from typing import Any

from .. import dtypes
from ..engine import mode
from ..errors import DTypeError, ShapeError
from ..op import composite, joint, op
from ..tensor import Tensor
from .dropout import dropout as drop
from .join import cat, stack
from .matmul import linear

GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}  # of a cell: its weights have so many times the hidden size as rows


@op(method=False, function=False)
def recurrent(k, x, h, c, w, b=None, p=None, /, cell="tanh", sizes=(), reverse=False):
    """One layer in one direction: [y, h, c] (without c but for lstm), as `minitorch_kernels.recurrent` has it.

    h' = cell(x, h) for one step after the other; the cells' formulas stand there too
    """
    *y, last, saved = k.recurrent(x, h, c, w, b, p, cell, sizes, reverse, mode.grad)

    def backward(dy, needs):
        weights = needs[3] or needs[4] or needs[5]
        dc = dy[2] if len(dy) > 2 else None
        return k.recurrent_backward(dy[0], dy[1], dc, x, h, c, w, b, p, cell, sizes, reverse, weights, saved=saved)

    return y if last is None else [*y, last], joint(backward)


@composite(method=False)
def rnn_tanh(*args, **kwargs):
    """A network of Elman's cells, h' = tanh(x w_ih^T + b_ih + h w_hh^T + b_hh): (output, h_n).

    Called as (input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first), or for packed
    sequences as (data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional). `params` are
    the layers' w_ih, w_hh, b_ih, b_hh, one direction after the other. hx is (layers * directions, N, H).
    """
    return _network("rnn_tanh", "tanh", *args, **kwargs)


@composite(method=False)
def rnn_relu(*args, **kwargs):
    """`rnn_tanh` with max(0, ·) in the place of the hyperbolic tangent.

    h' = max(0, x w_ihᵀ + b_ih + h w_hhᵀ + b_hh)
    """
    return _network("rnn_relu", "relu", *args, **kwargs)


@composite(method=False)
def gru(*args, **kwargs):
    """A network of gated recurrent units (Cho et al. 2014), called as `rnn_tanh` is: (output, h_n).

    h' = (1 - z) n + z h, n = tanh(x w_inᵀ + b_in + r (h w_hnᵀ + b_hn)), r and z sigmoids of the same form
    """
    return _network("gru", "gru", *args, **kwargs)


@composite(method=False)
def lstm(*args, **kwargs):
    """A network of long short-term memories (Hochreiter and Schmidhuber 1997): (output, h_n, c_n).

    h' = σ(o) tanh(c'), c' = σ(f) c + σ(i) tanh(g), with i, f, g, o the parts of x w_ihᵀ + b_ih + h w_hhᵀ + b_hh

    Called as `rnn_tanh` is, with a pair hx = (h_0, c_0). Weights w_hr, one more a direction, project the output.
    """
    return _network("lstm", "lstm", *args, **kwargs)


@composite(method=False)
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of `rnn_tanh` for (N, input_size) or a single sequence: the new h.

    h' = tanh(x w_ihᵀ + b_ih + h w_hhᵀ + b_hh)
    """
    return _cell("rnn_tanh_cell", "tanh", input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@composite(method=False)
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of `rnn_relu`: the new h.

    h' = max(0, x w_ihᵀ + b_ih + h w_hhᵀ + b_hh)
    """
    return _cell("rnn_relu_cell", "relu", input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@composite(method=False)
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of `gru`: the new h.

    h' = (1 - z) n + z h, n = tanh(x w_inᵀ + b_in + r (h w_hnᵀ + b_hn)), r and z sigmoids of the same form
    """
    return _cell("gru_cell", "gru", input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@composite(method=False)
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of `lstm`: the new (h, c).

    h' = σ(o) tanh(c'), c' = σ(f) c + σ(i) tanh(g), with i, f, g, o the parts of x w_ihᵀ + b_ih + h w_hhᵀ + b_hh
    """
    h, _, c = _cell("lstm_cell", "lstm", input, list(hx), w_ih, w_hh, b_ih, b_hh)
    return h, c


def _network(name: str, cell: str, input: Tensor, *rest: Any, **options: Any) -> tuple[Tensor, ...]:
    """Sort out the two ways in which a network is called."""
    given = rest[0 if cell == "lstm" else 1:]  # a tensor where sequences are packed
    sizes, rest = (rest[0], rest[1:]) if given and isinstance(given[0], Tensor) else (None, rest)
    return _layers(name, cell, input, sizes, *rest, **options)


def _layers(name: str, cell: str, input: Tensor, batch_sizes: Tensor | None, hx: Any, params: Any,
            has_biases: bool = True, num_layers: int = 1, dropout: float = 0.0, train: bool = False,
            bidirectional: bool = False, batch_first: bool = False) -> tuple[Tensor, ...]:
    """All layers, each in both directions where `bidirectional`; between layers dropout."""
    states = list(hx) if cell == "lstm" else [hx]
    if batch_sizes is None:
        data = input.transpose(0, 1) if batch_first else input
        steps, n, width = _three(name, data)
        sizes, data = (n,) * steps, data.reshape(steps * n, width)
    else:
        sizes, data = tuple(batch_sizes.tolist()), input
    directions = 2 if bidirectional else 1
    each = len(params) // (num_layers * directions)
    _check_count(name, params, states, each, num_layers * directions, has_biases)
    last: list[list[Tensor]] = []
    for layer in range(num_layers):
        outputs = []
        for i in range(layer * directions, (layer + 1) * directions):
            w_ih, w_hh, *more = params[i * each:(i + 1) * each]
            biases, more = (more[:2], more[2:]) if has_biases else ([None, None], more)
            y, *ends = _direction(name, cell, data, [s[i] for s in states], w_ih, w_hh, *biases, *more, sizes=sizes,
                                  reverse=i % directions == 1)
            outputs.append(y)
            last.append(ends)
        data = cat(outputs, 1) if bidirectional else outputs[0]
        if dropout and train and layer < num_layers - 1:
            data = drop(data, dropout, True)
    if batch_sizes is None:
        data = data.reshape(steps, n, data._array.shape[1])
        data = data.transpose(0, 1).contiguous() if batch_first else data  # what comes next would copy it more often
    return data, *[stack(ends) for ends in zip(*last)]


def _direction(name: str, cell: str, data: Tensor, states: list[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Any,
               b_hh: Any, w_hr: Any = None, *, sizes: tuple[int, ...], reverse: bool = False) -> list[Tensor]:
    """One layer in one direction: [y, h, c]. One product serves the inputs of all steps."""
    _check(name, cell, data, states, w_ih, w_hh, b_ih, b_hh, w_hr, sizes[0])
    if cell != "gru" and b_ih is not None and b_hh is not None:  # only ever added up; gru scales a part of the second
        b_ih, b_hh = b_ih + b_hh, None
    x = linear(data, w_ih, b_ih)
    c = states[1] if len(states) > 1 else None
    return recurrent(x, states[0], c, w_hh, b_hh, w_hr, cell, sizes, reverse)


def _cell(name: str, cell: str, input: Tensor, states: list[Tensor], *weights: Any) -> list[Tensor]:
    if input.ndim not in (1, 2):
        raise ShapeError(f"{name}: input expects (N, input_size) or (input_size), got shape {tuple(input.shape)}")
    if input.ndim == 2:
        return _direction(name, cell, input, states, *weights, sizes=(input._array.shape[0],))
    made = _direction(name, cell, input.unsqueeze(0), [s.unsqueeze(0) for s in states], *weights, sizes=(1,))
    return [m.squeeze(0) for m in made]


def _three(name: str, data: Tensor) -> tuple[int, int, int]:
    """The numbers of steps, of sequences and of features."""
    if data.ndim != 3:
        raise ShapeError(f"{name}: input expects 3 dimensions, got shape {tuple(data.shape)}")
    steps, n, width = data._array.shape
    if steps == 0:
        raise ShapeError(f"{name}: Expected sequence length to be larger than 0 in RNN, got input with "
                         f"shape {tuple(data.shape)}")
    return steps, n, width


def _check_count(name: str, params: Any, states: Any, each: int, count: int, has_biases: bool) -> None:
    expected = (4, 5) if has_biases else (2, 3)
    if each * count != len(params) or each not in expected[:2 if name == "lstm" else 1]:
        raise RuntimeError(f"{name}: params expects {expected[0]} weights for each of {count} layers and directions, "
                           f"got {len(params)}")
    if len(states) != (2 if name == "lstm" else 1):
        raise RuntimeError(f"{name} expects two hidden states, got {len(states)}")
    for s in states:
        if s.ndim != 3 or s._array.shape[0] != count:
            raise ShapeError(f"{name}: hx expects ({count}, N, hidden_size), got shape {tuple(s.shape)}")


def _check(name: str, cell: str, data: Tensor, states: list[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any,
           w_hr: Any, n: int) -> None:
    rows = w_hh._array.shape[0]
    hidden = rows // GATES[cell]
    if data._array.shape[1:] != w_ih._array.shape[1:]:
        raise ShapeError(f"{name}: input has inconsistent input_size: got {data.shape[-1]} expected {w_ih.shape[-1]}")
    if w_ih._array.shape[0] != rows or rows % GATES[cell]:
        raise ShapeError(f"{name}: w_ih and w_hh expect the same {GATES[cell]} * hidden_size rows, got shapes "
                         f"{tuple(w_ih.shape)} and {tuple(w_hh.shape)}")
    for label, b in (("b_ih", b_ih), ("b_hh", b_hh)):
        if b is not None and b._array.shape != (rows,):
            raise ShapeError(f"{name}: {label} expects shape ({rows},), got {tuple(b.shape)}")
    projected = w_hh._array.shape[1]
    if (hidden if w_hr is None else w_hr._array.shape[0]) != projected or \
            (w_hr is not None and w_hr._array.shape[1:] != (hidden,)):
        raise ShapeError(f"{name}: w_hh of shape {tuple(w_hh.shape)} expects hidden_size {projected}, or w_hr of shape "
                         f"({projected}, {hidden}), got {None if w_hr is None else tuple(w_hr.shape)}")
    for label, s, width in zip(("h", "c"), states, (projected, hidden)):
        if s._array.shape != (n, width):
            raise ShapeError(f"{name}: {label} expects shape {(n, width)} for input of batch size {n}, "
                             f"got {tuple(s.shape)}")
    kinds = {t._array.dtype for t in (data, *states, w_ih, w_hh, b_ih, b_hh, w_hr) if t is not None}
    if len(kinds) > 1:
        raise DTypeError(f"{name}: input, states and weights expect one dtype, but got "
                         f"{', '.join(sorted(dtypes.from_numpy(d).name for d in kinds))}")
