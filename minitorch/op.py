"""The one way to define a differentiable operation.

    @op
    def mul(k, a, b, /):
        return k.mul(a, b), lambda dy: k.mul(dy, b), lambda dy: k.mul(dy, a)

An op is a function of arrays. `k` holds the kernels of the arrays' device (`k.xp` is numpy or cupy). Parameters
before the `/` are arrays, or None; the others are attributes (numbers that come as tensors without dimensions, as
PyTorch takes them too, reach the body as numbers). It returns

    y                       where no gradient exists, or
    y, dx1, dx2, ...        a function an array input, from dy to that input's gradient (None: no gradient), or
    y, joint(f)             one function f(dy, needs) for all inputs, where they share work.

`y` is an array, or a list of arrays where there are several outputs; then `dy` is a list, with None for an output
that was not used. A gradient function returns a new array, `dy` or a view of `dy`, and may have the shape that the
inputs broadcast to: the engine sums it down. Functions of inputs that need no gradient are dropped at once, and
with them all that they close over: a closure is what keeps a value alive until backward.

What a gradient function closes over are the op's parameters, its output under the name `y`, attributes, and values
that are constant under differentiation (masks, indices). For second derivatives the same functions run on tensors,
with the tensors of those names in the place of the arrays (`Op.lift`), so a value computed from the inputs
otherwise must not be closed over, only recomputed.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import CO_VARKEYWORDS
from itertools import repeat
from sys import modules
from types import CellType, FunctionType, NoneType
from typing import Any

import numpy as np

from .casting import aware
from .device import ARRAYS, QUICK, beside, common_kernels, cpu_kernels, gpus, quicken
from .engine import Node, Output, captured, is_array, lifted_kernels, mode, next_number
from .errors import GraphError, NotStrided, nearest
from .inplace import check_out, write
from .shapes import broadcast
from .tensor import Tensor, disabled_torch_function, edge_of, needs_grad

OPS: dict[str, Op] = {}  # every op by name
FUNCTIONS: dict[str, Any] = {}  # what `import minitorch` offers: ops and composites
HANDED: dict[str, Any] = {}  # functions outside of it that tensors without an array have of their own
# composites that sparse tensors, `vmap` or meta tensors have their own of
HANDED_OVER = frozenset("""
    mm mv addmm t norm cross_entropy nll_loss binary_cross_entropy gaussian_nll_loss multi_margin_loss
    multilabel_margin_loss scatter scatter_add scatter_reduce index_add index_copy index_fill index_reduce
    take take_along_dim put masked_scatter searchsorted bucketize isin embedding embedding_bag one_hot quantile
    nanquantile histc fractional_max_pool2d fractional_max_pool3d
