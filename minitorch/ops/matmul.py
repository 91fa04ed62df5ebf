"""Products of matrices, stacks of matrices and vectors."""
from __future__ import annotations

from typing import Any

from .. import dtypes, shapes
from ..errors import DTypeError, ShapeError
from ..op import composite, op
from ..tensor import Tensor
from .elementwise import conjugate
from .gather import into
from .shape import permute, reshape, transpose, unsqueeze


@op
def matmul(k, a, b, /):
    """The product of matrices, of stacks of them (broadcast against each other), or with a vector on either side.

    y[..., i, j] = Σₖ a[..., i, k] b[..., k, j]

    a: (..., m, k) or (k,), b: (..., k, n) or (k,). Raises ShapeError where the k differ.

    >>> import minitorch as torch
    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]]) @ torch.tensor([1.0, 1.0])
    tensor([3., 7.])
    """
    _check("matmul", a, b)
    an, bn = a.ndim, b.ndim
    return k.matmul(a, b), lambda dy: _left(k, dy, b, an), lambda dy: _right(k, dy, a, bn)


def _left(k: Any, dy: Any, b: Any, an: int) -> Any:
    """dy bᵀ; the engine sums it over the stacks that `a` was spread to."""
    b = conjugate(b)
    if b.ndim == 1:
        return (dy[..., None] if an > 1 else dy) * b
    bt = b.swapaxes(-1, -2)
    return k.matmul(dy, bt) if an > 1 else k.matmul(dy[..., None, :], bt)[..., 0, :]


def _right(k: Any, dy: Any, a: Any, bn: int) -> Any:
    """aᵀ dy. For one matrix `b` the rows of all stacks are one long sum, not a stack of results to be summed."""
    a = conjugate(a)
    if a.ndim == 1:
        return a * dy if bn == 1 else a[:, None] * dy[..., None, :]
    if bn == 1:
        return k.matmul(_flat(a).swapaxes(0, 1), dy.reshape(-1))
    if bn == 2 and a.ndim > 2:
        a, dy = _flat(a), _flat(dy)
    return k.matmul(a.swapaxes(-1, -2), dy)


def _flat(x: Any) -> Any:
    return x.reshape((_product(x.shape[:-1]), x.shape[-1]))


@op
def linear(k, x, weight, bias=None, /):
    """x weightᵀ + bias, for the last dimension of `x`. weight: (out, in), bias: (out,).

    >>> import minitorch as torch
    >>> torch.nn.functional.linear(torch.ones(1, 2), torch.tensor([[1.0, 2.0]]), torch.tensor([0.5]))
    tensor([[3.5000]])
    """
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ShapeError(f"linear: weight of shape {weight.shape} expects shape (out_features, in_features) with "
                         f"in_features the last dimension of x, which has shape {x.shape}: mat1 and mat2 shapes cannot "
                         "be multiplied")
    if x.dtype is not weight.dtype and x.dtype != weight.dtype:
        raise _mixed("linear", x, weight)
    if bias is not None:
        if bias.shape != weight.shape[:1] and bias.shape not in ((), (1,)):
            raise ShapeError(f"linear: bias expects shape ({weight.shape[0]},), got {bias.shape}")
        if bias.dtype != x.dtype:
            raise _mixed("linear", x, bias)
    rows = x.ndim == 2
    return (k.linear(x, weight, bias), lambda dy: k.matmul(dy, weight),
            lambda dy: k.matmul(dy.T, x) if rows else k.matmul(_flat(dy).T, _flat(x)),
            lambda dy: k.sum(dy if rows else _flat(dy), (0,), False))


# The same with fixed numbers of dimensions


@composite
def mm(input, mat2, *, out=None):
    """The product of two matrices.

    y[i, j] = Σₖ input[i, k] mat2[k, j]
    """
    return into(out, _checked("mm", ("input", input, 2), ("mat2", mat2, 2)))


@composite
def bmm(input, mat2, *, out=None):
    """The products of two stacks of matrices, (b, m, k) and (b, k, n).

    y[b, i, j] = Σₖ input[b, i, k] mat2[b, k, j]
    """
    return into(out, _stacks("bmm", ("input", input, 3), ("mat2", mat2, 3)))


@composite
def mv(input, vec, *, out=None):
    """A matrix times a vector."""
    return into(out, _checked("mv", ("input", input, 2), ("vec", vec, 1)))


