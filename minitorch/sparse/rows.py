"""Sparse gradients: the rows of a table that were looked up, summed with others, and as optimizers take them."""
from __future__ import annotations

from typing import Any

from .. import dtypes, engine


def rows_gradient(dy: Any, index: Any, shape: tuple, padding_idx: int | None, scale_grad_by_freq: bool) -> Any:
    """The gradient of a table of that shape, from those of its rows `index`: one element an index, none summed."""
    from ..tensor import Tensor
    from .coo import SparseTensor

    if scale_grad_by_freq:
        raise RuntimeError("embedding_backward: scale_grad_by_freq not supported with sparse gradients")
    engine.sparse = True
    i, v = [x if isinstance(x, Tensor) else Tensor._wrap(x) for x in (index, dy)]
    i, v = i.detach().to(dtypes.int64).reshape(-1), v.reshape(-1, *shape[1:])
    if padding_idx is not None:
        used = (i != padding_idx).nonzero()[:, 0]
        i, v = i[used], v[used]
    return SparseTensor._made(i.reshape(1, -1), v, shape)


def added(a: Any, b: Any) -> Any:
    """The sum of two gradients, of which at least one is sparse: elements beside each other where both are."""
    from ..op import FUNCTIONS
    from ..tensor import Tensor
    from .coo import SparseTensor

    if not (isinstance(a, SparseTensor) and isinstance(b, SparseTensor)):
        dense, rows = (b, a) if isinstance(a, SparseTensor) else (a, b)
        return dense + rows.to_dense() if isinstance(dense, Tensor) else dense + rows.to_dense()._array
    if a.sparse_dim() != b.sparse_dim():
        return a + b
    return SparseTensor._made(FUNCTIONS["cat"]([a._i, b._i], 1), FUNCTIONS["cat"]([a._v, b._v]), a._size)


def parts(grad: Any) -> tuple[tuple, Any]:
    """Each place once, as NumPy takes them to index the parameter's array, and the values there."""
    with engine.no_grad():
        grad = grad.coalesce()
    return tuple([i._array for i in grad._i]), grad._v._array
