"""`torch.library`: operators of one's own, made of any Python, with gradients registered beside them."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from .engine import mode, no_grad
from .errors import absent_from
from .function import Function
from .tensor import Tensor

__all__ = ["CustomOpDef", "custom_op", "register_autograd", "register_fake", "register_kernel"]

_ops: dict[str, CustomOpDef] = {}


def custom_op(name: str, fn: Callable | None = None, /, *, mutates_args: str | Iterable[str],
              device_types: str | Iterable[str] | None = None, schema: str | None = None, tags: Any = None) -> Any:
    """Make an operator `namespace::name` of a function of tensors; it is also found as `ops.namespace.name`.

    `mutates_args` names the tensors that it changes in place, or is "unknown". `device_types` says for which devices
    the function is; others come by `register_kernel`. Raises ValueError for a name without a namespace, and for
    parameters without a type where there is no `schema`.

    >>> import numpy as np, minitorch as torch
    >>> @custom_op("doc::cube", mutates_args=())
    ... def cube(x: torch.Tensor) -> torch.Tensor:
    ...     return torch.from_numpy(x.numpy(force=True) ** 3)
    >>> cube.register_autograd(lambda ctx, dy: dy * 3 * ctx.x ** 2,
    ...                        setup_context=lambda ctx, inputs, output: setattr(ctx, "x", inputs[0]))
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.ops.doc.cube(x).sum().backward()
    >>> x.grad
    tensor([ 3., 12.])
    """
    if fn is None:
        return functools.partial(custom_op, name, mutates_args=mutates_args, device_types=device_types, schema=schema,
                                 tags=tags)
    made = CustomOpDef(name, fn, mutates_args, schema is not None)
    if device_types is not None:
        made._kernels = dict.fromkeys(_many(device_types), fn)
    return made


class CustomOpDef:
    """An operator that `custom_op` has made."""

    def __init__(self, name: str, fn: Callable, mutates_args: str | Iterable[str], has_schema: bool = False):
        from . import ops

        namespace, _, own = name.partition("::")
        if not own:
            raise ValueError(f"custom_op: the name must be 'namespace::name', got {name!r}")
        self._signature = inspect.signature(fn)
        for parameter in self._signature.parameters.values():
            if parameter.annotation is inspect.Parameter.empty and not has_schema:
                raise ValueError(f"infer_schema(func): Parameter {parameter.name} must have a type annotation. "
                                 f"Got func with signature {self._signature}")
        self._name, self._fn = name, fn
        self._mutates = tuple(self._signature.parameters) if mutates_args == "unknown" else _many(mutates_args)
        for argument in self._mutates:
            if argument not in self._signature.parameters:
                raise ValueError(f"custom_op {name}: mutates_args names {argument!r}, which is no parameter")
        self._kernels: dict[str, Callable] | None = None  # by type of device; None: the function serves all
        self._backward: Callable | None = None
        self._setup: Callable | None = None
        self._differentiable = _function_of(self)
        _ops[name] = self
        setattr(ops, namespace, space := vars(ops).get(namespace, SimpleNamespace()))
        setattr(space, own, self)
        functools.update_wrapper(self, fn)

    @property
    def default(self) -> CustomOpDef:
        """The one overload that there is."""
        return self

    def register_autograd(self, backward: Callable, /, *, setup_context: Callable | None = None) -> None:
        """`backward(ctx, *gradients)` returns a gradient an argument; `setup_context(ctx, inputs, output)` may save."""
        if self._mutates:
            raise RuntimeError(f"Cannot register autograd formula for non-functional operator {self._name}: it "
                               f"changes {', '.join(self._mutates)}")
        self._backward, self._setup = backward, setup_context

    def register_kernel(self, device_types: str | Iterable[str] | None, fn: Callable | None = None, /) -> Any:
        """Let another function serve tensors on devices of these types."""
        if fn is None:
            return functools.partial(self.register_kernel, device_types)
        self._kernels = {**(self._kernels or {}), **dict.fromkeys(_many(device_types or ("cpu", "cuda")), fn)}
        return fn

    def register_fake(self, fn: Callable, /) -> Callable:
        """Accepted and not needed: compiled functions run the operator itself."""
        return fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if mode.recorder is not None:
            mode.recorder.refuse(f"the custom operator {self._name}")
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs or self._mutates or not mode.grad or \
                not any(isinstance(a, Tensor) and a.requires_grad for a in bound.args):
            with no_grad():
                result = self._kernel(bound.args)(*bound.args, **bound.kwargs)
            for name in self._mutates:
                if isinstance(bound.arguments[name], Tensor):
                    bound.arguments[name]._version_list()[0] += 1
            return result
        return self._differentiable.apply(*bound.args)

    def _kernel(self, args: tuple) -> Callable:
        device = next((a.device.type for a in args if isinstance(a, Tensor)), "cpu")
        if self._kernels is None:
            return self._fn
        if device not in self._kernels:
            raise NotImplementedError(f"Could not run '{self._name}' on {device!r}: it is registered for "
                                      f"{', '.join(self._kernels)}; register_kernel adds others")
        return self._kernels[device]

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._name})>"


def register_autograd(op: str | CustomOpDef, backward: Callable, /, *, setup_context: Callable | None = None,
                      lib: Any = None) -> None:
    """`CustomOpDef.register_autograd`, of an operator or its name."""
    _found(op).register_autograd(backward, setup_context=setup_context)


def register_kernel(op: str | CustomOpDef, device_types: str | Iterable[str] | None, func: Callable | None = None, /, *,
                    lib: Any = None) -> Any:
    """`CustomOpDef.register_kernel`, of an operator or its name."""
    return _found(op).register_kernel(device_types, *(() if func is None else (func,)))


def register_fake(op: str | CustomOpDef, func: Callable | None = None, /, *, lib: Any = None,
                  _stacklevel: int = 1, allow_override: bool = False) -> Any:
    """`CustomOpDef.register_fake`, of an operator or its name."""
    found = _found(op)
    return found.register_fake if func is None else found.register_fake(func)


def _function_of(op: CustomOpDef) -> type[Function]:
    class Run(Function):
        @staticmethod
        def forward(*args):
            return op._kernel(args)(*args)

        @staticmethod
        def setup_context(ctx, inputs, output):
            if op._setup is not None:
                op._setup(ctx, inputs=inputs, output=output)

        @staticmethod
        def backward(ctx, *gradients):
            if op._backward is None:
                raise RuntimeError(f"Trying to backward through {op._name} but no autograd formula was registered. "
                                   "Please use register_autograd to add one.")
            return op._backward(ctx, *gradients)

    return Run


def _found(op: str | CustomOpDef) -> CustomOpDef:
    if isinstance(op, CustomOpDef):
        return op
    if op not in _ops:
        raise RuntimeError(f"torch.library: there is no operator {op!r}; custom_op makes one")
    return _ops[op]


def _many(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


__getattr__ = absent_from(__name__, lambda: __all__)
