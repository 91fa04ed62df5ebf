"""Recurrent layers from cells: `RNN(cell)` calls cell(x_t, states) for each step; cells of one's own work as well."""
from __future__ import annotations

from typing import Any

from ...op import FUNCTIONS
from .. import backend
from .base import Layer
from .recurrent import GRU, LSTM, Recurrent, SimpleRNN


class _Cell(Layer):
    """One step of a recurrent layer: `cell(x, states)` gives (output, new states)."""

    whole: Any = Recurrent

    def __init__(self, units: int, **keywords: Any):
        super().__init__(**{key: keywords.pop(key) for key in ("name", "trainable", "dtype") if key in keywords})
        self.steps = self.whole(units, **keywords, name=f"{self.name}_steps")
        self.units, self.state_size = units, [units] * self.whole.state_count

    def call(self, inputs, states, training=False):
        states = list(states) if isinstance(states, (list, tuple)) else [states]
        y, *after = backend.flatten(self._run(inputs.unsqueeze(1), states, training))
        return y, after

    def _run(self, x: Any, states: list[Any], training: bool) -> Any:
        self.steps.return_state = True
        return self.steps(x, initial_state=states, training=training)


class SimpleRNNCell(_Cell):
    """A step of `SimpleRNN`."""

    whole = SimpleRNN


class LSTMCell(_Cell):
    """A step of `LSTM`; the states are the output and the cell."""

    whole = LSTM


class GRUCell(_Cell):
    """A step of `GRU`."""

    whole = GRU


class StackedRNNCells(Layer):
    """Cells one after the other, each with states of its own."""

    def __init__(self, cells: Any, **keywords: Any):
        super().__init__(**keywords)
        self.cells = list(cells)
        self.state_size = [_sizes(cell) for cell in self.cells]

    def call(self, inputs, states, training=False):
        after, given = [], list(states)
        for cell, sizes in zip(self.cells, self.state_size):
            own, given = given[:len(sizes)], given[len(sizes):]
            inputs, new = cell(inputs, own)
            after += backend.flatten(new)
        return inputs, after


class RNN(Layer):
    """A cell, or a list of cells one above the other, over the steps of (N, T, C).

    A cell has `state_size` and call(x_t, states) that gives (output, new states).
    """

    def __init__(self, cell: Any, return_sequences: bool = False, return_state: bool = False,
                 go_backwards: bool = False, stateful: bool = False, unroll: bool = False, **keywords: Any):
        super().__init__(**keywords)
        if stateful:
            raise NotImplementedError("RNN: stateful=True; hand the states on as initial_state")
        self.cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        if not hasattr(self.cell, "state_size"):
            raise ValueError(f"RNN: the cell {type(cell).__name__} has no state_size")
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards

    def call(self, inputs, initial_state=None, mask=None, training=False):
        states = backend.flatten(initial_state) if initial_state is not None else \
            [inputs.new_zeros((inputs.shape[0], n)) for n in _sizes(self.cell)]
        x, outputs = inputs.flip(1) if self.go_backwards else inputs, []
        mask = mask.flip(1) if mask is not None and self.go_backwards else mask
        for t in range(x.shape[1]):
            y, after = self.cell(x[:, t], states)
            after = backend.flatten(after)
            if mask is not None:
                there = mask[:, t].unsqueeze(-1)
                after = [FUNCTIONS["where"](there, new, old) for new, old in zip(after, states)]
                y = FUNCTIONS["where"](there, y, outputs[-1] if outputs else y.new_zeros(y.shape))
            states = after
            outputs.append(y)
        result = FUNCTIONS["stack"](outputs, 1) if self.return_sequences else outputs[-1]
        return [result, *states] if self.return_state else result

    def compute_mask(self, inputs, previous_mask):
        return previous_mask if self.return_sequences else None


def _sizes(cell: Any) -> list[int]:
    return [n if isinstance(n, int) else n[-1] for n in _flat(cell.state_size)]


def _flat(size: Any) -> list[Any]:
    return [each for part in size for each in _flat(part)] if isinstance(size, (list, tuple)) else [size]
