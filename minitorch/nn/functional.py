"""PyTorch's `torch.nn.functional`: a table of contents over the ops, and the few functions that are more than one.

>>> from minitorch import tensor
>>> import minitorch.nn.functional as F
>>> F.relu(tensor([-1.0, 2.0]))
tensor([0., 2.])
"""
from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from ..errors import NoAttributeError, ShapeError
from ..op import FUNCTIONS
from ..ops.attention import scaled_dot_product_attention as scaled_dot_product_attention
from ..ops.embedding import embedding_bag as embedding_bag
from ..ops.lookup import embedding as embedding
from ..ops.lookup import one_hot as one_hot
from ..ops.loss import reduction_of
from ..tensor import Tensor
from .multihead import multi_head_attention_forward as multi_head_attention_forward

# The ops and composites that stand here as they are
_NAMES = """
    linear
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d unfold fold
    max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
    fractional_max_pool2d fractional_max_pool3d
    max_unpool1d max_unpool2d max_unpool3d lp_pool1d lp_pool2d lp_pool3d
    batch_norm layer_norm rms_norm group_norm instance_norm local_response_norm
    gelu glu logsigmoid softplus softsign tanhshrink softshrink hardshrink prelu rrelu sigmoid tanh
    cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy
    binary_cross_entropy_with_logits kl_div poisson_nll_loss gaussian_nll_loss soft_margin_loss
    hinge_embedding_loss margin_ranking_loss cosine_embedding_loss triplet_margin_loss
    multilabel_soft_margin_loss multilabel_margin_loss multi_margin_loss ctc_loss
    cosine_similarity pairwise_distance
    pad interpolate upsample upsample_nearest upsample_bilinear pixel_shuffle pixel_unshuffle channel_shuffle
    grid_sample affine_grid
""".split()  # noqa: SIM905
globals().update({_name: FUNCTIONS[_name] for _name in _NAMES})


def __getattr__(name: str) -> Any:
    raise NoAttributeError(f"module 'torch.nn.functional' has no attribute '{name}'", name, lambda: globals())


_relu = FUNCTIONS["relu"]


