"""Sequences of different lengths in one batch: padded to the longest, or packed without padding.

A packed batch holds the first elements of all sequences, then all second elements, and so on, longest sequences
first: batch_sizes[t] of them at step t.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ...op import FUNCTIONS
from ...tensor import Tensor

__all__ = ["PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
           "pad_sequence", "unpack_sequence", "unpad_sequence"]


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """A packed batch, as `pack_sequence` and `pack_padded_sequence` make it; RNN, LSTM and GRU take it as input.

    `sorted_indices` are the sequences in the order of their lengths, `unsorted_indices` undo that.

    >>> from minitorch import tensor
    >>> pack_sequence([tensor([1, 2, 3]), tensor([4])]).batch_sizes
    tensor([2, 1, 1])
    """

    def __new__(cls, data: Any, batch_sizes: Tensor | None = None, sorted_indices: Tensor | None = None,
                unsorted_indices: Tensor | None = None) -> PackedSequence:
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError("batch_sizes should always be on CPU. Instances of PackedSequence should never be created "
                             "manually. They should be instantiated by functions like pack_sequence and "
                             "pack_padded_sequences in nn.utils.rnn.")
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def __getnewargs__(self) -> tuple:
        return tuple(self)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """`data` in another dtype or on another device; the indices go along to the device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        move: Callable = lambda t: None if t is None else t.to(data.device)  # noqa: E731
        return type(self)(data, self.batch_sizes, move(self.sorted_indices), move(self.unsorted_indices))

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        return self.to(*args, **kwargs) if args or "device" in kwargs else self.to("cuda", **kwargs)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        return self.to(*args, **{**kwargs, "device": "cpu"})

    def pin_memory(self) -> PackedSequence:
        return type(self)(self.data.pin_memory(), *self[1:])

    def is_pinned(self) -> bool:
        return self.data.is_pinned()

    @property
    def is_cuda(self) -> bool:
        return self.data.is_cuda

    def double(self) -> PackedSequence:
        return self.to(self.data.double().dtype)

    def float(self) -> PackedSequence:
        return self.to(self.data.float().dtype)

    def half(self) -> PackedSequence:
        return self.to(self.data.half().dtype)

    def long(self) -> PackedSequence:
        return self.to(self.data.long().dtype)

    def int(self) -> PackedSequence:
        return self.to(self.data.int().dtype)

    def short(self) -> PackedSequence:
        return self.to(self.data.short().dtype)

    def char(self) -> PackedSequence:
        return self.to(self.data.char().dtype)

    def byte(self) -> PackedSequence:
        return self.to(self.data.byte().dtype)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes this one."""
    return None if permutation is None else permutation.argsort()


def pack_padded_sequence(input: Tensor, lengths: Any, batch_first: bool = False,
                         enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of these lengths, padded in (T, N, *), with `batch_first` (N, T, *).

    Raises RuntimeError where a length is not positive or longer than T, where there are not N of them, and, with
    `enforce_sorted`, where they grow.

    >>> from minitorch import tensor
    >>> pack_padded_sequence(tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]]), [2, 1, 3], True, enforce_sorted=False).data
    tensor([4, 1, 3, 5, 2, 6])
    """
    lengths = np.asarray(lengths.tolist() if isinstance(lengths, Tensor) else lengths, np.int64)
    data = input.transpose(0, 1) if batch_first else input
    steps, n = data._array.shape[:2]
    if lengths.shape != (n,):
        raise RuntimeError(f"pack_padded_sequence: Expected `len(lengths)` to be equal to batch_size, but got "
                           f"{lengths.size} (batch_size={n})")
    if n == 0:
        raise RuntimeError("pack_padded_sequence: Cannot pack empty tensors")
    order = None if enforce_sorted else np.argsort(-lengths, kind="stable")
    if order is not None:
        lengths = lengths[order]
    if lengths.min() <= 0:
        raise RuntimeError("pack_padded_sequence: Length of all samples has to be greater than 0, but found an element "
                           "in 'lengths' that is <= 0")
    if np.any(np.diff(lengths) > 0):
        raise RuntimeError("pack_padded_sequence: `lengths` array must be sorted in decreasing order when "
                           "`enforce_sorted` is True. You can pass `enforce_sorted=False` to pack_padded_sequence")
    if lengths[0] > steps:
        raise RuntimeError(f"pack_padded_sequence: lengths expects {steps} at most for input of shape "
                           f"{tuple(input.shape)}, got {lengths[0]}")
    running = np.arange(lengths[0])[:, None] < lengths  # (T, N)
    step, place = np.nonzero(running)
    rows = step * n + (place if order is None else order[place])
    flat = data.reshape(steps * n, *data._array.shape[2:])
    return PackedSequence(flat.index_select(0, _index(rows, input)), _index(running.sum(1)),
                          None if order is None else _index(order, input))