""".split())  # noqa: SIM905
overriding: Any = None  # `overrides.dispatch`, once a class or a mode has a `__torch_function__`
wrappers: tuple = ()  # of `observing.around_ops`: each makes of an op and its body the one to run
quickest: Any = np.ndarray  # the type of arrays for which an op looks no further; None once all ops look closely
NOTHING = object()  # what it answers where nobody takes the call over
NUMBERS = {int, float, bool, complex, NoneType}  # what an op takes in the place of an array
PLAIN = {Tensor, np.ndarray, *NUMBERS}  # types that have no `__torch_function__`
_ALIASES = {"axis": "dim", "axes": "dims", "keepdims": "keepdim"}
_OF_NUMBERS = ("add", "sub", "mul", "div", "floor_divide")  # ops that take two numbers, too


def op(body: Callable | None = None, *, method: bool = True, function: bool = True, inplace: bool = False,
       view: bool = False) -> Any:
    """Make `body` an op: a public function, a method of Tensor, and with `inplace` a method `name_` too.

    `view`: where the result shares the input's memory, it is a view: in-place changes of the one reach the other.
    """
    if body is None:
        return functools.partial(op, method=method, function=function, inplace=inplace, view=view)
    made = Op(body, view)
    if made.name in OPS:
        raise ValueError(f"op: {made.name!r} is defined twice")
    OPS[made.name] = made
    call = made.caller()
    _publish(call, method, function)
    if inplace:
        _publish(_inplace(call), True, False)
    return call


def composite(body: Callable | None = None, *, method: bool = True, function: bool = True,
              inplace: bool = False) -> Any:
    """Publish a plain function of tensors, which is made of ops, as function and method."""
    if body is None:
        return functools.partial(composite, method=method, function=function, inplace=inplace)
    body = aware(_aliased(body))
    if body.__name__ in HANDED_OVER:
        body = handing_over(body)
    _publish(body, method, function)
    if inplace:
        _publish(_inplace(body), True, False)
    return body


def _aliased(body: Callable) -> Callable:
    """`body`, which also takes `axis` for `dim` and `keepdims` for `keepdim`."""
    code: Any = body.__code__
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
    aliases = {alias: name for alias, name in _ALIASES.items() if name in names and alias not in names}
    if not aliases or body.__name__ in ("size", "stride"):  # which PyTorch does not read by name either, and are quick
        return body

    @functools.wraps(body)
    def call(*args, **kwargs):
        if kwargs:
            kwargs = {aliases.get(name, name): value for name, value in kwargs.items()}
            if not kwargs.keys() <= allowed:
                raise _unexpected(body.__name__, kwargs, allowed)
        return body(*args, **kwargs)

    allowed = frozenset(names)
    return body if code.co_flags & CO_VARKEYWORDS else call


def _unexpected(name: str, given: Any, allowed: Any) -> TypeError:
    wrong = sorted(set(given) - set(allowed))[0]
    near = nearest(wrong, allowed) or f"; it has {', '.join(allowed) or 'none'}"
    return TypeError(f"{name}() got an unexpected keyword argument {wrong!r}{near}")


def named(name: str) -> Any:
    """The op or function of that name."""
    return OPS[name].call if name in OPS else FUNCTIONS.get(name) or HANDED[name]


def handing_over(body: Callable) -> Callable:
    """`body`, unless an argument has no array: then what that tensor's class does under the name."""
    @functools.wraps(body)
    def call(*args, **kwargs):
        try:
            return body(*args, **kwargs)
        except NotStrided as error:
            return error.run(body.__name__, args, kwargs)

    HANDED[body.__name__] = call
    return call


class joint:
    """Marks one gradient function for all inputs: f(dy, needs) returns a gradient, or None, an input."""

    __slots__ = ("function",)

    def __init__(self, function: Callable):
        self.function = function


