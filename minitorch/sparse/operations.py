"""The operations that sparse tensors have, by the name of the op: products, arithmetic, sums, rearrangements."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..engine import mode
from ..errors import GraphError, ShapeError
from ..op import FUNCTIONS
from ..shapes import axis
from ..tensor import Tensor
from .coo import SparseTensor, _unflat

TABLE: dict[str, Callable] = {}


def run(name: str, args: tuple, kwargs: dict) -> Any:
    """What the op `name` gives for arguments of which some are sparse. Raises NotImplementedError where it is not
    there for them."""
    if name not in TABLE:
        raise NotImplementedError(f"{name}: is not there for sparse tensors (there are {', '.join(sorted(TABLE))}); "
                                  "take to_dense() first")
    csr = [x for x in (*args, *kwargs.values()) if getattr(x, "is_sparse_csr", False)]
    if csr and csr[0] is not args[0]:
        args = tuple([x.to_sparse() if any([x is c for c in csr]) else x for x in args])
    elif csr:
        return getattr(args[0], name)(*args[1:], **kwargs)
    return TABLE[name](*args, **kwargs)


def _operation(function: Callable) -> Callable:
    """Enter `function` in the table, and as a method of sparse tensors."""
    name = function.__name__.rstrip("_")
    TABLE[name] = function
    setattr(SparseTensor, name, function)
    return function


# Products

@_operation
def matmul(a: Any, b: Any) -> Any:
    """The product of matrices, or of a matrix and a vector; sparse where both are."""
    for x in (a, b):
        if isinstance(x, SparseTensor) and (x.sparse_dim() != 2 or x.dense_dim()):
            raise NotImplementedError("matmul: a sparse operand must be a matrix with two sparse dimensions, got "
                                      f"{x.sparse_dim()} sparse and {x.dense_dim()} dense ones")
    if a.ndim < 1 or b.ndim < 1 or a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
        raise ShapeError(f"matmul: mat1 and mat2 shapes cannot be multiplied: {tuple(a.shape)} and {tuple(b.shape)}")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"matmul: expected both to have the same dtype, but got {a.dtype} and {b.dtype}")
    if isinstance(a, SparseTensor) and isinstance(b, SparseTensor):
        return _both(a, b)
    if isinstance(a, SparseTensor):
        return _with_dense(a, b)
    return _with_dense(t(b), a) if a.ndim == 1 else _with_dense(t(b), a.transpose(-1, -2)).transpose(-1, -2)


def _with_dense(a: SparseTensor, x: Tensor) -> Tensor:
    """Each element (i, j) of `a` adds its value times row j of `x` to row i."""
    if x.ndim > 2:
        raise ShapeError(f"matmul: a sparse matrix is multiplied with a matrix or vector, got shape {tuple(x.shape)}")
    rows, columns = a._i
    terms = x[columns] * (a._v if x.ndim == 1 else a._v.unsqueeze(1))
    y = FUNCTIONS["zeros"](a.shape[0], *x.shape[1:], dtype=x.dtype, device=x.device)
    return y.index_add(0, rows, terms)


def _both(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """Each element (i, j) of `a` meets all elements (j, k) of `b`."""
    b = b.coalesce()  # sorted by rows
    counts = FUNCTIONS["bincount"](b._i[0], minlength=b.shape[0])
    starts = counts.cumsum(0) - counts
    meets = counts[a._i[1]]  # of each element of a
    left = FUNCTIONS["repeat_interleave"](FUNCTIONS["arange"](a._nnz()), meets)
    within = FUNCTIONS["arange"](left.shape[0]) - (meets.cumsum(0) - meets)[left]
    right = starts[a._i[1]][left] + within
    places = FUNCTIONS["stack"]([a._i[0][left], b._i[1][right]])
    return SparseTensor._made(places, a._v[left] * b._v[right], (a.shape[0], b.shape[1])).coalesce()


def mm(a: Any, b: Any) -> Any:
    """The product of two matrices."""
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"mm: expects matrices, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return matmul(a, b)


def mv(a: Any, b: Any) -> Any:
    """The product of a matrix and a vector."""
    if a.ndim != 2 or b.ndim != 1:
        raise ShapeError(f"mv: expects a matrix and a vector, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return matmul(a, b)


def addmm(x: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta x + alpha a b."""
    return beta * x + alpha * mm(a, b)


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x weightᵀ + bias."""
    y = matmul(x, t(weight) if isinstance(weight, SparseTensor) else weight.t())
    return y if bias is None else y + bias


for _product in (mm, mv, addmm, linear):
    _operation(_product)


# Arithmetic: between sparse tensors on the union of their places, with dense ones and numbers on their own

@_operation
def add(a: Any, b: Any, alpha: float = 1) -> Any:
    """a + alpha b; dense where `a` is. Raises RuntimeError for a sparse `a` and a dense `b`, as PyTorch does."""
    if not isinstance(a, SparseTensor):
        return a + (alpha * b).to_dense()
    if not isinstance(b, SparseTensor):
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    _same_shape("add", a, b)
    dtype = dtypes.promote_types(a.dtype, b.dtype)
    places = FUNCTIONS["cat"]([a._i, b._i], 1)
    values = FUNCTIONS["cat"]([a._v.to(dtype), (b._v if alpha == 1 else b._v * alpha).to(dtype)])
    return SparseTensor._made(places, values, a._size).coalesce()


@_operation
def sub(a: Any, b: Any, alpha: float = 1) -> Any:
    """a - alpha b."""
    return add(a, b, -alpha)


@_operation
def mul(a: Any, b: Any) -> Any:
    """a b, on the places that both have."""
    if not isinstance(a, SparseTensor):
        a, b = b, a
    if not isinstance(b, Tensor) or (not isinstance(b, SparseTensor) and b.ndim == 0):
        return a._like(a._v * b)
    if isinstance(b, SparseTensor):
        _same_shape("mul", a, b)
        a, b = a.coalesce(), b.coalesce()
        mine, theirs = a._flat(), b._flat()
        position = FUNCTIONS["searchsorted"](theirs, mine).clamp(max=max(b._nnz() - 1, 0))
        both = (theirs[position] == mine).nonzero()[:, 0] if b._nnz() else position[:0]
        return SparseTensor._made(a._i[:, both], a._v[both] * b._v[position[both]], a._size, True)
    return a._like(a._v * b.expand(a._size)[tuple(a._i)])


@_operation
def div(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    """a / b for a number `b`."""
    if isinstance(b, Tensor) and b.ndim:
        raise RuntimeError("div: a sparse tensor can only be divided by a number")
    return a._like(FUNCTIONS["div"](a._v, b, rounding_mode=rounding_mode))


@_operation
def pow(a: Any, exponent: float) -> Any:
    """a to a positive power."""
    if isinstance(exponent, Tensor) or exponent <= 0:
        raise RuntimeError(f"pow: a sparse tensor takes a positive number as exponent, got {exponent}")
    a = a.coalesce()
    return a._like(a._v ** exponent)


def _unary(name: str) -> None:
    """A function with f(0) = 0, of the values."""
    def function(a):
        linear = name in ("neg", "positive")
        a = a if linear else a.coalesce()
        return a._like(FUNCTIONS[name](a._v))

    function.__name__ = name
    function.__doc__ = f"{name} of the values."
    _operation(function)


_UNARY = ("abs", "asin", "asinh", "atan", "atanh", "ceil", "erf", "erfinv", "expm1", "floor", "isinf", "isnan",
          "log1p", "neg", "positive", "relu", "round", "sgn", "sign", "sin", "sinh", "sqrt", "square", "tan",
          "tanh", "trunc")
for _name in _UNARY:
    _unary(_name)

_reflected: dict[str, Callable] = {
    "__add__": add, "__radd__": lambda a, b: add(b, a), "__sub__": sub, "__rsub__": lambda a, b: sub(b, a),
    "__mul__": mul, "__rmul__": mul, "__truediv__": div, "__pow__": pow, "__neg__": TABLE["neg"],
    "__matmul__": matmul, "__rmatmul__": lambda a, b: matmul(b, a), "multiply": mul, "divide": div, "true_divide": div,
    "subtract": sub}
for _name, _function in _reflected.items():
    setattr(SparseTensor, _name, _function)


def _inplace(name: str) -> None:
    """`name_`: the tensor takes over the places and values of what `name` gives."""
    def method(a, *args, **kwargs):
        if mode.grad and a.requires_grad and a._leaf:
            raise GraphError(f"{name}_: a leaf Variable that requires grad is being used in an in-place operation.")
        y = TABLE[name](a, *args, **kwargs)
        if y._size != a._size:
            raise ShapeError(f"{name}_: the result has shape {tuple(y._size)}, the tensor {tuple(a._size)}")
        a._i, a._v, a._coalesced = y._i, y._v.to(a.dtype), y._coalesced
        return a

    method.__name__ = method.__qualname__ = f"{name}_"
    setattr(SparseTensor, method.__name__, method)


for _name in ("add", "sub", "mul", "div", "pow", *_UNARY):
    _inplace(_name)
for _name in ("add", "sub", "mul", "truediv"):
    setattr(SparseTensor, f"__i{_name}__", getattr(SparseTensor, "div_" if _name == "truediv" else f"{_name}_"))


def _same_shape(name: str, a: SparseTensor, b: SparseTensor) -> None:
    if a._size != b._size:
        raise ShapeError(f"{name}: sparse tensors need the same shape, got {tuple(a._size)} and {tuple(b._size)}")


# Sums

@_operation
def sum(a: SparseTensor, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The sum of all elements, or over dimensions: dense where no sparse dimension is left."""
    a = a if dtype is None else a.to(dtype)
    if dim is None:
        return a._v.sum()
    y = _sum_over(a, [dim] if isinstance(dim, int) else list(dim))
    if keepdim:
        raise NotImplementedError("sum: keepdim is not there for sparse tensors")
    return y


