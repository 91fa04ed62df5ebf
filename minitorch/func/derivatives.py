"""Gradients, Jacobians and their products as functions of functions.

A transform hands the function its own view of each input, a node or leaf that nothing else uses, and asks the engine
for gradients with respect to those. What the function takes from outside keeps its own history, so a transform within
another is differentiated by it: the gradients are recorded wherever something outside can be reached from the result.
Under `vmap` the views are the whole batches; since the batch's elements do not mix, the gradient of the sum over them
holds each one's own. Forward mode is reverse mode twice: the vector-Jacobian product is linear in its vector, and its
gradient with respect to that is the Jacobian-vector product.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import autograd
from ..engine import Node, Output, enable_grad, mode
from ..errors import ShapeError
from ..op import FUNCTIONS
from ..tensor import Tensor, edge_of
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from .batched import active, lifted, lower


def grad(func: Callable, argnums: Any = 0, has_aux: bool = False) -> Callable:
    """The function that returns the gradient of the scalar `func(*args)` for its arguments `argnums`.

    With `has_aux` `func` returns (value, aux), and the gradient comes with aux. Arguments may be trees of tensors.
    Raises RuntimeError where the result is no scalar.

    >>> import minitorch as torch
    >>> grad(grad(lambda x: x ** 3))(torch.tensor(2.0))
    tensor(12.)
    """
    def gradient(*args, **kwargs):
        result = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (result[0], result[1][1]) if has_aux else result[0]

    return _named(gradient, func)


def grad_and_value(func: Callable, argnums: Any = 0, has_aux: bool = False) -> Callable:
    """As `grad`, but the function returns (gradient, value), or (gradient, (value, aux))."""
    def gradient_and_value(*args, **kwargs):
        run = _run("grad_and_value", func, args, kwargs, argnums, has_aux)
        if not isinstance(run.result, Tensor):
            raise RuntimeError("grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got "
                               f"{type(run.result)}")
        if run.result.ndim:
            raise RuntimeError("grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor "
                               f"with {run.result.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?")
        grads = run.gradients([FUNCTIONS["ones_like"](run.ys[0])], keep=False)
        value = run.outside(run.result)
        return run.like_inputs(run.raised(grads)), ((value, run.outside(run.aux)) if has_aux else value)

    return _named(gradient_and_value, func)


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """(func(*primals), f): f(cotangents) is the tuple of their products with the Jacobian. With `has_aux` also aux.

    >>> import minitorch as torch
    >>> y, f = vjp(torch.sin, torch.tensor([0.0, 1.0]))
    >>> f(torch.ones(2))
    (tensor([1.0000, 0.5403]),)
    """
    run = _run("vjp", func, primals, {}, tuple(range(len(primals))), has_aux)

    def product(*cotangents, retain_graph=None, create_graph=None):
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        weights, spec = tree_flatten(given)
        if len(weights) != len(run.ys):
            raise RuntimeError(f"Expected pytree structure of cotangents to be the same as pytree structure of outputs "
                               f"to the function. cotangents: {spec}, primal output: {run.spec}")
        for i, (w, y) in enumerate(zip(weights, tree_flatten(run.result)[0])):
            if tuple(w.shape) != tuple(y.shape):
                raise ShapeError(f"Mismatch in shape: grad_output[{i}] has a shape of {w.shape} and output[{i}] has "
                                 f"a shape of {y.shape}.")
        if len(active()) > len(run.levels):  # more batches than the function had: one product for each element
            return _one_by_one(product, given, active()[len(run.levels):])
        return run.like_inputs(run.raised(run.gradients([lower(w, run.levels) for w in weights])))

    out = run.outside(run.result)
    return (out, product, run.outside(run.aux)) if has_aux else (out, product)


def jvp(func: Callable, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> tuple:
    """(func(*primals), its directional derivative along `tangents`). With `has_aux` also aux.

    >>> import minitorch as torch
    >>> jvp(torch.sin, (torch.tensor(0.0),), (torch.tensor(2.0),))
    (tensor(0.), tensor(2.))
    """
    if not isinstance(primals, tuple):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to call "
                           "f(*primals).")
    directions, spec = tree_flatten(tangents)
    points, same = tree_flatten(primals)
    if spec != same:
        raise RuntimeError("jvp(f, primals, tangents): Expected primals and tangents to have the same python "
                           "structure. For example, if primals is a tuple of 3 tensors, tangents also must be. Got "
                           f"primals {same} and tangents {spec}")
    for x, t in zip(points, directions):
        if tuple(x.shape) != tuple(t.shape):
            raise RuntimeError("jvp: Trying to set a forward gradient that has a different size than that of the "
                               f"original Tensor: it has shape {tuple(t.shape)}, the tensor {tuple(x.shape)}")
    run = _run("jvp", func, primals, {}, tuple(range(len(primals))), has_aux)
    push = run.pushforward()
    tangent = tree_unflatten(run.raised(push([lower(t, run.levels) for t in directions])), run.spec)
    out = run.outside(run.result)
    return (out, tangent, run.outside(run.aux)) if has_aux else (out, tangent)


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """(func(*primals), f): f(*tangents) is the directional derivative there, without running `func` again."""
    run = _run("linearize", func, primals, {}, tuple(range(len(primals))), False)
    push, points = run.pushforward(), tree_flatten(primals)[0]

    def derivative(*tangents):
        directions = tree_flatten(tangents)[0]
        for x, t in zip(points, directions):
            if tuple(x.shape) != tuple(t.shape):
                raise RuntimeError(f"linearize: a tangent has shape {tuple(t.shape)}, its primal {tuple(x.shape)}")
        if len(directions) != len(points):
            raise RuntimeError(f"linearize: expects {len(points)} tangents, got {len(directions)}")
        if len(active()) > len(run.levels):
            return _one_by_one(lambda given: derivative(*given), tangents, active()[len(run.levels):])
        return tree_unflatten(run.raised(push([lower(t, run.levels) for t in directions])), run.spec)

    return run.outside(run.result), derivative


def jacrev(func: Callable, argnums: Any = 0, *, has_aux: bool = False, chunk_size: int | None = None,
           _preallocate_and_copy: bool = False) -> Callable:
    """The function that returns the Jacobian, (*output shape, *input shape): a backward pass an output element.

    Its tree is that of the outputs, each with one Jacobian an argument of `argnums`.

    >>> import minitorch as torch
    >>> jacrev(lambda x: x ** 2)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    _check_chunk("jacrev", chunk_size)

    def jacobian(*args, **kwargs):
        run = _run("jacrev", func, args, kwargs, argnums, has_aux)
        n = len(run.levels)
        blocks = []
        for i, y in enumerate(run.ys):
            rows = [run.gradients([e if j == i else None for j in range(len(run.ys))])
                    for e in _basis(tuple(y.shape[n:]), y)]
            blocks.append(run.like_inputs(run.raised([
                _joined([row[j] for row in rows], n, y.shape[n:], x, False) for j, x in enumerate(run.xs)])))
        result = tree_unflatten(blocks, run.spec)
        return (result, run.outside(run.aux)) if has_aux else result

    return _named(jacobian, func)


