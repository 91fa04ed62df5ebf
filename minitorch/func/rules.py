"""How each op treats the hidden axis of a batch: the rules of `vmap`.

A rule gets the level and the op's arguments, and returns the values of the results, batch first, or NotImplemented:
then the op runs on one example after the other. Most ops need no rule of their own. Elementwise ones broadcast, once
the batch stands before all other axes; those along a `dim` count it one further; convolutions and pooling take the
batch for part of theirs.
"""
from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

from ..op import FUNCTIONS, OPS
from ..tensor import Tensor
from .batched import Batched, Veiled

RULES: dict[str, Callable] = {}
_ELEMENTWISE = ("elementwise", "arithmetic", "compare", "choose", "activation", "special", "complex", "convert")
_OTHERWISE = {"glu", "prelu", "polynomial", "fill", "view_as_real", "view_as_complex"}  # in those files, but not so
_MORE = ("huber", "bernoulli_entropy", "bernoulli_entropy_of_logits", "masked_scale")
_LAST_AXES = """linalg_inv linalg_det linalg_slogdet linalg_cholesky linalg_qr linalg_eigh linalg_svd linalg_pinv
    linalg_eig tril triu constant_pad view_as_real view_as_complex"""
_ALONG = """softmax log_softmax cumsum cumprod logcumsumexp cummax cummin glu sort argsort topk kthvalue select narrow
    unbind split largest_along smallest_along median_along nanmedian_along mode_along"""
_REDUCTIONS = "sum nansum mean prod count_nonzero var std all any vector_norm logsumexp amax amin argmax argmin"
_IMAGES = "max_pool avg_pool adaptive_avg_pool conv_transpose1d conv_transpose2d conv_transpose3d conv1d conv2d conv3d"


def rule(*names: str) -> Callable:
    """Registers the rule of these ops."""
    def register(function: Callable) -> Callable:
        for name in names:
            RULES[name] = functools.partial(function, name=name) if len(names) > 1 else function
        return function
    return register


def is_batched(x: Any, level: Any) -> bool:
    """Whether `x`, a tensor or the veil of one, hides the batch of `level`."""
    x = x.tensor if type(x) is Veiled else x
    return isinstance(x, Batched) and x._level is level


def value(x: Any, level: Any) -> Any:
    """What `x` hides; itself where that is nothing."""
    return x._value if is_batched(x, level) else x


def spread(x: Any, level: Any) -> Tensor:
    """`value(x)`, repeated for each example where `x` hides none."""
    return x._value if is_batched(x, level) else x.unsqueeze(0).expand(level.size, *x.shape)


def attributes_of(name: str, args: tuple, kwargs: dict) -> dict:
    """The attributes among an op's arguments, by name, with their defaults."""
    bound = _signature(name).bind(None, *args, **kwargs)
    bound.apply_defaults()
    op = OPS[name]
    return {key: v for key, v in bound.arguments.items() if key in op.attributes}


@functools.cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(OPS[name].body)


def _elementwise(level, *args, name, **kwargs):
    """Broadcasting: axes of size 1 stand between the batch and the axes of those with fewer."""
    n = len(OPS[name].params)
    ndim = max([x.ndim for x in args[:n] if isinstance(x, Tensor)])
    aligned = []
    for x in args[:n]:
        y = value(x, level)
        if y is not x and x.ndim < ndim:
            y = y.reshape(level.size, *[1] * (ndim - x.ndim), *x.shape)
        aligned.append(y)
    return OPS[name].call(*aligned, *args[n:], **kwargs)


for _name, _op in OPS.items():
    if (_op.body.__module__.rpartition(".")[2] in _ELEMENTWISE and _name not in _OTHERWISE) or _name in _MORE:
        RULES[_name] = functools.partial(_elementwise, name=_name)


@rule(*_LAST_AXES.split())
def _last_axes(level, x, *args, name, **kwargs):
    return OPS[name].call(value(x, level), *args, **kwargs)


@rule(*_ALONG.split())
def _along(level, x, *args, name, **kwargs):
    attributes = attributes_of(name, (x, *args), kwargs)
    if not x.ndim:
        return NotImplemented
    attributes["dim"] = _further(x, attributes["dim"])
    return _with(OPS[name], (x._value,), attributes)


@rule(*_REDUCTIONS.split())
def _reduction(level, x, *args, name, **kwargs):
    attributes = attributes_of(name, (x, *args), kwargs)
    dim = attributes["dim"]
    if isinstance(dim, bool):  # var(x, False)
        attributes["unbiased"], dim = dim, None
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        if name in ("argmax", "argmin", "prod", "all", "any") or not x.ndim:
            if attributes.get("keepdim"):
                return NotImplemented
            return _with(OPS[name], (x._value.reshape(level.size, x._array.size),), {**attributes, "dim": 1})
        dim = tuple(range(x.ndim))
    if not x.ndim:
        return NotImplemented
    attributes["dim"] = tuple([_further(x, d) for d in dim]) if isinstance(dim, (tuple, list)) else _further(x, dim)
    return _with(OPS[name], (x._value,), attributes)


