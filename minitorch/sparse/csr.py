"""Sparse matrices with compressed rows: the same elements as in coordinate form, kept row by row."""
from __future__ import annotations

from typing import Any

from .. import dtypes
from ..attributes import layout
from ..errors import ShapeError
from ..op import FUNCTIONS
from ..tensor import Size, Tensor
from .coo import _DTYPE, SparseTensor, from_dense, sparse_coo, strided
from .operations import TABLE

sparse_csr = FUNCTIONS["sparse_csr"] = layout("sparse_csr")


def sparse_csr_tensor(crow_indices: Any, col_indices: Any, values: Any, size: Any = None, *, dtype: Any = None,
                      device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
                      check_invariants: bool | None = None) -> SparseCSR:
    """A matrix of which row i has the elements `values[crow_indices[i]:crow_indices[i + 1]]` in the columns
    `col_indices` of the same places.

    Raises ShapeError where the parts do not fit each other, or the size.

    >>> sparse_csr_tensor([0, 2, 3], [1, 2, 0], [1.0, 2.0, 3.0], (2, 3)).to_dense()
    tensor([[0., 1., 2.],
            [3., 0., 0.]])
    """
    crow, col, v = [x if isinstance(x, Tensor) else FUNCTIONS["tensor"](x) for x in (crow_indices, col_indices, values)]
    v = v.to(device=device, dtype=dtype)
    if crow.ndim != 1 or col.ndim != 1 or v.ndim != 1:
        raise NotImplementedError("sparse_csr_tensor: batches and blocks are not there; expects three vectors, got "
                                  f"{crow.ndim}, {col.ndim} and {v.ndim} dimensions")
    rows, columns = (len(crow) - 1, int(col.max()) + 1 if len(col) else 0) if size is None else size
    counts = crow[1:] - crow[:-1]
    if len(crow) != rows + 1 or len(col) != len(v) or int(crow[0]) or int(crow[-1]) != len(v) or \
            bool((counts < 0).any()):
        raise ShapeError(f"sparse_csr_tensor: crow_indices of {rows} rows and {len(v)} values must be {rows + 1} "
                         f"numbers that rise from 0 to {len(v)}, with as many col_indices, got {crow.tolist()} and "
                         f"{len(col)}")
    if len(col) and not 0 <= int(col.min()) <= int(col.max()) < columns:
        raise ShapeError(f"sparse_csr_tensor: col_indices must be from 0 to {columns - 1}, got {col.tolist()}")
    places = FUNCTIONS["stack"]([FUNCTIONS["repeat_interleave"](FUNCTIONS["arange"](rows), counts.to(dtypes.int64)),
                                 col.to(dtypes.int64)])
    if requires_grad:
        v = v.detach().requires_grad_()
    elif v.is_leaf and v.requires_grad:
        v = v.view_as(v)  # the sparse tensor is computed from a leaf, and no leaf itself
    t: Any = SparseCSR._made(places, v, (rows, columns), True, leaf=requires_grad)
    t._index_type = crow.dtype
    return t


def compressed(x: Tensor) -> SparseCSR:
    """A dense or sparse matrix with compressed rows."""
    if x.ndim != 2:
        raise NotImplementedError(f"to_sparse_csr: expects a matrix, got shape {tuple(x.shape)}")
    if isinstance(x, SparseCSR):
        return x
    y = x.coalesce() if isinstance(x, SparseTensor) else from_dense(x)
    made: Any = SparseCSR._made(y._i, y._v, y._size, True, y._leaf)
    return made


class SparseCSR(SparseTensor):
    """A sparse matrix in compressed rows. It computes as one in coordinates does, and results keep the layout."""

    _index_type: Any = dtypes.int64

    layout = property(lambda self: sparse_csr)
    is_sparse = property(lambda self: False)
    is_sparse_csr = property(lambda self: True)

    def _like(self, v: Tensor) -> SparseCSR:
        t: Any = SparseCSR._made(self._i, v, self._size, True)
        t._index_type = self._index_type
        return t

    def crow_indices(self) -> Tensor:
        """Where each row's elements begin among the values, and where the last one's end."""
        counts = FUNCTIONS["bincount"](self._i[0], minlength=self._size[0])
        return FUNCTIONS["cat"]([counts[:0].new_zeros(1), counts.cumsum(0)]).to(self._index_type)

    def col_indices(self) -> Tensor:
        """The column of each value."""
        return self._i[1].to(self._index_type)

    def values(self) -> Tensor:
        return self._values()

    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError("indices, coalesce and is_coalesced expected sparse coordinate tensor layout but got "
                           "SparseCsr; to_sparse_coo() has them")

    indices = _indices = coalesce = is_coalesced = _refuse

    def to_sparse(self, sparse_dim: int | None = None, *, layout: Any = None, blocksize: Any = None,
                  dense_dim: Any = None) -> Tensor:
        if layout is strided:
            return self.to_dense()
        if layout is sparse_csr:
            return self
        if layout not in (None, sparse_coo):
            raise NotImplementedError(f"to_sparse: layout {layout} is not there; the nearest are {sparse_coo} and "
                                      f"{sparse_csr}")
        return SparseTensor._made(self._i, self._v, self._size, True, self._leaf)

    to_sparse_coo = to_sparse

    def __repr__(self) -> str:
        parts = {"crow_indices": self.crow_indices(), "col_indices": self.col_indices(), "values": self._v.detach()}
        lines = []
        for name, part in parts.items():
            text = _DTYPE.sub("", repr(part))
            if not part.numel() and "size=" not in text:
                text = text[:-1] + f", size={tuple(part.shape)})"
            lines.append(f"{name}=" + text.replace("\n", "\n" + " " * (8 + len(name))))
        usual = (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool)
        dtype = "" if self.dtype in usual else f", dtype={self.dtype}"
        lines[-1] += f", size={tuple(self._size)}, nnz={self._nnz()}{dtype}"
        lines.append("layout=torch.sparse_csr")
        if self.grad_fn is not None:
            lines[-1] += f", grad_fn=<{self.grad_fn.name()}>"
        return "tensor(" + ",\n       ".join(lines) + (", requires_grad=True)" if self._leaf else ")")

    def __reduce_ex__(self, protocol: Any) -> Any:
        return sparse_csr_tensor, (self.crow_indices(), self.col_indices(), self._v.detach(), Size(self._size))


def _in_rows(name: str) -> Any:
    """The operation `name` of coordinates, its result in compressed rows."""
    def method(a, *args, **kwargs):
        args = [x.to_sparse() if isinstance(x, SparseCSR) else x for x in args]
        y = TABLE[name](a.to_sparse(), *args, **kwargs)
        return compressed(y) if isinstance(y, SparseTensor) and y.ndim == 2 and y.sparse_dim() == 2 else y

    method.__name__ = method.__qualname__ = name
    return method


for _name in TABLE:
    setattr(SparseCSR, _name, _in_rows(_name))
for _name, _operator in {"matmul": "__matmul__", "add": "__add__", "sub": "__sub__", "mul": "__mul__",
                         "div": "__truediv__", "pow": "__pow__", "neg": "__neg__"}.items():
    setattr(SparseCSR, _operator, getattr(SparseCSR, _name))
SparseCSR.__rmul__ = SparseCSR.__mul__  # type: ignore[assignment]
SparseCSR.__rmatmul__ = lambda a, b: b @ a.to_sparse()  # type: ignore[assignment,misc]
SparseCSR.__getitem__ = lambda a, index: a.to_sparse()[index]  # type: ignore[method-assign]
SparseCSR.T = property(lambda a: a.t())