@composite
def dot(input, tensor, *, out=None):
    """Σ aᵢ bᵢ of two vectors."""
    return into(out, _checked("dot", ("input", input, 1), ("tensor", tensor, 1)))


@composite
def vdot(input, other, *, out=None):
    """`dot` with the first vector conjugated."""
    return into(out, _checked("vdot", ("input", input.conj(), 1), ("other", other, 1)))


@composite
def inner(input, other, *, out=None):
    """The sums of products along the last dimension of both, for every pair of their other positions."""
    if input.ndim == 0 or other.ndim == 0:
        return into(out, input * other)
    a, b = input._array.shape, other._array.shape
    if a[-1] != b[-1]:
        raise ShapeError(f"inner: the last dimension must match on both input tensors but got shapes {list(a)} and "
                         f"{list(b)}")
    y = matmul(reshape(input, _rows(a), a[-1]), transpose(reshape(other, _rows(b), b[-1]), 0, 1))
    return into(out, reshape(y, a[:-1] + b[:-1]))


@composite
def outer(input, vec2, *, out=None):
    """aᵢ bⱼ for all elements of two vectors."""
    _dims("outer", ("input", input, 1), ("vec2", vec2, 1))
    return into(out, unsqueeze(input, 1) * vec2)


@composite
def ger(input, vec2, *, out=None):
    """`outer`."""
    return outer(input, vec2, out=out)


# Added to something


@composite(inplace=True)
def addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    """beta input + alpha mat1 mat2; with beta 0 `input` does not count, even where it is nan."""
    y = _checked("addmm", ("mat1", mat1, 2), ("mat2", mat2, 2))
    return into(out, _scaled_sum("addmm", input, y, beta, alpha))


@composite(inplace=True)
def addmv(input, mat, vec, *, beta=1, alpha=1, out=None):
    """beta input + alpha mat vec."""
    y = _checked("addmv", ("mat", mat, 2), ("vec", vec, 1))
    return into(out, _scaled_sum("addmv", input, y, beta, alpha))


@composite(inplace=True)
def addr(input, vec1, vec2, *, beta=1, alpha=1, out=None):
    """beta input + alpha times the outer product of two vectors."""
    _dims("addr", ("vec1", vec1, 1), ("vec2", vec2, 1))
    return into(out, _scaled_sum("addr", input, unsqueeze(vec1, 1) * vec2, beta, alpha))


@composite(inplace=True)
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """beta input + alpha times the products of two stacks of matrices."""
    y = _stacks("baddbmm", ("batch1", batch1, 3), ("batch2", batch2, 3))
    return into(out, _scaled_sum("baddbmm", input, y, beta, alpha))


@composite(inplace=True)
def addbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """beta input + alpha times the sum of the products of two stacks of matrices."""
    _dims("addbmm", ("batch1", batch1, 3), ("batch2", batch2, 3))
    a, b = batch1._array.shape, batch2._array.shape
    if a[0] != b[0] or a[2] != b[1]:
        raise ShapeError(f"addbmm: batch1 and batch2 shapes do not fit, got {list(a)} and {list(b)}")
    left = reshape(permute(batch1, 1, 0, 2), a[1], a[0] * a[2])
    return into(out, _scaled_sum("addbmm", input, matmul(left, reshape(batch2, b[0] * b[1], b[2])), beta, alpha))


# Made of products


@composite(method=False)
def bilinear(input1, input2, weight, bias=None):
    """x1ᵀ weight[o] x2 + bias[o] for each o. weight: (out, in1, in2)."""
    from .einsum import einsum

    if weight.ndim != 3 or input1._array.shape[-1] != weight._array.shape[1] or \
            input2._array.shape[-1] != weight._array.shape[2] or input1._array.shape[:-1] != input2._array.shape[:-1]:
        raise ShapeError(f"bilinear: weight of shape {list(weight.shape)} expects inputs (..., {weight.shape[1]}) and "
                         f"(..., {weight.shape[-1]}) with equal batch dimensions, got {list(input1.shape)} and "
                         f"{list(input2.shape)}")
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias


