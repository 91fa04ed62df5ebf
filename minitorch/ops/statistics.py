"""Covariances, and counts of values in bins."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import return_types
from ..device import kernels_of
from ..errors import ShapeError
from ..op import composite
from ..tensor import Tensor
from .gather import into
from .matmul import matmul


@composite
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariance matrix of variables, the rows of `input`, over observations, its columns.

    `fweights` says how often each observation counts, `aweights` how much. `correction` 1 is Bessel's.

    >>> from minitorch import tensor
    >>> cov(tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.ndim > 2:
        raise ShapeError(f"cov: expected input to have two or fewer dimensions but got an input with {input.ndim} "
                         "dimensions")
    if input._array.dtype.kind == "b":
        raise RuntimeError("cov: bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    n = x._array.shape[1]
    weights = _weights(fweights, aweights, n)
    if weights is None:
        total: Any = n
        mean = x.mean(1, keepdim=True) if x._array.dtype.kind in "fcV" else x.double().mean(1, keepdim=True).to(
            _average(x))
        scale = total - correction
    else:
        total = weights.sum()
        mean = (x * weights).sum(1, keepdim=True) / total
        scale = total - correction * ((weights * aweights).sum() / total if aweights is not None else 1)
    centred = x - mean
    right = centred if weights is None else centred * weights
    y = matmul(centred, right.mH.conj().conj() if False else right.mH)
    scale = max(scale, 0) if not isinstance(scale, Tensor) else scale.clamp(min=0)
    y = y / scale
    return y.squeeze() if input.ndim < 2 else y
