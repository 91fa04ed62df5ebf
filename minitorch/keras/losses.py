"""Keras's losses: functions (one value a sample) and classes (a scalar), `loss(y_true, y_pred)`."""
from __future__ import annotations

import inspect
import math
from typing import Any

from ..errors import ShapeError, absent_from
from ..nn import functional as F
from ..op import FUNCTIONS
from ..tensor import Tensor
from . import backend
from .backend import as_tensor, epsilon, snake_case
from .serialization import Configured, constructor, getter
from .serialization import serialize as serialize

_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


def _plain(name: str, function: Any, doc: str) -> Any:
    def loss(y_true, y_pred):
        return function(*pair(y_true, y_pred))

    loss.__name__ = loss.__qualname__ = name
    loss.__doc__ = doc
    return loss


_PLAIN = {name: _plain(name, function, doc) for name, function, doc in (
    ("mean_squared_error", lambda t, p: (t - p).square().mean(-1), "The mean of (y_true - y_pred)² of the last axis."),
    ("mean_absolute_error", lambda t, p: (t - p).abs().mean(-1), "The mean of |y_true - y_pred| over the last axis."),
    ("mean_absolute_percentage_error", lambda t, p: 100 * ((t - p) / t.abs().clamp(min=epsilon())).abs().mean(-1),
     "100 times the mean of |y_true - y_pred| / |y_true|."),
    ("mean_squared_logarithmic_error", lambda t, p: (_log1p(t) - _log1p(p)).square().mean(-1),
     "The mean of (log(1 + y_true) - log(1 + y_pred))²; negative values count as 0."),
    ("log_cosh", lambda t, p: (p - t + F.softplus(2 * (t - p)) - math.log(2)).mean(-1),
     "The mean of log(cosh(y_pred - y_true))."),
    ("hinge", lambda t, p: F.relu(1 - _signs(t) * p).mean(-1),
     "The mean of max(0, 1 - y_true y_pred), for labels -1 and 1; 0 counts as -1."),
    ("squared_hinge", lambda t, p: F.relu(1 - _signs(t) * p).square().mean(-1),
     "The mean of max(0, 1 - y_true y_pred)²."),
    ("categorical_hinge", lambda t, p: F.relu(((1 - t) * p).amax(-1) - (t * p).sum(-1) + 1),
     "max(0, the best wrong score - the right one + 1)."),
    ("kl_divergence", lambda t, p: (t.clamp(epsilon(), 1) * (t.clamp(epsilon(), 1) / p.clamp(epsilon(), 1)).log()).sum(
        -1), "Σ y_true log(y_true / y_pred)."),
    ("poisson", lambda t, p: (p - t * (p + epsilon()).log()).mean(-1), "The mean of y_pred - y_true log(y_pred)."))}
globals().update(_PLAIN)


def huber(y_true, y_pred, delta=1.0):
    """The mean of e² / 2, beyond `delta` of delta |e| - delta² / 2.

    >>> huber([[0.0, 0.0]], [[1.0, 3.0]])
    tensor([1.5000])
    """
    y_true, y_pred = pair(y_true, y_pred)
    e = (y_true - y_pred).abs()
    return FUNCTIONS["where"](e <= delta, 0.5 * e.square(), delta * e - 0.5 * delta ** 2).mean(-1)


def cosine_similarity(y_true, y_pred, axis=-1):
    """Minus the cosine between y_true and y_pred."""
    unit = [y / y.square().sum(axis, keepdim=True).clamp(min=1e-12).sqrt() for y in pair(y_true, y_pred)]
    return -(unit[0] * unit[1]).sum(axis)