def _sum_over(a: SparseTensor, dims: list[int]) -> Tensor:
    gone, n = {axis("sum", a, d) for d in dims}, a.sparse_dim()
    dense = [d - n + 1 for d in gone if d >= n]
    v = a._v.sum(dense) if dense else a._v
    kept = [d for d in range(n) if d not in gone]
    if not kept:
        return v.sum(0)
    size = [a._size[d] for d in range(a.ndim) if d not in gone]
    return SparseTensor._made(a._i[kept], v, size, len(kept) == n and a._coalesced).coalesce()


@_operation
def norm(a: SparseTensor, p: Any = "fro", dim: Any = None) -> Tensor:
    """The norm of all elements."""
    if dim is not None:
        raise NotImplementedError("norm: dim is not there for sparse tensors; take to_dense() first")
    return a.coalesce()._v.norm(p)


def _softmax(a: SparseTensor, dim: int, log: bool) -> SparseTensor:
    """Softmax over the elements along a sparse or dense dimension, grouped by their other places."""
    a, d = a.coalesce(), axis("softmax", a, dim)
    name = "log_softmax" if log else "softmax"
    if d >= a.sparse_dim():
        return a._like(getattr(a._v, name)(d - a.sparse_dim() + 1))
    rest = [i for i in range(a.sparse_dim()) if i != d]
    group = SparseTensor._made(a._i[rest], a._v.detach(), [a._size[i] for i in rest])._flat() if rest else a._i[0] * 0
    keys, inverse = FUNCTIONS["unique"](group, return_inverse=True)
    shape = (keys.shape[0], *a._v.shape[1:])
    index = inverse.reshape(-1, *[1] * (a._v.ndim - 1)).expand(a._v.shape)
    top = FUNCTIONS["full"](shape, -float("inf"), dtype=a.dtype).scatter_reduce(0, index, a._v.detach(), "amax")
    x = a._v - top[inverse]
    total = FUNCTIONS["zeros"](shape, dtype=a.dtype).index_add(0, inverse, x.exp())[inverse]
    return a._like(x - total.log() if log else x.exp() / total)


