"""What PyTorch calls a recorded operation: the `NllLossBackward0` that a printed loss shows."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .engine import captured


def node_name(node: Any) -> str:
    """PyTorch's name for a node, as far as the operation, its shape and its index tell it apart.

    A custom Function is called by its class alone.

    >>> import minitorch as mt
    >>> x = mt.ones(2, 3, requires_grad=True)
    >>> mt.nn.functional.mse_loss(x, mt.zeros(2, 3))
    tensor(1., grad_fn=<MseLossBackward0>)
    >>> x[0, 1]
    tensor(1., grad_fn=<SelectBackward0>)
    """
    node = getattr(node, "node", node)  # of an Output
    if type(node).__name__ != "Node":  # it was asked before
        return type(node).__name__
    if hasattr(node.op, "function") and not hasattr(node.op, "body"):
        return f"{node.op.name}Backward"
    name = node.op.name
    given = _NAMES.get(name)
    if given is None:
        given = "".join(word.capitalize() for word in name.split("_"))
    if not isinstance(given, str):
        given = given(node)
    return given + ("" if given[-1] == "1" and "Backward" in given else "Backward0")


def saved_value(node: Any, name: str) -> Any:
    """What the node keeps for backward under PyTorch's name: `_saved_self`, `_saved_other`, `_saved_result`.

    An input is the tensor itself where it is a leaf. Raises AttributeError for what is not kept, RuntimeError once
    backward has freed it.
    """
    if node.backward is None:
        raise RuntimeError("Trying to backward through the graph a second time (or directly access saved tensors "
                           "after they have already been freed)")
    saved = node.saved()
    for function in node.functions():
        saved.update(dict(captured(function)).get("keep") or {})  # within saved_tensors_hooks
    params = getattr(node.op, "params", ())
    own = {"self": params[:1], "result": ("y",), "weight": params[1:2], "other": params[1:2],
           "exponent": params[1:2]}.get(name, (name,))
    if not own or own[0] not in saved:
        raise AttributeError(f"'{node_name(node)}' object has no attribute '_saved_{name}': it keeps "
                             f"{sorted(saved) or 'nothing'}")
    value = saved[own[0]]
    if hasattr(value, "kept"):  # by the hooks' pack
        from .tensor import Tensor

        return Tensor._wrap(value.array()).requires_grad_()
    return node.op._lifted_value(node, own[0], value)


def _indexed(node: Any) -> str:
    """The last thing that an index does to a tensor, which the gradient function knows until backward frees it."""
    for function in node.functions():
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        if "key" in cells:
            key = cells["key"].cell_contents
            steps = [i for i in (key if type(key) is tuple else (key,)) if i is not Ellipsis and i != slice(None)]
            last = steps[-1] if steps else Ellipsis
            return "Slice" if last is Ellipsis else "Unsqueeze" if last is None else \
                "Slice" if type(last) is slice else "Select"
    return "Slice"


def _linear(node: Any) -> str:
    biased = len(node.inputs) > 2 and node.inputs[2] is not None
    return ("Addmm" if biased else "Mm") if len(node.shape) == 2 else "View" if biased else "UnsafeView"


def _reduced(name: str) -> Callable[[Any], str]:
    """A sum or mean, by the loss it ends (one operation in PyTorch), else by whether it is of everything."""
    def named(node: Any) -> str:
        inner = getattr(node.inputs[0], "op", None)
        if inner is not None and inner.name in _LOSSES:
            return _LOSSES[inner.name]
        return name if not node.shape else f"{name}Backward1"
    return named


def _by_dims(*names: str) -> Callable[[Any], str]:
    """By the number of the result's dimensions, the last name for that many and more."""
    return lambda node: names[min(len(node.shape), len(names) - 1)]


def _spatial(name: str) -> Callable[[Any], str]:
    return lambda node: name.format(len(node.shape) - 2)


_LOSSES = {"bernoulli_entropy": "BinaryCrossEntropy", "huber": "HuberLoss",
           "bernoulli_entropy_of_logits": "BinaryCrossEntropyWithLogits"}
_NAMES: dict[str, str | Callable[[Any], str]] = {
    "max": "MaxBackward1", "min": "MinBackward1", "median": "MedianBackward1", "ctc_losses": "CtcLoss",
    "fft_r2c": "FftR2C", "fft_c2r": "FftC2R", "fft_c2c": "FftC2C",
    "slice": _indexed, "linear": _linear, "matmul": _by_dims("Dot", "Mv", "Mm", "Bmm", "UnsafeView"),
    "sum": _reduced("Sum"), "mean": _reduced("Mean"),
    "reshape": "View", "flatten": "View", "constant_pad": "ConstantPadNd", "vector_norm": "LinalgVectorNorm",
    "squared_error": "MseLoss", "cross_entropy_classes": "NllLoss", "nll_loss_classes": "NllLoss",
    "layer_norm_last": "NativeLayerNorm", "batch_norm_train": "NativeBatchNorm",
    "group_norm_channels": "NativeGroupNorm", "avg_pool": _spatial("AvgPool{}D"),
    "max_pool": _spatial("MaxPool{}DWithIndices"), "adaptive_avg_pool": _spatial("AdaptiveAvgPool{}D"),
    "conv1d": "Convolution", "conv2d": "Convolution", "conv3d": "Convolution", "conv_transpose1d": "Convolution",
    "conv_transpose2d": "Convolution", "conv_transpose3d": "Convolution", "scale_by_bits": "Mul",
    **_LOSSES, "largest_along": "Max", "on_diagonal": "DiagEmbed", "im2col": "Im2Col",
    "selu": "Elu", "prelu": "PreluKernel", "rsub": "RsubBackward1", "clamp": "ClampBackward1",
}
