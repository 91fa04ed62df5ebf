"""Elementwise."""
from ..dtypes import promote
from ..op import op, composite
from ..tensor import Tensor

@op(inplace=True)
def add(k, a, b, /):
    a, b = promote(a, b)
    return k.add(a, b), lambda dy: dy, lambda dy: dy

@op(inplace=True)
def mul(k, a, b, /):
    a, b = promote(a, b)
    return k.mul(a, b), lambda dy: k.mul(dy, b), lambda dy: k.mul(dy, a)

@op
def tanh(k, x, /):
    y = k.tanh(x)
    return y, lambda dy: dy * (1 - y * y)

@op
def sum(k, x, /, dim=None, keepdim=False):
    shape = x.shape
    return k.xp.sum(x, axis=dim, keepdims=keepdim), lambda dy: k.xp.broadcast_to(dy, shape)

Tensor.__add__ = add
Tensor.__mul__ = mul