@composite(method=False)
def tensordot(a, b, dims=2, out=None):
    """Products summed over several dimensions: the last `dims` of `a` with the first of `b`, or two lists of them."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot: expects dims >= 0 and at most those of a and b, but got dims={dims}")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = ([shapes.axis("tensordot", x, d) for d in ([given] if isinstance(given, int) else given)]
                       for x, given in ((a, dims[0]), (b, dims[1])))
    m, n = a._array.shape, b._array.shape
    for i, j in zip(left, right):  # a size of one goes with any other: it is summed first
        if m[i] != n[j] and 1 in (m[i], n[j]):
            a, b = (a, b.sum(j, keepdim=True)) if m[i] == 1 else (a.sum(i, keepdim=True), b)
            m, n = a._array.shape, b._array.shape
    if len(left) != len(right) or any(m[i] != n[j] for i, j in zip(left, right)):
        raise ShapeError(f"tensordot: contracted dimensions need to match, but {left} of shape {list(m)} and {right} "
                         f"of shape {list(n)} do not")
    free_a, free_b = [i for i in range(a.ndim) if i not in left], [i for i in range(b.ndim) if i not in right]
    shape = [m[i] for i in free_a] + [n[i] for i in free_b]
    rows, inner_size, columns = (_product(s) for s in ([m[i] for i in free_a], [m[i] for i in left],
                                                       [n[i] for i in free_b]))
    y = matmul(reshape(permute(a, free_a + left), rows, inner_size),
               reshape(permute(b, right + free_b), inner_size, columns))
    return into(out, reshape(y, shape))


@composite
def kron(input, other, *, out=None):
    """The Kronecker product: each element of `input` times the whole of `other`."""
    n = max(input.ndim, other.ndim)
    a = [1] * (n - input.ndim) + list(input._array.shape)
    b = [1] * (n - other.ndim) + list(other._array.shape)
    left = reshape(input, [s for size in a for s in (size, 1)])
    right = reshape(other, [s for size in b for s in (1, size)])
    return into(out, reshape(left * right, [i * j for i, j in zip(a, b)]))


@composite(method=False)
def chain_matmul(*matrices, out=None):
    """The product of several matrices, in the order that takes the fewest multiplications."""
    from .matrices import multi_dot

    given = matrices[0] if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else matrices
    return into(out, multi_dot(list(given)) if len(given) > 1 else given[0])


@composite(method=False)
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The p-norm distance of every row of `x1`, (..., m, d), to every row of `x2`, (..., n, d).

    Euclidean distances of more than 25 rows come from a matrix product, |a|² + |b|² - 2 a b, unless `compute_mode` is
    "donot_use_mm_for_euclid_dist", which is exacter for near rows.
    """
    if x1.ndim < 2 or x2.ndim < 2 or x1._array.shape[-1] != x2._array.shape[-1]:
        raise ShapeError("cdist: X1 and X2 must have at least two dimensions and the same number of columns, got "
                         f"shapes {list(x1.shape)} and {list(x2.shape)}")
    if p < 0:
        raise RuntimeError(f"cdist: only supports non-negative p values, got {p}")
    if compute_mode not in _PRODUCT_FROM:
        raise ValueError(f"cdist: compute_mode expects one of {', '.join(_PRODUCT_FROM)}, got {compute_mode!r}")
    rows = max(x1._array.shape[-2], x2._array.shape[-2])
    if p == 2 and rows > _PRODUCT_FROM[compute_mode] and x1._array.dtype == x2._array.dtype:
        return euclidean_distance(x1, x2)
    return (unsqueeze(x1, -2) - unsqueeze(x2, -3)).norm(p, -1)


# compute_mode: the number of rows above which a product is used
_PRODUCT_FROM = {"use_mm_for_euclid_dist_if_necessary": 25, "use_mm_for_euclid_dist": -1,
                 "donot_use_mm_for_euclid_dist": float("inf")}


@op(method=False, function=False)
def euclidean_distance(k, a, b, /):
    """The distances of all rows of `a` to all rows of `b`, by a matrix product; equal rows have gradient 0."""
    squares = (a * a).sum(-1)[..., :, None] + (b * b).sum(-1)[..., None, :]
    y = k.sqrt(k.xp.maximum(squares - 2 * k.matmul(a, b.swapaxes(-1, -2)), 0))

    def da(dy):
        share = _over(k, dy, y)
        return a * k.sum(share, (share.ndim - 1,), True) - k.matmul(share, b)

    def db(dy):
        share = _over(k, dy, y).swapaxes(-1, -2)
        return b * k.sum(share, (share.ndim - 1,), True) - k.matmul(share, a)

    return y, da, db


def _over(k: Any, dy: Any, y: Any) -> Any:
    return k.where(y == 0, 0.0, dy / k.where(y == 0, 1.0, y))


