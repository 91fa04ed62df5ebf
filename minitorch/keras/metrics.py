"""Keras's metrics: running figures, `update_state(y_true, y_pred)` a batch, then `result()`."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import no_grad
from ..errors import absent_from
from ..tensor import Tensor
from . import backend, losses
from .backend import as_array, as_tensor, snake_case
from .serialization import Configured, constructor, getter
from .serialization import serialize as serialize


class Metric(Configured):
    """A running figure; subclasses define `update_state`, `result` and `reset_state`.

    >>> m = BinaryAccuracy()
    >>> float(m([1.0, 0.0], [0.7, 0.9]))
    0.5
    """

    def __init__(self, name: str | None = None, dtype: Any = None):
        self.name = name or snake_case(type(self).__name__)
        self.reset_state()

    def update_state(self, *args: Any, **keywords: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__}: a metric defines update_state()")

    def result(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: a metric defines result()")

    def reset_state(self) -> None:
        """Begin anew."""

    def reset_states(self) -> None:
        """Begin anew: the name before Keras 3."""
        self.reset_state()

    def add_weight(self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None,
                   name: str | None = None) -> Any:
        """A variable for a metric of one's own."""
        from . import initializers
        from .layers.base import Variable

        return Variable(initializers.get(initializer)(shape, dtype), False, dtype, name or "variable")

    @no_grad()
    def __call__(self, *args: Any, **keywords: Any) -> Any:
        self.update_state(*args, **keywords)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class Mean(Metric):
    """The weighted mean of all values."""

    def reset_state(self):
        self.total = self.count = 0.0

    @no_grad()
    def update_state(self, values, sample_weight=None):
        values = as_tensor(values)
        values = values if values.is_floating_point() else values.to(backend.dtype_of(None))
        weight = losses.weights_of(values, sample_weight)
        if weight is None:
            self.total, self.count = self.total + float(values.sum()), self.count + values.numel()
        else:
            self.total += float((values * weight).sum())
            self.count += float(weight.expand(values.shape).sum())

    def result(self):
        return np.float32(self.total / self.count if self.count else 0.0)


class Sum(Mean):
    """The weighted sum of all values."""

    def result(self):
        return np.float32(self.total)


class MeanMetricWrapper(Mean):
    """The mean of a function of (y_true, y_pred) over all samples."""

    def __init__(self, fn: Any, name: str | None = None, dtype: Any = None, **options: Any):
        super().__init__(name or getattr(fn, "__name__", None))
        self.function, self.options = fn, options

    @no_grad()
    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = as_tensor(y_pred)
        mask = getattr(y_pred, "_keras_mask", None)
        values = as_tensor(self.function(y_true, y_pred, **self.options))
        values = values.to(backend.dtype_of(None)) if not values.is_floating_point() else values
        if mask is not None and mask.shape == values.shape[:mask.ndim]:
            there = mask.to(values.dtype).reshape(*mask.shape, *[1] * (values.ndim - mask.ndim))
            weight = losses.weights_of(values, sample_weight)
            sample_weight = there if weight is None else weight * there
        super().update_state(values, sample_weight)


def accuracy(y_true, y_pred):
    """Where the two are equal."""
    y_true, y_pred = losses.pair(y_true, y_pred)
    return (y_true == y_pred).to(y_pred.dtype)


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """Whether y_pred is above the threshold exactly where y_true is 1."""
    y_true, y_pred = losses.pair(y_true, y_pred)
    return ((y_pred > threshold).to(y_true.dtype) == y_true).to(y_pred.dtype)


def categorical_accuracy(y_true, y_pred):
    """Whether the largest score is that of the class, given one-hot."""
    return (as_tensor(y_true).argmax(-1) == as_tensor(y_pred).argmax(-1)).to(backend.dtype_of(None))


def sparse_categorical_accuracy(y_true, y_pred):
    """Whether the largest score is that of the class, given by its index."""
    return (_indices(y_true, y_pred) == as_tensor(y_pred).argmax(-1)).to(backend.dtype_of(None))


