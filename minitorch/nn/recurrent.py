"""Recurrent networks over sequences, RNN, LSTM and GRU, and single steps of them, the cells."""
from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from ..op import FUNCTIONS
from ..tensor import Tensor
from . import init
from .linear import empty_parameter
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: `num_layers` layers, each of which reads the states of the one below.

    Weights of layer 0: weight_ih_l0 (gates * hidden_size, input_size), weight_hh_l0 (gates * hidden_size, hidden_size),
    bias_ih_l0 and bias_hh_l0; those of the other direction end in _reverse. All start uniform within
    +-1 / sqrt(hidden_size).
    """

    def __init__(self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        _check_options(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        rows, width = _GATES[mode] * hidden_size, proj_size or hidden_size
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[:1 + bidirectional]:
                inputs = width * (1 + bidirectional) if layer else input_size
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, width)}
                if bias:
                    shapes.update(bias_ih=(rows,), bias_hh=(rows,))
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    setattr(self, f"{name}_l{layer}{suffix}", empty_parameter(shape, device, dtype))
                self._all_weights.append([f"{name}_l{layer}{suffix}" for name in shapes])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        _reset(self)

    def flatten_parameters(self) -> None:
        """Nothing: weights need not lie side by side here."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [getattr(self, name) for names in self._all_weights for name in names]

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """(output, last states) for (T, N, input_size), with `batch_first` (N, T, input_size), for one sequence
        (T, input_size), or for a PackedSequence.

        `hx` is h_0 (layers * directions, N, hidden_size), zeros by default; for LSTM it is (h_0, c_0).
        Raises RuntimeError where sizes do not fit, ValueError for another number of dimensions or another dtype.
        """
        packed = isinstance(input, PackedSequence)
        data, sizes, order, back = input if packed else (input, None, None, None)
        single = not packed and data.ndim == 2
        if not packed:
            if data.ndim not in (2, 3):
                raise ValueError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {data.ndim}D tensor "
                                 "instead")
            if single:
                data = data.unsqueeze(0 if self.batch_first else 1)
        if hx is None:
            hx = self._zeros(data, sizes)
        elif not packed:
            hx = self._batched(hx, single)
        self.check_forward_args(data, hx, sizes)
        hx = self.permute_hidden(hx, order)
        output: Any
        output, *last = self._run(data, sizes, hx)
        if packed:
            output = PackedSequence(output, sizes, order, back)
        elif single:
            output, last = output.squeeze(0 if self.batch_first else 1), [s.squeeze(1) for s in last]
        return output, self.permute_hidden(self._joined(last), back)

    def _run(self, data: Tensor, sizes: Tensor | None, hx: Any) -> tuple[Tensor, ...]:
        options = self._flat_weights, self.bias, self.num_layers, self.dropout, self.training, self.bidirectional
        function = FUNCTIONS[self.mode.lower()]
        return function(data, hx, *options, self.batch_first) if sizes is None else function(data, sizes, hx, *options)

    def _states(self, hx: Any) -> list[Tensor]:
        """The tensors in `hx`; `_joined` makes an `hx` of them."""
        return [hx]

    def _joined(self, states: Sequence[Tensor]) -> Any:
        return states[0]

    def _expected(self, input: Tensor, batch_sizes: Tensor | None) -> list[tuple[int, int, int]]:
        return [self.get_expected_hidden_size(input, batch_sizes)]

    def _zeros(self, data: Tensor, sizes: Tensor | None) -> Any:
        return self._joined([FUNCTIONS["zeros"](shape, dtype=data.dtype, device=data.device)
                             for shape in self._expected(data, sizes)])

    def _batched(self, hx: Any, single: bool) -> Any:
        """`hx` with a dimension for the batch. Raises RuntimeError where it has another number of dimensions."""
        states, wanted = self._states(hx), 2 if single else 3
        if any(s.ndim != wanted for s in states):
            found = ", ".join(f"{s.ndim}-D" for s in states)
            raise RuntimeError(f"{type(self).__name__}: For {'unbatched 2-D' if single else 'batched 3-D'} input, hx "
                               f"should also be {wanted}-D but got {found} tensor")
        return self._joined([s.unsqueeze(1) for s in states]) if single else hx

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Raises where the input has another dtype, number of dimensions or number of features than expected."""
        dtype, wanted = self._flat_weights[0].dtype, 3 if batch_sizes is None else 2
        if input.dtype != dtype:
            raise ValueError(f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). Convert input: "
                             f"input.to({dtype}), or convert model: model.to({input.dtype})")
        if input.ndim != wanted:
            raise RuntimeError(f"input must have {wanted} dimensions, got {input.ndim}")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {self.input_size}, "
                               f"got {input.shape[-1]}")

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """(layers * directions, N, size) of h for that input."""
        n = input.shape[0 if self.batch_first else 1] if batch_sizes is None else int(batch_sizes[0])
        return self.num_layers * (1 + self.bidirectional), n, self.proj_size or self.hidden_size

    def check_hidden_size(self, hx: Tensor, expected_hidden_size: tuple[int, int, int],
                          msg: str = "Expected hidden size {}, got {}") -> None:
        """Raises RuntimeError where a state has another shape."""
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Raises where input or states do not fit."""
        self.check_input(input, batch_sizes)
        states, shapes = self._states(hidden), self._expected(input, batch_sizes)
        for i, (s, shape) in enumerate(zip(states, shapes)):
            which = f"hidden[{i}]" if len(states) > 1 else "hidden"
            self.check_hidden_size(s, shape, f"Expected {which} size {{}}, got {{}}")

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The states of the sequences in another order."""
        if permutation is None:
            return hx
        return self._joined([s.index_select(1, permutation) for s in self._states(hx)])

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False),
                              ("dropout", 0), ("bidirectional", False)):
            value = getattr(self, name)
            text += "" if value == default else f", {name}={value}"
        return text


class RNN(RNNBase):
    """Elman's network: h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or max(0, ·) with nonlinearity="relu".

    >>> from minitorch import ones
    >>> output, h = RNN(3, 4)(ones(5, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 proj_size: int | None = None, device: Any = None, dtype: Any = None) -> None:
        _no_projection(proj_size)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, 0, device, dtype)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber 1997): (output, (h_n, c_n)).

    The gates i, f, g, o stand one below the other in the weights; c_t = σ(f) c_(t-1) + σ(i) tanh(g) and
    h_t = σ(o) tanh(c_t). With `proj_size` h_t is projected to so many numbers by weight_hr (Sak et al. 2014).

    >>> from minitorch import ones
    >>> output, (h, c) = LSTM(3, 4, num_layers=2, bidirectional=True)(ones(5, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([5, 2, 8]), torch.Size([4, 2, 4]))
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                         proj_size, device, dtype)

    def _states(self, hx: Any) -> list[Tensor]:
        return [hx[0], hx[1]]

    def _joined(self, states: Sequence[Tensor]) -> Any:
        return tuple(states)

    def _expected(self, input: Tensor, batch_sizes: Tensor | None) -> list[tuple[int, int, int]]:
        return [self.get_expected_hidden_size(input, batch_sizes), self.get_expected_cell_size(input, batch_sizes)]

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """(layers * directions, N, hidden_size), the shape of c for that input."""
        return *self.get_expected_hidden_size(input, batch_sizes)[:2], self.hidden_size