SparseTensor._sum_over, SparseTensor._softmax = _sum_over, _softmax  # type: ignore[attr-defined]


# Rearrangements

@_operation
def transpose(a: SparseTensor, dim0: int, dim1: int) -> SparseTensor:
    """Two sparse dimensions swapped."""
    d0, d1, n = axis("transpose", a, dim0), axis("transpose", a, dim1), a.sparse_dim()
    if max(d0, d1) >= n:
        raise NotImplementedError("transpose: dense dimensions of a sparse tensor stay where they are")
    order, size = list(range(n)), list(a._size)
    order[d0], order[d1] = d1, d0
    size[d0], size[d1] = size[d1], size[d0]
    return SparseTensor._made(a._i[order], a._v, size)


@_operation
def t(a: SparseTensor) -> SparseTensor:
    """The transposed matrix."""
    if a.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {a.ndim}D")
    return transpose(a, 0, 1) if a.ndim == 2 else a


SparseTensor.T = property(t)
SparseTensor.mT = property(lambda a: transpose(a, -2, -1))
SparseTensor.swapaxes = SparseTensor.swapdims = transpose  # type: ignore[attr-defined]


@_operation
def unsqueeze(a: SparseTensor, dim: int) -> SparseTensor:
    """A new sparse dimension of size 1."""
    d = dim + a.ndim + 1 if dim < 0 else dim
    if not 0 <= d <= a.sparse_dim():
        raise IndexError(f"unsqueeze: dim expects 0 to {a.sparse_dim()} for this sparse tensor, got {dim}")
    row = FUNCTIONS["zeros"](1, a._nnz(), dtype=dtypes.int64, device=a.device)
    places = FUNCTIONS["cat"]([a._i[:d], row, a._i[d:]])
    return SparseTensor._made(places, a._v, (*a._size[:d], 1, *a._size[d:]), a._coalesced)


