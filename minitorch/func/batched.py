"""`vmap`: a function of single examples runs once on all of them, with tensors that hide the batch's axis.

A `Batched` tensor looks like one example. It has no array of its own, so each op hands itself over to `_run` here,
which takes the tensors' values, batch axis first, and asks `rules.py` how the op treats that axis. An op without a
rule runs on one example after the other and stacks the results. What is no op and looks at values (`.item()`, a
condition, a change in place, drawing random numbers) stops the attempt; then the whole function runs on one example
after the other. So results never depend on which way was taken, except for random numbers that differ by example:
they come in the order of the examples.
"""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from ..engine import mode
from ..errors import NotStrided
from ..op import FUNCTIONS, named
from ..tensor import Tensor
from ..utils._pytree import broadcast_prefix, tree_flatten, tree_map, tree_unflatten


def vmap(func: Callable, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *,
         chunk_size: int | None = None) -> Callable:
    """The function that maps `func` over an axis of its tensor arguments: `in_dims`, None for those that all share.

    `in_dims` and `out_dims` are integers or trees of them; results are stacked along `out_dims`. `randomness` says
    whether `func` may draw random numbers: "same" or "different" ones for each example. `chunk_size` examples are
    computed at a time. Keyword arguments are mapped over axis 0. Raises ValueError where axes do not fit.

    >>> import minitorch as torch
    >>> x, y = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 1.0])
    >>> vmap(torch.dot, in_dims=(0, None))(x, y)
    tensor([3., 7.])
    """
    if randomness not in ("error", "same", "different"):
        raise RuntimeError("Only allowed values for randomness are 'error', 'different', or 'same'. "
                           f"Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", type(func).__name__)

    @functools.wraps(func, updated=())
    def mapped(*args, **kwargs):
        leaves, dims, spec = _inputs(name, in_dims, args, kwargs)
        sizes = sorted({x.shape[d] for x, d in zip(leaves, dims) if d is not None})
        if len(sizes) > 1:
            given = [x.shape[d] for x, d in zip(leaves, dims) if d is not None]
            raise ValueError("vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
                             f"{given} for the mapped dimension")
        fronted = [x if d is None else x.movedim(d, 0) if d else x for x, d in zip(leaves, dims)]
        call = _Call(func, name, spec, [d is not None for d in dims], out_dims, randomness)
        size, step = sizes[0], chunk_size or max(sizes[0], 1)
        if size <= step:
            return call(fronted, size)
        parts = [call([x if d is None else x[i:i + step] for x, d in zip(fronted, dims)], min(step, size - i), 0)
                 for i in range(0, size, step)]
        columns = [tree_flatten(part, _is_none)[0] for part in parts]
        spec_out = tree_flatten(parts[0], _is_none)[1]
        joined = [each[0] if d is None else FUNCTIONS["cat"](list(each), 0).movedim(0, d)
                  for each, d in zip(zip(*columns), call.dims_of(parts[0]))]
        return tree_unflatten(joined, spec_out)

    return mapped


class VmapInfo(NamedTuple):
    """What the `vmap` of a custom Function is told first."""

    batch_size: int
    randomness: str


class Level:
    """One vmap that is running: how many examples it has."""

    def __init__(self, size: int):
        self.size = size
        self.depth = len(_state.levels)


class _State(threading.local):
    levels: tuple = ()


_state = _State()


def active() -> tuple[Level, ...]:
    """The batches that are hidden at this point, the outermost first."""
    return _state.levels


class Unbatchable(NotStrided):
    """A look at the values of a tensor that hides a batch."""

    def __init__(self, tensor: Any, what: str = "this"):
        super().__init__(tensor, f"vmap: {what} looks at the values of a tensor that stands for a whole batch")

    def run(self, name: str, args: tuple, kwargs: dict) -> Any:
        if self.tensor is None:  # no tensor, a generator
            raise self
        return super().run(name, args, kwargs)


class BadResult(ValueError):
    """A result that vmap cannot take, whichever way the function runs."""


class Veiled:
    """What stands in the place of a Batched tensor's array: the shape and type of one example, and no values."""

    __slots__ = ("dtype", "ndim", "shape", "size", "tensor")
    base = None
    veils = property(lambda self: self.tensor._value._array)

    def __init__(self, tensor: Batched):
        array = tensor._value._array
        self.tensor, self.shape, self.dtype, self.ndim = tensor, array.shape[1:], array.dtype, array.ndim - 1
        self.size = 1
        for n in self.shape:
            self.size *= n

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _PROTOCOLS:
            raise AttributeError(name)
        raise Unbatchable(self.tensor, name)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]


