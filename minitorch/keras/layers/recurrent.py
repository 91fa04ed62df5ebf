"""Recurrent layers over (N, T, C): SimpleRNN, LSTM, GRU, and both directions of one.

With Keras's own activations, no masked steps and no dropout of states the core's fused kernels run; otherwise a loop.
"""
from __future__ import annotations

from typing import Any

from ...op import FUNCTIONS
from ...tensor import Tensor
from .. import activations, backend
from .base import Layer
from .core import kept, one_of, positive, seeded


class Recurrent(Layer, kernel="glorot_uniform", recurrent="orthogonal", bias="zeros"):
    """What the three share: kernel (C, gates * units), recurrent_kernel (units, gates * units), bias."""

    gates, state_count = 1, 1

    def __init__(self, units: int, activation: Any = "tanh", use_bias: bool = True, *, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, seed: int | None = None, return_sequences: bool = False,
                 return_state: bool = False, go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
                 zero_output_for_mask: bool = False, **keywords: Any):
        super().__init__(**keywords)
        self.units, self.use_bias = positive(type(self).__name__, "units", units), use_bias
        self.activation = activations.get(activation)
        self.dropout, self.recurrent_dropout, self._generator = dropout, recurrent_dropout, seeded(seed)
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.stateful, self.zero_output_for_mask = stateful, zero_output_for_mask
        self._states: list[Tensor] | None = None

    def build(self, input_shape):
        if len(input_shape) != 3:
            raise self._bad_input(f"ndim=3, found ndim={len(input_shape)}", input_shape)
        width = self.gates * self.units
        self._weight("kernel", (input_shape[-1], width))
        self._weight("recurrent_kernel", (self.units, width))
        self._weight("bias", self.bias_shape(width), self.use_bias)

    def bias_shape(self, width: int) -> tuple[int, ...]:
        return (width,)

    def _check(self, args):
        if args[0].ndim != 3 or args[0].shape[-1] != self.kernel.shape[0]:
            raise self._bad_input(f"shape (batch, steps, {self.kernel.shape[0]})", args[0].shape)

    def call(self, inputs, initial_state=None, mask=None, training=False):
        n = inputs.shape[0]
        if self.stateful and self._states is not None and initial_state is None:
            initial_state = self._states
        states = [inputs.new_zeros((n, self.units)) for _ in range(self.state_count)] if initial_state is None else \
            list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
        if training and self.dropout:
            inputs = inputs * kept((n, 1, inputs.shape[2]), self.dropout, inputs, self._generator)
        if self.go_backwards:
            inputs, mask = inputs.flip(1), None if mask is None else mask.flip(1)
        drops = bool(training and self.recurrent_dropout)
        fused = None if mask is not None or drops or not inputs.shape[1] else self.core()
        outputs, *states = self._loop(inputs, states, mask, drops) if fused is None else \
            self._fused(*fused, inputs, states)
        if self.stateful:
            self._states = [s.detach() for s in states]
        result = outputs if self.return_sequences else states[0]
        return [result, *states] if self.return_state else result

    def reset_states(self) -> None:
        """Let a stateful layer begin with zeros again."""
        self._states = None

    reset_state = reset_states

    def compute_mask(self, inputs, previous_mask):
        return previous_mask if self.return_sequences else None

    def core(self) -> tuple[str, list[Tensor]] | None:
        """The core's function and the weights as it has them, where it computes the same; otherwise None."""
        raise NotImplementedError(f"{type(self).__name__}: a recurrent layer defines core()")

    def step(self, x: Tensor, states: list[Tensor], kept_states: Any) -> list[Tensor]:
        """The next states from the kernel's share of one step's input (N, gates * units)."""
        raise NotImplementedError(f"{type(self).__name__}: a recurrent layer defines step()")

    def _fused(self, name: str, weights: list[Tensor], inputs: Tensor, states: list[Tensor]) -> list[Tensor]:
        first = [s.unsqueeze(0) for s in states]
        outputs, *last = FUNCTIONS[name](inputs, first if len(first) > 1 else first[0], weights, self.use_bias, 1, 0.0,
                                         False, False, True)
        return [outputs, *[s.squeeze(0) for s in last]]

    def _loop(self, inputs: Tensor, states: list[Tensor], mask: Any, drops: bool) -> list[Tensor]:
        x = inputs @ self.kernel
        if self.bias is not None:
            x = x + (self.bias if self.bias.ndim == 1 else self.bias[0])
        kept_states = kept(states[0].shape, self.recurrent_dropout, inputs, self._generator) if drops else 1.0
        outputs = []
        last = states[0].new_zeros(states[0].shape)
        for t in range(inputs.shape[1]):
            new = self.step(x[:, t], states, kept_states)
            if mask is not None:
                there = mask[:, t].unsqueeze(-1)
                # a step that does not count repeats the output before
                last = new[0] * there if self.zero_output_for_mask else FUNCTIONS["where"](there, new[0], last)
                new = [FUNCTIONS["where"](there, a, b) for a, b in zip(new, states)]
            else:
                last = new[0]
            states = new
            outputs.append(last)
        empty = inputs.new_zeros((inputs.shape[0], 0, self.units))
        return [FUNCTIONS["stack"](outputs, 1) if outputs else empty, *states]


