"""Parametrizations: a parameter becomes a function, given by modules, of what is then trained in its place.

>>> from minitorch import nn
>>> class Symmetric(nn.Module):
...     def forward(self, x):
...         return x.triu() + x.triu(1).t()
>>> layer = register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
>>> bool((layer.weight == layer.weight.t()).all())
True
>>> [name for name, p in layer.named_parameters()]
['bias', 'parametrizations.weight.original']
"""
from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ...engine import no_grad
from ...tensor import Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = ["ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
           "transfer_parametrizations_and_params", "type_before_parametrizations"]

_cache: dict[tuple[int, str], Tensor] | None = None  # what was computed within `cached`


@contextmanager
def cached() -> Iterator[None]:
    """Within the block each parametrized tensor is computed once."""
    global _cache
    outer = _cache
    _cache = {} if outer is None else outer
    try:
        yield
    finally:
        _cache = outer


class ParametrizationList(ModuleList):
    """`module.parametrizations.NAME`: the parametrizations of a tensor, and what they are functions of.

    That is `original`, or `original0`, `original1`, ... where `right_inverse` of the first one gives several tensors.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        new: Any = original
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):  # a map that cannot be undone starts from the value itself
                        new = module.right_inverse(new)
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new) if isinstance(new, Sequence) else 0
        if not self.is_tensor and not (self.ntensors and all(isinstance(t, Tensor) for t in new)):
            raise ValueError("'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                             f"Got {type(new).__name__}")
        before = original.dtype, original.shape
        if self.is_tensor:
            _expect("When `right_inverse` outputs one tensor, it may not change the dtype", original.dtype, new.dtype)
            _assign(original, new)
            _put(self, "original", original)
        else:
            for i, part in enumerate(new):
                _put(self, f"original{i}", Parameter(part, original.requires_grad)
                     if isinstance(original, Parameter) else part)
        if not unsafe:
            _check("Registering a parametrization may not change the {} of the tensor, unless `unsafe` flag is enabled",
                   self(), *before)

    def forward(self) -> Tensor:
        """The parametrized tensor."""
        first, *others = self
        x = first(*self._originals())
        for module in others:
            x = module(x)
        return x

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes `value`.

        Raises RuntimeError where a parametrization has no `right_inverse`, ValueError where what it gives does not fit.
        """
        new: Any = value
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                new = module.right_inverse(new)
            parts = [new] if self.is_tensor else new
            if not isinstance(parts, Sequence) or len(parts) != self.ntensors or \
                    not all(isinstance(part, Tensor) for part in parts):
                raise ValueError(f"`right_inverse` should return {self.ntensors} tensor(s), got {type(new).__name__}")
            for original, part in zip(self._originals(), parts):
                _expect("The tensor returned by `right_inverse` may not change the dtype", original.dtype, part.dtype)
                _assign(original, part)

    def _originals(self) -> list[Tensor]:
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]


def register_parametrization(module: Module, tensor_name: str, parametrization: Module, *,
                             unsafe: bool = False) -> Module:
    """`module.NAME` becomes `parametrization` of what it was, computed anew at each access; gives `module` back.

    Assigning to it calls `parametrization.right_inverse`. Several parametrizations are applied one after the other.
    Raises ValueError where there is no such tensor, or where dtype or shape would change, unless `unsafe`.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            value = getattr(module, tensor_name)
            new = parametrization(value)
            _check("Registering a parametrization may not change the {} of the tensor, unless `unsafe` flag is enabled",
                   new, value.dtype, value.shape)
            if hasattr(parametrization, "right_inverse"):
                _check("parametrization.right_inverse may not change the {} of the tensor, unless `unsafe` flag is "
                       "enabled", parametrization.right_inverse(new), value.dtype, value.shape)
        parametrizations = module.parametrizations[tensor_name]
        parametrizations.append(parametrization)
        parametrizations.unsafe = parametrizations.unsafe or unsafe
        return module
    if tensor_name not in module._parameters and tensor_name not in module._buffers:
        raise ValueError(f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
                         f"'{tensor_name}'")
    parametrizations = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = parametrizations
    _become(module)
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module, or this tensor of it, has a parametrization."""
    names = getattr(module, "parametrizations", None)
    if not isinstance(names, ModuleDict):
        return False
    return len(names) > 0 if tensor_name is None else tensor_name in names


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make `module.NAME` an ordinary parameter again: with its present value, or else with the original one.

    Raises ValueError where it is not parametrized, or where several tensors are the original.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    parametrizations = module.parametrizations[tensor_name]
    if not parametrizations.is_tensor and not leave_parametrized:
        raise ValueError("Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in "
                         "terms of a sequence of tensors.")
    tensor = original = parametrizations._originals()[0]
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach()
        if parametrizations.is_tensor:
            _assign(original, value)
        else:
            tensor = Parameter(value) if original.requires_grad else value
    del module.parametrizations[tensor_name]
    _become(module)
    if not len(module.parametrizations):
        del module.parametrizations
    _put(module, tensor_name, tensor)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class, without regard to parametrizations."""
    return getattr(type(module), "unparametrized", type(module))


def transfer_parametrizations_and_params(from_module: Module, to_module: Module,
                                         tensor_name: str | None = None) -> Module:
    """Parametrize `to_module` as `from_module` is, all tensors or one, and take over the originals' values."""
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations.keys()) if tensor_name is None else [tensor_name]
    for name in names:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            _put(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization, unsafe=source.unsafe)
        for own, value in zip(to_module.parametrizations[name]._originals(), source._originals()):
            _assign(own, value)
    return to_module


def _become(module: Module) -> None:
    """Give the module the class that has its parametrized tensors as properties."""
    names = tuple(module.parametrizations.keys())
    base = type_before_parametrizations(module)
    object.__setattr__(module, "__class__", _class_with(base, names) if names else base)


@functools.cache
def _class_with(base: type, names: tuple[str, ...]) -> type:
    def __deepcopy__(self: Any, memo: dict) -> Any:
        new = self.__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    def __getstate__(self: Any) -> None:
        raise RuntimeError("Serialization of parametrized modules is only supported through state_dict().")

    members: dict[str, Any] = {name: property(functools.partial(_get, name), functools.partial(_set, name))
                               for name in names}
    members.update(unparametrized=base, __getstate__=__getstate__, __module__=base.__module__)
    if not hasattr(base, "__deepcopy__"):
        members["__deepcopy__"] = __deepcopy__
    return type(f"Parametrized{base.__name__}", (base,), members)


def _get(name: str, module: Any) -> Tensor:
    if _cache is None:
        return module.parametrizations[name]()
    key = id(module), name
    if key not in _cache:
        _cache[key] = module.parametrizations[name]()
    return _cache[key]


def _set(name: str, module: Any, value: Tensor) -> None:
    module.parametrizations[name].right_inverse(value)


def _put(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _assign(tensor: Tensor, value: Tensor) -> None:
    """Give `tensor`, which stays the same object, new values and perhaps another shape."""
    if tensor is not value:
        tensor.data = value.detach()


def _check(message: str, tensor: Any, dtype: Any, shape: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(tensor).__name__}.")
    _expect(message.format("dtype"), dtype, tensor.dtype)
    _expect(message.format("shape"), tuple(shape), tuple(tensor.shape))


def _expect(message: str, expected: Any, actual: Any) -> None:
    if expected != actual:
        raise ValueError(f"{message}: expected {expected}, got {actual}")
