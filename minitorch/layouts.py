"""Methods of tensors that have to do with layouts: those of sparse tensors refuse strided ones, as in PyTorch."""
from __future__ import annotations

import functools

from .op import FUNCTIONS, composite
from .tensor import Tensor

method = functools.partial(composite, function=False)


@method
def to_sparse(self, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None):
    """The elements that are not zero, and where they are, as a SparseTensor. The first `sparse_dim` dimensions (all
    unless said) are sparse."""
    from .sparse import from_dense

    return from_dense(self, sparse_dim, layout)


@method
def to_sparse_coo(self):
    """The elements that are not zero, and where they are."""
    return self.to_sparse()


@method
def to_sparse_csr(self, dense_dim=None):
    """A matrix with compressed rows, of the elements that are not zero."""
    from .sparse import compressed

    return compressed(self)


@method
def to_dense(self, dtype=None, *, masked_grad=None):
    """Itself: it is dense."""
    return self if dtype is None else self.to(dtype)


@method
def sparse_dim(self):
    """0: it has no sparse dimensions."""
    return 0


@method
def dense_dim(self):
    """The number of dimensions."""
    return self.ndim


@method
def sparse_mask(self, mask):
    """The elements at the places of a sparse tensor, as a sparse tensor."""
    from .sparse import masked

    return masked(self, mask)


def _refusing(name: str) -> None:
    def refuse(self):
        kind = "row compressed" if name in ("crow_indices", "col_indices") else "coordinate"
        raise RuntimeError(f"{name.strip('_')} expected sparse {kind} tensor layout but got Strided")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Only sparse tensors have it: raises RuntimeError."
    method(refuse)


for _name in ("crow_indices", "col_indices", "values",
              "indices", "_values", "_indices", "_nnz", "coalesce", "is_coalesced"):
    _refusing(_name)


def _not_there(name: str) -> None:
    def refuse(self, *args, **kwargs):
        raise NotImplementedError(f"{name}: this layout is not there; the nearest is to_sparse_csr()")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Raises NotImplementedError."
    method(refuse)


for _name in ("to_sparse_csc", "to_sparse_bsr", "to_sparse_bsc"):
    _not_there(_name)

FUNCTIONS["detach"], FUNCTIONS["detach_"] = Tensor.detach, Tensor.detach_