def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Whether the class, given one-hot, is among the k largest scores."""
    return sparse_top_k_categorical_accuracy(as_tensor(y_true).argmax(-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Whether the class, given by its index, is among the k largest scores."""
    y_pred, target = as_tensor(y_pred), _indices(y_true, y_pred).unsqueeze(-1)
    return ((y_pred > y_pred.gather(-1, target)).sum(-1) < k).to(y_pred.dtype)


def _indices(y_true: Any, y_pred: Any) -> Tensor:
    y_true, y_pred = as_tensor(y_true).long(), as_tensor(y_pred)
    return y_true.squeeze(-1) if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1 else y_true


def _class(function: Any, name: str = "", default_name: str | None = None, *left_out: str) -> type:
    """The mean of a function as a class; the function's options are keywords."""
    def init(self: Any, values: dict[str, Any]) -> None:
        del values["dtype"]
        MeanMetricWrapper.__init__(self, function, values.pop("name"), **values)

    name = name or losses.camel_case(function.__name__)
    options = {key: value for key, value in losses.options_of(function).items() if key not in left_out}
    naming = {"name": default_name or snake_case(name), "dtype": None}
    own = constructor(init, **({**options, **naming} if "k" in options else {**naming, **options}))
    return type(name, (MeanMetricWrapper,), {"__init__": own, "__doc__": function.__doc__.split("\n")[0],
                                             "__module__": __name__})


_ACCURACIES = (accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy,
               top_k_categorical_accuracy, sparse_top_k_categorical_accuracy)
_SAME = ("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
         "mean_squared_logarithmic_error", "kl_divergence", "poisson", "hinge", "squared_hinge", "categorical_hinge")
_LOSSES = losses.FUNCTION_TABLE
_CLASSES = [_class(f) for f in _ACCURACIES] + [_class(_LOSSES[name]) for name in _SAME] + [
    _class(_LOSSES["log_cosh"], "LogCoshError", "logcosh")] + [_class(_LOSSES[name], "", None, "axis", "ignore_class")
    for name in ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")]
globals().update({kind.__name__: kind for kind in _CLASSES})


class CosineSimilarity(Mean):
    """The mean cosine between y_true and y_pred."""

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1):
        super().__init__(name)
        self.axis = axis

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(-losses.cosine_similarity(y_true, y_pred, self.axis), sample_weight)