# Activations that can write over their input


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x)."""
    return input.relu_() if inplace else _relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """clip(x, 0, 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """clip(x, min_val, max_val)."""
    return _activation("hardtanh", input, inplace, min_val, max_val)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x above zero, alpha (exp(x) - 1) below."""
    return _activation("elu", input, inplace, alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x above zero, alpha (exp(x / alpha) - 1) below."""
    return _activation("celu", input, inplace, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The scaled ELU of self-normalising networks."""
    return _activation("selu", input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x above zero, negative_slope x below."""
    return _activation("leaky_relu", input, inplace, negative_slope)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x)."""
    return _activation("silu", input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x))."""
    return _activation("mish", input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x hardsigmoid(x)."""
    return _activation("hardswish", input, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """clip(x / 6 + 1 / 2, 0, 1)."""
    return _activation("hardsigmoid", input, inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x above `threshold`, `value` elsewhere."""
    return _activation("threshold", input, inplace, threshold, value)


def _activation(name: str, input: Tensor, inplace: bool, *options: Any) -> Tensor:
    return getattr(input, name + "_")(*options) if inplace else FUNCTIONS[name](input, *options)


def _changing(name: str) -> Callable:
    """`name_` as a function: `relu_(x)`."""
    def change(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return getattr(input, name)(*args, **kwargs)

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"`{name[:-1]}`, in place."
    return change


relu_, elu_, celu_, selu_, leaky_relu_, hardtanh_, threshold_ = map(
    _changing, ("relu_", "elu_", "celu_", "selu_", "leaky_relu_", "hardtanh_", "threshold_"))
rrelu_ = functools.partial(FUNCTIONS["rrelu"], inplace=True)


# Softmax


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) over its sum along `dim`."""
    return FUNCTIONS["softmax"](input, _dim("softmax", input, dim, _stacklevel), dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The logarithm of softmax, without underflow."""
    return FUNCTIONS["log_softmax"](input, _dim("log_softmax", input, dim, _stacklevel), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-x)."""
    return FUNCTIONS["softmax"](-input, _dim("softmin", input, dim, _stacklevel), dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A differentiable sample of a categorical distribution; `hard`: one-hot, with the soft one's gradient.

    Jang, Gu and Poole 2017.
    """
    gumbels = -FUNCTIONS["empty_like"](logits).exponential_().log()
    soft = FUNCTIONS["softmax"]((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one = FUNCTIONS["zeros_like"](logits).scatter_(dim, index, 1.0)
    return one - soft.detach() + soft


def _dim(name: str, input: Tensor, dim: int | None, stacklevel: int) -> int:
    if dim is not None:
        return dim
    warnings.warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an "
                  "argument.", stacklevel=stacklevel)
    return 0 if input.ndim in (0, 1, 3) else 1


# Dropout


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training each value becomes zero with probability p, and is divided by 1 - p otherwise."""
    return _dropout("dropout", input, p, training, inplace)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, L) or (C, L)."""
    if input.ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input.")
    return _by_channel("feature_dropout", input, p, training, inplace, 2)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, H, W)."""
    if input.ndim not in (3, 4):
        warnings.warn(f"dropout2d: Received a {input.ndim}-D input to dropout2d, which is deprecated", stacklevel=2)
    return _dropout("feature_dropout", input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _by_channel("feature_dropout", input, p, training, inplace, 4)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps the mean and variance of SELU's outputs."""
    return _dropout("alpha_dropout", input, p, training, inplace)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels."""
    return _dropout("feature_alpha_dropout", input, p, training, inplace)


def _dropout(name: str, input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    return getattr(input, name + "_")(p, training) if inplace else FUNCTIONS[name](input, p, training)


def _by_channel(name: str, input: Tensor, p: float, training: bool, inplace: bool, unbatched: int) -> Tensor:
    if input.ndim == unbatched + 1:
        return _dropout(name, input, p, training, inplace)
    y = _dropout(name, input.unsqueeze(0), p, training, inplace)
    return input if inplace else y.squeeze(0)


# What needs more than one op


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = x1^T W_k x2 + b_k."""
    y = FUNCTIONS["einsum"]("...i,kij,...j->...k", input1, weight, input2)
    return y if bias is None else y + bias


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """x / max(|x|_p, eps) along `dim`.

    >>> from minitorch import tensor
    >>> normalize(tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    y = input / input.norm(p, dim, keepdim=True).clamp_min(eps)
    return y if out is None else out.copy_(y)


def pdist(input: Tensor, p: float = 2) -> Tensor:
    """The p-distances of all pairs of rows, (0, 1), (0, 2), ..., (1, 2), ..."""
    i, j = FUNCTIONS["triu_indices"](input.shape[0], input.shape[0], 1)
    return (input[i] - input[j]).norm(p, -1)


def linear_cross_entropy(input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: Tensor | None = None,
                         weight: Tensor | None = None, reduction: str = "mean", ignore_index: int | None = None,
                         label_smoothing: float = 0.0, options: Any = None) -> Tensor:
    """`cross_entropy` of `linear(input, linear_weight, linear_bias)`.

    `input` is (in_features) or (N, in_features), `linear_weight` (classes, *size, in_features), `linear_bias` of its
    first dimensions; `target` is as for logits (N, classes, *size). With `options` (LinearCrossEntropyOptions) and a
    target of class numbers, the logits of some inputs at a time are computed, and again in backward, so that never all
    of them fill memory. Raises RuntimeError for other shapes, and for an `ignore_index` where the target holds
    probabilities.
    """
    x, w = tuple(input.shape), tuple(linear_weight.shape)
    if len(x) not in (1, 2):
        raise ShapeError(f"linear_cross_entropy: expected input with dimensionality 1 or 2, got {len(x)}")
    if len(w) < 2:
        raise ShapeError(f"linear_cross_entropy: expected linear_weight with dimensionality at least 2, got {len(w)}")
    if len(x) == 1 and len(w) > 2:
        raise ShapeError(f"linear_cross_entropy: K-dimensional loss defined by linear_weight shape {w} requires "
                         f"batched input, (N, {w[-1]}), got unbatched input with shape {x}")
    if x[-1] != w[-1]:
        raise ShapeError("linear_cross_entropy: expected equal input and linear_weight last dimensions (in_features), "
                         f"got {x[-1]} and {w[-1]}, respectively")
    if linear_bias is not None and tuple(linear_bias.shape) != w[:-1]:
        raise ShapeError(f"linear_cross_entropy: expected linear_bias shape {w[:-1]}, got {tuple(linear_bias.shape)}")
    if ignore_index is not None and target.is_floating_point():
        raise RuntimeError("linear_cross_entropy: ignore_index cannot be specified when target contains probabilities")
    ignore_index = -100 if ignore_index is None else ignore_index

    def loss(input: Tensor, target: Tensor, reduction: str) -> Tensor:
        bias = None if linear_bias is None else linear_bias.reshape(-1)
        logits = FUNCTIONS["linear"](input, linear_weight.reshape(-1, w[-1]), bias)
        return FUNCTIONS["cross_entropy"](logits.reshape(*input.shape[:-1], *w[:-1]), target, weight,
                                          reduction=reduction, label_smoothing=label_smoothing,
                                          ignore_index=ignore_index)

    in_pieces = len(x) == len(w) == 2 and target.shape == x[:1] and x[0] and not target.is_floating_point()
    if options is None or reduction == "none" or not in_pieces:
        return loss(input, target, reduction)
    return _in_pieces(loss, input, target, weight, ignore_index, reduction, options.rows(x[0], w))


def triplet_margin_with_distance_loss(anchor: Tensor, positive: Tensor, negative: Tensor, *,
                                      distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
                                      margin: float = 1.0, swap: bool = False, reduction: str = "mean") -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) for any distance d."""
    if margin <= 0:
        raise ValueError(f"triplet_margin_with_distance_loss: margin must be greater than 0, got {margin}")
    reduction_of("triplet_margin_with_distance_loss", reduction)
    distance = distance_function or FUNCTIONS["pairwise_distance"]
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = FUNCTIONS["minimum"](far, distance(positive, negative))
    loss = (near - far + margin).clamp_min(0)
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def _in_pieces(loss: Callable, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int,
               reduction: str, rows: int) -> Tensor:
    """The sum or mean of `loss`, of so many rows at a time, whose intermediate values backward computes again."""
    from ..utils.checkpoint import checkpoint

    total = sum(checkpoint(loss, *piece, "sum", use_reentrant=False)
                for piece in zip(input.split(rows), target.split(rows)))
    if reduction == "sum":
        return total
    counted = target.ne(ignore_index)
    return total / (counted.sum() if weight is None else weight[target.where(counted, 0)].mul(counted).sum())


__all__ = [_name for _name, _value in list(globals().items()) if not _name.startswith("_") and callable(_value)
           and _name not in ("Any", "Callable", "Tensor", "reduction_of")]