def jacfwd(func: Callable, argnums: Any = 0, has_aux: bool = False, *, randomness: str = "error",
           chunk_size: int | None = None) -> Callable:
    """The Jacobian as `jacrev` gives it, computed column by column."""
    _check_chunk("jacfwd", chunk_size)

    def jacobian(*args, **kwargs):
        run = _run("jacfwd", func, args, kwargs, argnums, has_aux)
        push, n = run.pushforward(), len(run.levels)
        columns = [[push([e if k == j else None for k in range(len(run.xs))])
                    for e in _basis(tuple(x.shape[n:]), x)] for j, x in enumerate(run.xs)]
        blocks = [run.like_inputs(run.raised([
            _joined([column[i] for column in columns[j]], n, x.shape[n:], y, True) for j, x in enumerate(run.xs)]))
            for i, y in enumerate(run.ys)]
        result = tree_unflatten(blocks, run.spec)
        return (result, run.outside(run.aux)) if has_aux else result

    return _named(jacobian, func)


def hessian(func: Callable, argnums: Any = 0) -> Callable:
    """The function that returns the matrix of second derivatives, (*output, *input, *input) in shape.

    >>> import minitorch as torch
    >>> hessian(lambda x: (x ** 3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


class _Run(NamedTuple):
    """One run of a function on views of its own: `xs` and `ys` are its inputs and outputs as plain tensors, each
    with an axis for every batch that is active."""

    levels: tuple
    xs: list[Tensor]
    ys: list[Tensor]
    result: Any
    aux: Any
    spec: Any  # of the result
    inputs: Any  # the structure of the differentiated arguments
    connected: bool  # whether history from outside can be reached from the outputs

    def gradients(self, weights: list[Any], keep: bool = True) -> list[Tensor]:
        """The gradients of sum(weight * y) for each x; a weight may be None."""
        pairs = [(y, w) for y, w in zip(self.ys, weights) if w is not None and y.requires_grad]
        record = mode.grad and (self.connected or any(w.requires_grad for _, w in pairs))
        found: Any = [None] * len(self.xs)
        if pairs:
            found = autograd.grad([y for y, _ in pairs], self.xs, [_as(w, y) for y, w in pairs], keep or record,
                                  record, allow_unused=True)
        return [FUNCTIONS["zeros_like"](x).detach() if g is None else g for g, x in zip(found, self.xs)]

    def pushforward(self) -> Callable[[list[Any]], list[Tensor]]:
        """The function from tangents, which may be None, to the outputs' tangents."""
        ys = [y for y in self.ys if y.requires_grad]
        vs = [FUNCTIONS["zeros_like"](y).detach().requires_grad_() for y in ys]
        with enable_grad():
            gs: Any = autograd.grad(ys, self.xs, vs, True, True, allow_unused=True) if ys else [None] * len(self.xs)

        def push(tangents: list[Any]) -> list[Tensor]:
            pairs = [(g, t) for g, t in zip(gs, tangents) if t is not None and g is not None and g.requires_grad]
            record = mode.grad and (self.connected or any(t.requires_grad for _, t in pairs))
            found: Any = [None] * len(vs)
            if pairs:
                found = autograd.grad([g for g, _ in pairs], vs, [_as(t, g) for g, t in pairs], True, record,
                                      allow_unused=True)
            results = iter(found)
            each = [next(results) if y.requires_grad else None for y in self.ys]
            return [FUNCTIONS["zeros_like"](y).detach() if g is None else g for g, y in zip(each, self.ys)]

        return push

    def raised(self, tensors: list[Tensor]) -> list[Tensor]:
        return [lifted(t, self.levels) for t in tensors]

    def like_inputs(self, tensors: list[Tensor]) -> Any:
        return tree_unflatten(tensors, self.inputs)

    def outside(self, tree: Any) -> Any:
        """Results as the transform's caller sees them: without the history of the views."""
        keep = mode.grad and self.connected
        return tree_map(lambda t: t.detach() if isinstance(t, Tensor) and not keep else t, tree)