class RootMeanSquaredError(Mean):
    """The root of the mean squared error over all samples."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = losses.pair(y_true, y_pred)
        super().update_state((y_true - y_pred).square(), sample_weight)

    def result(self):
        return np.sqrt(super().result())


class _Counts(Metric):
    """True and false positives and negatives at one threshold."""

    def __init__(self, thresholds: float | None = None, name: str | None = None, dtype: Any = None):
        super().__init__(name)
        if thresholds is not None and not np.isscalar(thresholds):
            raise NotImplementedError(f"{type(self).__name__}: a list of thresholds; make one metric for each")
        self.threshold = 0.5 if thresholds is None else thresholds

    def reset_state(self):
        self.tp = self.fp = self.fn = self.tn = 0.0

    def update_state(self, y_true, y_pred, sample_weight=None):
        t, p = (as_array(y) for y in losses.pair(y_true, y_pred))
        weight = np.ones(t.shape) if sample_weight is None else \
            np.broadcast_to(as_array(sample_weight).reshape(-1, *[1] * (t.ndim - 1)), t.shape)
        positive, found = t.astype(bool), p > self.threshold
        for name, where in (("tp", positive & found), ("fp", ~positive & found), ("fn", positive & ~found),
                            ("tn", ~positive & ~found)):
            setattr(self, name, getattr(self, name) + float((weight * where).sum()))


def _counts(name: str, result: Any, doc: str) -> Any:
    return type(name, (_Counts,), {"result": lambda self: np.float32(result(self)), "__doc__": doc,
                                   "__module__": __name__})


Precision = _counts("Precision", lambda self: self.tp / (self.tp + self.fp) if self.tp else 0.0,
                    "The share of what was found that is right.")
Recall = _counts("Recall", lambda self: self.tp / (self.tp + self.fn) if self.tp else 0.0,
                 "The share of what is right that was found.")
TruePositives = _counts("TruePositives", lambda self: self.tp, "How many were found that are right.")
FalsePositives = _counts("FalsePositives", lambda self: self.fp, "How many were found that are wrong.")
TrueNegatives = _counts("TrueNegatives", lambda self: self.tn, "How many were left out that are wrong.")
FalseNegatives = _counts("FalseNegatives", lambda self: self.fn, "How many were left out that are right.")


class AUC(Metric):
    """The area under the receiver operating characteristic, by trapezoids between `num_thresholds` thresholds."""

    def __init__(self, num_thresholds: int = 200, name: str | None = None, dtype: Any = None,
                 from_logits: bool = False):
        inner = np.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        self.thresholds, self.from_logits = np.array([-1e-7, *inner, 1 + 1e-7], np.float32), from_logits
        super().__init__(name)

    def reset_state(self):
        self.tp, self.fp = np.zeros(len(self.thresholds)), np.zeros(len(self.thresholds))
        self.positives = self.negatives = 0.0

    def update_state(self, y_true, y_pred, sample_weight=None):
        t, p = (as_array(y).ravel() for y in losses.pair(y_true, y_pred))
        p = 1 / (1 + np.exp(-p)) if self.from_logits else p
        weight = np.ones(t.shape) if sample_weight is None else as_array(sample_weight).ravel()
        for label, counts in ((True, self.tp), (False, self.fp)):
            chosen = t.astype(bool) == label
            order = np.argsort(p[chosen])
            cumulated = np.concatenate([[0.0], np.cumsum(weight[chosen][order])])
            above = cumulated[-1] - cumulated[np.searchsorted(p[chosen][order], self.thresholds, "right")]
            counts += above
        self.positives += float(weight[t.astype(bool)].sum())
        self.negatives += float(weight[~t.astype(bool)].sum())

    def result(self):
        if not self.positives or not self.negatives:
            return np.float32(0.0)
        x, y = self.fp / self.negatives, self.tp / self.positives
        return np.float32(((x[:-1] - x[1:]) * (y[:-1] + y[1:]) / 2).sum())


_TABLE: dict[str, Any] = {
    **_LOSSES, **{f.__name__: f for f in _ACCURACIES[1:]},
    **{name: c for name, c in list(globals().items()) if isinstance(c, type) and issubclass(c, Metric)}}
_TABLE.update({snake_case(name): c for name, c in _TABLE.items()
               if isinstance(c, type) and snake_case(name) not in _TABLE})
_TABLE.update(cosine_similarity=CosineSimilarity, rmse=RootMeanSquaredError)


get = getter("metric", _TABLE, Metric)


def chosen(identifier: Any, y_true: Any, y_pred: Any) -> Metric:
    """The metric for a name in `compile`: "accuracy" and "crossentropy" depend on the shapes."""
    if identifier in ("accuracy", "acc", "crossentropy", "ce"):
        what = "accuracy" if identifier in ("accuracy", "acc") else "crossentropy"
        found = globals()[kind_of_target(y_true, y_pred).title().replace("_", "") + what.title()]()
    else:
        found = get(identifier)
    if not isinstance(found, Metric):
        found = MeanMetricWrapper(found)
    if isinstance(identifier, str):
        found.name = identifier
    return found


def kind_of_target(y_true: Any, y_pred: Any) -> str:
    """What the shapes say of the labels: "binary", "sparse_categorical" or "categorical"."""
    if y_pred.shape[-1] == 1:
        return "binary"
    if y_true.ndim < y_pred.ndim or (y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1):
        return "sparse_categorical"
    return "categorical"


__getattr__ = absent_from("keras.metrics", lambda: _TABLE, dict.fromkeys(
    ("F1Score", "FBetaScore", "MeanIoU", "IoU", "OneHotMeanIoU"), "'Precision' and 'Recall'"))
