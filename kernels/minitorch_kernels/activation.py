"""Activation functions and their derivatives."""
from __future__ import annotations

from .table import kernel


@kernel
def sigmoid(xp, x):
    """1 / (1 + exp(-x))."""
    return 1 / (1 + xp.exp(-x))


@kernel
def sigmoid_dx(xp, dy, y):
    """The derivative of `y = sigmoid(x)`: dy y (1 - y)."""
    return dy * _conj(y * (1 - y))


@kernel
def tanh_dx(xp, dy, y):
    """The derivative of `y = tanh(x)`: dy (1 - y²)."""
    return dy * _conj(1 - y * y)


def _conj(x):
    return x.conj() if "complex" in str(x.dtype) else x