class Op:
    """A defined op: its body and what its signature says."""

    def __init__(self, body: Callable, view: bool):
        self.name, self.body, self.view = body.__name__.rstrip("_"), body, view
        code = body.__code__  # read by hand: `inspect` takes 20 us an op, and there are hundreds
        arrays, named = code.co_posonlyargcount, code.co_argcount + code.co_kwonlyargcount
        self.variadic = arrays == 0 and code.co_argcount == 1  # *xs: a list of arrays
        self.params = code.co_varnames[named:named + 1] if self.variadic else code.co_varnames[1:arrays]
        self.attributes = code.co_varnames[max(arrays, 1):named]
        self.takes_more = bool(code.co_flags & CO_VARKEYWORDS)
        defaults = body.__defaults__ or ()
        self.optional = dict(zip(code.co_varnames[code.co_argcount - len(defaults):arrays], defaults))
        self.own_body = body  # what runs below all that tools have put around it
        self._kept: tuple = ()  # what each gradient function keeps alive; known after the first run
        self._joint = False

    def caller(self) -> Callable:
        """The public function: arrays out of the tensors, the body, the result into a tensor.

        This is every op's way in, and a small op costs about a microsecond: so those of one, two and three arrays,
        which are most, have a way without loops.
        """
        body, n, variadic, finish, cpu = self.body, len(self.params), self.variadic, self.finisher(), cpu_kernels
        kernels_by_type = QUICK.get

        def general(*args, **kwargs):
            if overriding is not None:
                result = overriding(call, args, kwargs)
                if result is not NOTHING:
                    return result
            if kwargs or variadic or len(args) < n:
                args, kwargs, out = self.bind(args, kwargs)
                if out is not None:
                    check_out(self.name, out, args[0] if variadic else args[:n], whole=self.name != "cat")
                    return write(out, general(*args, **kwargs), resize=True)
            inputs, attributes = (args[0], args[1:]) if variadic else (args[:n], args[n:])
            if Tensor in map(type, attributes):
                attributes = _numbers(attributes)
            if kwargs and Tensor in map(type, kwargs.values()):
                kwargs = dict(zip(kwargs, _numbers(kwargs.values())))
            if overriding is None and not PLAIN.issuperset(map(type, inputs)) and look_at(map(type, inputs)):
                return call(*args, **kwargs)
            try:
                arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
            except NotStrided as error:
                return error.run(self.name, args, kwargs)
            needed = any([isinstance(x, Tensor) and (x._requires_grad or needs_grad(x)) for x in inputs])
            try:
                k = cpu if quickest is not None and "cupy" not in modules else common_kernels(self.name, arrays)
                if gpus.several:
                    result = beside(arrays, body, k, *arrays, *attributes, **kwargs)
                else:
                    result = body(k, *arrays, *attributes, **kwargs)
            except NotStrided as error:
                return error.run(self.name, args, kwargs)
            except (ValueError, AttributeError) as error:
                if self.explain(error, inputs):
                    return general(FUNCTIONS["tensor"](inputs[0]), *inputs[1:], *attributes, **kwargs)
                raise
            return finish(k, inputs, result, needed, attributes, kwargs)

        def one(x=_MISSING, /, *attributes, **kwargs):
            if kwargs or not isinstance(x, Tensor):
                return general(*(() if x is _MISSING else (x,)), *attributes, **kwargs)
            if attributes and Tensor in map(type, attributes):
                attributes = _numbers(attributes)
            try:
                array = x._array
                k = cpu if type(array) is quickest else kernels_by_type(type(array))
                if k is not None:
                    needed = x._requires_grad or (x._base is not None and needs_grad(x))
                    return finish(k, (x,), body(k, array, *attributes), needed, attributes)
            except NotStrided as error:
                return error.run(self.name, (x, *attributes), kwargs)
            return general(x, *attributes)

        def two(a=_MISSING, b=_MISSING, /, *attributes, **kwargs):
            if kwargs or b is _MISSING:
                return general(*[x for x in (a, b) if x is not _MISSING], *attributes, **kwargs)
            if attributes and Tensor in map(type, attributes):
                attributes = _numbers(attributes)
            x, y, needed, kind = a, b, False, None
            try:
                if isinstance(a, Tensor):
                    x, needed = a._array, a._requires_grad or (a._base is not None and needs_grad(a))
                    kind = type(x)
                elif type(a) not in NUMBERS:
                    return general(a, b, *attributes)
                if isinstance(b, Tensor):
                    y = b._array
                    if type(y) is not kind:
                        if kind is not None:
                            return general(a, b, *attributes)
                        kind = type(y)
                    if b._requires_grad or (b._base is not None and needs_grad(b)):
                        needed = True
                elif type(b) not in NUMBERS:
                    return general(a, b, *attributes)
                k = cpu if kind is quickest else kernels_by_type(kind)
                if k is None:
                    return general(a, b, *attributes)
                return finish(k, (a, b), body(k, x, y, *attributes), needed, attributes)
            except NotStrided as error:
                return error.run(self.name, (a, b, *attributes), kwargs)
            except (ValueError, AttributeError) as error:
                if self.explain(error, (a, b)):
                    return general(FUNCTIONS["tensor"](a), b, *attributes)
                raise

        def three(a=_MISSING, b=_MISSING, c=_MISSING, /, *attributes, **kwargs):
            if kwargs or c is _MISSING:
                return general(*[x for x in (a, b, c) if x is not _MISSING], *attributes, **kwargs)
            if attributes and Tensor in map(type, attributes):
                attributes = _numbers(attributes)
            x, y, z, needed, kind = a, b, c, False, None
            try:
                if isinstance(a, Tensor):
                    x, needed = a._array, a._requires_grad or (a._base is not None and needs_grad(a))
                    kind = type(x)
                elif type(a) not in NUMBERS:
                    return general(a, b, c, *attributes)
                if isinstance(b, Tensor):
                    y = b._array
                    if type(y) is not kind:
                        if kind is not None:
                            return general(a, b, c, *attributes)
                        kind = type(y)
                    if b._requires_grad or (b._base is not None and needs_grad(b)):
                        needed = True
                elif type(b) not in NUMBERS:
                    return general(a, b, c, *attributes)
                if isinstance(c, Tensor):
                    z = c._array
                    if type(z) is not kind:
                        if kind is not None:
                            return general(a, b, c, *attributes)
                        kind = type(z)
                    if c._requires_grad or (c._base is not None and needs_grad(c)):
                        needed = True
                elif type(c) not in NUMBERS:
                    return general(a, b, c, *attributes)
                k = cpu if kind is quickest else kernels_by_type(kind)
                if k is None:
                    return general(a, b, c, *attributes)
                return finish(k, (a, b, c), body(k, x, y, z, *attributes), needed, attributes)
            except NotStrided as error:
                return error.run(self.name, (a, b, c, *attributes), kwargs)
            except (ValueError, AttributeError) as error:
                self.explain(error, (a, b, c))
                raise

        def rebind():
            nonlocal body
            body = self.own_body
            for wrap in wrappers:
                body = wrap(self, body)
            self.running_body = body

        self.rebind = rebind
        rebind()
        direct = {1: one, 2: two, 3: three}
        call: Any = functools.wraps(self.body)(general if variadic else direct.get(n, general))
        call.op, self.call = self, call
        return call

    def replace_body(self, body: Callable) -> None:
        """Let another body run from now on, below what tools have put around it."""
        self.own_body = body
        self.rebind()

    def finisher(self) -> Callable:
        """The function that makes a tensor of what the body returned, and records it where a gradient is needed."""
        record, many, view = self.record, self._many, self.view
        new, arrays = object.__new__, ARRAYS

        def finish(k, inputs, result, needed, attributes=(), kwargs=_NO_KEYWORDS):
            if type(result) is not tuple:
                return [_tensor(k, y) for y in result] if type(result) is list else _tensor(k, result)
            y = result[0]
            if type(y) not in arrays:
                if type(y) is list:
                    return many(k, inputs, result)
                if not hasattr(y, "is_meta"):
                    y = k.xp.asarray(y)
            t = new(Tensor)
            t._array = y
            if needed and mode.grad and y.dtype.kind in "fcV":
                t._node = record(k, inputs, result, t)
                t._requires_grad = True
            if view:
                _mark_view(t, inputs[0], self, attributes, kwargs)
            if mode.inference:
                t._inference = True
            return t

        return finish

    def record(self, k: Any, inputs: Any, result: tuple, t: Tensor) -> Node:
        """The node for one run: its edges, the functions that will be needed, the versions of what they keep."""
        kept = self._kept or self._look(result)
        edges, functions, versions, frees = [], [], [], False
        for x, (indices, output, others, position) in zip(inputs, repeat(kept[0]) if self.variadic else kept):
            if isinstance(x, Tensor) and x._requires_grad:
                edges.append((x._node or x) if x._base is None else edge_of(x))
                functions.append(result[position])
                if others:
                    frees = True
                for j in indices:
                    z = inputs[j]
                    if isinstance(z, Tensor):
                        frees = True
                        if z._inference:
                            raise _inference_error(self)
                        version = z._counter
                        if version is None:
                            version = z._counter = [0]
                        versions.append((version, version[0], self.params[j]))
                if output:
                    frees = True
                    t._counter = version = t._counter or [0]
                    versions.append((version, 0, "y"))
            else:
                edges.append(None)
                functions.append(None)
        if self._joint:
            functions = result[1].function
        node = _new(Node)
        y = t._array
        node.op, node.k, node.inputs, node.backward = self, k, edges, functions
        node.shape, node.dtype, node.versions, node.frees = y.shape, y.dtype, versions, frees
        node.number = next_number()
        for note in mode.notes:
            note(node)
        if mode.saving is not None:
            mode.saving(node)
        return node

    def _look(self, result: tuple) -> tuple:
        """What the gradient function of each input keeps, and its place in `result`. The code is the same at every
        run, so this looks once."""
        self._joint = type(result[1]) is joint
        if self._joint:
            self._kept = ((*_kept_by(result[1].function, self)[:2], True, 1),)
        else:
            self._kept = tuple((*_kept_by(f, self), i) for i, f in enumerate(result[1:], 1))
        self._kept += self._kept[-1:] * (len(self.params) - len(self._kept))  # one function serves the rest
        return self._kept

    def explain(self, error: Exception, inputs: Any) -> bool:
        """Raise ShapeError in the place of NumPy's complaint of shapes that do not broadcast, TypeError in that of
        Python's of an argument that is no tensor. True where the op takes numbers alone, too, as tensors."""
        if isinstance(error, AttributeError):
            if self.name in _OF_NUMBERS and all(isinstance(x, (int, float, complex)) for x in inputs):
                return True
            for i, x in enumerate(inputs):
                if not isinstance(x, Tensor) and error.obj is x:
                    raise TypeError(f"{self.name}(): argument at position {i + 1} must be Tensor, not "
                                    f"{type(x).__name__}") from None
        if type(error) is ValueError and "broadcast" in str(error):
            broadcast(self.name, *[tuple(x.shape) for x in inputs if hasattr(x, "shape")])
        return False

    def bind(self, args: tuple, kwargs: dict) -> tuple[tuple, dict, Any]:
        """Keyword arguments sorted out: `axis` for `dim`, `input=`, `other=`, `out=`, inputs given by name."""
        out = kwargs.pop("out", None)
        for alias, name in _ALIASES.items():
            if alias in kwargs and name in self.attributes:
                kwargs[name] = kwargs.pop(alias)
        if self.variadic:
            if not args:
                args = (kwargs.pop("tensors", kwargs.pop("inputs", ())),)
            elif args and isinstance(args[0], Tensor) and self.name in ("cat", "stack"):
                raise TypeError(f"{self.name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
            elif args and not isinstance(args[0], (tuple, list)):
                args = (args,)
            if len(args) > 1:
                kwargs.update(zip(self.attributes, args[1:]))
                args = args[:1]
            return args, kwargs, out
        n = len(self.params)
        if len(args) < n:
            given = list(args)
            for position, name in list(enumerate(self.params))[len(args):]:
                generic = ("input", "other")[position] if position < 2 else name
                for key in (name, generic, "self" if position == 0 else name):
                    if key in kwargs:
                        given.append(kwargs.pop(key))
                        break
                else:
                    if name not in self.optional:
                        word = generic if len(name) == 1 else name  # x and b are words of the body, not of a caller
                        raise TypeError(f"{self.name}() missing required argument: {word!r} (pos {position + 1})")
                    given.append(self.optional[name])
            args = tuple(given)
        unknown = set(kwargs) - set(self.attributes)
        if unknown and not self.takes_more:
            raise _unexpected(self.name, kwargs, self.attributes)
        return args, kwargs, out

    def lift(self, node: Node) -> Any:
        """The node's gradient functions over tensors: those of its inputs and output in the place of their arrays."""
        functions = node.backward
        if type(functions) is list:
            return [f and self._lifted_function(node, f) for f in functions]
        return self._lifted_function(node, functions)

    def _lifted_function(self, node: Node, function: Any) -> Any:
        cells = [CellType(self._lifted_value(node, name, cell.cell_contents))
                 for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ())]
        made = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__,
                            tuple(cells))
        made.__kwdefaults__ = function.__kwdefaults__
        return made

    def _lifted_value(self, node: Node, name: str, value: Any) -> Any:
        if name == "k":
            return lifted_kernels()
        if name == "y":
            return Tensor._wrap(value, node) if hasattr(value, "dtype") else \
                [Tensor._wrap(v, Output(node, i, v.shape, v.dtype)) for i, v in enumerate(value)]
        if name in self.params:
            if self.variadic:
                return [_input_tensor(v, edge) for v, edge in zip(value, node.inputs)]
            return _input_tensor(value, node.inputs[self.params.index(name)])
        # a helper that the function closes over is lifted like itself; masks and indices are constants
        return self._lifted_function(node, value) if isinstance(value, FunctionType) and value.__closure__ else value

    def _many(self, k: Any, inputs: Any, result: tuple) -> list[Tensor]:
        """Several outputs: one node, and an `Output` before it for each output that has a gradient."""
        ys = [_tensor(k, y) for y in result[0]]
        if mode.grad and any([isinstance(x, Tensor) and x._requires_grad for x in inputs]):
            node = self.record(k, inputs, result, ys[0])
            node.outputs = len(ys)
            keeps = any(output for _, output, _, _ in self._kept)
            for i, y in enumerate(ys):
                if keeps and i:
                    y._counter = [0]
                    node.versions.append((y._counter, 0, "y"))
                if y._array.dtype.kind in "fcV":
                    y._node, y._requires_grad = Output(node, i, y._array.shape, y._array.dtype), True
        if self.view:
            for y in ys:
                _share_version(y, inputs[0])
        return ys


