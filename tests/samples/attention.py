"""Scaled dot-product attention: lengths, head dimensions, masks, broadcasting, queries that see nothing."""
from __future__ import annotations

import math

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register

INF = np.inf
NAME = "nn.functional.scaled_dot_product_attention"


def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """One query after the other."""
    if enable_gqa:
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    scale = (1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0) if scale is None else scale
    lead, (length, sources) = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2]), (q.shape[-2], k.shape[-2])
    q, k, v = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (q, k, v))
    bias = np.zeros(1) if attn_mask is None else attn_mask
    bias = np.broadcast_to(np.where(bias, 0.0, -INF) if bias.dtype == bool else bias, (*lead, length, sources))
    y = np.zeros((*lead, length, v.shape[-1]))
    for place in np.ndindex(*lead, length):
        matrix, i = place[:-1], place[-1]
        scores = {}
        for j in range(i + 1 if is_causal else sources):
            if j < sources and bias[(*place, j)] > -INF:
                scores[j] = scale * float(np.sum(q[place] * k[(*matrix, j)])) + float(bias[(*place, j)])
        top = max(scores.values(), default=0.0)
        total = sum(math.exp(s - top) for s in scores.values())
        for j, s in scores.items():
            y[place] += math.exp(s - top) / total * v[(*matrix, j)]
    return y


def with_mask(make, *shapes):
    """Arrays of these shapes and a mask."""
    def arguments(rng):
        return (*arrays_like(*shapes)(rng), make(rng))
    return arguments


def some(shape, blind=False):
    """A boolean mask; blind: that hides everything from the first query."""
    def make(rng):
        mask = rng.random(shape) < 0.6
        if blind:
            mask[..., 0, :] = False
        return mask
    return make


def hiding(rng):
    """A float mask with -inf in it, also for a whole row."""
    mask = rng.standard_normal((3, 5)).astype(np.float32)
    mask[0, 2:], mask[1] = -INF, -INF
    return mask


QKV = (2, 3, 4), (2, 5, 4), (2, 5, 2)
SAMPLES = [
    Sample(arrays_like(*QKV)),
    Sample(arrays_like(*QKV), {"is_causal": True}, name="causal"),
    Sample(arrays_like((2, 5, 3), (2, 3, 3), (2, 3, 3)), {"is_causal": True}, name="causal, fewer keys"),
    Sample(arrays_like((2, 2, 3, 4), (2, 2, 3, 4), (2, 2, 3, 4)), {"scale": 0.3}),
    Sample(arrays_like((1, 1), (1, 1), (1, 1)), name="of one"),
    Sample(arrays_like((1, 3), (4, 3), (4, 2)), name="one query"),
    Sample(arrays_like((3, 2), (1, 2), (1, 2)), name="one key"),
    Sample(arrays_like((2, 1, 3, 4), (3, 5, 4), (1, 5, 2)), name="broadcast"),
    Sample(arrays_like((0, 3, 4), (0, 5, 4), (0, 5, 2)), name="no matrices"),
    Sample(arrays_like((2, 0, 4), (2, 5, 4), (2, 5, 2)), name="no queries"),
    Sample(arrays_like((3, 4), (0, 4), (0, 2)), name="no keys"),
    Sample(arrays_like((3, 4), (5, 4), (5, 0)), name="no values"),
    Sample(arrays_like((3, 0), (5, 0), (5, 2)), name="no depth", grad=False),
    Sample(with_mask(some((3, 5)), *QKV), name="mask"),
    Sample(with_mask(some((2, 3, 5), blind=True), *QKV), name="a blind query"),
    Sample(with_mask(some((1, 5)), *QKV), name="mask of keys"),
    Sample(with_mask(some((3, 1)), *QKV), name="mask of queries"),
    Sample(with_mask(hiding, *QKV), name="infinite mask"),
    Sample(arrays_like(*QKV, (2, 3, 5)), name="added"),
    Sample(arrays_like(*QKV, (5,)), name="added to keys"),
    Sample(arrays_like((4, 3, 2), (2, 5, 2), (2, 5, 2)), {"enable_gqa": True}, name="grouped"),
    Sample(lambda rng: (1e3 * rng.standard_normal((3, 4)), 1e3 * rng.standard_normal((5, 4)),
                        rng.standard_normal((5, 2))), grad=False, dtypes=WIDE, name="far apart"),
    Sample(arrays_like((2, 70, 33), (2, 300, 33), (2, 300, 5)), big=True, dtypes=WIDE, name="blocks"),
    Sample(arrays_like((2, 140, 20), (2, 140, 20), (2, 140, 40)), {"is_causal": True}, big=True, dtypes=WIDE,
           name="causal blocks"),
    Sample(with_mask(some((2, 70, 150)), (2, 70, 8), (2, 150, 8), (2, 150, 8)), big=True, dtypes=WIDE,
           name="masked blocks"),
]

q, k, v = np.zeros((2, 3, 4)), np.zeros((2, 5, 4)), np.zeros((2, 5, 4))
register(OpCase(NAME, attention, SAMPLES, [
    BadInput((q, k, v, np.zeros((3, 5))), {"is_causal": True}, RuntimeError, "Explicit attn_mask should not be set"),
    BadInput((q[0, 0], k, v), {}, RuntimeError, "at least 2 dimensional"),
    BadInput((q, k[..., :3], v), {}, RuntimeError, r"expects query .*\(2, 5, 3\)"),
    BadInput((q, k, v[:, :4]), {}, RuntimeError, "expects query"),
    BadInput((q, k[:1].repeat(3, 0), v), {}, RuntimeError, "must match"),
    BadInput((q, k.astype(np.int64), v), {}, RuntimeError, "same dtype"),
    BadInput((*[x.astype(np.int64) for x in (q, k, v)],), {}, RuntimeError, "same dtype, a floating one"),
    BadInput((q, k, v, np.zeros((3, 5), np.int64)), {}, RuntimeError, "attn_mask dtype to be bool or float"),
    BadInput((q, k, v, np.zeros((2, 5))), {}, RuntimeError, "must match"),
    BadInput((q, k, v, np.zeros((3, 2, 3, 5))), {}, RuntimeError, "attn_mask expects a shape"),
    BadInput((q, k, v), {"dropout_p": 1.5}, RuntimeError, "between 0 and 1"),
    BadInput((q[0], k[0], v[0]), {"enable_gqa": True}, IndexError, "dimension -3"),
    BadInput((np.zeros((3, 3, 4)), k, v), {"enable_gqa": True}, RuntimeError, "must divide the number of heads"),
], kernels=("attention", "attention_backward")))


def attend(query, key, value, attn_mask, is_causal, scale):
    return attention(query, key, value, attn_mask, 0.0, is_causal, scale)


register(OpCase("attend", attend, [
    Sample(lambda rng: (*arrays_like(*QKV)(rng), None, True, 0.4)),
    Sample(lambda rng: (*arrays_like(*QKV, (3, 5))(rng), False, -0.4)),
], torch=None))
