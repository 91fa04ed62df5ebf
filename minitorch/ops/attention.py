"""Scaled dot-product attention."""
from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..casting import aware
from ..errors import DTypeError, ShapeError
from ..op import FUNCTIONS, joint, op
from ..shapes import broadcast
from ..tensor import Tensor

_NAME = "scaled_dot_product_attention"
_VIABLE = {"cpu": {"MATH", "FLASH_ATTENTION"},
           "cuda": {"MATH", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION"}}
allowed: set[str] | None = None  # the backends that `nn.attention.sdpa_kernel` leaves; None: all


@op(method=False, function=False)
def attend(k, query, key, value, attn_mask=None, /, is_causal=False, scale=1.0):
    """softmax(scale q kᵀ + mask) v, of which backward keeps y and a number for each query, not the weights."""
    y, lse = k.attention(query, key, value, attn_mask, is_causal, scale)

    def gradients(dy, needs):
        return k.attention_backward(dy, query, key, value, attn_mask, is_causal, scale, y=y, lse=lse,
                                    masked=needs[3])

    return y, joint(gradients)


@aware
def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
                                 dropout_p: float = 0.0, is_causal: bool = False,
                                 scale: float | None = None, enable_gqa: bool = False) -> Tensor:
    """softmax(q kᵀ / sqrt(E)) v for q (*, L, E), k (*, S, E), v (*, S, Ev). Vaswani et al. 2017.

    `attn_mask`, boolean (True: take part) or added to the scores, broadcasts to (*, L, S); `is_causal` lets
    position i see positions up to i; a query that sees nothing gets zeros. `enable_gqa` repeats the heads of k
    and v, in dimension -3, to those of q. On the CPU no L x S array is made, save for dropout or where the mask needs
    a gradient.

    Raises RuntimeError for shapes or types that do not fit, or a mask besides `is_causal`.

    >>> from minitorch import ones, tensor
    >>> x = tensor([[1.0], [2.0], [6.0]])
    >>> scaled_dot_product_attention(ones(3, 1), ones(3, 1), x, is_causal=True)
    tensor([[1.0000],
            [1.5000],
            [3.0000]])
    """
    _check_types(query, key, value, attn_mask, is_causal)
    if allowed is not None and not allowed & _VIABLE[query.device.type]:
        raise RuntimeError(f"{_NAME}: No viable backend was found: there are {sorted(_VIABLE[query.device.type])}, and "
                           f"sdpa_kernel allows {sorted(allowed)} only")
    if enable_gqa:
        key, value = _repeated("key", key, query), _repeated("value", value, query)
    _check_shapes(query, key, value, attn_mask)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    if dropout_p:
        return _with_dropout(query, key, value, attn_mask, dropout_p, is_causal, scale)
    return attend(query, key, value, attn_mask, bool(is_causal), float(scale))


def _with_dropout(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float, is_causal: bool,
                  scale: float) -> Tensor:
    """The same from ops, with dropout of the weights."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"{_NAME}: dropout probability has to be between 0 and 1, but got {p}")
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        mask = FUNCTIONS["ones"](query.shape[-2], key.shape[-2], dtype="bool", device=query.device).tril()
    if mask is not None:
        scores = scores.masked_fill(mask.logical_not(), -math.inf) if mask.dtype is dtypes.bool else scores + mask
    blind = (scores == -math.inf).all(-1, keepdim=True)
    weights = FUNCTIONS["softmax"](scores.masked_fill(blind, 0.0), -1).masked_fill(blind, 0.0)
    return FUNCTIONS["dropout"](weights, p, True) @ value


def _check_types(query: Tensor, key: Tensor, value: Tensor, mask: Any, is_causal: bool) -> None:
    dtype = query.dtype
    if not dtype.is_floating_point or key.dtype is not dtype or value.dtype is not dtype:
        raise DTypeError(f"{_NAME}: Expected query, key, and value to have the same dtype, a floating one, but got "
                         f"{dtype}, {key.dtype} and {value.dtype}")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"{_NAME}: Expected query, key, and value to all be at least 2 dimensional, but got shapes "
                         f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}")
    if mask is None:
        return
    if is_causal:
        raise RuntimeError(f"{_NAME}: Explicit attn_mask should not be set when is_causal=True")
    if mask.dtype not in (dtypes.bool, dtypes.float32, dtype):
        raise DTypeError(f"{_NAME}: Expected attn_mask dtype to be bool or float or to match query dtype, but got "
                         f"attn_mask.dtype: {mask.dtype} and query.dtype: {dtype}")


def _check_shapes(query: Tensor, key: Tensor, value: Tensor, mask: Any) -> None:
    q, k, v = tuple(query.shape), tuple(key.shape), tuple(value.shape)
    if q[-1] != k[-1] or k[-2] != v[-2]:
        raise ShapeError(f"{_NAME}: expects query (*, L, E), key (*, S, E) and value (*, S, Ev), got shapes "
                         f"{q}, {k} and {v}")
    broadcast(_NAME, q[:-2], k[:-2], v[:-2])
    if mask is not None:
        scores = (*broadcast(_NAME, q[:-2], k[:-2]), q[-2], k[-2])
        if broadcast(_NAME, scores, tuple(mask.shape)) != scores:
            raise ShapeError(f"{_NAME}: attn_mask expects a shape that broadcasts to the scores' {scores}, got "
                             f"{tuple(mask.shape)}")


def _repeated(argument: str, x: Tensor, query: Tensor) -> Tensor:
    """`x` with each head as often as query has heads for it."""
    if query.ndim < 3 or x.ndim < 3:
        raise IndexError(f"{_NAME}: enable_gqa expects heads in dimension -3 of query and {argument}, got shapes "
                         f"{tuple(query.shape)} and {tuple(x.shape)}")
    heads, own = query.shape[-3], x.shape[-3]
    if own == heads:
        return x
    if not own or heads % own:
        raise ShapeError(f"{_NAME}: Number of heads in key and value must divide the number of heads in query, but "
                         f"{argument} has {own} and query {heads}")
    return FUNCTIONS["repeat_interleave"](x, heads // own, -3)
