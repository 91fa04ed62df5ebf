"""Reductions of the segments of a dimension, one after the other: `segment_reduce`."""
from __future__ import annotations

from ..errors import ShapeError
from ..op import FUNCTIONS, composite
from ..tensor import Tensor

_REDUCTIONS = {"sum": ("sum", 0.0), "mean": ("sum", 0.0), "prod": ("prod", 1.0),
               "max": ("amax", -float("inf")), "min": ("amin", float("inf"))}


@composite(method=False)
def segment_reduce(data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None):
    """The sum, mean, max, min or prod of each segment of `data` along `axis`.

    `lengths` holds the segments' lengths, `offsets` where each begins and the last ends; both have the dimensions
    of `data` before `axis` too. Each segment starts from `initial`; without it an empty one gives what the reduction
    of nothing is (a mean: nan). Raises RuntimeError for negative lengths, or unless they sum up to the length of
    `axis` (`unsafe` leaves that unchecked).

    >>> import minitorch as torch
    >>> torch.segment_reduce(torch.tensor([1.0, 2.0, 3.0]), "max", lengths=torch.tensor([1, 2]))
    tensor([1., 3.])
    """
    if reduce not in _REDUCTIONS:
        raise RuntimeError(f"segment_reduce: unsupported reduction given, {reduce!r}; expected one of "
                           f"{', '.join(_REDUCTIONS)}")
    if indices is not None:
        raise RuntimeError("segment_reduce: indices-based reduction is not supported; give lengths or offsets")
    if lengths is None and offsets is None:
        raise RuntimeError("segment_reduce: Either lengths or offsets must be defined.")
    if lengths is None:
        lengths = offsets.diff(dim=-1)
    if lengths.ndim != axis % data.ndim + 1:
        raise ShapeError(f"segment_reduce: along axis {axis} expects lengths of {axis % data.ndim + 1} dimensions, got "
                         f"shape {tuple(lengths.shape)}")
    if lengths.ndim > 1:
        return FUNCTIONS["stack"]([segment_reduce(x, reduce, lengths=n, axis=axis % data.ndim - 1, unsafe=unsafe,
                                                  initial=initial) for x, n in zip(data, lengths)])
    if not unsafe and ((lengths < 0).any() or lengths.sum() != data.shape[0]):
        raise RuntimeError(f"segment_reduce: Expected all rows of lengths along axis to be not negative and to sum to "
                           f"data.size(axis) = {data.shape[0]}, got {lengths.tolist()}")
    return _reduced(data, reduce, lengths, initial)


def _reduced(data: Tensor, reduce: str, lengths: Tensor, initial: float | None) -> Tensor:
    name, start = _REDUCTIONS[reduce]
    n, rest = lengths.shape[0], tuple(data.shape[1:])
    segment = FUNCTIONS["repeat_interleave"](FUNCTIONS["arange"](n, device=data.device), lengths)
    total = data.new_full((n, *rest), start if initial is None else initial)
    if segment.numel():
        index = segment.view(-1, *(1,) * len(rest)).expand(-1, *rest)
        total = total.scatter_reduce(0, index, data[:segment.shape[0]], name)
    if reduce != "mean":
        return total
    return total / (lengths if initial is None else lengths.clamp(min=1)).view(-1, *(1,) * len(rest))
