"""Softmax and its logarithm."""
from __future__ import annotations

import numpy as np

from . import BadInput, OpCase, Sample, arrays_like, register


def softmax(x, dim, dtype=None):
    e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return e / e.sum(dim, keepdims=True)


def log_softmax(x, dim, dtype=None):
    top = x.max(dim, keepdims=True, initial=-np.inf)
    return x - top - np.log(np.exp(x - top).sum(dim, keepdims=True))


SAMPLES = [
    Sample(arrays_like((3, 4)), dict(dim=1)),
    Sample(arrays_like((3, 4)), dict(dim=0)),
    Sample(arrays_like((2, 3, 4, 2)), dict(dim=-3)),
    Sample(arrays_like((2, 3, 1)), dict(dim=2)),
    Sample(arrays_like((0, 4)), dict(dim=1)),
    Sample(arrays_like((5,)), dict(dim=-1)),
    Sample(lambda rng: (100 * rng.standard_normal((2, 5)),), dict(dim=1), name="large", grad=False),
    Sample((np.array([[1e4, -1e4, 0.0]]),), dict(dim=1), name="saturated", grad=False, dtypes=("float64", "float32")),
    Sample(arrays_like((70, 130)), dict(dim=1), big=True),
    Sample(arrays_like((70, 130)), dict(dim=0), big=True),
    Sample(arrays_like((4, 33, 9, 11)), dict(dim=1), big=True),
]
ERRORS = [
    ((np.zeros((2, 3)),), dict(dim=5), IndexError, "Dimension out of range"),
    ((np.zeros((2, 3), np.int64),), dict(dim=1), (RuntimeError, NotImplementedError), "not implemented"),
]
for name, reference in (("softmax", softmax), ("log_softmax", log_softmax)):
    register(OpCase(name, reference, SAMPLES, [BadInput(*bad) for bad in ERRORS], kernels=(name, name + "_dx")))
register(OpCase("softmin", lambda x, dim: softmax(-x, dim), [Sample(arrays_like((3, 4)), dict(dim=1))]))