def look_closely(closely: bool = True) -> None:
    """Let all ops go their long way from now on, which asks where their inputs lie and who takes them over."""
    global quickest
    if closely:
        QUICK.clear()
        quickest = None
    else:
        quickest = np.ndarray
        quicken()


def takes_over(kind: type) -> bool:
    """Whether the class has a `__torch_function__` that is to be called."""
    found = getattr(kind, "__torch_function__", None)
    own = kind in PLAIN or kind.__module__.partition(".")[0] in ("minitorch", "torch")  # PyTorch's own, beside this
    return not own and found not in (None, disabled_torch_function)


def look_at(kinds: Any) -> bool:
    """Whether one of these classes has a `__torch_function__`: then each call looks for such from now on."""
    found = any([takes_over(kind) for kind in kinds])
    if found and overriding is None:
        from .overrides import activate

        activate()
    return found


_new = object.__new__
_MISSING = object()
_NO_KEYWORDS: dict[str, Any] = {}


def _kept_by(function: Callable | None, op: Op) -> tuple[tuple[int, ...], bool, bool]:
    """What a gradient function keeps alive: which inputs, the output or not, other arrays or not."""
    names = dict(captured(function)) if function is not None else {}
    inputs = () if op.variadic else tuple(i for i, name in enumerate(op.params) if name in names)
    rest = [v for name, v in names.items() if (name != "y" and name not in op.params) or op.variadic]
    nested = [_kept_by(v, op) for v in rest if isinstance(v, FunctionType)]
    inputs += tuple(i for kept in nested for i in kept[0])
    return inputs, "y" in names or any(kept[1] for kept in nested), is_array(rest) or any(kept[2] for kept in nested)


