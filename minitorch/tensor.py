"""The tensor: an array, where it came from in the graph, its gradient, its device. No mathematics: ops add that."""
from __future__ import annotations

import copy
import math
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes, engine, roots
from .device import QUICK, device, device_of
from .engine import Node, mode
from .errors import DTypeError, GraphError, ShapeError


class Size(tuple):
    """A shape: a tuple that prints as PyTorch's and knows its number of elements."""

    def numel(self) -> int:
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __getitem__(self, index):
        item = tuple.__getitem__(self, index)
        return Size(item) if isinstance(index, slice) else item

    def __add__(self, other):
        return Size(tuple.__add__(self, tuple(other)))


class Tensor:
    """A multi-dimensional array that records what is computed from it.

    `Tensor(2, 3)` is an uninitialised tensor of that shape and the default type, `Tensor([1, 2])` one of those
    values; `tensor` is the function to prefer.

    >>> from minitorch import tensor
    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    # Defaults on the class: making a tensor sets only what differs, which keeps the eager path short.
    _array: Any
    _node: Any = None  # what computed it: a Node, or the Output of one
    _requires_grad = False
    _grad: Tensor | None = None
    _counter: Any = None  # a list of one integer, one counter shared by all tensors on the same memory
    _base: Any = None  # of a view: the tensor whose memory it shows,
    _path: tuple = ()  # how it came from there: (op, attributes, keywords) ...,
    _seen = 0  # and the version at which its history was right
    _hooks: Any = None
    _after_accumulate: Any = None
    _end: Any = None  # the AccumulateGrad that stands for this leaf, once somebody has asked for it
    _inference = False
    _passed_on = False  # whether it stands for another tensor, so that a module's backward hooks see its gradient
    __array_priority__ = 1000  # `ndarray * tensor` is the tensor's to compute

    if TYPE_CHECKING:  # methods and operators are attached by ops/, where they are defined
        def __getattr__(self, name: str) -> Any: ...
        def _operator(self, other: Any) -> Any: ...
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _operator
        __matmul__ = __rmatmul__ = __pow__ = __rpow__ = __mod__ = __floordiv__ = __and__ = __or__ = __xor__ = _operator
        __lt__ = __le__ = __gt__ = __ge__ = _operator
        __neg__: Any
        __pos__: Any
        __abs__: Any
        __invert__: Any
        __getitem__: Any
        __setitem__: Any
        T: Any
        H: Any
        mT: Any
        mH: Any
        real: Any
        imag: Any
        dim: Any
        is_conj: Any
        is_neg: Any
        ndimension: Any
        nelement: Any
        numel: Any
        polygamma: Any
        polygamma_: Any
        positive: Any
        resize_: Any
        resolve_conj: Any
        resolve_neg: Any
        where: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Tensor:
        t = object.__new__(cls)
        if args or cls is not Tensor or kwargs:
            from .legacy import legacy_array

            t._array = legacy_array(args, **kwargs)
        return t

    def __init__(self, *args: Any, **kwargs: Any):
        if "_array" not in self.__dict__:
            self._array = np.empty(0, dtypes.to_numpy(dtypes.get_default_dtype()))

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if cls.__module__.partition(".")[0] != "minitorch":
            from .op import look_at

            look_at([cls])

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """`func(*args, **kwargs)`, its results as objects of this class."""
        from .overrides import default

        return default(cls, func, types, args, kwargs)

    @staticmethod
    def _make_subclass(cls: Any, data: Tensor, require_grad: bool = False, **options: Any) -> Any:
        """An object of the class `cls` on the memory of `data`, outside the graph."""
        t = data.detach().as_subclass(cls)
        t._requires_grad = require_grad
        return t

    def as_subclass(self, cls: Any) -> Any:
        """This tensor as an object of the class `cls`, on the same memory and with the same history."""
        from .overrides import as_subclass

        return as_subclass(self, cls)

    @staticmethod
    def _wrap(array: Any, node: Any = None) -> Tensor:
        """A tensor on `array` itself, made by `node`."""
        t = object.__new__(Tensor)
        t._array = array
        if node is not None:
            t._node, t._requires_grad = node, True
        return t

    # What it is

    @property
    def shape(self) -> Size:
        return Size(self._array.shape)

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes._OURS.get(self._array.dtype) or dtypes.from_numpy(self._array.dtype)

    @property
    def device(self) -> device:
        return device_of(self._array)

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def is_leaf(self) -> bool:
        return self._node is None

    @property
    def grad_fn(self) -> Node | None:
        """The node that computed this tensor; None for a leaf."""
        if self._node is None:
            return None
        from .nodes import shown

        return shown(edge_of(self))

    def _accumulator(self) -> engine.AccumulateGrad:
        if self._end is None:
            self._end = engine.AccumulateGrad(self)
        return self._end

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad or needs_grad(self)

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if self._node is not None and not wanted:
            raise RuntimeError("you can only change requires_grad flags of leaf variables. If you want to use a "
                               "computed variable in a subgraph that doesn't require differentiation use "
                               "var_no_grad = var.detach().")
        if wanted and self._array.dtype.kind not in "fcV":
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients, "
                               f"this one is {self.dtype}")
        if wanted and self._inference and not mode.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        self._requires_grad = bool(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient, in place. Raises RuntimeError for integers, and for False on a non-leaf."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by `backward`; of a non-leaf only after `retain_grad`."""
        if self._grad is None and self._node is not None and self._node.retained is None:
            warnings.warn("The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
                          "attribute won't be populated during autograd.backward(). Use .retain_grad() on it.",
                          stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"assigned grad expected to be a Tensor or None but got {type(value).__name__}")
            if value.is_sparse:
                engine.sparse = True
            if value.shape != self.shape:
                raise ShapeError(f"assigned grad has data of a different size: expected {tuple(self.shape)}, "
                                 f"got {tuple(value.shape)}")
            if value.dtype != self.dtype:
                raise DTypeError(f"assigned grad has data of a different type: expected {self.dtype}, "
                                 f"got {value.dtype}")
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def data(self) -> Tensor:
        """The same memory outside the graph; changes through it are not noticed by the version counter."""
        return Tensor._wrap(self._array)

    @data.setter
    def data(self, value: Tensor) -> None:
        self._array = value._array

    # Differentiation

    def backward(self, gradient: Tensor | None = None, retain_graph: bool | None = None,
                 create_graph: bool = False, inputs: Any = None) -> None:
        """Add the gradient of this tensor with respect to each leaf to the leaf's `grad`.

        `gradient` weighs a tensor that is no scalar. Raises GraphError where nothing was recorded, or the graph was
        freed by an earlier call without `retain_graph`.
        """
        array = self._array
        if gradient is None and inputs is None and not create_graph and self._requires_grad and \
                type(array) in QUICK and array.ndim == 0 and array.dtype.kind == "f":  # the usual loss
            xp = np if type(array) is np.ndarray else QUICK[type(array)].xp
            engine.run([(edge_of(self), xp.array(1, array.dtype) if xp is np else xp.ones((), array.dtype))],
                       bool(retain_graph))
            return
        from .autograd import backward

        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        t = Tensor._wrap(self._array)
        t._counter = self._version_list()
        return t

    def detach_(self) -> Tensor:
        """Take this tensor out of the graph, in place."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._node, self._requires_grad = None, False
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call `hook(gradient)` in backward; what it returns, unless None, takes the gradient's place."""
        if not self._requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        owner, attribute = (edge_of(self), "hooks") if self._node is not None else (self, "_hooks")
        hooks = getattr(owner, attribute)
        if hooks is None:
            hooks = OrderedDict()
            setattr(owner, attribute, hooks)
        return Handle(hooks, _on_arrays(hook) if self._node is not None else hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> Handle:
        """Call `hook(tensor)` after backward has accumulated this leaf's gradient."""
        if self._node is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if self._after_accumulate is None:
            self._after_accumulate = OrderedDict()
        return Handle(self._after_accumulate, hook)

    def retain_grad(self) -> None:
        """Keep `grad` although this tensor is no leaf."""
        if not self._requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._node is None:
            return
        me = weakref.ref(self)

        def retain(dy):
            t = me()
            if t is not None:
                t._accumulate(dy, False)

        edge_of(self).retained = retain

    @property
    def retains_grad(self) -> bool:
        return self._node is not None and self._node.retained is not None

    def _call_hooks(self, grad: Any) -> Any:
        for hook in list(self._hooks.values()):
            grad = _on_arrays(hook)(grad)
        return grad

    def _accumulate(self, grad: Any, owned: bool) -> None:
        """Add backward's result to `grad`: in place where one is there, without a copy where the array is private."""
        if engine.sparse and self._grad is not None and (self._grad.is_sparse or getattr(grad, "is_sparse", False)):
            from .sparse.rows import added

            self._grad = added(self._grad, grad if isinstance(grad, Tensor) else Tensor._wrap(grad))
        elif isinstance(grad, Tensor):
            self._grad = grad.clone() if self._grad is None else self._grad + grad
        elif self._grad is None:
            self._grad = Tensor._wrap(grad if owned else grad.copy())
        elif self._grad._requires_grad:
            self._grad = self._grad + Tensor._wrap(grad)
        else:
            self._grad._array += grad
        if self._after_accumulate is not None:
            for hook in list(self._after_accumulate.values()):
                hook(self)

    # Changes in place

    @property
    def _version(self) -> int:
        """How often this memory was changed in place."""
        return 0 if self._counter is None else self._counter[0]

    def _version_list(self) -> list[int]:
        if self._counter is None:
            self._counter = [0]
        return self._counter

    def _bump(self) -> None:
        """Say that the memory was changed: what backward kept of it is stale."""
        self._version_list()[0] += 1

    def _check_inplace(self, name: str) -> None:
        """Raise where this tensor may not be changed in place by `name`."""
        if mode.grad and (self._passed_on or (self._base is not None and self._base._passed_on)):
            raise GraphError(f"{name}: Output 0 of BackwardHookFunction is a view and is being modified inplace: the "
                             "full backward hook of its module would see a wrong gradient. You can fix this by "
                             "cloning the output of the module.")
        if mode.grad and self._requires_grad and self._node is None:
            raise GraphError(f"{name}: a leaf Variable that requires grad is being used in an in-place operation.")
        if mode.grad and self._base is not None and self._base._requires_grad and self._base._node is None:
            raise GraphError(f"{name}: a view of a leaf Variable that requires grad is being used in an in-place "
                             "operation.")
        if self._inference and not mode.inference:
            raise RuntimeError(f"{name}: Inplace update to inference tensor outside InferenceMode is not allowed. "
                               "You can make a clone to get a normal tensor before doing inplace update.")

    # Python's protocols

    def __repr__(self) -> str:
        from .printing import tensor_repr

        return tensor_repr(self)

    def __format__(self, spec: str) -> str:
        plain = self._array.ndim == 0 and type(self) is Tensor
        return format(self.item(), spec) if plain else object.__format__(self, spec)

    def __hash__(self) -> int:
        return id(self)

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self._array.shape[0]

    def __iter__(self):
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError("Boolean value of Tensor with " +
                               ("no values" if self._array.size == 0 else "more than one value") + " is ambiguous")
        return bool(self._array.reshape(())[()])

    def __contains__(self, value: Any) -> bool:
        return bool((self._array == (value._array if isinstance(value, Tensor) else value)).any())

    def __reversed__(self) -> Tensor:
        return self.flip(tuple(range(self.ndim)))

    def __deepcopy__(self, memo: dict) -> Tensor:
        if self._node is not None:
            raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                               "protocol at the moment. If you were attempting to deepcopy a module, this may be "
                               "because a layer keeps a computed tensor as an attribute.")
        if id(self) in memo:
            return memo[id(self)]
        t = memo[id(self)] = object.__new__(type(self))
        t._array = roots.copy_of(self._array, memo)
        t._requires_grad = self._requires_grad
        if self._grad is not None:
            t._grad = copy.deepcopy(self._grad, memo)
        t.__dict__.update(copy.deepcopy(self._attributes(), memo))
        return t

    def __reduce_ex__(self, protocol: Any) -> Any:
        array = self._array if isinstance(self._array, np.ndarray) else self._array.get()
        return _rebuild, (type(self), array, self._requires_grad, str(self.device), self._attributes())

    def _attributes(self) -> dict[str, Any]:
        """What programs have set on this tensor, `t.name = value`."""
        return {name: value for name, value in self.__dict__.items() if name not in INTERNAL}