class SimpleRNN(Recurrent):
    """h' = activation(x kernel + h recurrent_kernel + bias)."""

    def core(self):
        if self.activation not in (activations.tanh, activations.relu):
            return None
        weights = [self.kernel.t(), self.recurrent_kernel.t()]
        biases = [self.bias, FUNCTIONS["zeros_like"](self.bias)] if self.use_bias else []
        return f"rnn_{self.activation.__name__}", weights + biases

    def step(self, x, states, kept_states):
        return [self.activation(x + (states[0] * kept_states) @ self.recurrent_kernel)]


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997); gates in the order input, forget, cell, output.

    >>> LSTM(3, return_sequences=True)(np.zeros((2, 5, 4))).shape
    torch.Size([2, 5, 3])
    """

    gates, state_count = 4, 2

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
                 use_bias: bool = True, *, unit_forget_bias: bool = True, **keywords: Any):
        super().__init__(units, activation, use_bias, **keywords)
        self.recurrent_activation, self.unit_forget_bias = activations.get(recurrent_activation), unit_forget_bias

    def build(self, input_shape):
        super().build(input_shape)
        if self.use_bias and self.unit_forget_bias:
            values = self.bias.numpy()
            values[self.units:2 * self.units] = 1
            self.bias.assign(values)

    def core(self):
        if (self.activation, self.recurrent_activation) != (activations.tanh, activations.sigmoid):
            return None
        weights = [self.kernel.t(), self.recurrent_kernel.t()]
        return "lstm", weights + ([self.bias, FUNCTIONS["zeros_like"](self.bias)] if self.use_bias else [])

    def step(self, x, states, kept_states):
        h, c = states
        i, f, g, o = (x + (h * kept_states) @ self.recurrent_kernel).chunk(4, -1)
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        return [gate(o) * self.activation(c), c]


class GRU(Recurrent):
    """Gated recurrent units (Cho et al. 2014); gates in the order update, reset, new.

    With `reset_after` the reset gate scales the product with the state, and the bias is (2, 3 units): the core's, and
    cuDNN's, form; otherwise it scales the state before the product.
    """

    gates = 3

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
                 use_bias: bool = True, *, reset_after: bool = True, **keywords: Any):
        super().__init__(units, activation, use_bias, **keywords)
        self.recurrent_activation, self.reset_after = activations.get(recurrent_activation), reset_after

    def bias_shape(self, width):
        return (2, width) if self.reset_after else (width,)

    def core(self):
        if not self.reset_after or \
                (self.activation, self.recurrent_activation) != (activations.tanh, activations.sigmoid):
            return None
        weights = [self._reset_first(self.kernel).t(), self._reset_first(self.recurrent_kernel).t()]
        return "gru", weights + ([*self._reset_first(self.bias).unbind()] if self.use_bias else [])

    def _reset_first(self, weight: Tensor) -> Tensor:
        """Columns update, reset, new in the order of the core: reset, update, new."""
        z, r, new = weight.chunk(3, -1)
        return FUNCTIONS["cat"]([r, z, new], -1)

    def step(self, x, states, kept_states):
        h, gate = states[0], self.recurrent_activation
        xz, xr, xn = x.chunk(3, -1)
        dropped = h * kept_states
        if self.reset_after:
            product = dropped @ self.recurrent_kernel
            hz, hr, hn = (product if self.bias is None else product + self.bias[1]).chunk(3, -1)
            new = self.activation(xn + gate(xr + hr) * hn)
        else:
            uz, ur, un = self.recurrent_kernel.chunk(3, -1)
            hz = dropped @ uz
            new = self.activation(xn + (gate(xr + dropped @ ur) * dropped) @ un)
        z = gate(xz + hz)
        return [z * h + (1 - z) * new]


class Bidirectional(Layer):
    """A recurrent layer, and a second one from the end of the sequence to its beginning.

    merge_mode: "concat", "sum", "mul", "ave", or None for a list of the two results.
    """

    def __init__(self, layer: Any, merge_mode: str | None = "concat", weights: Any = None, backward_layer: Any = None,
                 **keywords: Any):
        super().__init__(**keywords)
        if not isinstance(layer, Recurrent):
            raise ValueError(f"Bidirectional: expected a recurrent layer, got {type(layer).__name__}")
        if merge_mode is not None:
            one_of("Bidirectional", "merge_mode", merge_mode, ("concat", "sum", "mul", "ave"))
        name = layer.name.removeprefix("forward_")
        if backward_layer is None:
            backward_layer = type(layer).from_config({**layer.get_config(), "go_backwards": not layer.go_backwards,
                                                      "name": f"backward_{name}"})
        layer.name, self.merge_mode = f"forward_{name}", merge_mode
        self.forward_layer, self.backward_layer = layer, backward_layer
        for each in (layer, self.backward_layer):
            each.zero_output_for_mask = layer.return_sequences
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state

    def call(self, inputs, initial_state=None, mask=None, training=False):
        half = None if initial_state is None else len(initial_state) // 2
        each = [(self.forward_layer, None if half is None else initial_state[:half]),
                (self.backward_layer, None if half is None else initial_state[half:])]
        results = [backend.flatten(layer(inputs, initial_state=state, mask=mask)) for layer, state in each]
        (a, *states_a), (b, *states_b) = results
        if self.return_sequences:
            b = b.flip(1)
        y = [a, b] if self.merge_mode is None else _MERGE[self.merge_mode](a, b)
        return [*backend.flatten(y), *states_a, *states_b] if self.return_state else y

    def compute_mask(self, inputs, previous_mask):
        return previous_mask if self.return_sequences else None


_MERGE: dict[str, Any] = {"concat": lambda a, b: FUNCTIONS["cat"]([a, b], -1), "sum": lambda a, b: a + b,
                          "mul": lambda a, b: a * b, "ave": lambda a, b: (a + b) / 2}