def _numbers(attributes: Any) -> tuple:
    """The attributes, with numbers in the place of tensors without dimensions that need no gradient."""
    return tuple([a.item() if type(a) is Tensor and not a.ndim and not a._requires_grad else a for a in attributes])


def _inference_error(op: Op) -> GraphError:
    return GraphError(f"{op.name}: Inference tensors cannot be saved for backward. "
                      "To work around you can make a clone to get a normal tensor")


def _input_tensor(value: Any, edge: Any) -> Any:
    if not hasattr(value, "dtype") or isinstance(value, np.generic):
        return value  # a Python number, or None
    if edge is None:
        return Tensor._wrap(value, None)
    return Tensor._wrap(value, edge) if isinstance(edge, (Node, Output)) else edge


def _tensor(k: Any, y: Any) -> Tensor:
    t = Tensor.__new__(Tensor)
    t._array = y if type(y) in ARRAYS else k.xp.asarray(y)
    if mode.inference:
        t._inference = True
    return t


def _mark_view(t: Tensor, x: Any, op: Op, attributes: tuple, kwargs: dict) -> None:
    """Let `t`, where it is a view of `x`, share its version counter, and remember how it came from its base.

    A view made while nothing is recorded stays outside the graph, whatever happens to its base.
    """
    if isinstance(x, Tensor) and _shares(t._array, x._array):
        t._counter = x._version_list()
        if mode.grad:
            t._base = x if x._base is None else x._base
            t._path = (x._path if x._base is not None else ()) + ((op, attributes, kwargs),)
            t._seen = t._counter[0]