@composite
def cross(input, other, dim=None, *, out=None):
    """The cross product along `dim`, of size 3; by default the first dimension of that size."""
    if input.ndim != other.ndim:
        raise ShapeError("cross: inputs must have the same number of dimensions, got shapes "
                         f"{list(input.shape)} and {list(other.shape)}")
    if dim is None:
        sizes = shapes.broadcast("cross", input._array.shape, other._array.shape)
        if 3 not in sizes:
            raise ShapeError(f"cross: no dimension of size 3 in input of shape {list(input.shape)}")
        dim = sizes.index(3) - len(sizes)
    for x in (input, other):
        shapes.axis("cross", x, dim)
    if input._array.shape[dim] != 3 or other._array.shape[dim] != 3:
        raise ShapeError(f"cross: inputs dimension {dim} must have length 3. Got {input.shape[dim]} and "
                         f"{other.shape[dim]}")
    return into(out, input.roll(-1, dim) * other.roll(-2, dim) - input.roll(-2, dim) * other.roll(-1, dim))


def _check(name: str, a: Any, b: Any) -> None:
    if not a.ndim or not b.ndim:
        raise ShapeError(f"{name}: both arguments to {name} need to be at least 1D, but they are {a.ndim}D and "
                         f"{b.ndim}D")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ShapeError(f"{name}: mat1 and mat2 shapes cannot be multiplied ({_times(a.shape)} and {_times(b.shape)})")
    if a.dtype is not b.dtype and a.dtype != b.dtype:
        raise _mixed(name, a, b)
    if a.ndim > 2 and b.ndim > 2 and a.shape[:-2] != b.shape[:-2]:
        shapes.broadcast(name, a.shape[:-2], b.shape[:-2])


def _mixed(name: str, a: Any, b: Any) -> DTypeError:
    return DTypeError(f"{name}: mat1 and mat2 must have the same dtype, but got {dtypes.from_numpy(a.dtype).name} and "
                      f"{dtypes.from_numpy(b.dtype).name}")


def _dims(name: str, *given: tuple[str, Tensor, int]) -> None:
    """Raise where an argument, of that name, does not have its number of dimensions."""
    for argument, x, n in given:
        if x.ndim != n:
            raise ShapeError(f"{name}: {argument} expects {n} dimension{'s' * (n > 1)}, got shape {list(x.shape)}")


def _checked(name: str, left: tuple[str, Tensor, int], right: tuple[str, Tensor, int]) -> Tensor:
    """The product of two tensors with these numbers of dimensions; errors name the function that the user called."""
    (_, a, m), (_, b, n) = left, right
    x, y = a._array, b._array
    if x.ndim != m or y.ndim != n:
        _dims(name, left, right)
    if x.shape[-1] != y.shape[-2 if n > 1 else 0] or x.dtype is not y.dtype:
        _check(name, x, y)
    return matmul(a, b)


def _stacks(name: str, left: tuple[str, Tensor, int], right: tuple[str, Tensor, int]) -> Tensor:
    """The products of two stacks of equally many matrices."""
    _dims(name, left, right)
    (_, a, _), (second, b, _) = left, right
    if a._array.shape[0] != b._array.shape[0]:
        raise ShapeError(f"{name}: {second} expects {a.shape[0]} matrices, got shape {list(b.shape)}")
    return _checked(name, left, right)


def _scaled_sum(name: str, x: Tensor, y: Tensor, beta: float, alpha: float) -> Tensor:
    if x._array.dtype != y._array.dtype and name != "addr":
        raise _mixed(name, x._array, y._array)
    if x._array.dtype.kind in "biu" and y._array.dtype.kind in "biu":
        if name == "addr" and float in (type(beta), type(alpha)):
            raise DTypeError("addr: For integral input tensors, beta and alpha must not be a floating point number, "
                             f"got beta={beta} and alpha={alpha}")
        whole = bool if x._array.dtype.kind == "b" else int  # PyTorch cuts the fraction off
        beta, alpha = whole(beta), whole(alpha)
    if shapes.broadcast(name, x._array.shape, y._array.shape) != y._array.shape:
        raise ShapeError(f"{name}: input of shape {list(x.shape)} cannot be broadcast to the product's {list(y.shape)}")
    y = y if alpha == 1 else y * alpha
    if beta == 0:
        return y
    return (x if beta == 1 else x * beta) + y


def _rows(shape: tuple[int, ...]) -> int:
    return _product(shape[:-1])


def _product(sizes: Any) -> int:
    total = 1
    for n in sizes:
        total *= n
    return total


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
