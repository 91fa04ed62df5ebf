"""Affine layers."""
from __future__ import annotations

import math
from typing import Any

from ..op import FUNCTIONS
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter

_linear = FUNCTIONS["linear"]


class Identity(Module):
    """Its input; takes any arguments, so that it can stand in for another layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """y = x W^T + b, with x (*, in_features), W (out_features, in_features).

    Weight and bias start uniform within +-1 / sqrt(in_features).

    >>> from minitorch import ones
    >>> Linear(3, 2)(ones(4, 3)).shape
    torch.Size([4, 2])
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = empty_parameter((out_features, in_features), device, dtype)
        self.register_parameter("bias", empty_parameter(out_features, device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        own = self._parameters
        try:
            return _linear(input, own["weight"], own["bias"])  # attributes that are parameters take a search each
        except KeyError:  # as after a reparametrisation
            return _linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class NonDynamicallyQuantizableLinear(Linear):
    """Linear under the name that attention's output projection has in PyTorch."""


class Bilinear(Module):
    """y_k = x1^T W_k x2 + b_k, with x1 (*, in1_features), x2 (*, in2_features)."""

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = empty_parameter((out_features, in1_features, in2_features), device, dtype)
        self.register_parameter("bias", empty_parameter(out_features, device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        from .functional import bilinear

        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
                f"out_features={self.out_features}, bias={self.bias is not None}")


def empty_parameter(shape: Any, device: Any = None, dtype: Any = None) -> Parameter:
    """A parameter of `shape`, to be filled."""
    return Parameter(FUNCTIONS["empty"](shape, device=device, dtype=dtype))


def reset(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's default for affine and convolution layers: uniform within 1 / sqrt(fan_in), weight first."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init._calculate_fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
        init.uniform_(bias, -bound, bound)
