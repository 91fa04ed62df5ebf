"""Scaled dot-product attention, y = softmax(scale q kᵀ + mask) v, and its gradients (Vaswani et al. 2017).

q is (*, L, E), k (*, S, E), v (*, S, Ev), with leading dimensions that broadcast. `mask` is None, boolean (True:
take part) or added to the scores, and broadcasts to (*, L, S). causal: query i sees the keys up to i. A query that
sees no key at all has y = 0, as in PyTorch. float16 and bfloat16 are computed in float32.

The references hold all L x S weights; the other versions a block of them at a time (Dao 2023).
"""
from __future__ import annotations

from typing import Any

from .norm import cast, widen
from .table import kernel


@kernel
def attention(xp, q, k, v, mask, causal, scale):
    """(y, lse): attention, and the logarithm of each query's sum of exponentials, (*, L).

    y = softmax(scale q kᵀ + mask) v

    lse is inf where a query sees no key.

    >>> import numpy as np
    >>> one = np.ones((1, 2))
    >>> attention(np, one, np.zeros((3, 2)), np.array([[1.0], [2.0], [6.0]]), None, False, 1.0)[0]
    array([[3.]])
    """
    e, total, top = _exponentials(xp, widen(q), widen(k), mask, causal, scale)
    some = xp.where(total > 0, total, xp.where(total == 0, 1.0, total))
    lse = xp.where(total == 0, float("inf"), top + xp.log(some))
    return cast(xp.matmul(e / some, widen(v)), q.dtype), cast(xp.squeeze(lse, -1), widen(q).dtype)


@kernel
def attention_backward(xp, dy, q, k, v, mask, causal, scale, y=None, lse=None, masked=False):
    """The gradients (dq, dk, dv, dmask) of `attention`, over all dimensions that were broadcast.

    `y` and `lse`, what it returned, let fast versions compute the weights again block by block. dmask, as large as
    all weights, is None unless `masked`.
    """
    dy, dtype = widen(dy), q.dtype
    q, k, v = widen(q), widen(k), widen(v)
    e, total, _ = _exponentials(xp, q, k, mask, causal, scale)
    p = e / xp.where(total == 0, 1.0, total)
    dp = xp.matmul(dy, xp.swapaxes(v, -1, -2))
    ds = p * (dp - xp.sum(dp * p, axis=-1, keepdims=True))
    dq, dk = scale * xp.matmul(ds, k), scale * xp.matmul(xp.swapaxes(ds, -1, -2), q)
    dv = xp.matmul(xp.swapaxes(p, -1, -2), dy)
    return *[cast(d, dtype) for d in (dq, dk, dv)], (cast(ds, dtype) if masked else None)


def _exponentials(xp, q, k, mask, causal, scale):
    """exp(scores - top), their sum for each query, and top, the largest score, or 0 where all are -inf."""
    scores = scale * xp.matmul(q, xp.swapaxes(k, -1, -2))
    hidden = xp.full((1,), -float("inf"), dtype=scores.dtype)
    if mask is not None:
        scores = scores + (xp.where(mask, xp.zeros((1,), dtype=scores.dtype), hidden) if _boolean(mask) else mask)
    if causal:
        seen = xp.expand_dims(xp.arange(q.shape[-2]), 1) >= xp.arange(k.shape[-2])
        scores = xp.where(seen, scores, hidden)
    if 0 in scores.shape:
        total = xp.sum(scores, axis=-1, keepdims=True)
        return scores, total, total
    top = xp.max(scores, axis=-1, keepdims=True)
    top = xp.where(top == -float("inf"), xp.zeros((1,), dtype=scores.dtype), top)
    e = xp.exp(scores - top)
    return e, xp.sum(e, axis=-1, keepdims=True), top


def _boolean(mask: Any) -> bool:
    return mask.dtype.itemsize == 1


def _refuses(q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float) -> str | None:
    """Why the Numba kernels leave these arrays to the reference, or None."""
    if q.dtype.char not in "fdeE" or k.dtype != q.dtype or v.dtype != q.dtype:
        return "float16, bfloat16, float32 and float64, the same for all, only"
    if q.ndim < 2 or k.ndim < 2 or v.ndim < 2 or not q.size or not k.size or not v.size:
        return "arrays of two dimensions or more, not empty, only"
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        return "shapes that fit only"
    if mask is not None and (mask.shape[-1:] not in ((), (1,), k.shape[-2:-1])
                             or mask.shape[-2:-1] not in ((), (1,), q.shape[-2:-1])):
        return "a mask that broadcasts to (L, S) only"
    return None


def _refuses_backward(dy: Any, q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float, y: Any = None,
                      lse: Any = None, masked: bool = False) -> str | None:
    if y is None or lse is None:
        return "only with y and lse of the forward pass"
    if masked:
        return "no gradient of the mask, which is as large as all weights"
    if dy.dtype != q.dtype:
        return "dy and q of one dtype only"
    return _refuses(q, k, v, mask, causal, scale)


def _refuses_on_gpu(q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float) -> str | None:
    """Why the CUDA kernels leave these arrays to the reference, or None."""
    kind = q.dtype.char
    if kind not in "feE":
        return "float16, bfloat16 and float32, the same for all, only"
    if mask is not None and mask.dtype.itemsize > 1 and mask.dtype.char not in ("f", kind):
        return "a mask of bool, float32 or the dtype of q only"
    return _refuses(q, k, v, mask, causal, scale) or (
        "at most 128 columns" if q.shape[-1] > 128 or v.shape[-1] > 128 else None)


def _refuses_backward_on_gpu(dy: Any, q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float, y: Any = None,
                             lse: Any = None, masked: bool = False) -> str | None:
    return _refuses_on_gpu(q, k, v, mask, causal, scale) or _refuses_backward(
        dy, q, k, v, mask, causal, scale, y, lse, masked)


attention.version("numba", "cpu", "minitorch_kernels.cpu.attention:attention", refuses=_refuses)
attention_backward.version("numba", "cpu", "minitorch_kernels.cpu.attention:attention_backward",
                           refuses=_refuses_backward)
attention.version("cuda", "cuda", "minitorch_kernels.cuda.attention:attention", refuses=_refuses_on_gpu)
attention_backward.version("cuda", "cuda", "minitorch_kernels.cuda.attention:attention_backward",
                           refuses=_refuses_backward_on_gpu)
