"""Normalisation over the batch, the last axes, groups of channels, and neighbouring channels."""
from __future__ import annotations

import math

import numpy as np

from . import BadInput, OpCase, Sample, arrays_like, register

# float16 comes out of float32 sums, but the derivatives multiply by 1 / std, and are differences of larger numbers
HALF = {"grad_tol": {"float16": 1e-1}}


def standard(x, axes, eps):
    mean = x.mean(axes, keepdims=True) if x.size else np.zeros(1)
    var = ((x - mean) ** 2).mean(axes, keepdims=True) if x.size else np.ones(1)
    return (x - mean) / np.sqrt(var + eps)


def scaled(y, weight, bias):
    """y times weight plus bias, both along axis 1."""
    along = (-1, *[1] * (y.ndim - 2))
    y = y if weight is None else y * weight.reshape(along)
    return y if bias is None else y + bias.reshape(along)


def batch_norm_train(x, weight=None, bias=None, mean=None, var=None, momentum=0.1, eps=1e-5):
    return scaled(standard(x, (0, *range(2, x.ndim)), eps), weight, bias)


def batch_norm_apply(x, weight, bias, mean, var, eps=1e-5):
    along = (-1, *[1] * (x.ndim - 2))
    return scaled((x - mean.reshape(along)) / np.sqrt(var.reshape(along) + eps), weight, bias)


def batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if training:
        return batch_norm_train(x, weight, bias, eps=eps)
    return batch_norm_apply(x, weight, bias, running_mean, running_var, eps)


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = standard(x, tuple(range(x.ndim - len(normalized_shape), x.ndim)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def rms_norm(x, normalized_shape, weight=None, eps=1e-5):
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    y = x / np.sqrt((x**2).mean(axes, keepdims=True) + eps) if x.size else x
    return y if weight is None else y * weight


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    grouped = x.reshape(len(x), num_groups, math.prod(x.shape[1:]) // num_groups)
    return scaled(standard(grouped, 2, eps).reshape(x.shape), weight, bias)


def instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1,
                  eps=1e-5):
    if not use_input_stats:
        return batch_norm_apply(x, weight, bias, running_mean, running_var, eps)
    return scaled(standard(x, tuple(range(2, x.ndim)), eps), weight, bias)


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - size // 2):c + (size - 1) // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha * (near**2).sum(1) / size) ** beta
    return y


def with_vectors(shape, *more, rest=()):
    """Arguments: x, then positive vectors over its channels, None where `more` says so."""
    def make(rng):
        vectors = [None if m is None else rng.uniform(0.5, 2, shape[1]) for m in more]
        return rng.standard_normal(shape), *vectors, *rest
    return make


def alone(shape):
    """Arguments: x, and no running statistics."""
    return lambda rng: (rng.standard_normal(shape), None, None)


def affine(*shape, bias=True):
    """The options weight and bias, arrays of that shape."""
    options = {"weight": lambda rng: rng.uniform(0.5, 2, shape), "bias": lambda rng: rng.standard_normal(shape)}
    return options if bias else {"weight": options["weight"]}


VECTOR = np.ones(3)
register(OpCase("batch_norm", batch_norm, [
    Sample(alone((4, 3)), {"training": True, **affine(3)}),
    Sample(alone((3, 2, 4)), {"training": True, "eps": 0.1}),
    Sample(alone((2, 3, 3, 2)), {"training": True, **affine(3)}),
    Sample(alone((2, 2, 2, 1, 3)), {"training": True, **affine(2, bias=False)}),
    Sample(alone((1, 3, 5)), {"training": True}, name="one item"),
    Sample(alone((0, 3, 5)), {"training": True, **affine(3)}, name="no items"),
    Sample(lambda rng: (rng.standard_normal((3, 2, 4)) + 1e4, None, None), {"training": True}, grad=False,
           dtypes=("float64",), name="far from 0"),
    Sample(alone((16, 8, 20, 21)), {"training": True, **affine(8)}, big=True, dtypes=("float32",), name="planes"),
    Sample(alone((300, 200)), {"training": True, **affine(200)}, big=True, dtypes=("float32",), name="columns"),
], kernels=("batch_norm", "batch_norm_backward"), torch="nn.functional.batch_norm", **HALF, errors=[
    BadInput((np.zeros(3),), {"training": True}, RuntimeError, r"expects \(N, C"),
    BadInput((np.zeros((1, 3)),), {"training": True}, ValueError, "more than 1 value per channel"),
    BadInput((np.zeros((2, 3)),), {}, RuntimeError, "running_mean and running_var"),
    BadInput((np.zeros((2, 3)), VECTOR), {"training": True}, ValueError, "both be None"),
    BadInput((np.zeros((2, 3)), np.zeros(2), np.ones(2)), {}, RuntimeError, r"running_mean expects shape \(3,\)"),
    BadInput((np.zeros((2, 3)), VECTOR, VECTOR, np.ones(2)), {}, RuntimeError, r"weight expects shape \(3,\)"),
    BadInput((np.zeros((2, 3)), VECTOR, VECTOR, VECTOR, np.ones(4)), {}, RuntimeError, r"bias expects shape \(3,\)"),
    BadInput((np.zeros((2, 3)),), {"training": True, "eps": 0.0}, ValueError, "eps must be positive"),
]))
register(OpCase("batch_norm", batch_norm, [
    Sample(with_vectors((4, 3), 1, 1, 1, 1)), Sample(with_vectors((2, 3, 4), 1, 1)),
    Sample(with_vectors((2, 2, 3, 2), 1, 1, 1, None), {"eps": 0.1}), Sample(with_vectors((0, 3, 2), 1, 1, 1, 1)),
    Sample(with_vectors((16, 8, 20, 21), 1, 1, 1, 1), big=True, dtypes=("float32",)),
], variant="evaluated", constant=(1, 2), kernels=("batch_norm_apply", "batch_norm_apply_backward"),
    torch="nn.functional.batch_norm"))


def moved(function):
    """`function(x, mean, var, ...)` of copies of its statistics: (y, mean, var) after it."""
    def call(x, mean, var, **options):
        mean, var = mean.clone(), var.clone()
        return [function()(x, mean, var, **options), mean, var]
    return call


def ours(name):
    from minitorch.op import FUNCTIONS

    return FUNCTIONS[name]


def theirs(name):
    import torch

    return getattr(torch.nn.functional, name)


def batch_norm_moves(x, mean, var, training, momentum=0.1):
    axes = (0, *range(2, x.ndim))
    if not x.size:
        return [x, mean, var]
    return [batch_norm_train(x), (1 - momentum) * mean + momentum * x.mean(axes),
            (1 - momentum) * var + momentum * x.var(axes, ddof=1)]


def instance_norm_moves(x, mean, var, momentum=0.1):
    axes = tuple(range(2, x.ndim))
    return [instance_norm(x), (1 - momentum) * mean + momentum * x.mean(axes).mean(0),
            (1 - momentum) * var + momentum * x.var(axes, ddof=1).mean(0)]


register(OpCase("batch_norm", batch_norm_moves, [
    Sample(with_vectors((4, 3), 1, 1), {"training": True}),
    Sample(with_vectors((2, 3, 4), 1, 1), {"training": True, "momentum": 0.7}),
    Sample(with_vectors((0, 3, 4), 1, 1), {"training": True}, name="no items: nothing moves"),
], variant="running statistics", grad=False, call=moved(lambda: ours("batch_norm")),
    torch=moved(lambda: theirs("batch_norm"))))
register(OpCase("instance_norm", instance_norm_moves, [
    Sample(with_vectors((2, 3, 4), 1, 1)), Sample(with_vectors((2, 3, 2, 2), 1, 1), {"momentum": 0.7}),
], variant="running statistics", grad=False, call=moved(lambda: ours("instance_norm")),
    torch=moved(lambda: theirs("instance_norm"))))
register(OpCase("layer_norm", layer_norm, [
    Sample(arrays_like((3, 4)), {"normalized_shape": (4,), **affine(4)}),
    Sample(arrays_like((2, 3, 4)), {"normalized_shape": (3, 4), **affine(3, 4), "eps": 0.1}),
    Sample(arrays_like((5,)), {"normalized_shape": (5,), **affine(5, bias=False)}),
    Sample(arrays_like((0, 4)), {"normalized_shape": (4,), **affine(4)}),
    Sample(arrays_like((3, 0)), {"normalized_shape": (0,)}),
    Sample(arrays_like((3, 1)), {"normalized_shape": (1,)}, name="one value"),
    Sample(lambda rng: (rng.standard_normal((3, 8)) + 1e4,), {"normalized_shape": (8,)}, grad=False,
           dtypes=("float64",), name="far from 0"),
    Sample(arrays_like((300, 401)), {"normalized_shape": (401,), **affine(401)}, big=True, dtypes=("float32",)),
], kernels=("layer_norm", "layer_norm_backward"), torch="nn.functional.layer_norm", **HALF, errors=[
    BadInput((np.zeros((2, 3)), (2,)), {}, RuntimeError, r"normalized_shape=\[2\]"),
    BadInput((np.zeros((2, 3)), ()), {}, RuntimeError, "normalized_shape"),
    BadInput((np.zeros((2, 3)), (3,), np.ones(2)), {}, RuntimeError, "weight expects"),
    BadInput((np.zeros((2, 3)), (3,), None, np.ones((1, 3))), {}, RuntimeError, "bias expects"),
]))
register(OpCase("rms_norm", rms_norm, [
    Sample(arrays_like((3, 4)), {"normalized_shape": (4,), **affine(4, bias=False), "eps": 1e-3}),
    Sample(arrays_like((2, 3, 4)), {"normalized_shape": (3, 4), "eps": 0.1}),
    Sample(arrays_like((0, 4)), {"normalized_shape": (4,), "eps": 1e-3}),
    Sample(arrays_like((3, 0)), {"normalized_shape": (0,)}),
    Sample(arrays_like((300, 401)), {"normalized_shape": (401,), **affine(401, bias=False), "eps": 1e-5}, big=True,
           dtypes=("float32",)),
], kernels=("rms_norm", "rms_norm_backward"), torch="nn.functional.rms_norm", **HALF, errors=[
    BadInput((np.zeros((2, 3)), (2,)), {}, RuntimeError, r"normalized_shape=\[2\]"),
    BadInput((np.zeros((2, 3)), (3,), np.ones(2)), {}, RuntimeError, "weight expects"),
]))
register(OpCase("rms_norm", lambda x, shape: rms_norm(x, shape, eps=np.finfo(np.float32).eps), [
    Sample(lambda rng: (rng.standard_normal((3, 4)) * 1e-3, (4,)), dtypes=("float32",))], variant="eps", grad=False,
    torch="nn.functional.rms_norm"))
register(OpCase("group_norm", group_norm, [
    Sample(arrays_like((3, 4)), {"num_groups": 2, **affine(4)}),
    Sample(arrays_like((2, 6, 3)), {"num_groups": 3, **affine(6), "eps": 0.1}),
    Sample(arrays_like((2, 3, 2, 2)), {"num_groups": 3}, name="a channel a group"),
    Sample(arrays_like((2, 4, 1, 2, 3)), {"num_groups": 1, **affine(4, bias=False)}),
    Sample(arrays_like((0, 4, 3)), {"num_groups": 2, **affine(4)}, name="no items"),
    Sample(arrays_like((20, 16, 19, 21)), {"num_groups": 4, **affine(16)}, big=True, dtypes=("float32",)),
], kernels=("group_norm", "group_norm_backward"), torch="nn.functional.group_norm", **HALF, errors=[
    BadInput((np.zeros((2, 3)), 2), {}, RuntimeError, "divisible by num_groups"),
    BadInput((np.zeros((2, 3)), 0), {}, (RuntimeError, ZeroDivisionError), "num_groups=0"),
    BadInput((np.zeros(3), 3), {}, RuntimeError, r"expects \(N, C"),
    BadInput((np.zeros((1, 2)), 2), {}, ValueError, "more than 1 value per channel"),
    BadInput((np.zeros((2, 4)), 2, np.ones(2)), {}, RuntimeError, r"weight expects shape \(4,\)"),
]))
register(OpCase("instance_norm", instance_norm, [
    Sample(arrays_like((2, 3, 4)), affine(3)), Sample(arrays_like((2, 2, 3, 2)), {"eps": 0.1}),
    Sample(arrays_like((1, 2, 1, 2, 3)), affine(2, bias=False)), Sample(arrays_like((0, 3, 4))),
    Sample(arrays_like((2, 3, 4)), {"use_input_stats": False, **affine(3), "running_mean": np.array([0.5, -1.0, 0.25]),
                                    "running_var": np.array([0.5, 2.0, 1.0])}, name="running statistics"),
], torch="nn.functional.instance_norm", constant=("running_mean", "running_var"), **HALF, errors=[
    BadInput((np.zeros((2, 3)),), {}, ValueError, "more than 1 spatial element"),
    BadInput((np.zeros((2, 3, 4)),), {"use_input_stats": False}, RuntimeError, "use_input_stats"),
    BadInput((np.zeros((2, 3, 4)), VECTOR), {}, ValueError, "both be None"),
    BadInput((np.zeros((2, 3, 4)),), {"weight": np.ones(2)}, RuntimeError, r"weight expects shape \(3,\)"),
    BadInput((np.zeros(3),), {}, RuntimeError, r"expects \(N, C"),
]))
register(OpCase("local_response_norm", local_response_norm, [
    Sample(arrays_like((2, 5, 3)), {"size": 3, "alpha": 0.5}),
    Sample(arrays_like((1, 4, 2, 3)), {"size": 2, "alpha": 1.0}),
    Sample(arrays_like((1, 3, 2, 1, 2)), {"size": 5, "alpha": 0.3, "beta": 0.5, "k": 2.0}),
    Sample(arrays_like((0, 3, 2)), {"size": 2}),
], torch="nn.functional.local_response_norm", errors=[
    BadInput((np.zeros((2, 3)), 2), {}, ValueError, "3D or higher"),
    BadInput((np.zeros((2, 3, 4)), 0), {}, RuntimeError, "size expects"),
]))

# The ops below them


def unwrapped(x, weight, bias, mean, var, eps):
    from minitorch.op import OPS

    return OPS["batch_norm_apply"].call(x, weight, bias, mean._array, var._array, eps)


register(OpCase("batch_norm_train", lambda x, w, b: batch_norm_train(x, w, b), [
    Sample(with_vectors((3, 2, 4), 1, 1)), Sample(with_vectors((3, 2), 1, None)),
    Sample(with_vectors((3, 2), None, 1))], torch=None, **HALF))
register(OpCase("batch_norm_apply", batch_norm_apply, [
    Sample(with_vectors((3, 2, 4), 1, 1, 1, 1, rest=(1e-5,))),
    Sample(with_vectors((3, 2), None, 1, 1, 1, rest=(0.1,)))], call=unwrapped, constant=(3, 4)))
register(OpCase("layer_norm_last", lambda x, w, b, ndim, eps: layer_norm(x, x.shape[x.ndim - ndim:], w, b, eps), [
    Sample(lambda rng: (rng.standard_normal((2, 3, 4)), rng.standard_normal(4), rng.standard_normal(4), 1, 1e-5)),
    Sample(lambda rng: (rng.standard_normal((2, 3, 4)), None, rng.standard_normal((3, 4)), 2, 0.1)),
    Sample(lambda rng: (rng.standard_normal((2, 3)), None, None, 2, 0.1))], torch=None, **HALF))
register(OpCase("group_norm_channels", lambda x, w, b, groups, eps: group_norm(x, groups, w, b, eps), [
    Sample(with_vectors((2, 4, 3), 1, 1, rest=(2, 1e-5))), Sample(with_vectors((2, 4), None, 1, rest=(2, 0.1)))],
    torch=None, **HALF))
register(OpCase("rms_norm_last", lambda x, w, ndim, eps: rms_norm(x, x.shape[x.ndim - ndim:], w, eps), [
    Sample(lambda rng: (rng.standard_normal((2, 3, 4)), rng.standard_normal(4), 1, 1e-5)),
    Sample(lambda rng: (rng.standard_normal((2, 3, 4)), None, 2, 0.1))], torch=None, **HALF))
