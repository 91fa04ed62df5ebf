"""Normalisation, written out with means and variances."""
from __future__ import annotations

import numpy as np

from . import BadInput, OpCase, Sample, arrays_like, register

# Variances of a few numbers around 1 are ill-conditioned: in float16 their roundings show in the second digit.
LOOSE = {"float16": 3e-2}
LOOSE_GRADIENT = {"float16": 2e-1, "float32": 1e-3}


def along_channels(v, x):
    return v if v is None else v.reshape(1, -1, *(1,) * (x.ndim - 2))


def affine(y, w, b):
    y = y if w is None else y * w
    return y if b is None else y + b


def standardised(x, axes, eps):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def batch_norm(x, mean=None, var=None, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if training:
        y = standardised(x, (0, *range(2, x.ndim)), eps)
    else:
        y = (x - along_channels(mean, x)) / np.sqrt(along_channels(var, x) + eps)
    return affine(y, along_channels(weight, x), along_channels(bias, x))


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return affine(standardised(x, tuple(range(x.ndim - len(normalized_shape), x.ndim)), eps), weight, bias)


def rms_norm(x, normalized_shape, weight=None, eps=None):
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    return affine(x / np.sqrt((x * x).mean(axes, keepdims=True) + eps), weight, None)


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    rows = x.reshape(x.shape[0], groups, -1) if x.size else x.reshape(x.shape[0], groups, 0)
    y = standardised(rows, (2,), eps).reshape(x.shape) if x.size else x
    return affine(y, along_channels(weight, x), along_channels(bias, x))


def instance_norm(x, mean=None, var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    if not use_input_stats:
        return batch_norm(x, mean, var, weight, bias, False, momentum, eps)
    return affine(standardised(x, tuple(range(2, x.ndim)), eps), along_channels(weight, x), along_channels(bias, x))


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    total = np.zeros_like(x)
    for c in range(x.shape[1]):
        total[:, c] = (x[:, max(c - size // 2, 0):c + (size - 1) // 2 + 1] ** 2).sum(1)
    return x / (k + alpha / size * total) ** beta


def with_statistics(shape, *more):
    """x, running mean and variance of float32 (which have no gradient), and more."""
    def make(rng):
        c = shape[1]
        return (rng.standard_normal(shape), rng.standard_normal(c).astype(np.float32),
                rng.uniform(0.5, 2.0, c).astype(np.float32), *(rng.standard_normal(s) for s in more))
    return make


register(OpCase("batch_norm", batch_norm, [
    Sample(lambda rng: (rng.standard_normal((6, 3)), None, None, rng.standard_normal(3), rng.standard_normal(3)),
           dict(training=True)),
    Sample(lambda rng: (rng.standard_normal((2, 3, 2, 4)), None, None), dict(training=True, eps=0.1)),
    Sample(lambda rng: (rng.standard_normal((2, 1, 5)), None, None, rng.standard_normal(1)), dict(training=True, eps=0.1)),
    Sample(lambda rng: (rng.standard_normal((8, 6, 16, 17)), None, None, rng.standard_normal(6),
                        rng.standard_normal(6)), dict(training=True), big=True),
], [
    BadInput((np.zeros((1, 3)),), dict(training=True), ValueError, "batch_norm: Expected more than 1 value per channel"),
    BadInput((np.zeros((2, 3)),), {}, RuntimeError, "batch_norm: expected running_mean"),
    BadInput((np.zeros(3),), dict(training=True), RuntimeError, "batch_norm: input expects"),
    BadInput((np.zeros((2, 3)), None, None, np.zeros(2)), dict(training=True), RuntimeError, "batch_norm: weight"),
], variant="train", tol=LOOSE, grad_tol=LOOSE_GRADIENT, kernels=("batch_norm", "batch_norm_backward"),
    torch=lambda x, mean, var, *rest, **options: _torch("batch_norm")(x, mean, var, *rest, **options)))

register(OpCase("batch_norm", batch_norm, [
    Sample(with_statistics((2, 3, 2, 4), (3,), (3,)), dtypes=("float32",)),
    Sample(with_statistics((4, 3)), dict(eps=0.1), dtypes=("float32",)),
    Sample(with_statistics((0, 3), (3,), (3,)), dtypes=("float32",), name="empty"),
], variant="apply", kernels=("batch_norm_apply", "batch_norm_apply_backward"), torch=None))

register(OpCase("layer_norm", layer_norm, [
    Sample(lambda rng: (rng.standard_normal((2, 3, 5)), (5,), rng.standard_normal(5), rng.standard_normal(5))),
    Sample(lambda rng: (rng.standard_normal((2, 3, 4)), (3, 4), rng.standard_normal((3, 4)))),
    Sample(lambda rng: (rng.standard_normal((4,)), (4,)), dict(eps=0.1)),
    Sample(lambda rng: (rng.standard_normal((0, 4)), (4,), rng.standard_normal(4)), name="empty"),
    Sample(lambda rng: (rng.standard_normal((64, 130)), (130,), rng.standard_normal(130), rng.standard_normal(130)),
           big=True),
], [
    BadInput((np.zeros((2, 3)), (2,)), {}, RuntimeError, "layer_norm: Given normalized_shape"),
    BadInput((np.zeros((2, 3)), ()), {}, RuntimeError, "layer_norm: Given normalized_shape"),
    BadInput((np.zeros((2, 3)), (3,), np.zeros(2)), {}, RuntimeError, "layer_norm: weight"),
], tol=LOOSE, grad_tol=LOOSE_GRADIENT, kernels=("layer_norm", "layer_norm_backward")))

register(OpCase("rms_norm", rms_norm, [
    Sample(lambda rng: (rng.standard_normal((2, 3, 5)), (5,), rng.standard_normal(5), 1e-5)),
    Sample(lambda rng: (rng.standard_normal((2, 3, 4)), (3, 4)), dict(eps=0.1)),
    Sample(lambda rng: (rng.standard_normal((64, 130)), (130,), rng.standard_normal(130), 1e-5), big=True),
], [
    BadInput((np.zeros((2, 3)), (2,)), {}, RuntimeError, "rms_norm: Given normalized_shape"),
], tol=LOOSE, grad_tol=LOOSE_GRADIENT, kernels=("rms_norm", "rms_norm_backward")))

register(OpCase("group_norm", group_norm, [
    Sample(lambda rng: (rng.standard_normal((2, 6, 3)), 2, rng.standard_normal(6), rng.standard_normal(6))),
    Sample(lambda rng: (rng.standard_normal((2, 4, 2, 3)), 4), dict(eps=0.1)),
    Sample(lambda rng: (rng.standard_normal((3, 4)), 1, rng.standard_normal(4))),
    Sample(lambda rng: (rng.standard_normal((0, 4, 2)), 2), name="empty"),
    Sample(lambda rng: (rng.standard_normal((8, 6, 16, 17)), 3, rng.standard_normal(6), rng.standard_normal(6)),
           big=True),
], [
    BadInput((np.zeros((2, 5, 2)), 2), {}, RuntimeError, "group_norm: Expected number of channels"),
    BadInput((np.zeros(4), 2), {}, RuntimeError, "group_norm: input expects"),
    BadInput((np.zeros((2, 4)), 2, np.zeros(2)), {}, RuntimeError, "group_norm: weight"),
], tol=LOOSE, grad_tol=LOOSE_GRADIENT, kernels=("group_norm", "group_norm_backward")))

register(OpCase("instance_norm", instance_norm, [
    Sample(lambda rng: (rng.standard_normal((2, 3, 5)), None, None, rng.standard_normal(3), rng.standard_normal(3))),
    Sample(lambda rng: (rng.standard_normal((2, 3, 2, 3)),), dict(eps=0.1)),
], [
    BadInput((np.zeros((2, 3, 1)),), {}, ValueError, "instance_norm: Expected more than 1 spatial element"),
], tol=LOOSE, grad_tol=LOOSE_GRADIENT))

register(OpCase("local_response_norm", local_response_norm, [
    Sample(arrays_like((2, 5, 3)), dict(size=3, alpha=0.1)),
    Sample(arrays_like((1, 4, 2, 3)), dict(size=2, beta=0.5, k=2.0)),
    Sample(arrays_like((1, 2, 3)), dict(size=5, alpha=1.0)),
]))


def _torch(name):
    import torch

    return getattr(torch.nn.functional, name)