def _share_version(t: Tensor, x: Any) -> None:
    if isinstance(x, Tensor) and _shares(t._array, x._array):
        t._counter = x._version_list()


def _shares(y: Any, x: Any) -> bool:
    """Whether `y`, made from `x` by a shape operation, is a view of it."""
    if y is x or (y.base is not None and (y.base is x or y.base is x.base)):
        return True
    memory = None if isinstance(y, np.ndarray) else getattr(getattr(y, "data", None), "mem", None)
    return memory is not None and memory is x.data.mem  # CuPy's views need not have a base


def _inplace(call: Callable) -> Callable:
    """The method `name_`: computes as `name` does, then gives `x` the result's values and history."""
    name, made = call.__name__, hasattr(call, "op")

    @functools.wraps(call)
    def method(x, *args, **kwargs):
        x._check_inplace(name + "_")
        return write(x, call(x if made else _snapshot(x, args), *args, **kwargs))

    method.__name__ = method.__qualname__ = name + "_"
    return method


def _snapshot(x: Tensor, args: tuple) -> Tensor:
    """`x` with a copy of its memory: a composite's nodes may keep it, and it is going to be overwritten."""
    if not (mode.grad and any(isinstance(a, Tensor) and a._requires_grad for a in (x, *args))):
        return x
    return Tensor._wrap(x._array.copy(), edge_of(x) if x._requires_grad else None)


def _publish(function: Callable, method: bool, public: bool) -> None:
    name = function.__name__
    if public:
        FUNCTIONS[name] = function
    if method:
        setattr(Tensor, name, function)
