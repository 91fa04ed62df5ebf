"""A sparse tensor: where its elements stand, and their values, each a dense tensor.

All arithmetic is that of the values' tensor, made of the ordinary ops. So gradients reach the values, and the dense
operands of products, like any others; nothing here is differentiated by hand.
"""
from __future__ import annotations

import math
import re
from typing import Any

from .. import dtypes
from ..attributes import layout, strided
from ..errors import BoundsError, NotStrided, ShapeError
from ..op import FUNCTIONS
from ..shapes import axis
from ..tensor import Size, Tensor

_DTYPE = re.compile(r", dtype=torch\.\w+")
sparse_coo = FUNCTIONS["sparse_coo"] = layout("sparse_coo")


def sparse_coo_tensor(indices: Any = None, values: Any = None, size: Any = None, *, dtype: Any = None,
                      device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
                      check_invariants: bool | None = None, is_coalesced: bool | None = None) -> SparseTensor:
    """A sparse tensor of `values` (nnz, ...) that stand at `indices` (sparse dimensions, nnz); values at the same
    place count as their sum. `sparse_coo_tensor(size)` has no elements.

    Raises ShapeError where indices and values do not match, BoundsError for a place outside of `size`.

    >>> sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    """
    if values is None:  # the form with nothing but a size
        size = indices if size is None else size
        if size is None:
            raise TypeError("sparse_coo_tensor: expects indices and values, or a size")
        indices = FUNCTIONS["zeros"](len(size), 0, dtype=dtypes.int64, device=device)
        values = FUNCTIONS["zeros"](0, dtype=dtype, device=device)
    i = indices if isinstance(indices, Tensor) else FUNCTIONS["tensor"](indices)
    v = values if isinstance(values, Tensor) else FUNCTIONS["tensor"](values)
    i, v = i.detach().to(device=device or v.device, dtype=dtypes.int64), v.to(device=device, dtype=dtype)
    if i.ndim != 2:
        raise ShapeError(f"sparse_coo_tensor: indices must have the shape (sparse dimensions, nnz), got {i.shape}")
    if v.ndim == 0 or i.shape[1] != v.shape[0]:
        n = 1 if v.ndim == 0 else v.shape[0]
        raise ShapeError("sparse_coo_tensor: indices and values must have same nnz, but got nnz from indices: "
                         f"{i.shape[1]}, nnz from values: {n}")
    most = [n + 1 for n in i.amax(1).tolist()] if i.shape[1] else [0] * i.shape[0]
    size = Size((*most, *v.shape[1:])) if size is None else Size(size)
    _check(i, v, size, most)
    if requires_grad:
        v = v.detach().requires_grad_()
    elif v.is_leaf and v.requires_grad:
        v = v.view_as(v)  # the sparse tensor is computed from a leaf, and no leaf itself
    return SparseTensor._made(i, v, size, bool(is_coalesced), leaf=requires_grad)


def _check(i: Tensor, v: Tensor, size: Size, most: list[int]) -> None:
    if len(size) != i.shape[0] + v.ndim - 1:
        raise ShapeError(f"sparse_coo_tensor: number of dimensions must be sparse_dim ({i.shape[0]}) + dense_dim "
                         f"({v.ndim - 1}), but got {len(size)} in size {tuple(size)}")
    if tuple(size[i.shape[0]:]) != tuple(v.shape[1:]):
        raise ShapeError(f"sparse_coo_tensor: values of shape {tuple(v.shape)} do not fit size {tuple(size)}")
    for d, (n, room) in enumerate(zip(most, size)):
        if n > room:
            raise BoundsError(f"sparse_coo_tensor: size is inconsistent with indices: for dim {d}, size is {room} "
                              f"but found index {n - 1}")
    if i._array.size and int(i._array.min()) < 0:
        raise BoundsError(f"sparse_coo_tensor: found negative index {int(i._array.min())}")


def from_dense(x: Tensor, sparse_dim: int | None = None, wanted: Any = None) -> SparseTensor:
    """The elements of `x` that are not zero; with `sparse_dim` the rows of that many dimensions that are not."""
    if str(wanted) == "torch.sparse_csr":
        return x.to_sparse_csr()
    if wanted not in (None, sparse_coo):
        raise NotImplementedError(f"to_sparse: layout {wanted} is not there; the nearest that exists is {sparse_coo}")
    n = x.ndim if sparse_dim is None else sparse_dim
    if not 0 <= n <= x.ndim or (n == 0 and x.ndim):
        raise IndexError(f"to_sparse: sparse_dim expects 1 to {x.ndim}, got {sparse_dim}")
    filled: Any = x.detach() != 0
    if n < x.ndim:
        filled = filled.flatten(n).any(-1)
    where = filled.nonzero().t().contiguous()
    return SparseTensor._made(where, x[tuple(where)], x.shape, True)


