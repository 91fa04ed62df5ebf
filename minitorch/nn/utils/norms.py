"""Reparametrised weights: direction and length apart, or divided by the largest singular value.

A hook computes the weight from its parts before every forward.
"""
from __future__ import annotations

from typing import Any

from ...engine import no_grad
from ...op import FUNCTIONS
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """weight = g v / |v|, with g a length for each index of `dim` (None: one). Salimans and Kingma 2016.

    `name` is replaced by the parameters name_g and name_v. Raises RuntimeError where it is done already.

    >>> from minitorch import nn
    >>> sorted(weight_norm(nn.Linear(3, 2))._parameters)
    ['bias', 'weight_g', 'weight_v']
    """
    dim = -1 if dim is None else dim
    _refuse_second(module, WeightNorm, name, "weight_norm")
    _install(module, WeightNorm(name, dim), {
        "_g": Parameter(norm_except(getattr(module, name).detach(), dim)),
        "_v": Parameter(getattr(module, name).detach()),
    })
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the present weight a parameter again. Raises ValueError where weight_norm was not applied."""
    return _remove(module, WeightNorm, name, "weight_norm")


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> Module:
    """weight / sigma(weight), the largest singular value, by power iteration in training. Miyato et al. 2018.

    `name` is replaced by the parameter name_orig and the buffers name_u, name_v.
    """
    if n_power_iterations <= 0:
        raise ValueError("spectral_norm: Expected n_power_iterations to be positive, "
                         f"but got n_power_iterations={n_power_iterations}")
    _refuse_second(module, SpectralNorm, name, "spectral_norm")
    if dim is None:
        dim = int(type(module).__name__.startswith("ConvTranspose"))
    weight = getattr(module, name)
    hook = SpectralNorm(name, dim, n_power_iterations, eps)
    rows, columns = rows_of(weight, dim).shape
    u = normalised(FUNCTIONS["empty"](rows, dtype=weight.dtype, device=weight.device).normal_(0, 1), eps)
    v = normalised(FUNCTIONS["empty"](columns, dtype=weight.dtype, device=weight.device).normal_(0, 1), eps)
    _install(module, hook, {"_orig": weight}, {"_u": u, "_v": v})
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the present weight a parameter again. Raises ValueError where spectral_norm was not applied."""
    return _remove(module, SpectralNorm, name, "spectral_norm")


class WeightNorm:
    """The forward pre-hook of `weight_norm`."""

    parameters, buffers = ("_g", "_v"), ()

    def __init__(self, name: str, dim: int):
        self.name, self.dim = name, dim

    def compute(self, module: Module, training: bool = True) -> Tensor:
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / norm_except(v, self.dim))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module))


class SpectralNorm:
    """The forward pre-hook of `spectral_norm`."""

    parameters, buffers = ("_orig",), ("_u", "_v")

    def __init__(self, name: str, dim: int, iterations: int, eps: float):
        self.name, self.dim, self.iterations, self.eps = name, dim, iterations, eps

    def compute(self, module: Module, training: bool = True) -> Tensor:
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = rows_of(weight, self.dim)
        if training:
            with no_grad():
                for _ in range(self.iterations):
                    v.copy_(normalised(matrix.t().mv(u), self.eps))
                    u.copy_(normalised(matrix.mv(v), self.eps))
            u, v = u.clone(), v.clone()  # backward keeps them; the next forward changes the buffers
        return weight / u.dot(matrix.mv(v))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module, module.training))


def _install(module: Module, hook: Any, parameters: dict[str, Parameter],
             buffers: dict[str, Tensor] | None = None) -> None:
    weight = module._parameters.pop(hook.name)
    for suffix, value in parameters.items():
        module.register_parameter(hook.name + suffix, value)
    object.__setattr__(module, hook.name, weight.data)
    for suffix, buffer in (buffers or {}).items():
        module.register_buffer(hook.name + suffix, buffer)
    if not buffers:
        setattr(module, hook.name, hook.compute(module))
    module.register_forward_pre_hook(hook)


def _refuse_second(module: Module, kind: Any, name: str, what: str) -> None:
    if _find(module, kind, name) is not None:
        raise RuntimeError(f"Cannot register two {what} hooks on the same parameter {name}")


def _find(module: Module, kind: Any, name: str) -> int | None:
    return next((key for key, hook in module._forward_pre_hooks.items()
                 if isinstance(hook, kind) and hook.name == name), None)


def _remove(module: Module, kind: Any, name: str, what: str) -> Module:
    key = _find(module, kind, name)
    if key is None:
        raise ValueError(f"{what} of '{name}' not found in {module}")
    hook = module._forward_pre_hooks.pop(key)
    with no_grad():
        weight = hook.compute(module, False)
    delattr(module, name)
    for suffix in (*kind.parameters, *kind.buffers):
        delattr(module, name + suffix)
    module.register_parameter(name, Parameter(weight.detach()))
    return module


def norm_except(v: Tensor, dim: int) -> Tensor:
    """The norm over all dimensions but `dim`, which are kept as 1; -1: over all."""
    dims = [d for d in range(v.ndim) if dim == -1 or d != dim % v.ndim]
    return v.norm() if dim == -1 else v.square().sum(dims, True).sqrt()


def rows_of(weight: Tensor, dim: int) -> Tensor:
    """The weight as a matrix, with `dim` as rows and all else as columns."""
    return weight.movedim(dim, 0).flatten(1)


def normalised(x: Tensor, eps: float) -> Tensor:
    """x / |x|."""
    return x / x.norm().clamp_min(eps)