class GRU(RNNBase):
    """Gated recurrent units (Cho et al. 2014): (output, h_n).

    The gates r, z, n stand one below the other in the weights: r = σ(W_ir x + b_ir + W_hr h + b_hr), z likewise,
    n = tanh(W_in x + b_in + r (W_hn h + b_hn)), and h_t = (1 - z) n + z h_(t-1).

    >>> from minitorch import ones
    >>> output, h = GRU(3, 4, batch_first=True)(ones(2, 5, 3))
    >>> output.shape, h.shape
    (torch.Size([2, 5, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 proj_size: int | None = None, device: Any = None, dtype: Any = None) -> None:
        _no_projection(proj_size)
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0,
                         device, dtype)


class RNNCellBase(Module):
    """What the cells share: weight_ih, weight_hh, bias_ih and bias_hh of `num_chunks` gates."""

    nonlinearity = "tanh"

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
        self.weight_ih = empty_parameter((rows, input_size), device, dtype)
        self.weight_hh = empty_parameter((rows, hidden_size), device, dtype)
        self.register_parameter("bias_ih", empty_parameter(rows, device, dtype) if bias else None)
        self.register_parameter("bias_hh", empty_parameter(rows, device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        _reset(self)

    def _step(self, function: str, input: Tensor, hx: Any) -> Any:
        return FUNCTIONS[function](input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def _check(self, input: Tensor, **states: Tensor | None) -> Tensor:
        """Zeros for the state of `input`. Raises ValueError unless it and the states have one or two dimensions."""
        for name, t in (("input", input), *states.items()):
            if t is not None and t.ndim not in (1, 2):
                raise ValueError(f"{type(self).__name__}: Expected {name} to be 1D or 2D, got {t.ndim}D instead")
        return FUNCTIONS["zeros"]((*input.shape[:-1], self.hidden_size), dtype=input.dtype, device=input.device)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}" + (f", bias={self.bias}" if self.bias is not True else "")
        return text + (f", nonlinearity={self.nonlinearity}" if self.nonlinearity != "tanh" else "")


class RNNCell(RNNCellBase):
    """One step of RNN: the new h of (N, input_size) and h (N, hidden_size), or of one sequence without N.

    >>> from minitorch import ones
    >>> RNNCell(3, 4)(ones(2, 3)).shape
    torch.Size([2, 4])
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        zeros = self._check(input, hidden=hx)
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(f"rnn_{self.nonlinearity}_cell", input, zeros if hx is None else hx)


