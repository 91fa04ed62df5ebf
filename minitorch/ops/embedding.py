"""Bags of embeddings: rows of a table, summed, averaged or maximised by groups."""
from __future__ import annotations

from typing import Any

from ..device import kernels_of
from ..errors import DTypeError, ShapeError
from ..op import FUNCTIONS, handing_over
from ..tensor import Tensor
from .lookup import embedding


@handing_over
def embedding_bag(input, weight, offsets=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode="mean",
                  sparse=False, per_sample_weights=None, include_last_offset=False, padding_idx=None):
    """The sum, mean or max of the rows of each bag: `input` (B, N), or (N,) cut at `offsets` (B,).

    y[b] = Σ per_sample_weights[i] weight[input[i]] over the places i of bag b, for mode "sum"

    Indices equal to `padding_idx` do not count; an empty bag gives zeros.
    """
    _check(input, weight)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode has to be one of sum, mean or max, got {mode}")
    if mode == "max" and sparse:
        raise ValueError("embedding_bag: max mode does not support sparse weights")
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights.shape != input.shape):
        raise NotImplementedError("embedding_bag: per_sample_weights is only supported for mode='sum' and of the shape "
                                  f"of input; got mode={mode!r} and {tuple(per_sample_weights.shape)}")
    xp = kernels_of(input._array).xp
    index, bag, bags = _bags(xp, input._array, offsets, include_last_offset)
    if per_sample_weights is not None:
        per_sample_weights = per_sample_weights.reshape(-1)[:len(index)]
    if padding_idx is not None:
        keep = index != padding_idx % weight.shape[0]
        index, bag = index[keep], bag[keep]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights[Tensor._wrap(xp.flatnonzero(keep))]
    rows = embedding(Tensor._wrap(index), weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    counts = xp.bincount(bag, minlength=bags)
    width = weight.shape[1]
    if mode == "max":
        column = xp.arange(max(int(counts.max()), 1) if bags else 1)
        starts = (xp.cumsum(counts) - counts)[:, None]
        places = xp.where(column < counts[:, None], starts + column, starts)  # each bag's rows, the first one repeated
        full = FUNCTIONS["cat"]([rows, FUNCTIONS["zeros"](1, width, dtype=rows.dtype, device=rows.device)])
        places[counts == 0] = len(index)
        return full[Tensor._wrap(places)].amax(1)
    total = FUNCTIONS["zeros"](bags, width, dtype=rows.dtype, device=rows.device).index_add(0, Tensor._wrap(bag), rows)
    if mode == "sum":
        return total
    return total / Tensor._wrap(xp.maximum(counts, 1).astype(weight._array.dtype)[:, None])


def _bags(xp: Any, index: Any, offsets: Tensor | None, include_last: bool) -> tuple[Any, Any, int]:
    """The flat indices, the bag each belongs to, and how many bags there are."""
    if index.ndim == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: if input is 2D, then offsets has to be None, as input is treated as a "
                             f"mini-batch of fixed length sequences, got offsets of shape {tuple(offsets.shape)}")
        return index.reshape(-1), xp.repeat(xp.arange(len(index)), index.shape[1]), len(index)
    if index.ndim != 1 or offsets is None or offsets.ndim != 1 or (include_last and offsets.numel() == 0):
        raise ValueError("embedding_bag: input has to be 2D, or 1D with 1D offsets, got input of shape "
                         f"{index.shape} and offsets {None if offsets is None else tuple(offsets.shape)}")
    starts = offsets._array
    if include_last:
        starts, index = starts[:-1], index[:int(starts[-1])]
    if (offsets._array[1:] < offsets._array[:-1]).any() or (offsets._array > len(index)).any():
        raise ShapeError(f"embedding_bag: offsets must not decrease, nor be greater than input's length {len(index)}, "
                         f"got {offsets.tolist()}")
    if len(starts) and starts[0]:
        raise ShapeError(f"embedding_bag: offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to "
                         f"start from position 0. However, got {int(starts[0])}")
    bag = xp.searchsorted(starts, xp.arange(len(index)), side="right") - 1
    return index, bag, len(starts)


def _check(input: Tensor, weight: Tensor) -> None:
    if weight.ndim != 2:
        raise ShapeError(f"embedding_bag: 'weight' must be 2-D, got shape {tuple(weight.shape)}")
    if input._array.dtype.kind not in "iu":
        raise DTypeError(f"embedding_bag: expected input to be of type Long or Int, but got {input.dtype} instead")