def masked(x: Tensor, mask: SparseTensor) -> SparseTensor:
    """The elements of `x` at the places of `mask`."""
    if not isinstance(mask, SparseTensor) or x.shape != mask.shape:
        raise ShapeError(f"sparse_mask: expects a sparse tensor of shape {tuple(x.shape)} as mask")
    return SparseTensor._made(mask._i, x[tuple(mask._i)], mask._size, mask._coalesced)


class SparseTensor(Tensor):
    """A tensor of which only some elements are kept: products with dense matrices, sums, arithmetic.

    What it has not is refused with NotImplementedError; `to_dense()` has everything. Gradients flow to the values it
    was made of, and a leaf (`requires_grad=True`) gets a sparse `grad` of its own pattern.
    """

    _i: Tensor
    _v: Tensor
    _size: Size
    _coalesced: bool
    _leaf = False

    @classmethod
    def _made(cls, i: Tensor, v: Tensor, size: Any, coalesced: bool = False, leaf: bool = False) -> SparseTensor:
        t = object.__new__(cls)
        t._i, t._v, t._size, t._coalesced, t._leaf = i, v, Size(size), coalesced, leaf
        return t

    def _like(self, v: Tensor) -> SparseTensor:
        """Other values at the same places."""
        return SparseTensor._made(self._i, v, self._size, self._coalesced)

    @property
    def _array(self) -> Any:
        raise NotStrided(self, "this operation is not there for sparse tensors: take to_dense() first")

    def _run(self, name: str, args: tuple, kwargs: dict) -> Any:
        from . import operations

        return operations.run(name, args, kwargs)

    # What it is

    shape = property(lambda self: self._size)
    dtype = property(lambda self: self._v.dtype)
    device = property(lambda self: self._v.device)
    ndim = property(lambda self: len(self._size))
    layout = property(lambda self: sparse_coo)
    is_sparse = property(lambda self: True)
    is_cuda = property(lambda self: self._v.is_cuda)
    is_cpu = property(lambda self: self._v.is_cpu)
    is_leaf = property(lambda self: self._leaf or not self._v.requires_grad)
    grad_fn = property(lambda self: None if self._leaf else self._v.grad_fn)
    _requires_grad = property(lambda self: self._v._requires_grad)  # type: ignore[assignment]
    data = property(lambda self: self._like(self._v.detach()))

    @property
    def requires_grad(self) -> bool:
        return self._v.requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if wanted and not self._v.requires_grad:
            self._v, self._leaf = self._v.detach(), True
        self._v.requires_grad = wanted

    @property
    def grad(self) -> Any:
        return None if self._v._grad is None else self._like(self._v._grad)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._v._grad = None if value is None else value._v

    def size(self, dim: int | None = None) -> Any:
        return self._size if dim is None else self._size[axis("size", self, dim)]

    def dim(self) -> int:
        return len(self._size)

    def numel(self) -> int:
        return math.prod(self._size)

    ndimension, nelement = dim, numel

    def sparse_dim(self) -> int:
        return self._i.shape[0]

    def dense_dim(self) -> int:
        return self._v.ndim - 1

    def is_coalesced(self) -> bool:
        return self._coalesced

    def is_contiguous(self, memory_format: Any = None) -> bool:
        return False

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        return self.dtype.is_complex

    def element_size(self) -> int:
        return self._v.element_size()

    def get_device(self) -> int:
        return self._v.get_device()

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        return self._v.type().replace("torch.", "torch.sparse.") if dtype is None else self._like(self._v.type(dtype))

    # Its parts

    def _indices(self) -> Tensor:
        return self._i

    def _values(self) -> Tensor:
        return self._v.detach() if self._leaf else self._v

    def _nnz(self) -> int:
        return self._i.shape[1]

    def indices(self) -> Tensor:
        """The places, (sparse dimensions, nnz). Raises RuntimeError where the tensor is not coalesced."""
        self._must_be_coalesced("indices")
        return self._i

    def values(self) -> Tensor:
        """The values, (nnz, ...). Raises RuntimeError where the tensor is not coalesced."""
        self._must_be_coalesced("values")
        return self._v

    def _must_be_coalesced(self, what: str) -> None:
        if not self._coalesced:
            raise RuntimeError(f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first")

    def coalesce(self) -> SparseTensor:
        """Each place once, in order; values at the same place added up."""
        if self._coalesced:
            return self
        flat, inverse = FUNCTIONS["unique"](self._flat(), return_inverse=True)
        v = FUNCTIONS["zeros"](flat.shape[0], *self._v.shape[1:], dtype=self.dtype, device=self.device)
        return SparseTensor._made(_unflat(flat, self._size[:self.sparse_dim()]), v.index_add(0, inverse, self._v),
                                  self._size, True)

    def _flat(self) -> Tensor:
        """Each place as one number: its position in the flattened sparse dimensions."""
        flat = FUNCTIONS["zeros"](self._nnz(), dtype=dtypes.int64, device=self.device)
        for i, n in zip(self._i, self._size):
            flat = flat * n + i
        return flat

    def to_dense(self, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
        """The same elements and zeros, dense."""
        n = self.sparse_dim()
        y = FUNCTIONS["zeros"](math.prod(self._size[:n]), *self._size[n:], dtype=self.dtype, device=self.device)
        y = y.index_add(0, self._flat(), self._v).reshape(self._size)
        return y if dtype is None else y.to(dtype)

    def to_sparse(self, sparse_dim: int | None = None, *, layout: Any = None, blocksize: Any = None,
                  dense_dim: Any = None) -> Tensor:
        if layout is strided:
            return self.to_dense()
        if str(layout) == "torch.sparse_csr":
            return self.to_sparse_csr()
        return self if sparse_dim in (None, self.sparse_dim()) else from_dense(self.to_dense(), sparse_dim, layout)

    def to_sparse_coo(self) -> Tensor:
        return self

    def to_sparse_csr(self, dense_dim: Any = None) -> Tensor:
        """The matrix with compressed rows."""
        from .csr import compressed

        return compressed(self)

    # Copies, types, devices

    def to(self, *args: Any, **kwargs: Any) -> SparseTensor:
        v = self._v.to(*args, **kwargs)
        t = self if v is self._v else self._like(v)
        t._i = self._i.to(v.device)
        return t

    def cpu(self, memory_format: Any = None) -> SparseTensor:
        return self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> SparseTensor:
        return self.to("cuda" if device is None else device)

    def detach(self) -> SparseTensor:
        return self._like(self._v.detach())

    def clone(self, *, memory_format: Any = None) -> SparseTensor:
        return self._like(self._v.clone())

    def contiguous(self, memory_format: Any = None) -> SparseTensor:
        return self

    def pin_memory(self, device: Any = None) -> SparseTensor:
        return self

    # Python's protocols

    def __len__(self) -> int:
        return self._size[0]

    def __repr__(self) -> str:
        parts = {"indices": self._i, "values": self._v.detach()}
        lines = []
        for name, part in parts.items():
            text = _DTYPE.sub("", repr(part))
            if not part.numel() and "size=" not in text:
                text = text[:-1] + f", size={tuple(part.shape)})"
            lines.append(f"{name}=" + text.replace("\n", "\n" + " " * (8 + len(name))))
        usual = (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool)
        dtype = "" if self.dtype in usual else f"dtype={self.dtype}, "
        lines.append(f"size={tuple(self._size)}, nnz={self._nnz()}, {dtype}layout=torch.sparse_coo")
        if self.grad_fn is not None:
            lines.append(f"grad_fn=<{self.grad_fn.name()}>")
        return "tensor(" + ",\n       ".join(lines) + (", requires_grad=True)" if self._leaf else ")")

    def __deepcopy__(self, memo: dict) -> SparseTensor:
        t = self._like(self._v.__deepcopy__(memo))
        t._i, t._leaf = self._i.clone(), self._leaf
        return t

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _again, (self._i, self._v.detach(), tuple(self._size), self._coalesced, self._leaf)

    def __bool__(self) -> bool:
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")


for _name in ("float", "double", "half", "bfloat16", "long", "int", "short", "bool", "byte", "char"):
    _dtype = {"byte": dtypes.uint8, "char": dtypes.int8}.get(_name) or getattr(dtypes, _name)
    setattr(SparseTensor, _name, lambda self, memory_format=None, _dtype=_dtype: self.to(_dtype))


def _again(i: Tensor, v: Tensor, size: tuple, coalesced: bool, leaf: bool) -> SparseTensor:
    return SparseTensor._made(i, v.requires_grad_(leaf), size, coalesced, leaf)


def _unflat(flat: Tensor, sizes: Any) -> Tensor:
    """The places (dimensions, nnz) of positions in a flattened shape."""
    rows = []
    for n in reversed(sizes):
        rows.append(flat % max(n, 1))
        flat = FUNCTIONS["div"](flat, max(n, 1), rounding_mode="floor")
    return FUNCTIONS["stack"](rows[::-1]) if rows else flat.reshape(0, -1)
