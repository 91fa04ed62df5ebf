"""Custom differentiable functions, under the module's name in PyTorch."""
from ..function import Function, FunctionCtx, once_differentiable

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