def _run(name: str, func: Callable, args: tuple, kwargs: dict, argnums: Any, has_aux: bool) -> _Run:
    numbers = _positions(argnums, len(args))
    chosen = [args[i] for i in numbers]
    given, inputs = tree_flatten(tuple(chosen) if isinstance(argnums, tuple) else chosen[0])
    for x in given:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"{name}: expects tensors as the arguments to differentiate, got {type(x).__name__}")
    levels = active()
    xs = [_view(lower(x, levels)) for x in given]
    parts = tree_unflatten([lifted(x, levels) for x in xs], inputs)
    arguments = list(args)
    for i, part in zip(numbers, parts if isinstance(argnums, tuple) else (parts,)):
        arguments[i] = part
    with enable_grad():
        result = func(*arguments, **kwargs)
        aux = None
        if has_aux:
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError(f"{name}(f)(*args): output of function f should be a tuple: (output, aux) if "
                                   "has_aux is True")
            result, aux = result
        flat, spec = tree_flatten(result)
        for y in flat:
            if not isinstance(y, Tensor):
                if name == "grad_and_value":
                    break
                raise RuntimeError(f"{name}(f, *primals): Expected f(*primals) to return tensors, got {type(y)}")
        ys = [lower(y, levels) for y in flat if isinstance(y, Tensor)]
    return _Run(levels, xs, ys, result, aux, spec, inputs, _reaches_outside(ys, xs))