def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """The mean of -y_true log(p) - (1 - y_true) log(1 - p); p is y_pred, or its sigmoid where that is logits."""
    y_true, y_pred = pair(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    _same("binary_crossentropy", y_true, y_pred)
    if from_logits:
        each = F.binary_cross_entropy_with_logits(y_pred, y_true, reduction="none")
    else:
        each = F.binary_cross_entropy(y_pred.clamp(epsilon(), 1 - epsilon()), y_true, reduction="none")
    return each.mean(axis)


def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """-Σ y_true log(p) over the classes; p is y_pred over its sum, or its softmax where that is logits."""
    y_true, y_pred = pair(y_true, y_pred)
    _same("categorical_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[-1]
    return -(y_true * _log_probabilities(y_pred, from_logits, axis)).sum(axis)


def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1):
    """`categorical_crossentropy` for class indices; those that are `ignore_class` give 0.

    >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]])
    tensor([0.6931])
    """
    y_pred = as_tensor(y_pred)
    y_true = as_tensor(y_true).long()
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    expected = [n for i, n in enumerate(y_pred.shape) if i != axis % y_pred.ndim]
    if list(y_true.shape) != expected:
        raise ShapeError(f"sparse_categorical_crossentropy: expected y_true of shape {tuple(expected)} for y_pred of "
                         f"shape {tuple(y_pred.shape)}, got {tuple(y_true.shape)}")
    ignored = None if ignore_class is None else y_true == ignore_class
    if ignored is not None:
        y_true = y_true * ~ignored
    log_p = _log_probabilities(y_pred, from_logits, axis).gather(axis, y_true.unsqueeze(axis)).squeeze(axis)
    if ignored is None:
        return -log_p
    each: Any = -log_p * ~ignored
    each._keras_mask = ~ignored  # means leave these out
    return each


class Loss(Configured):
    """`loss(y_true, y_pred, sample_weight=None)`; subclasses define `call(y_true, y_pred)`, a value a sample.

    reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight", or None. Raises ValueError.

    >>> Huber(reduction="sum")([[0.0], [1.0]], [[1.0], [1.0]])
    tensor(0.5000)
    """

    def __init__(self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None):
        if reduction not in _REDUCTIONS:
            raise ValueError(f"Invalid value for argument `reduction`. Expected one of {_REDUCTIONS}. Received: "
                             f"reduction={reduction}")
        self.name, self.reduction = name or snake_case(type(self).__name__), reduction

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: a loss defines call(y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        y_pred = as_tensor(y_pred)
        values = self.call(as_tensor(y_true, _kind(y_true, y_pred)), y_pred)
        mask, given = getattr(values, "_keras_mask", None), getattr(y_pred, "_keras_mask", None)
        if mask is not None and given is not None:
            mask = mask & given
        weight = weights_of(values, sample_weight, given if mask is None else mask)
        return reduced(values, weight, self.reduction)


class LossFunction(Loss):
    """A function of (y_true, y_pred) as a loss."""

    def __init__(self, function: Any, name: str | None = None, reduction: str | None = "sum_over_batch_size",
                 **options: Any):
        super().__init__(name or getattr(function, "__name__", None), reduction)
        self.function, self.options = function, options

    def call(self, y_true, y_pred):
        return as_tensor(self.function(y_true, y_pred, **self.options))


def weights_of(values: Tensor, sample_weight: Any, mask: Any = None) -> Tensor | None:
    """The weight of each of `values`; of those that `mask` takes out 0, of the others so much more that means hold."""
    weight = None if sample_weight is None else as_tensor(sample_weight, values.dtype)
    if weight is not None:
        if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
            weight = weight.squeeze(-1)
        weight = weight.reshape(*weight.shape, *[1] * (values.ndim - weight.ndim))
    if mask is not None and mask.shape == values.shape[:mask.ndim]:
        there = mask.to(values.dtype).reshape(*mask.shape, *[1] * (values.ndim - mask.ndim))
        there = there * (there.numel() / there.sum().clamp(min=1))
        weight = there if weight is None else weight * there
    return weight


def reduced(values: Tensor, weight: Tensor | None, reduction: str | None) -> Tensor:
    """The sum or mean of the weighted values."""
    if weight is not None:
        values = values * weight
    if reduction in ("none", None) or values.ndim == 0:
        return values
    total = values.sum()
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        return total / weight.expand(values.shape).sum()
    return total / max(values.numel(), 1)


def _class(function: Any) -> type:
    """The class of a function, under its name; the function's options are keywords, then come reduction and name."""
    def init(self: Any, values: dict[str, Any]) -> None:
        del values["dtype"]
        LossFunction.__init__(self, function, values.pop("name"), values.pop("reduction"), **values)

    name = function.__name__
    own = constructor(init, **options_of(function), reduction="sum_over_batch_size", name=name, dtype=None)
    return type(camel_case(name), (LossFunction,), {"__init__": own, "__doc__": function.__doc__.split("\n")[0],
                                                    "__module__": __name__})


def options_of(function: Any) -> dict[str, Any]:
    """What a function takes after y_true and y_pred, with the defaults."""
    return {name: p.default for name, p in list(inspect.signature(function).parameters.items())[2:]}


def camel_case(name: str) -> str:
    """The name of a function's class: KLDivergence, MeanSquaredError."""
    return "".join(part.title() for part in name.split("_")).replace("KlD", "KLD")


_SHORT = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
          "msle": "mean_squared_logarithmic_error", "kld": "kl_divergence", "logcosh": "log_cosh"}
FUNCTION_TABLE: dict[str, Any] = {**_PLAIN, **{f.__name__: f for f in (
    huber, cosine_similarity, binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy)}}
_CLASSES = {camel_case(name): _class(f) for name, f in FUNCTION_TABLE.items()}
FUNCTION_TABLE.update({name: FUNCTION_TABLE[long] for short, long in _SHORT.items() for name in (short, short.upper())})
_TABLE: dict[str, Any] = {**FUNCTION_TABLE, **_CLASSES}
globals().update(_TABLE)
get = getter("loss function", _TABLE)
__getattr__ = absent_from("keras.losses", lambda: _TABLE)


def _kind(y_true: Any, y_pred: Tensor) -> Any:
    """The type to have y_true in: integers stay what they are, for class indices."""
    t = y_true if isinstance(y_true, Tensor) else as_tensor(y_true)
    return y_pred.dtype if t.is_floating_point() else t.dtype


def pair(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both in y_pred's type and with as many dimensions, where one has a last one of size 1 more."""
    y_pred = as_tensor(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype if y_pred.is_floating_point() else backend.floatx())
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return (y_true, y_pred.unsqueeze(-1)) if y_pred.ndim == 1 else (y_true.squeeze(-1), y_pred)
    if y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1:
        return (y_true.unsqueeze(-1), y_pred) if y_true.ndim == 1 else (y_true, y_pred.squeeze(-1))
    return y_true, y_pred


def _log1p(x: Tensor) -> Tensor:
    return (x.clamp(min=epsilon()) + 1).log()


def _signs(y_true: Tensor) -> Tensor:
    return FUNCTIONS["where"](y_true == 0, -1.0, y_true)


def _same(name: str, y_true: Tensor, y_pred: Tensor) -> None:
    if y_true.shape != y_pred.shape:
        raise ShapeError(f"{name}: Arguments `target` and `output` must have the same shape. Received: "
                         f"target.shape={tuple(y_true.shape)}, output.shape={tuple(y_pred.shape)}")


def _log_probabilities(y_pred: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return F.log_softmax(y_pred, dim=axis)
    return (y_pred / y_pred.sum(axis, keepdim=True)).clamp(epsilon(), 1 - epsilon()).log()
