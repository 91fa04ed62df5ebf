"""Softmax and its logarithm. Without `dim` they take 0 for 0, 1 and 3 dimensions, else 1, as PyTorch used to."""
from __future__ import annotations

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register

INF = np.inf


def log_softmax(x, dim=None, dtype=None):
    dim = (0 if x.ndim in (0, 1, 3) else 1) if dim is None else dim
    if not x.ndim or not x.size:
        return x * 0.0
    y = np.moveaxis(np.zeros(x.shape), dim, -1)
    for place in np.ndindex(*y.shape[:-1]):
        row = np.moveaxis(x, dim, -1)[place].astype(float)
        y[place] = row - row.max() - np.log(np.exp(row - row.max()).sum())
    return np.moveaxis(y, -1, dim)


def softmax(x, dim=None, dtype=None):
    return np.exp(log_softmax(x, dim))


WRONG = [
    BadInput((np.zeros((2, 3)),), {"dim": 2}, IndexError, "Dimension out of range"),
    BadInput((np.zeros((2, 3), np.int64),), {"dim": 1}, NotImplementedError, "not implemented for int64"),
    BadInput((np.zeros((2, 3), bool),), {"dim": 1}, NotImplementedError, "not implemented for bool"),
    BadInput((np.zeros((2, 3)),), {"dim": 1, "dtype": "int32"}, NotImplementedError, "not implemented for int32"),
    BadInput((np.zeros((2, 3)),), {"dim": "a"}, TypeError, "must be int")]
for name, reference, kernels, errors in (
        ("softmax", softmax, ("softmax", "softmax_dx"), WRONG),
        ("log_softmax", log_softmax, ("log_softmax", "log_softmax_dx"), WRONG),
        ("softmin", lambda x, dim=None, dtype=None: softmax(-x, dim), (), [])):
    register(OpCase(name, reference, [
        Sample(arrays_like((3, 4)), {"dim": 1}), Sample(arrays_like((3, 4)), {"dim": 0}),
        Sample(arrays_like((2, 3, 4)), {"dim": -2}), Sample(arrays_like((2, 3, 1)), {"dim": 2}, name="of one"),
        Sample(arrays_like((5,)), {"dim": -1}), Sample(arrays_like(()), {"dim": 0}), Sample(arrays_like((2, 2, 2, 2))),
        Sample(arrays_like((2, 2, 3))), Sample(arrays_like((0, 4)), {"dim": 1}),
        Sample(arrays_like((4, 0)), {"dim": 1}),
        Sample((np.array([[1000.0, 0.0, -1000.0], [-500.0, -500.0, -501.0]]),), {"dim": 1}, dtypes=WIDE,
               name="far apart"),
        Sample((np.array([[0.0, -INF, 1.0], [-INF, -INF, -INF], [0.0, INF, 1.0], [np.nan, 1.0, 2.0]]),), {"dim": 1},
               grad=False, name="infinite and NaN"),
        Sample(arrays_like((2, 3)), {"dim": 1, "dtype": "float64"}, dtypes=WIDE),
        Sample(arrays_like((400, 301)), {"dim": 1}, big=True, dtypes=("float32",)),
        Sample(arrays_like((9, 70, 301)), {"dim": 1}, big=True, dtypes=("float32",)),
        *([Sample((np.array([[1, 2, 3]]),), {"dim": 1, "dtype": "float32"})] if name != "softmin" else []),
    ], torch=f"nn.functional.{name}", kernels=kernels, errors=errors))