def _refuse(self: Veiled, *args: Any, **kwargs: Any) -> Any:
    raise Unbatchable(self.tensor)


_OPERATORS = ("add sub mul truediv floordiv mod pow matmul and or xor lshift rshift radd rsub rmul rtruediv rfloordiv "
              "rmod rpow rmatmul rand ror rxor iadd isub imul itruediv iand ior ixor lt le gt ge eq ne neg pos abs "
              "invert getitem setitem iter bool int float index contains array array_ufunc array_function")
_PROTOCOLS = frozenset(["__array_interface__", "__array_struct__", "__cuda_array_interface__", "__dlpack__"])
for _name in _OPERATORS.split():
    setattr(Veiled, f"__{_name}__", _refuse)
Veiled.__hash__ = object.__hash__  # type: ignore[method-assign]


class Batched(Tensor):
    """One example as a function under `vmap` sees it. `_value` holds all of them, along axis 0."""

    _value: Tensor
    _level: Level

    def __new__(cls, value: Tensor, level: Level) -> Batched:
        t = object.__new__(cls)
        t._value, t._level = value, level
        return t

    def __init__(self, value: Tensor, level: Level):
        pass

    _array: Any = property(Veiled)
    device = property(lambda self: self._value.device)  # type: ignore[assignment]
    is_leaf = property(lambda self: self._value.is_leaf)  # type: ignore[assignment]
    grad_fn = property(lambda self: self._value.grad_fn)  # type: ignore[assignment]
    data = property(lambda self: Batched(self._value.data, self._level))  # type: ignore[assignment]
    requires_grad = property(lambda self: self._value.requires_grad,  # type: ignore[assignment]
                             lambda self, wanted: self.requires_grad_(wanted))

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        raise RuntimeError("You are attempting to call Tensor.requires_grad_() (or perhaps using torch.autograd."
                           "functional.* APIs) inside of a function being transformed by a functorch transform. This "
                           "is unsupported, please attempt to use the functorch transforms (e.g. grad, vjp, jacrev, "
                           "jacfwd, hessian) or call requires_grad_() outside of a function being transformed instead.")

    def detach(self) -> Tensor:
        return Batched(self._value.detach(), self._level)

    def backward(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("backward() called inside a functorch transform. This is not supported, please use "
                           "functorch.grad or functorch.vjp instead or call backward() outside of functorch "
                           "transforms.")

    def contiguous(self, memory_format: Any = None) -> Tensor:
        return self

    def clone(self, *, memory_format: Any = None) -> Tensor:
        return Batched(self._value.clone(), self._level)

    def __repr__(self) -> str:
        return f"BatchedTensor(lvl={self._level.depth + 1}, bdim=0, value=\n    {self._value!r}\n)"

    def _apply_function(self, function: Any, args: tuple) -> Any:
        """A custom Function: what its `vmap` says; without one, each example by itself."""
        if "vmap" not in vars(function) or function.vmap is None:
            raise Unbatchable(self, f"the Function {function.__name__}, which has no staticmethod vmap,")
        level = max((x._level for x in _tensors(args)), key=lambda level: level.depth)
        outer, _state.levels = _state.levels, _state.levels[:level.depth]
        try:
            mapped = [isinstance(x, Batched) and x._level is level for x in args]
            info = VmapInfo(level.size, mode.drawing.randomness if mode.drawing else "error")
            ys, dims = function.vmap(info, tuple([0 if m else None for m in mapped]),
                                     *[x._value if m else x for x, m in zip(args, mapped)])
            flat, spec = tree_flatten(ys, _is_none)
            return tree_unflatten([y if d is None else Batched(y.movedim(d, 0) if d else y, level)
                                   for y, d in zip(flat, broadcast_prefix(dims, ys))], spec)
        finally:
            _state.levels = outer

    def _mapped(self, function: Callable, given: tuple) -> Any:
        """`function(*given)` for each example, outside of this level."""
        level = max((x._level for x in _tensors(given)), key=lambda level: level.depth)
        return over(lambda each: function(*each), given, (level,))

    def _run(self, name: str, args: tuple, kwargs: dict) -> Any:
        """The op or function `name` on these arguments, of which some are batched."""
        from .rules import RULES

        level = max((x._level for x in _tensors(args, kwargs)), key=lambda level: level.depth)
        outer, _state.levels = _state.levels, _state.levels[:level.depth]
        try:
            rule = RULES.get(name)
            if rule is not None:
                result = rule(level, *args, **kwargs)
                if result is not NotImplemented:
                    return tree_map(lambda y: Batched(y, level), result)
            return _one_after_the_other(named(name), args, kwargs, level)
        finally:
            _state.levels = outer


def lower(x: Tensor, levels: tuple) -> Tensor:
    """`x` as a plain tensor with an axis for each of `levels`, the outermost first; repeated where it lacks one."""
    for level in reversed(levels):
        hidden = isinstance(x, Batched) and x._level is level
        x = x._value if hidden else x.unsqueeze(0).expand(level.size, *x.shape)
    return x


def lifted(x: Tensor, levels: tuple) -> Tensor:
    """The tensor that hides the leading axes of the plain tensor `x`, one a level."""
    for level in levels:
        x = Batched(x, level)
    return x


def over(function: Callable, given: Any, levels: tuple) -> Any:
    """`function(given)`, which runs outside of `levels`, for each element of these batches in the tree `given`."""
    level = levels[-1]
    before, _state.levels = _state.levels, _state.levels[:level.depth]
    try:
        results = []
        for i in range(level.size):
            each = _examples(given, level, i)
            results.append(function(each) if len(levels) == 1 else over(function, each, levels[:-1]))
        return tree_map(lambda y: Batched(y, level), _stacked(results))
    finally:
        _state.levels = before


class _Call:
    """One call of a mapped function: its arguments' structure, and what becomes of its results."""

    def __init__(self, func: Callable, name: str, spec: Any, mapped: list[bool], out_dims: Any, randomness: str):
        self.func, self.name, self.spec, self.mapped = func, name, spec, mapped
        self.out_dims, self.randomness = out_dims, randomness

    def __call__(self, leaves: list, size: int, out_dim: Any = None) -> Any:
        """The results of `size` examples; with `out_dim` along that axis whatever the caller wants."""
        draws, mode.drawing = mode.drawing, _Draws(self.randomness, mode.drawing)
        try:
            results, flat, spec = self._at_once(leaves, size)
        except BadResult:
            raise
        except Exception:  # a look at values, or a rule that does not fit: one by one it works, or fails as it should
            if not size:
                raise
            mode.drawing.one_by_one = True
            results, flat, spec = self._one_by_one(leaves, size)
        finally:
            mode.drawing = draws
        dims = self.dims_of(results) if out_dim is None else \
            [d if d is None else out_dim for d in self.dims_of(results)]
        return tree_unflatten([y if d is None or d == 0 else y.movedim(0, d) for y, d in zip(flat, dims)], spec)

    def dims_of(self, results: Any) -> list:
        """The axis for the batch in each result."""
        if isinstance(self.out_dims, int) or self.out_dims is None:
            return [self.out_dims] * len(tree_flatten(results, _is_none)[0])
        try:
            return broadcast_prefix(self.out_dims, results)
        except ValueError:
            raise ValueError(f"vmap({self.name}, ..., out_dims={self.out_dims})(<inputs>): out_dims is not compatible "
                             f"with the structure of `outputs`, which is {tree_flatten(results)[1]}") from None

    def _at_once(self, leaves: list, size: int) -> tuple:
        outer = _state.levels
        level = Level(size)
        _state.levels = (*outer, level)
        try:
            given = [Batched(x, level) if m else x for x, m in zip(leaves, self.mapped)]
            args, kwargs = tree_unflatten(given, self.spec)
            results = self.func(*args, **kwargs)
        finally:
            _state.levels = outer
        flat, spec = tree_flatten(results, _is_none)
        ys = []
        for y, d in zip(flat, self.dims_of(results)):
            hidden = isinstance(y, Batched) and y._level is level
            self._check(y, d, hidden)
            if d is None:
                ys.append(y)
            else:
                if hidden and type(y._value._array) is Veiled and not isinstance(y._value, Batched):
                    raise Unbatchable(y)
                ys.append(y._value if hidden else y.unsqueeze(0).expand(size, *y.shape))
        return results, ys, spec

    def _one_by_one(self, leaves: list, size: int) -> tuple:
        results = []
        for i in range(size):
            mode.drawing.restart()
            args, kwargs = tree_unflatten([x.select(0, i) if m else x for x, m in zip(leaves, self.mapped)], self.spec)
            results.append(self.func(*args, **kwargs))
        flat = [tree_flatten(result, _is_none)[0] for result in results]
        dims = self.dims_of(results[0])
        for y, d in zip(flat[0], dims):
            self._check(y, d, False)
        return results[0], [each[0] if d is None else FUNCTIONS["stack"](list(each))
                            for each, d in zip(zip(*flat), dims)], tree_flatten(results[0], _is_none)[1]

    def _check(self, y: Any, d: Any, hidden: bool) -> None:
        if isinstance(y, Tensor) and not hidden and type(y._array) is Veiled and y._array.tensor._level not in active():
            raise Unbatchable(y)  # a veil that went around the ops
        if d is not None and not isinstance(y, Tensor):
            raise BadResult(f"vmap({self.name}, ...): `{self.name}` must only return Tensors, got type {type(y)}. "
                            "Did you mean to set out_dims= to None for output?")
        if d is None and hidden:
            raise BadResult(f"vmap({self.name}, ...): `{self.name}` can not return a BatchedTensor when out_dim is "
                            "None")


class _Draws:
    """What happens within vmap where random numbers are drawn: the generators ask, see `ops.random.source_of`."""

    def __init__(self, randomness: str, outer: Any):
        self.randomness, self.outer, self.one_by_one = randomness, outer, False
        self._starts: dict[Any, Any] = {}  # generator: its state when the first example came to it
        self._fresh: set = set()

    def restart(self) -> None:
        """The next example begins."""
        self._fresh = set(self._starts)

    def __call__(self, generator: Any) -> None:
        if self.randomness == "error":
            raise RuntimeError("vmap: called random operation while in randomness error mode. Please either use the "
                               "'same' or 'different' randomness flags on vmap or perform the randomness operation "
                               "out of vmap")
        if not self.one_by_one:
            raise Unbatchable(None, "a random number")
        if self.outer is not None:
            self.outer(generator)
        if self.randomness == "same":
            if generator not in self._starts:
                self._starts[generator] = generator.get_state()
            elif generator in self._fresh:
                self._fresh.discard(generator)
                generator.set_state(self._starts[generator])


def _inputs(name: str, in_dims: Any, args: tuple, kwargs: dict) -> tuple[list, list, Any]:
    """The arguments' leaves, the mapped axis of each, and the structure of (args, kwargs)."""
    if not isinstance(in_dims, (int, tuple, list)):
        raise ValueError(f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a "
                         f"(potentially nested) tuple matching the structure of inputs, got: {type(in_dims)}.")
    if not args and not kwargs:
        raise ValueError(f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to "
                         "vmap over a function with no inputs. The latter is unsupported.")
    leaves, spec = tree_flatten((args, kwargs))
    try:
        dims = broadcast_prefix(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args)
    except (ValueError, KeyError):
        raise ValueError(f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the "
                         f"structure of `inputs`. in_dims has structure {tree_flatten(in_dims)[1]} but inputs has "
                         f"structure {tree_flatten(args)[1]}.") from None
    dims += [0] * (len(leaves) - len(dims))
    found = []
    for x, d in zip(leaves, dims):
        what = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={d} for "
        if d is not None and not isinstance(d, int):
            raise ValueError(what + "an input but in_dim must be either an integer dimension or None.")
        if d is not None and not isinstance(x, Tensor):
            raise ValueError(what + f"an input but the input is of type {type(x)}. We cannot vmap over non-Tensor "
                             "arguments, please use None as the respective in_dim")
        if d is not None and not -x.ndim <= d < x.ndim:
            raise ValueError(what + f"some input, but that input is a Tensor of dimensionality {x.ndim} so expected "
                             f"in_dim to satisfy -{x.ndim} <= in_dim < {x.ndim}.")
        found.append(d if d is None else d % x.ndim)
    if all(d is None for d in found):
        raise ValueError(f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): at least one of the inputs must be mapped: "
                         "all in_dims are None")
    return leaves, found, spec