class LSTMCell(RNNCellBase):
    """One step of LSTM: the new (h, c).

    >>> from minitorch import ones
    >>> h, c = LSTMCell(3, 4)(ones(2, 3))
    >>> h.shape
    torch.Size([2, 4])
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        zeros = self._check(input, **{f"hx[{i}]": s for i, s in enumerate(hx or ())})
        return self._step("lstm_cell", input, hx or (zeros, zeros))


class GRUCell(RNNCellBase):
    """One step of GRU: the new h.

    >>> from minitorch import ones
    >>> GRUCell(3, 4)(ones(3)).shape
    torch.Size([4])
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        zeros = self._check(input, hidden=hx)
        return self._step("gru_cell", input, zeros if hx is None else hx)


def _reset(module: Any) -> None:
    """PyTorch's default for recurrent layers: all weights uniform within 1 / sqrt(hidden_size)."""
    bound = 1.0 / math.sqrt(module.hidden_size) if module.hidden_size > 0 else 0
    for weight in module.parameters():
        init.uniform_(weight, -bound, bound)


def _no_projection(proj_size: int | None) -> None:
    if proj_size is not None:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


def _check_options(mode: str, input_size: Any, hidden_size: Any, num_layers: int, bias: Any, batch_first: Any,
                   dropout: Any, proj_size: int) -> None:
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise ValueError("dropout should be a number in range [0, 1] representing the probability of an element being "
                         f"zeroed, got {dropout!r}")
    if dropout > 0 and num_layers == 1:
        warnings.warn("dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                      f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}", stacklevel=4)
    for name, value, kind in (("bias", bias, bool), ("batch_first", batch_first, bool), ("input_size", input_size, int),
                              ("hidden_size", hidden_size, int)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero, got {size}")
    if proj_size < 0:
        raise ValueError(f"proj_size should be a positive integer or zero to disable projections, got {proj_size}")
    if proj_size >= hidden_size:
        raise ValueError(f"proj_size has to be smaller than hidden_size, got {proj_size} and {hidden_size}")
    if mode not in _GATES:
        raise ValueError(f"Unrecognized RNN mode: {mode}")