def pad_packed_sequence(sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
                        total_length: int | None = None) -> tuple[Tensor, Tensor]:
    """(padded, lengths): the batch as (T, N, *), with `batch_first` (N, T, *), in the order in which it was packed.

    T is the longest length, or `total_length`, for less than which ValueError is raised.
    """
    data, back = sequence.data, sequence.unsorted_indices
    sizes = np.asarray(sequence.batch_sizes.tolist(), np.int64)
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise ValueError("Expected total_length to be at least the length of the longest sequence in input, but got "
                         f"total_length={total_length} and max sequence length being {len(sizes)}")
    places = np.arange(sizes[0]) if back is None else np.asarray(back.tolist(), np.int64)
    starts = np.cumsum(sizes) - sizes
    rows = np.full((steps, sizes[0]), len(data), np.int64)  # the row after the last is the padding
    rows[:len(sizes)] = np.where(places < sizes[:, None], starts[:, None] + places, len(data))
    padding = FUNCTIONS["full"]((1, *data._array.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    shape = (sizes[0], steps) if batch_first else (steps, sizes[0])
    rows = rows.T if batch_first else rows
    padded = FUNCTIONS["cat"]([data, padding]).index_select(0, _index(rows.reshape(-1), data))
    return padded.reshape(*map(int, shape), *data._array.shape[1:]), _index((sizes[:, None] > places).sum(0))


def pad_sequence(sequences: Any, batch_first: bool = False, padding_value: float = 0.0,
                 padding_side: str = "right") -> Tensor:
    """Sequences (L, *) in one tensor (T, N, *), with `batch_first` (N, T, *), padded to the longest.

    Raises RuntimeError for no sequences at all, for other dimensions that differ, and an unknown `padding_side`.

    >>> from minitorch import tensor
    >>> pad_sequence([tensor([1, 2, 3]), tensor([4])], batch_first=True)
    tensor([[1, 2, 3],
            [4, 0, 0]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError("pad_sequence: Expected iterable for input sequences, but got arg of type: "
                           f"{type(sequences)}")
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("pad_sequence: received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"pad_sequence: Expected padding_side to be one of left or right, but got {padding_side}")
    shapes = [s._array.shape for s in sequences]
    if any(len(shape) == 0 or shape[1:] != shapes[0][1:] for shape in shapes):
        raise RuntimeError("pad_sequence: sequences expect the same sizes after the first, got shapes "
                           f"{', '.join(map(str, shapes))}")
    longest, padded = max(shape[0] for shape in shapes), []
    for s, shape in zip(sequences, shapes):
        padding = FUNCTIONS["full"]((longest - shape[0], *shape[1:]), padding_value, dtype=s.dtype, device=s.device)
        padded.append(FUNCTIONS["cat"]([s, padding] if padding_side == "right" else [padding, s]))
    return FUNCTIONS["stack"](padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of (T, N, *), with `batch_first` (N, T, *), each of its length."""
    sequences = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    lengths = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if len(lengths) != len(sequences):
        raise ValueError(f"unpad_sequence: lengths expects {len(sequences)} of them, got {len(lengths)}")
    return [s[:length] for s, length in zip(sequences, lengths)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (L, *), without `enforce_sorted` in any order of their lengths."""
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch, in the order in which they were packed."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)


def _index(values: np.ndarray, like: Tensor | None = None) -> Tensor:
    """A tensor of indices, on the device of `like`."""
    index = FUNCTIONS["from_numpy"](np.ascontiguousarray(values, np.int64))
    return index if like is None else index.to(like.device)