@_operation
def cat(tensors: Any, dim: int = 0) -> SparseTensor:
    """Sparse tensors one after the other along a sparse dimension."""
    d, offset, places = axis("cat", tensors[0], dim), 0, []
    if not all(isinstance(x, SparseTensor) for x in tensors) or d >= tensors[0].sparse_dim():
        raise NotImplementedError("cat: expects sparse tensors only, and a sparse dimension")
    for x in tensors:
        if [n for k, n in enumerate(x._size) if k != d] != [n for k, n in enumerate(tensors[0]._size) if k != d]:
            raise ShapeError(f"cat: sizes must match except in dimension {d}, got {tuple(x._size)} and "
                             f"{tuple(tensors[0]._size)}")
        shift = FUNCTIONS["zeros"](x.sparse_dim(), 1, dtype=dtypes.int64, device=x.device)
        shift[d] = offset
        places.append(x._i + shift)
        offset += x._size[d]
    size = (*tensors[0]._size[:d], offset, *tensors[0]._size[d + 1:])
    return SparseTensor._made(FUNCTIONS["cat"](places, 1), FUNCTIONS["cat"]([x._v for x in tensors]), size)


@_operation
def stack(tensors: Any, dim: int = 0) -> SparseTensor:
    """Sparse tensors along a new sparse dimension."""
    return cat([unsqueeze(x, dim) for x in tensors], dim)


@_operation
def index_select(a: SparseTensor, dim: int, index: Tensor) -> SparseTensor:
    """The rows `index` along a sparse dimension, in that order."""
    d = axis("index_select", a, dim)
    if d >= a.sparse_dim():
        return SparseTensor._made(a._i, a._v.index_select(d - a.sparse_dim() + 1, index),
                                  (*a._size[:d], len(index), *a._size[d + 1:]), a._coalesced)
    match = (a._i[d].unsqueeze(0) == index.unsqueeze(1)).nonzero()  # (position in index, element)
    places = a._i[:, match[:, 1]].clone()
    places[d] = match[:, 0]
    return SparseTensor._made(places, a._v[match[:, 1]], (*a._size[:d], len(index), *a._size[d + 1:]))


def _getitem(a: SparseTensor, index: Any) -> Any:
    """`a[i]`, `a[i, j]`: integers for the first sparse dimensions; dense where none is left."""
    index = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(i, int) for i in index) or len(index) > a.sparse_dim():
        raise NotImplementedError("getitem: a sparse tensor is indexed with integers in its sparse dimensions")
    for i in index:
        n = a._size[0]
        if not -n <= i < n:
            raise IndexError(f"index {i} is out of bounds for dimension 0 with size {n}")
        found = (a._i[0] == i % n).nonzero()[:, 0]
        if a.sparse_dim() == 1:
            return a._v[found].sum(0)
        a = SparseTensor._made(a._i[1:, found], a._v[found], a._size[1:], a._coalesced)
    return a


SparseTensor.__getitem__ = _getitem


@_operation
def sparse_mask(a: SparseTensor, mask: SparseTensor) -> SparseTensor:
    """The elements at the places of `mask`, zeros where there is none."""
    return mask._like(a.to_dense()[tuple(mask._i)])


def zero_(a: SparseTensor) -> SparseTensor:
    """No elements any more, in place."""
    a._i, a._v = _unflat(a._flat()[:0], a._size[:a.sparse_dim()]), a._v.detach()[:0]
    return a


SparseTensor.zero_ = zero_  # type: ignore[attr-defined]
