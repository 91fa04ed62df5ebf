"""What autocast does to the arguments of operations: products in 16 bits, losses in 32, by PyTorch's lists for the CPU
and for GPUs.

Nothing here runs, nor costs anything, until the first autocast region: `install` then puts the casts before the
bodies of the ops. Composites named here look at `mode.autocast` at each call.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from numpy import dtype, float32, ndarray

from .device import ARRAYS
from .engine import mode


class Casts(NamedTuple):
    """The NumPy dtypes of products within a region, on the CPU and on GPUs; None: as the arguments are."""

    cpu: Any = None
    cuda: Any = None


LOW = frozenset("""
    linear matmul mm bmm addmm addbmm baddbmm einsum chain_matmul prelu scaled_dot_product_attention
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d multi_head_attention_forward
""".split())  # noqa: SIM905
FULL = frozenset("""
    avg_pool3d adaptive_avg_pool3d max_pool3d max_unpool2d max_unpool3d grid_sample cdist trace prod quantile
    nanquantile polar view_as_complex cholesky cholesky_inverse cholesky_solve inverse pinverse lu_solve ormqr stft
    cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy kl_div ctc_loss
    binary_cross_entropy_with_logits cosine_embedding_loss hinge_embedding_loss poisson_nll_loss margin_ranking_loss
    soft_margin_loss triplet_margin_loss multi_margin_loss multilabel_margin_loss
""".split())  # noqa: SIM905
WIDEST = frozenset(["cat", "stack", "index_copy"])
AS_THEY_ARE = frozenset(["dot", "vdot", "mv", "addmv", "inner", "outer"])  # although made of products
GPU_LOW = frozenset("""
    linear matmul mm mv bmm addmm addmv addr addbmm baddbmm einsum chain_matmul prelu scaled_dot_product_attention
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d multi_head_attention_forward
""".split())  # noqa: SIM905
GPU_FULL = frozenset("""
    pow acos asin cosh sinh tan exp expm1 log log10 log1p log2 logsumexp erfinv reciprocal rsqrt softplus
    softmax log_softmax sum prod cumsum cumprod vector_norm layer_norm_last rms_norm_last group_norm_channels cdist
    cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss huber_loss kl_div binary_cross_entropy_with_logits
    cosine_embedding_loss hinge_embedding_loss poisson_nll_loss margin_ranking_loss soft_margin_loss
    triplet_margin_loss multi_margin_loss multilabel_margin_loss
""".split())  # noqa: SIM905
GPU_WIDEST = frozenset(["addcdiv", "addcmul", "atan2", "cat", "dot", "grid_sample", "index_put", "scatter_add",
                        "stack", "vdot"])
NAMES = LOW | FULL | WIDEST | AS_THEY_ARE | GPU_LOW | GPU_FULL | GPU_WIDEST | {"binary_cross_entropy"}


def aware(body: Callable) -> Callable:
    """The composite `body`, which under autocast gets its tensors in the type that is meant for it."""
    if body.__name__ not in NAMES:
        return body

    @functools.wraps(body)
    def call(*args, **kwargs):
        if mode.autocast is not None:
            arrays = [a._array for a in (*args, *kwargs.values()) if hasattr(a, "_array")]
            gpu = any(map(_on_gpu, arrays))
            target = _target(body.__name__, arrays, gpu)
            args = tuple([_tensor_as(a, target) for a in args])
            kwargs = {name: _tensor_as(a, target) for name, a in kwargs.items()}
            if body.__name__ in (GPU_WIDEST if gpu else AS_THEY_ARE):  # whatever they are made of
                wanted, mode.autocast = mode.autocast, None
                try:
                    return body(*args, **kwargs)
                finally:
                    mode.autocast = wanted
        return body(*args, **kwargs)

    return call


def install(ops: dict[str, Any]) -> None:
    """Put the casts before the bodies of the ops named here."""
    for name in NAMES & ops.keys():
        ops[name].replace_body(_cast(name, ops[name].body))


def _cast(name: str, body: Callable) -> Callable:
    def run(k, *args, **kwargs):
        if mode.autocast is not None:
            target = _target(name, args, any(map(_on_gpu, args)))
            args = tuple([a.astype(target) if _is_cast(a, target) else a for a in args])
        return body(k, *args, **kwargs)

    return functools.update_wrapper(run, body)


def _target(name: str, arrays: Any, gpu: bool) -> Any:
    """The NumPy dtype that the 16- and 32-bit floating arguments of `name` become; None: as they are."""
    wanted = mode.autocast.cuda if gpu else mode.autocast.cpu
    if wanted is None:
        return None
    low, full, widest = (GPU_LOW, GPU_FULL, GPU_WIDEST) if gpu else (LOW, FULL, WIDEST)
    if name in low:
        return wanted
    if name in full:
        return dtype(float32)
    if gpu and name == "binary_cross_entropy":
        raise RuntimeError("torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast. Use "
                           "binary_cross_entropy_with_logits or BCEWithLogitsLoss: they take the logits, and join the "
                           "sigmoid to the loss")
    found = {a.dtype for a in arrays if name in widest and _is_float(getattr(a, "dtype", None))}
    return dtype(float32) if len(found) > 1 else None


def _on_gpu(a: Any) -> bool:
    return type(a) is not ndarray and type(a) in ARRAYS


def _is_float(d: Any) -> bool:
    """Whether a NumPy dtype is one that autocast changes: float64 it leaves alone."""
    return d is not None and (d.name in ("float32", "float16", "bfloat16"))


def _is_cast(a: Any, target: Any) -> bool:
    d = getattr(a, "dtype", None)
    return target is not None and _is_float(d) and d != target


def _tensor_as(a: Any, target: Any) -> Any:
    return a.to(target) if hasattr(a, "_array") and _is_cast(a._array, target) else a