@rule("max", "min")
def _extreme(level, x, name):
    return OPS["a" + name].call(x._value.reshape(level.size, x._array.size), 1)


@rule("clone", "to_copy")
def _copy(level, x, *args, name, **kwargs):
    return OPS[name].call(x._value, *args, **kwargs)


# Shapes

@rule("reshape", "view")
def _reshape(level, x, *size, shape=None, dtype=None, name):
    sizes = _listed(size if shape is None else (shape,))
    if dtype is not None or (sizes and not isinstance(sizes[0], int)):
        return NotImplemented
    if -1 in sizes:
        known = -math.prod(sizes)
        sizes = [x._array.size // known if n == -1 and known else n for n in sizes]
    return OPS[name].call(x._value, (level.size, *sizes))


@rule("expand", "broadcast_to")
def _expand(level, x, *size, name, **kwargs):
    given = kwargs.get("size")
    sizes = _listed(size if given is None else (given,))
    room = [1] * (len(sizes) - x.ndim)
    return OPS["expand"].call(x._value.reshape(level.size, *room, *x.shape) if room else x._value,
                               (level.size, *sizes))


@rule("permute")
def _permute(level, x, *order, dims=None):
    order = _listed(order if dims is None else (dims,))
    return OPS["permute"].call(x._value, (0, *[d % x.ndim + 1 for d in order]))


@rule("transpose")
def _transpose(level, x, dim0, dim1):
    return OPS["transpose"].call(x._value, _further(x, dim0), _further(x, dim1)) if x.ndim else x._value


@rule("unsqueeze")
def _unsqueeze(level, x, dim):
    return OPS["unsqueeze"].call(x._value, dim + 1 if dim >= 0 else dim)


@rule("squeeze")
def _squeeze(level, x, dim=None):
    if not x.ndim:
        return x._value
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    return OPS["squeeze"].call(x._value, tuple([_further(x, d) for d in dims]))


@rule("flatten")
def _flatten(level, x, start_dim=0, end_dim=-1):
    value = x._value if x.ndim else x._value.unsqueeze(1)
    return OPS["flatten"].call(value, _further(x, start_dim), _further(x, end_dim))


@rule("unflatten")
def _unflatten(level, x, dim, sizes):
    return OPS["unflatten"].call(x._value, _further(x, dim), sizes)


@rule("diagonal")
def _diagonal(level, x, offset=0, dim1=0, dim2=1):
    return OPS["diagonal"].call(x._value, offset, _further(x, dim1), _further(x, dim2))


@rule("flip")
def _flip(level, x, *dims, **kwargs):
    return OPS["flip"].call(x._value, tuple([_further(x, d) for d in _listed(dims or tuple(kwargs.values()))]))


@rule("roll")
def _roll(level, x, shifts, dims=None):
    if dims is None or dims == ():
        return OPS["roll"].call(x._value.reshape(level.size, -1), shifts, 1).reshape(x._value.shape)
    return OPS["roll"].call(x._value, shifts, tuple([_further(x, d) for d in _listed((dims,))]))


@rule("repeat", "tile")
def _repeat(level, x, *args, name, **kwargs):
    counts = _listed(args or tuple(kwargs.values()))
    if name == "tile":
        counts = [1] * (x.ndim - len(counts)) + counts
    room = [1] * (len(counts) - x.ndim)
    return OPS["repeat"].call(x._value.reshape(level.size, *room, *x.shape), (1, *counts))


@rule("unfold")
def _unfold(level, x, dimension, size, step):
    return OPS["unfold"].call(x._value, _further(x, dimension), size, step) if x.ndim else NotImplemented


@rule("cat", "stack")
def _join(level, xs, dim=0, name="", **kwargs):
    ndim = max(x.ndim for x in xs) + (name == "stack")
    if not isinstance(dim, int) or kwargs or any(x.ndim != xs[0].ndim for x in xs):
        return NotImplemented
    return OPS[name].call([spread(x, level) for x in xs], dim % ndim + 1)


@rule("as_strided")
def _as_strided(level, x, *args, **kwargs):
    """Places in memory are counted from the start of each example's."""
    return FUNCTIONS["stack"]([OPS["as_strided"].call(part.clone(), *args, **kwargs) for part in x._value.unbind(0)])


# Indices

@rule("slice")
def _slice(level, x, key):
    return OPS["slice"].call(x._value, (slice(None), *(key if isinstance(key, tuple) else (key,))))


@rule("index")
def _index(level, x, indices):
    if not is_batched(x, level) or any(is_batched(i, level) for i in indices):
        return NotImplemented
    if sum(i is not None for i in indices) > 1 and None in indices:
        return NotImplemented  # NumPy may put the indexed axes before the batch
    return OPS["index"].call(x._value, [None, *indices])


@rule("gather")
def _gather(level, x, index, dim):
    return OPS["gather"].call(spread(x, level), spread(index, level), _further(x, dim)) if x.ndim else NotImplemented


@rule("scatter", "scatter_add")
def _scatter(level, x, src, index, dim, name):
    if not isinstance(src, Tensor) or not x.ndim:
        return NotImplemented
    return OPS[name].call(*[spread(t, level) for t in (x, src, index)], _further(x, dim))


@rule("index_select")
def _index_select(level, x, index, dim):
    if is_batched(index, level) or not x.ndim or not index.ndim:
        return NotImplemented
    return OPS["index_select"].call(x._value, index, _further(x, dim))


@rule("embedding")
def _embedding(level, w, index, *args, **kwargs):
    if is_batched(w, level):
        if (args and (args[0] is not None or any(args[1:]))) or any(v not in (None, False) for v in kwargs.values()):
            return NotImplemented
        rows, width = w.shape
        first = FUNCTIONS["arange"](level.size).reshape(level.size, *[1] * index.ndim) * rows
        return OPS["embedding"].call(w._value.reshape(level.size * rows, width), value(index, level) + first, None,
                                     False)
    return OPS["embedding"].call(w, value(index, level), *args, **kwargs)


# Products

@rule("matmul")
def _matmul(level, a, b):
    x, y = value(a, level), value(b, level)
    if a.ndim == 1:
        x = x.unsqueeze(-2)
    if b.ndim == 1:
        y = y.unsqueeze(-1)
    n, m = max(a.ndim, 2), max(b.ndim, 2)
    if x is y or (n, m) != (2, 2) or not is_batched(b, level):
        if is_batched(a, level) and n < m:
            x = x.reshape(level.size, *[1] * (m - n), *x.shape[1:])
        if is_batched(b, level) and m < n:
            y = y.reshape(level.size, *[1] * (n - m), *y.shape[1:])
    z = OPS["matmul"].call(x, y)
    if a.ndim == 1:
        z = z.squeeze(-2)
    return z.squeeze(-1) if b.ndim == 1 else z


@rule("linear")
def _linear(level, x, weight, bias=None):
    if not is_batched(weight, level) and not is_batched(bias, level):
        return OPS["linear"].call(x._value, weight, bias)
    if weight.ndim != 2:
        return NotImplemented
    if not is_batched(x, level) and not is_batched(weight, level):
        return _elementwise(level, OPS["linear"].call(x, weight), bias, name="add")
    y = _matmul(level, x, Batched(weight._value.transpose(1, 2), level) if is_batched(weight, level) else
                weight.transpose(0, 1))
    if bias is None:
        return y
    return _elementwise(level, Batched(y, level), bias, name="add")


@rule("contract")
def _contract(level, a, b, left, right, kept):
    batch = -1  # a name that no equation has
    return OPS["contract"].call(value(a, level), value(b, level), (batch, *left) if is_batched(a, level) else left,
                                (batch, *right) if is_batched(b, level) else right, (batch, *kept))


@rule("linalg_solve")
def _solve(level, a, b, *args, **kwargs):
    return NotImplemented if b.ndim != a.ndim else OPS["linalg_solve"].call(spread(a, level), spread(b, level))


@rule("attend")
def _attend(level, query, key, value_, mask=None, *args, **kwargs):
    ndim = max(query.ndim, key.ndim, value_.ndim)
    parts = [spread(t, level).reshape(level.size, *[1] * (ndim - t.ndim), *t.shape) for t in (query, key, value_)]
    if is_batched(mask, level):
        mask = mask._value.reshape(level.size, *[1] * (ndim - mask.ndim), *mask.shape)
    return OPS["attend"].call(*parts, mask, *args, **kwargs)


# Images: the batch joins the examples of each

@rule(*_IMAGES.split())
def _images(level, x, *args, name, **kwargs):
    arrays = len(OPS[name].params) - 1
    others, rest = args[:arrays], args[arrays:]
    if any(is_batched(t, level) for t in others):
        return _conv_of_each(level, x, others, rest, kwargs, name)
    axes = int(name[-2]) if name[-1] == "d" else 2
    if x.ndim == axes + 1 and arrays:  # one image without an axis for the batch
        return OPS[name].call(x._value, *args, **kwargs)
    if x.ndim < 3:
        return NotImplemented
    y = OPS[name].call(x._value.flatten(0, 1), *args, **kwargs)
    return y.unflatten(0, (level.size, x.shape[0]))


def _conv_of_each(level, x, others, rest, kwargs, name):
    """A convolution with other weights for each example: one with as many times the groups."""
    axes = int(name[-2])
    names = OPS[name].attributes
    attributes = {**dict(zip(names, rest)), **kwargs}
    weight, bias = (*others, None)[:2]
    if name.startswith("conv_transpose") or x.ndim != axes + 2 or isinstance(attributes.get("padding"), str):
        return NotImplemented
    groups = attributes.get("groups", 1)
    size, n, channels = level.size, x.shape[0], x.shape[1]
    xs = spread(x, level).transpose(0, 1).flatten(1, 2)  # (N, batch * C, ...)
    ws = spread(weight, level).flatten(0, 1)
    b = None if bias is None else spread(bias, level).flatten(0, 1)
    if channels != weight.shape[1] * groups:
        return NotImplemented
    y = OPS[name].call(xs, ws, b, **{**attributes, "groups": groups * size})
    return y.unflatten(1, (size, weight.shape[0])).transpose(0, 1).reshape(size, n, weight.shape[0], *y.shape[2:])


@rule("group_norm_channels")
def _group_norm(level, x, w, b, *args, **kwargs):
    if is_batched(w, level) or is_batched(b, level):
        return NotImplemented
    return OPS["group_norm_channels"].call(x._value.flatten(0, 1), w, b, *args, **kwargs).unflatten(
        0, (level.size, x.shape[0]))


@rule("layer_norm_last", "rms_norm_last")
def _layer_norm(level, x, *args, name, **kwargs):
    n = len(OPS[name].params) - 1
    if not any(is_batched(t, level) for t in args[:n]):
        return OPS[name].call(x._value, *args, **kwargs)
    plain = Batched(OPS[name].call(spread(x, level), *[None] * n, *args[n:], **kwargs), level)
    for operation, t in zip(("mul", "add"), args[:n]):
        if t is not None:
            plain = Batched(_elementwise(level, plain, t, name=operation), level)
    return plain._value


# Losses

@rule("squared_error")
def _squared_error(level, x, t, reduction):
    d = FUNCTIONS["square"](_elementwise(level, x, t, name="sub"))
    return _reduced(d, reduction)


@rule("binary_cross_entropy")
def _binary_cross_entropy(level, x, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    if size_average is not None or reduce is not None or weight is not None or x.shape != target.shape:
        return NotImplemented
    return _reduced(FUNCTIONS["binary_cross_entropy"](spread(x, level), spread(target, level), reduction="none"),
                    reduction)


@rule("cross_entropy", "nll_loss")
def _classes(level, x, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean",
             label_smoothing=0.0, name=""):
    by_class = not target.is_floating_point()
    if size_average is not None or reduce is not None or weight is not None or (label_smoothing and by_class) or \
            not x.ndim or target.ndim != (x.ndim - (1 if by_class else 0) if x.ndim > 1 else 0 if by_class else 1):
        return NotImplemented
    logits, t = spread(x, level), spread(target, level)
    single = x.ndim == 1
    if not single:
        logits, t = logits.flatten(0, 1), t.flatten(0, 1)
    more = {"label_smoothing": label_smoothing} if name == "cross_entropy" else {}
    y = FUNCTIONS[name](logits, t, None, None, ignore_index, None, "none", **more)
    if single:
        return y
    y = y.unflatten(0, (level.size, x.shape[0]))
    if reduction != "mean":
        return _reduced(y, reduction)
    if not by_class:
        return y.flatten(1).sum(1) / math.prod([n for i, n in enumerate(x.shape) if i != 1])
    counted = (t.unflatten(0, (level.size, x.shape[0])) != ignore_index).flatten(1).sum(1)
    return y.flatten(1).sum(1) / counted.to(y.dtype)


def _reduced(y: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return y
    y = y.reshape(y.shape[0], -1)
    return y.mean(1) if reduction == "mean" else y.sum(1)


def _with(op: Any, arrays: tuple, attributes: dict) -> Any:
    """The op with all its attributes: by position where it can be, which is its quick way in."""
    named = {p.name for p in _signature(op.name).parameters.values() if p.kind is p.KEYWORD_ONLY}
    return op.call(*arrays, *[attributes[name] for name in op.attributes if name not in named],
                   **{name: attributes[name] for name in named if attributes[name] is not None})


def _further(x: Tensor, dim: int) -> int:
    """`dim` of one example as an axis of the batch. What is out of range stays so."""
    if not isinstance(dim, int):
        raise TypeError(f"expects an integer for dim, got {type(dim).__name__}")
    return dim + 1 if dim >= 0 else dim if -dim <= max(x.ndim, 1) else dim - 1


def _listed(sizes: Any) -> list:
    """Sizes that were given one by one or as a sequence."""
    return list(sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes)
