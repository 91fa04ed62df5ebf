"""Normalisation: over the batch, the last axes, or groups of channels."""
from __future__ import annotations

from math import prod
from typing import Any

from ..errors import ShapeError
from ..limits import finfo
from ..op import FUNCTIONS, composite, joint, op


@op(method=False, function=False)
def batch_norm_train(k, x, w=None, b=None, /, running_mean=None, running_var=None, momentum=0.1, eps=1e-5):
    """Normalise each channel of (N, C, *size) by the batch's statistics, and move the running ones towards them.

    y = (x - mean) / √(var + eps) weight + bias, with the mean and variance of each channel

    Ioffe and Szegedy 2015. The running variance takes the unbiased estimate, as PyTorch's does.
    """
    moved = running_mean is not None and x.size
    if moved and k.xp.__name__ == "cupy":  # in the same launch: ten small ones would take longer than the norm
        y, mean, var = k.batch_norm(x, w, b, eps, (running_mean._array, running_var._array, momentum))
        running_mean._bump()
        running_var._bump()
    else:
        y, mean, var = k.batch_norm(x, w, b, eps)
        if moved:
            count = x.size // x.shape[1]
            _move(running_mean, mean, momentum)
            _move(running_var, var * (count / max(count - 1, 1)), momentum)
    stats = mean, 1 / k.xp.sqrt(var + eps)
    return y, joint(lambda dy, needs: k.batch_norm_backward(dy, x, w, eps, stats=stats))


@op(method=False, function=False)
def batch_norm_apply(k, x, w=None, b=None, /, mean=None, var=None, eps=1e-5):
    """Normalise each channel by given statistics.

    y = (x - mean) / √(var + eps) w + b
    """
    mean, var = mean.copy(), var.copy()  # backward must find them as they are: training moves them in place
    y = k.batch_norm_apply(x, w, b, mean, var, eps)
    return y, joint(lambda dy, needs: k.batch_norm_apply_backward(dy, x, w, mean, var, eps))


@op(method=False, function=False)
def layer_norm_last(k, x, w=None, b=None, /, ndim=1, eps=1e-5):
    """Normalise over the last `ndim` axes. Ba, Kiros and Hinton 2016.

    y = (x - mean) / √(var + eps) w + b, with the mean and variance over those axes
    """
    y, mean, rstd = k.layer_norm(x, w, b, ndim, eps)
    stats = mean, rstd
    return y, joint(lambda dy, needs: k.layer_norm_backward(dy, x, w, ndim, eps, stats=stats))


@op(method=False, function=False)
def group_norm_channels(k, x, w=None, b=None, /, groups=1, eps=1e-5):
    """Normalise over groups of channels of each item. Wu and He 2018.

    y = (x - mean) / √(var + eps) w + b, with the mean and variance of each group
    """
    y, mean, rstd = k.group_norm(x, w, b, groups, eps)
    stats = mean, rstd
    return y, joint(lambda dy, needs: k.group_norm_backward(dy, x, w, groups, eps, stats=stats))


@op(method=False, function=False)
def rms_norm_last(k, x, w=None, /, ndim=1, eps=1e-5):
    """Divide by the root mean square over the last `ndim` axes. Zhang and Sennrich 2019.

    y = x / √(mean(x²) + eps) w
    """
    y, stats = k.rms_norm(x, w, ndim, eps)
    return y, joint(lambda dy, needs: k.rms_norm_backward(dy, x, w, ndim, eps, stats=stats))