def _positions(argnums: Any, count: int) -> list[int]:
    if not (isinstance(argnums, int) or (isinstance(argnums, tuple) and all(isinstance(i, int) for i in argnums))):
        raise RuntimeError(f"argnum must be int or Tuple[int], got {type(argnums)}")
    numbers = list(argnums) if isinstance(argnums, tuple) else [argnums]
    for i in numbers:
        if not -count <= i < count:
            raise RuntimeError(f"Got argnum={i}, but only {count} positional inputs")
    if len({i % count for i in numbers}) != len(numbers):
        raise RuntimeError(f"argnums must be unique, got argnums={argnums}")
    return [i % count for i in numbers]


def _view(x: Tensor) -> Tensor:
    """`x` as a tensor that only this transform knows, connected to x's history where that is recorded."""
    if mode.grad and x.requires_grad:
        return x.view_as(x)
    return x.detach().requires_grad_()


def _reaches_outside(ys: list[Tensor], xs: list[Tensor]) -> bool:
    """Whether the history of `ys` leads to anything but the views `xs`, or they have a history themselves."""
    if any(x._node is not None for x in xs):
        return True
    inside = {id(x) for x in xs}
    pending = [edge_of(y) for y in ys if y.requires_grad]
    seen: set[int] = set()
    while pending:
        edge = pending.pop()
        if isinstance(edge, (Node, Output)):
            if edge.number not in seen:
                seen.add(edge.number)
                pending.extend(e for e in edge.inputs if e is not None)
        elif id(edge) not in inside:
            return True
    return False


def _as(weight: Tensor, y: Tensor) -> Tensor:
    """A weight in the type and the batches of the tensor that it weighs."""
    if weight.dtype != y.dtype:
        weight = weight.to(y.dtype)
    return weight if weight.shape == y.shape else weight.expand(y.shape)


def _basis(shape: tuple, like: Tensor) -> Any:
    """The unit tensors of `shape`, one after the other; they stand for each element of the batches of `like`."""
    for i in range(math.prod(shape)):
        e = FUNCTIONS["zeros"](math.prod(shape), dtype=like.dtype, device=like.device)
        e._array[i] = 1
        yield e.reshape(shape)


def _joined(parts: list[Tensor], batches: int, shape: Any, like: Tensor, columns: bool) -> Tensor:
    """The Jacobian from its rows, `shape` the output's, or from its columns, `shape` the input's; after the batches'
    axes. `like` has the shape of one part."""
    sizes, rest = tuple(like.shape[:batches]), tuple(like.shape[batches:])
    if not parts:
        return FUNCTIONS["zeros"](*sizes, *((*rest, *shape) if columns else (*shape, *rest)), dtype=like.dtype)
    stacked = FUNCTIONS["stack"](parts, like.ndim if columns else batches)
    return stacked.reshape(*sizes, *((*rest, *shape) if columns else (*shape, *rest)))


def _one_by_one(function: Callable, given: Any, levels: tuple) -> Any:
    """`function` on each element of the batches `levels`, which it knows nothing of."""
    from .batched import over

    return over(function, given, levels)


def _check_chunk(name: str, chunk_size: Any) -> None:
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"{name}: chunk_size should be None or greater than 0. (got {chunk_size})")


def _named(made: Callable, func: Callable) -> Callable:
    made.__name__ = getattr(func, "__name__", made.__name__)
    made.__doc__, made.__wrapped__ = getattr(func, "__doc__", None), func  # type: ignore[attr-defined]
    return made
