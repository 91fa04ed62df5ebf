"""Batch norm folded into the layer before it, for evaluation."""
from __future__ import annotations

import copy
from typing import Any

from ...op import FUNCTIONS
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of the convolution that computes bn(conv(x)); `transpose` for transposed convolutions.

    Raises AssertionError unless both are in evaluation mode and `bn` has running statistics.

    >>> from minitorch import nn, ones
    >>> conv, bn = nn.Conv2d(1, 2, 3).eval(), nn.BatchNorm2d(2).eval()
    >>> x = ones(1, 1, 4, 4)
    >>> bool(fuse_conv_bn_eval(conv, bn)(x).allclose(bn(conv(x)), atol=1e-6))
    True
    """
    fused = _copy(conv, bn)
    fused.weight, fused.bias = fuse_conv_bn_weights(fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps,
                                                    bn.weight, bn.bias, transpose)
    return fused


def fuse_conv_bn_weights(conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
                         bn_w: Tensor | None, bn_b: Tensor | None,
                         transpose: bool = False) -> tuple[Parameter, Parameter]:
    """Weight and bias of the fused convolution."""
    shape = [1] * conv_w.ndim
    shape[1 if transpose else 0] = -1
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of the linear layer that computes bn(linear(x)). Raises AssertionError as `fuse_conv_bn_eval` does."""
    fused = _copy(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
                             f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}")
    fused.weight, fused.bias = fuse_linear_bn_weights(fused.weight, fused.bias, bn.running_mean, bn.running_var,
                                                      bn.eps, bn.weight, bn.bias)
    return fused


def fuse_linear_bn_weights(linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
                           bn_w: Tensor | None, bn_b: Tensor | None) -> tuple[Parameter, Parameter]:
    """Weight and bias of the fused linear layer."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def _fused(weight: Tensor, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float, gamma: Tensor | None,
           beta: Tensor | None, shape: list[int]) -> tuple[Parameter, Parameter]:
    if bias is None:
        bias = FUNCTIONS["zeros_like"](mean, dtype=weight.dtype)
    scale = (variance + eps).rsqrt() if gamma is None else gamma * (variance + eps).rsqrt()
    new_bias = (bias - mean) * scale if beta is None else (bias - mean) * scale + beta
    return (Parameter((weight * scale.reshape(shape)).detach().to(weight.dtype), weight.requires_grad),
            Parameter(new_bias.detach().to(bias.dtype), bias.requires_grad))


def _copy(layer: Module, bn: Any) -> Any:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    return copy.deepcopy(layer)