class Handle:
    """What registering a hook returns: `remove()` takes the hook away again. Also a context manager."""

    _next = 0

    def __init__(self, hooks: dict, hook: Callable):
        Handle._next += 1
        self.id, self._hooks = Handle._next, weakref.ref(hooks) if isinstance(hooks, OrderedDict) else lambda: hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.remove()


def disabled_torch_function(func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The `__torch_function__` of classes that are treated as plain tensors, such as Parameter."""
    from .overrides import DisableTorchFunctionSubclass

    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


INTERNAL = {"_array", *(name for name in vars(Tensor) if name.startswith("_") and not name.startswith("__"))}


def edge_of(x: Tensor) -> Any:
    """Where in the graph `x` comes from: its node, or itself as a leaf."""
    if x._base is not None and x._seen != x._counter[0]:
        renew(x)
    return x._node or x


def needs_grad(x: Tensor) -> bool:
    """Whether `x` needs a gradient. A view of a constant learns here that a change in place gave its base a history."""
    if x._base is not None and not x._requires_grad and x._base._node is not None and x._counter is not None \
            and x._seen != x._counter[0]:
        renew(x)
    return x._requires_grad


def renew(x: Tensor) -> None:
    """Record a view's history anew, after its base was changed in place."""
    x._seen = x._counter[0]
    if not x._base._requires_grad:
        return
    with engine.enable_grad():
        t = x._base
        for op, attributes, keywords in x._path:
            t = op.call(t, *attributes, **keywords)
    x._node, x._requires_grad = t._node, True


def _on_arrays(hook: Callable) -> Callable:
    """`hook`, which takes and returns tensors, for gradients that are arrays or tensors."""
    def call(dy):
        given = dy if isinstance(dy, Tensor) else Tensor._wrap(dy)
        result = hook(given)
        if result is None:
            return dy
        if not isinstance(result, Tensor):
            raise TypeError(f"hook: expects to return a Tensor or None, got {type(result).__name__}")
        if result.shape != given.shape:
            raise ShapeError(f"hook: the gradient it returns has shape {tuple(result.shape)}, "
                             f"expected {tuple(given.shape)}")
        return result if isinstance(dy, Tensor) else result._array
    return call


def _rebuild(kind: type[Tensor], array: np.ndarray, requires_grad: bool, where: str, extra: dict) -> Tensor:
    t = object.__new__(kind)
    t._array = array
    t._requires_grad = requires_grad
    t.__dict__.update(extra)
    return t if where == "cpu" else t.to(where)
