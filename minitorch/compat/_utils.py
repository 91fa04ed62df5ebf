"""The few names of `torch._utils` that programs use: many tensors as one flat one, and back."""
from __future__ import annotations

from collections.abc import Sequence

from minitorch.errors import absent_from
from minitorch.op import FUNCTIONS
from minitorch.tensor import Tensor


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors, flattened, one after the other; their common dtype is kept.

    >>> _flatten_dense_tensors([minitorch.zeros(2), minitorch.ones(1, 1)])
    tensor([0., 0., 1.])
    """
    return FUNCTIONS["cat"]([x.reshape(-1) for x in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The parts of `flat`, in the shapes of `tensors`.

    >>> _unflatten_dense_tensors(minitorch.arange(3.0), [minitorch.zeros(2), minitorch.ones(1, 1)])
    (tensor([0., 1.]), tensor([[2.]]))
    """
    parts, start = [], 0
    for x in tensors:
        parts.append(flat.narrow(0, start, x.numel()).view(x.shape))
        start += x.numel()
    return tuple(parts)


__all__ = ["_flatten_dense_tensors", "_unflatten_dense_tensors"]
__getattr__ = absent_from("torch._utils", lambda: __all__)