def _tensors(*trees: Any) -> list[Batched]:
    """The batched tensors among arguments, also where only their veil is there."""
    leaves = [x.tensor if type(x) is Veiled else x for x in tree_flatten(trees)[0]]
    return [x for x in leaves if isinstance(x, Batched)]


def _example(x: Any, level: Level, i: int) -> Any:
    if type(x) is Veiled:
        return _example(x.tensor, level, i)._array
    return x._value.select(0, i) if isinstance(x, Batched) and x._level is level else x


def _examples(tree: Any, level: Level, i: int) -> Any:
    return tree_map(lambda x: _example(x, level, i), tree)


def _one_after_the_other(call: Callable, args: tuple, kwargs: dict, level: Level) -> Any:
    if not level.size:
        raise Unbatchable(_tensors(args, kwargs)[0], "a batch without examples")
    results = []
    for i in range(level.size):
        part, named = _examples((args, kwargs), level, i)
        results.append(call(*part, **named))
    return tree_map(lambda y: Batched(y, level), _stacked(results))


def _stacked(results: list) -> Any:
    flat = [tree_flatten(result)[0] for result in results]
    return tree_unflatten([FUNCTIONS["stack"](list(each)) for each in zip(*flat)], tree_flatten(results[0])[1])


def _is_none(x: Any) -> bool:
    return x is None