@composite(method=False)
def batch_norm(input, running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1,
               eps=1e-5):
    """Batch normalisation of (N, C) or (N, C, *size): by the batch in training, else by the running statistics.

    y = (x - mean) / √(var + eps) weight + bias, with the mean and variance of each channel (Ioffe and Szegedy 2015)

    Raises ValueError where training has one value a channel, whose variance means nothing.
    """
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: input expects (N, C, ...), got shape {tuple(input.shape)}")
    _check_channels("batch_norm", input, running_mean, running_var, weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: expected running_mean and running_var to be defined when training=False")
        return batch_norm_apply(input, weight, bias, running_mean._array, running_var._array, eps)
    _check_count("batch_norm", input, input.shape[0] * prod(input.shape[2:]))
    if eps <= 0:
        raise ValueError(f"batch_norm: eps must be positive during training, but got {eps}")
    return batch_norm_train(input, weight, bias, running_mean, running_var, momentum, eps)


@composite(method=False)
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Layer normalisation over the last axes, whose sizes are `normalized_shape`.

    y = (x - mean) / √(var + eps) weight + bias, with the mean and variance over those axes (Ba, Kiros and Hinton 2016)
    """
    shape = _normalized("layer_norm", input, normalized_shape, weight, bias)
    return layer_norm_last(input, weight, bias, len(shape), eps)


@composite(method=False)
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Root-mean-square normalisation over the last axes; `eps` is the type's own by default.

    y = x / √(mean(x²) + eps) weight (Zhang and Sennrich 2019)
    """
    shape = _normalized("rms_norm", input, normalized_shape, weight, None)
    if eps is None:
        eps = finfo(input.dtype).eps
    return rms_norm_last(input, weight, len(shape), eps)


@composite(method=False)
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Group normalisation of (N, C, *size).

    y = (x - mean) / √(var + eps) weight + bias, with the mean and variance of each group (Wu and He 2018)
    """
    if input.ndim < 2:
        raise ShapeError(f"group_norm: input expects (N, C, ...), got shape {tuple(input.shape)}")
    channels = input.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ShapeError(f"group_norm: Expected number of channels in input to be divisible by num_groups, but got "
                         f"input of shape {tuple(input.shape)} and num_groups={num_groups}")
    _check_channels("group_norm", input, None, None, weight, bias)
    _check_count("group_norm", input, input.shape[0] * (channels // num_groups) * prod(input.shape[2:]))
    return group_norm_channels(input, weight, bias, num_groups, eps)


@composite(method=False)
def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True,
                  momentum=0.1, eps=1e-5):
    """Each channel of each item by its own statistics (Ulyanov 2016), or by running ones.

    y = (x - mean) / √(var + eps) weight + bias

    Raises ValueError where a channel of an item has one value.
    """
    if input.ndim < 2:
        raise ShapeError(f"instance_norm: input expects (N, C, ...), got shape {tuple(input.shape)}")
    _check_channels("instance_norm", input, running_mean, running_var, weight, bias)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("instance_norm: Expected running_mean and running_var to be defined when "
                               "use_input_stats is false")
        return batch_norm_apply(input, weight, bias, running_mean._array, running_var._array, eps)
    n, channels, *size = input._array.shape
    if prod(size) == 1:
        raise ValueError("instance_norm: Expected more than 1 spatial element when training, "
                         f"got input size {input.shape}")
    if running_mean is not None and input._array.size:
        planes = input._array.reshape(n, channels, prod(size))
        _move(running_mean, planes.mean(2).mean(0), momentum)
        _move(running_var, planes.var(2, ddof=1).mean(0), momentum)
    return group_norm_channels(input, weight, bias, channels, eps)


@composite(method=False)
def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Across `size` neighbouring channels (Krizhevsky 2012): x / (k + alpha mean(x^2))^beta."""
    if input.ndim < 3:
        raise ValueError("local_response_norm: Expected 3D or higher dimensionality input "
                         f"(got {input.ndim} dimensions)")
    if size < 1:
        raise ShapeError(f"local_response_norm: size expects at least 1, got {size}")
    n, channels, *rest = input._array.shape
    if 0 in (n, *rest):
        return input.clone()
    flat = (input * input).reshape(n, 1, channels, prod(rest))
    padded = FUNCTIONS["constant_pad"](flat, [0, 0, size // 2, (size - 1) // 2], 0.0)
    mean = FUNCTIONS["avg_pool2d"](padded, (size, 1), 1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta


def _check_channels(name: str, x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any) -> None:
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{name}: running_mean and running_var must either both be None or neither be None")
    expected = x._array.shape[1:2]
    for key, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if t is not None and t._array.shape != expected:
            raise ShapeError(f"{name}: {key} expects shape {expected} for x of shape {tuple(x.shape)}, "
                             f"got {tuple(t.shape)}")


def _check_count(name: str, x: Any, count: int) -> None:
    if count == 1:
        raise ValueError(f"{name}: Expected more than 1 value per channel when training, got input size {x.shape}")


def _move(running: Any, value: Any, momentum: float) -> None:
    """Exponential moving average of a buffer, in place."""
    array = running._array
    array *= 1 - momentum
    array += (momentum * value).astype(array.dtype)
    running._bump()


def _normalized(name: str, x: Any, shape: Any, w: Any, b: Any) -> tuple[int, ...]:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not shape or tuple(x.shape[-len(shape):]) != shape:
        raise ShapeError(f"{name}: Given normalized_shape={list(shape)}, expected input with shape "
                         f"[*, {', '.join(map(str, shape))}], but got input of size {list(x.shape)}")
    for key, t in (("weight", w), ("bias", b)):
        if t is not None and tuple(t.shape) != shape:
            raise ShapeError(f"{name}: {key} expects shape {shape}, the normalized_shape, got {tuple(t.shape)}")
    return shape
