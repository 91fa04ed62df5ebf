"""Views as copies, and tensors with a part replaced: `narrow_copy`, `select_scatter` and their kin."""
from __future__ import annotations

import functools
from typing import Any

from .. import shapes
from ..errors import DTypeError, ShapeError
from ..op import composite
from ..tensor import Tensor
from .gather import into
from .join import chunk, split, split_with_sizes, unbind

_VIEWS = """alias as_strided detach diagonal expand narrow permute select slice squeeze t transpose unfold unsqueeze
view view_as_complex view_as_real"""
_PIECES = {"split_copy": split, "split_with_sizes_copy": split_with_sizes, "unbind_copy": unbind,
           "unsafe_chunk": chunk, "unsafe_split": split, "unsafe_split_with_sizes": split_with_sizes}


def _define_view(name: str) -> None:
    def copy(input, *args, out=None, **kwargs):
        view = _alias if name == "alias" else _slice if name == "slice" else getattr(Tensor, name)
        y = view(input, *args, **kwargs)
        return into(out, y.clone())

    copy.__name__ = copy.__qualname__ = f"{name}_copy"
    copy.__doc__ = f"`{name}` as a copy, not a view."
    composite(copy, method=name == "narrow")


def _define_pieces(name: str, cut: Any) -> None:
    @functools.wraps(cut)
    def pieces(*args, out=None, **kwargs):
        ys = tuple([y.clone() for y in cut(*args, **kwargs)])
        if out is None:
            return ys
        for o, y in zip(out, ys):
            into(o, y)
        return None

    pieces.__name__ = pieces.__qualname__ = name
    pieces.__doc__ = f"`{cut.__name__}` into copies, not views."
    composite(pieces, method=name.startswith("unsafe"))


def _alias(input: Tensor) -> Tensor:
    return input.view(input.shape)


def _slice(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    at = shapes.axis("slice", input, dim)
    return input[(*(slice(None),) * at, slice(start, end, step))]


@composite
def select_scatter(input, src, dim, index):
    """A copy of `input` with `src` at position `index` along `dim`.

    >>> import minitorch as torch
    >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    return _replaced("select_scatter", input, src, lambda y: y.select(dim, index))


@composite
def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """A copy of `input` with `src` at start:end:step along `dim`."""
    if step <= 0:
        raise RuntimeError(f"slice_scatter: step must be positive, got {step}")
    return _replaced("slice_scatter", input, src, lambda y: _slice(y, dim, start, end, step))


@composite
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy of `input` with `src` on a diagonal."""
    return _replaced("diagonal_scatter", input, src, lambda y: y.diagonal(offset, dim1, dim2))


@composite
def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """A copy of `input` with `src` where `as_strided` reads."""
    return _replaced("as_strided_scatter", input, src, lambda y: y.as_strided(size, stride, storage_offset))


@composite
def sum_to_size(input, *size):
    """The sum over those dimensions along which `size` was broadcast to the tensor's shape."""
    wanted = shapes.sizes(size)
    shape = tuple(input.shape)
    if len(wanted) > len(shape) or any(n not in (1, m) for n, m in zip(wanted[::-1], shape[::-1])):
        raise ShapeError(f"sum_to_size: size {list(wanted)} is not expandable to size {list(shape)}.")
    if not wanted:
        return input.sum()
    extra = len(shape) - len(wanted)
    dims = [*range(extra), *[i + extra for i, n in enumerate(wanted) if n == 1 and shape[i + extra] != 1]]
    return input.sum(dims, keepdim=True).reshape(wanted) if dims else input.view(wanted)


@composite
def resize_as_(self, the_template, *, memory_format=None):
    """`resize_` to the shape of another tensor."""
    return self.resize_(the_template.shape)


def _replaced(name: str, input: Tensor, src: Tensor, part: Any) -> Tensor:
    """A copy of `input` of which the view `part` holds `src`."""
    if src._array.dtype != input._array.dtype and name == "as_strided_scatter":
        raise DTypeError(f"{name}: expected input and src of one dtype, got {input.dtype} and {src.dtype}")
    y = input.clone()
    view = part(y)
    if view.shape != src.shape:
        raise ShapeError(f"{name}: expected src to have a size equal to the slice of self. src size = "
                         f"{list(src.shape)}, slice size = {list(view.shape)}")
    view.copy_(src)
    return y


for _name in _VIEWS.split():
    _define_view(_name)
for _name, _cut in _PIECES.items():
    _define_pieces(_name, _cut)
