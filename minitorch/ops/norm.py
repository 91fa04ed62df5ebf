"""Normalisation: over the batch, the last axes, or groups of channels."""
from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..op import composite, joint, op


@op(method=False, function=False)
def batch_norm_train(k, x, w=None, b=None, /, running_mean=None, running_var=None, momentum=0.1, eps=1e-5):
    """Normalise each channel of (N, C, *size) by the batch's statistics, and move the running ones towards them.

    Ioffe and Szegedy 2015. The running variance takes the unbiased estimate, as PyTorch's does.
    """
    y, mean, var = k.batch_norm(x, w, b, eps)
    if running_mean is not None:
        count = x.size // x.shape[1]
        _move(running_mean, mean, momentum)
        _move(running_var, var * (count / max(count - 1, 1)), momentum)
    stats = mean, 1 / k.xp.sqrt(var + eps)
    return y, joint(lambda dy, needs: k.batch_norm_backward(dy, x, w, eps, stats=stats))


@op(method=False, function=False)
def batch_norm_apply(k, x, w=None, b=None, /, mean=None, var=None, eps=1e-5):
    """Normalise each channel by given statistics."""
    y = k.batch_norm_apply(x, w, b, mean, var, eps)
    return y, joint(lambda dy, needs: k.batch_norm_apply_backward(dy, x, w, mean, var, eps))


@op(method=False, function=False)
def layer_norm_last(k, x, w=None, b=None, /, ndim=1, eps=1e-5):
    """Normalise over the last `ndim` axes. Ba, Kiros and Hinton 2016."""
    y, mean, rstd = k.layer_norm(x, w, b, ndim, eps)
    stats = mean, rstd
    return y, joint(lambda dy, needs: k.layer_norm_backward(dy, x, w, ndim, eps, stats=stats))


@op(method=False, function=False)
def group_norm_channels(k, x, w=None, b=None, /, groups=1, eps=1e-5):
    """Normalise over groups of channels of each item. Wu and He 2018."""
    y, mean, rstd = k.group_norm(x, w, b, groups, eps)
    stats = mean, rstd
    return y, joint(lambda dy, needs: k.group_norm_backward(dy, x, w, groups, eps, stats=stats))


@op(method=False, function=False)
def rms_norm_last(k, x, w=None, /, ndim=1, eps=1e-5):
    """Divide by the root mean square over the last `ndim` axes. Zhang and Sennrich 2019."""
    y, rms = k.rms_norm(x, w, ndim, eps)
    return y, joint(lambda dy, needs: k.rms_norm_backward(dy, x, w, ndim, eps))


@composite(method=False)
def batch_norm(input, running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1,
               eps=1e-5):
    """Batch normalisation of (N, C) or (N, C, *size): by the batch in training, else by the running statistics.

    Raises ValueError where training has one value a channel, whose variance means nothing.
    """
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: input expects (N, C, ...), got shape {tuple(input.shape)}")
    channels = input.shape[1]
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight),
                    ("bias", bias)):
        if t is not None and tuple(t.shape) != (channels,):
            raise ShapeError(f"batch_norm: {name} expects shape ({channels},) for x of shape {tuple(input.shape)}, "
                             f"got {tuple(t.shape)}")
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: expected running_mean and running_var to be defined when training=False")
        return batch_norm_apply(input, weight, bias, running_mean._array, running_var._array, eps)
    if input.shape[0] > 0 and input._array.size == channels:
        raise ValueError("batch_norm: Expected more than 1 value per channel when training, "
                         f"got input size {input.shape}")
    return batch_norm_train(input, weight, bias, running_mean, running_var, momentum, eps)


@composite(method=False)
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Layer normalisation over the last axes, whose sizes are `normalized_shape`."""
    shape = _normalized("layer_norm", input, normalized_shape, weight, bias)
    return layer_norm_last(input, weight, bias, len(shape), eps)


@composite(method=False)
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Root-mean-square normalisation over the last axes; `eps` is the type's own by default."""
    shape = _normalized("rms_norm", input, normalized_shape, weight, None)
    if eps is None:
        import numpy as np

        eps = float(np.finfo(input._array.dtype).eps)
    return rms_norm_last(input, weight, len(shape), eps)


@composite(method=False)
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Group normalisation of (N, C, *size)."""
    if input.ndim < 2:
        raise ShapeError(f"group_norm: input expects (N, C, ...), got shape {tuple(input.shape)}")
    channels = input.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ShapeError(f"group_norm: Expected number of channels in input to be divisible by num_groups, but got "
                         f"input of shape {tuple(input.shape)} and num_groups={num_groups}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != (channels,):
            raise ShapeError(f"group_norm: {name} expects shape ({channels},), got {tuple(t.shape)}")
    return group_norm_channels(input, weight, bias, num_groups, eps)


@composite(method=False)
def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True,
                  momentum=0.1, eps=1e-5):
    """Each channel of each item by its own statistics (Ulyanov 2016), or by running ones."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    n, channels, count = input.shape[0], input.shape[1], 1
    for s in input.shape[2:]:
        count *= s
    if count == 1:
        raise ValueError("instance_norm: Expected more than 1 spatial element when training, "
                         f"got input size {input.shape}")
    if running_mean is not None:
        planes = input._array.reshape(n, channels, count)
        _move(running_mean, planes.mean(2).mean(0), momentum)
        _move(running_var, planes.var(2, ddof=1).mean(0), momentum)
    return group_norm_channels(input, weight, bias, channels, eps)


@composite(method=False)
def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Across neighbouring channels (Krizhevsky 2012)."""
    from ..op import FUNCTIONS

    flat = (input * input).reshape(input.shape[0], 1, input.shape[1], -1)
    padded = FUNCTIONS["constant_pad"](flat, [0, 0, size // 2, (size - 1) // 2], 0.0)
    mean = FUNCTIONS["avg_pool2d"](padded, (size, 1), 1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta


def _move(running: Any, value: Any, momentum: float | None) -> None:
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
            raise ShapeError(f"{name}: {key} expects shape {shape}, got {tuple(t.shape)}")
    return shape
