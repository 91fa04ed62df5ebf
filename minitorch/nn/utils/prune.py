"""Pruning: weights held at zero by a mask, which a hook applies before every forward.

>>> from minitorch import nn
>>> layer = l1_unstructured(nn.Linear(4, 2), "weight", amount=0.5)
>>> int((layer.weight == 0).sum())
4
>>> sorted(layer.state_dict())
['bias', 'weight_mask', 'weight_orig']
"""
from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator
from typing import Any

from ...op import FUNCTIONS
from ...tensor import Tensor
from ..module import Module


class BasePruningMethod:
    """A way to prune: a subclass has a PRUNING_TYPE, "unstructured", "structured" (along `dim`) or "global", and says
    in `compute_mask` what stays of a tensor."""

    _tensor_name: str
    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """1 where `t`, of which `default_mask` still stands, is to stay, 0 elsewhere."""
        raise NotImplementedError(f"{type(self).__name__}: a pruning method needs compute_mask")

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter times its mask."""
        mask = getattr(module, self._tensor_name + "_mask")
        original = getattr(module, self._tensor_name + "_orig")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None,
              **kwargs: Any) -> BasePruningMethod:
        """Prune `module.name` by this method with these options, on top of what was pruned before."""
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        found = _find(module, name)
        tensor = getattr(module, name)
        scores = tensor if importance_scores is None else importance_scores
        if scores.shape != tensor.shape:
            raise AssertionError(f"importance_scores should have the same shape as parameter {name} of {module}")
        if found is None:
            mask = method.compute_mask(scores, FUNCTIONS["ones_like"](tensor.detach()))
            module.register_parameter(name + "_orig", tensor)
            del module._parameters[name]
            module.register_buffer(name + "_mask", mask)
        else:
            key, previous = found
            container = previous if isinstance(previous, PruningContainer) else PruningContainer(previous)
            container.add_pruning_method(method)
            before = getattr(module, name + "_mask").clone()
            mask = container.compute_mask(scores, before)
            del module._forward_pre_hooks[key]
            method = container
            setattr(module, name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """`t` with what this method prunes set to zero; nothing is registered."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        return t * self.compute_mask(scores, FUNCTIONS["ones_like"](t) if default_mask is None else default_mask)

    def remove(self, module: Module) -> None:
        """Make the pruned tensor the parameter, for good."""
        name = self._tensor_name
        value, original = self.apply_mask(module), getattr(module, name + "_orig")
        original.data = value.detach()
        delattr(module, name)
        delattr(module, name + "_orig")
        delattr(module, name + "_mask")
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Several methods, each of which prunes what the ones before it left."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        methods = args[0] if len(args) == 1 and isinstance(args[0], Iterable) else args
        for method in methods:
            if not self._pruning_methods:
                self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Prune by `method` too. Raises TypeError, or ValueError for a method of another tensor."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._pruning_methods and method._tensor_name != self._tensor_name:
            raise ValueError("Can only add pruning methods acting on the parameter named "
                             f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'")
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        method, places = self._pruning_methods[-1], [slice(None)] * t.ndim
        chosen: Any = tuple(places)
        if method.PRUNING_TYPE == "unstructured":
            chosen = default_mask == 1
        elif method.PRUNING_TYPE == "structured":
            dim = method.dim % t.ndim  # type: ignore[attr-defined]
            places[dim] = default_mask.sum([d for d in range(t.ndim) if d != dim]) != 0
            chosen = tuple(places)
        elif method.PRUNING_TYPE != "global":
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        mask = default_mask.to(t.dtype).clone()
        mask[chosen] = method.compute_mask(t[chosen], default_mask[chosen]).to(t.dtype)
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing, but puts the mask in place."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class _Amount(BasePruningMethod):
    """Prunes `amount` units: a number, or a share of them."""

    def __init__(self, amount: float) -> None:
        if not isinstance(amount, numbers.Real):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        if amount < 0 or (not isinstance(amount, numbers.Integral) and amount > 1):
            raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")
        self.amount: float = amount

    def number(self, units: int) -> int:
        """How many of so many units to prune. Raises ValueError for more than there are."""
        if not isinstance(self.amount, (int, numbers.Integral)):
            return round(self.amount * units)
        if int(self.amount) > units:
            raise ValueError(f"amount={self.amount} should be smaller than the number of parameters to prune={units}")
        return int(self.amount)


class RandomUnstructured(_Amount):
    """Prunes elements at random."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return _without(default_mask, FUNCTIONS["rand_like"](t), self.number(t.numel()), largest=True)


class L1Unstructured(_Amount):
    """Prunes the elements of least magnitude."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return _without(default_mask, t.detach().abs(), self.number(t.numel()), largest=False)


class _Structured(_Amount):
    """Prunes whole channels along `dim`."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def check(self, t: Tensor) -> int:
        """How many channels to prune. Raises ValueError for a vector, IndexError for a dimension that is not there."""
        if t.ndim <= 1:
            raise ValueError("Structured pruning can only be applied to multidimensional tensors. Found tensor of "
                             f"shape {tuple(t.shape)} with {t.ndim} dims")
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"Invalid index {self.dim} for tensor of size {tuple(t.shape)}")
        return self.number(t.shape[self.dim])

    def keeping(self, t: Tensor, channels: Tensor, default_mask: Tensor) -> Tensor:
        """The mask that keeps these channels, given as booleans or indices."""
        mask = FUNCTIONS["zeros_like"](t.detach())
        places: list[Any] = [slice(None)] * t.ndim
        places[self.dim] = channels
        mask[tuple(places)] = 1
        return mask * default_mask.to(mask.dtype)


class RandomStructured(_Structured):
    """Prunes channels at random."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = self.check(t)
        if count == 0:
            return default_mask
        random = FUNCTIONS["rand"](t.shape[self.dim])
        return self.keeping(t, random > random.kthvalue(count)[0], default_mask)


class LnStructured(_Structured):
    """Prunes the channels of the least n-norm."""

    def __init__(self, amount: float, n: float | str, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = self.check(t)
        if count == 0:
            return default_mask
        norms = t.detach().norm(self.n, [d for d in range(t.ndim) if d != self.dim % t.ndim])
        return self.keeping(t, norms.topk(t.shape[self.dim] - count)[1], default_mask)


class CustomFromMask(BasePruningMethod):
    """Prunes by a mask that is given."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: Module, name: str) -> Module:
    """Put a mask of ones in place."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune `amount` elements, a number or a share, at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Module, name: str, amount: float, importance_scores: Tensor | None = None) -> Module:
    """Prune the elements of least magnitude, or least importance."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune channels along `dim` at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Module, name: str, amount: float, n: float | str, dim: int,
                  importance_scores: Tensor | None = None) -> Module:
    """Prune the channels along `dim` of the least n-norm."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune by `mask`."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters: Iterable[tuple[Module, str]], pruning_method: type[BasePruningMethod],
                        importance_scores: dict[tuple[Module, str], Tensor] | None = None, **kwargs: Any) -> None:
    """Prune the parameters, (module, name) pairs, as if they were one vector, by a method that is unstructured.

    Raises TypeError for a method or parameters of another kind.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    pairs, scores = list(parameters), importance_scores or {}
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    method = PruningContainer()
    method._tensor_name = "temporary_name"
    one = pruning_method(**kwargs)
    one._tensor_name = "temporary_name"
    method.add_pruning_method(one)
    if one.PRUNING_TYPE != "unstructured":
        raise TypeError(f'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
                        f"{pruning_method} of type {one.PRUNING_TYPE}")
    values = [scores.get((module, name), getattr(module, name)).detach().reshape(-1) for module, name in pairs]
    masks = [getattr(module, name + "_mask", FUNCTIONS["ones_like"](getattr(module, name).detach())).reshape(-1)
             for module, name in pairs]
    mask, start = method.compute_mask(FUNCTIONS["cat"](values), FUNCTIONS["cat"](masks)), 0
    for module, name in pairs:
        tensor = getattr(module, name)
        custom_from_mask(module, name, mask[start:start + tensor.numel()].view_as(tensor))
        start += tensor.numel()


def remove(module: Module, name: str) -> Module:
    """Make the pruned tensor an ordinary parameter. Raises ValueError where it is not pruned."""
    found = _find(module, name)
    if found is None:
        raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")
    key, method = found
    method.remove(module)
    del module._hooks["before"][key]
    return module


def is_pruned(module: Module) -> bool:
    """Whether something in the module, or below it, is pruned."""
    return any(isinstance(hook, BasePruningMethod)
               for part in module.modules() for hook in part._forward_pre_hooks.values())


def _find(module: Module, name: str) -> tuple[int, BasePruningMethod] | None:
    return next(((key, hook) for key, hook in module._forward_pre_hooks.items()
                 if isinstance(hook, BasePruningMethod) and hook._tensor_name == name), None)


def _without(mask: Tensor, scores: Tensor, count: int, largest: bool) -> Tensor:
    """`mask` with zeros at the `count` largest, or smallest, scores."""
    mask = mask.clone()
    if count:
        mask.view(-1)[scores.reshape(-1).topk(count, largest=largest)[1]] = 0
    return mask
