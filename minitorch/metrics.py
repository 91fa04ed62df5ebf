"""Scores of a classifier: accuracy, precision, recall, F1, the confusion matrix, and a report of them all.

Every function takes `prediction` and `target` as tensors, NumPy arrays or lists. `target` holds class indices (N,);
`prediction` holds class indices too, or scores (N, C), logits or probabilities, of which the largest counts. Further
dimensions, as in segmentation, may follow: scores (N, C, H, W) for a target (N, H, W).
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minitorch.errors import ShapeError

if TYPE_CHECKING:
    from minitorch.tensor import Tensor

AVERAGES = ("micro", "macro", "weighted", "none", None)


def accuracy(prediction: Any, target: Any, top_k: int = 1) -> float:
    """The share of samples whose target is among the `top_k` classes of the highest score.

    Of equal scores the lower class counts as the higher. Raises ValueError where the arguments do not fit.

    >>> accuracy([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], [1, 2])
    0.5
    >>> accuracy([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], [1, 2], top_k=2)
    1.0
    """
    scores, target = _check("accuracy", prediction, target)
    if scores.ndim == target.ndim:
        if top_k != 1:
            raise ValueError(f"accuracy: top_k={top_k} needs scores of shape (N, C), got class indices")
        return float((scores == target).mean())
    if not 1 <= top_k <= scores.shape[1]:
        raise ValueError(f"accuracy: expected top_k from 1 to {scores.shape[1]} classes, got {top_k}")
    chosen = np.expand_dims(target, 1)
    of_target = np.take_along_axis(scores, chosen, axis=1)
    classes = np.arange(scores.shape[1]).reshape(-1, *[1] * (target.ndim - 1))
    ahead = (scores > of_target) | ((scores == of_target) & (classes < chosen))
    return float((ahead.sum(axis=1) < top_k).mean())


def confusion_matrix(prediction: Any, target: Any, num_classes: int | None = None) -> Tensor:
    """How often class i (row) was predicted as class j (column): (C, C), int64.

    C is `num_classes`, or the number of scores a sample, or the highest class + 1.

    >>> confusion_matrix([0, 1, 1], [0, 1, 0])
    tensor([[1, 1],
            [0, 1]])
    """
    from minitorch import from_numpy

    return from_numpy(_counts("confusion_matrix", prediction, target, num_classes))


def precision(prediction, target, average: str | None = "macro", num_classes=None, zero_division: float = 0.0):
    """TP / (TP + FP): the share of the samples predicted as a class that are of it.

    `average`: "macro", the mean over the classes that occur in `prediction` or `target`; "weighted", the mean
    weighted by each class's number of targets; "micro", of all samples together (here equal to the accuracy); None
    or "none", a tensor with one score a class. A score 0/0 is `zero_division`; where that is NaN, means leave it out.

    >>> precision([0, 1, 1], [0, 1, 0])
    0.75
    """
    return _score("precision", prediction, target, average, num_classes, zero_division)


def recall(prediction, target, average: str | None = "macro", num_classes=None, zero_division: float = 0.0):
    """TP / (TP + FN): the share of the samples of a class that were predicted as it. Arguments as for `precision`.

    >>> recall([0, 1, 1], [0, 1, 0])
    0.75
    """
    return _score("recall", prediction, target, average, num_classes, zero_division)


def f1(prediction, target, average: str | None = "macro", num_classes=None, zero_division: float = 0.0):
    """2 TP / (2 TP + FP + FN): the harmonic mean of precision and recall. Arguments as for `precision`.

    >>> round(f1([0, 1, 1], [0, 1, 0]), 4)
    0.6667
    """
    return _score("f1", prediction, target, average, num_classes, zero_division)


class ClassificationReport:
    """Precision, recall and F1 of every class, their averages and the accuracy; `print` shows a table.

    >>> print(ClassificationReport([0, 1, 1], [0, 1, 0], class_names=["cat", "dog"]))
                   precision    recall        f1   support
              cat      1.000     0.500     0.667         2
              dog      0.500     1.000     0.667         1
    <BLANKLINE>
         accuracy                          0.667         3
            macro      0.750     0.750     0.667         3
         weighted      0.833     0.667     0.667         3
    """

    def __init__(self, prediction, target, class_names=None, num_classes=None, zero_division: float = 0.0):
        num_classes = num_classes or (class_names and len(class_names))
        counts = _counts("ClassificationReport", prediction, target, num_classes)
        self.class_names = list(class_names or map(str, range(len(counts))))
        if len(self.class_names) != len(counts):
            raise ValueError(
                f"ClassificationReport: expected {len(counts)} class names, got {len(self.class_names)}"
            )
        self.support = counts.sum(axis=1)
        self.accuracy = float(np.trace(counts) / counts.sum())
        self.per_class = {name: _per_class(name, counts, zero_division) for name in _RATIOS}
        self.averages = {
            average: {name: _average(counts, scores, average) for name, scores in self.per_class.items()}
            for average in ("macro", "weighted")
        }

    def to_dict(self) -> dict:
        """All numbers by the names that the table shows."""
        rows: dict = {
            class_name: {**{name: float(scores[i]) for name, scores in self.per_class.items()},
                         "support": int(self.support[i])}
            for i, class_name in enumerate(self.class_names)
        }
        total = int(self.support.sum())
        rows.update({average: {**scores, "support": total} for average, scores in self.averages.items()})
        rows["accuracy"] = self.accuracy
        return rows

    def __str__(self):
        width = max(12, *map(len, self.class_names)) + 2
        total = int(self.support.sum())
        lines = [" " * width + "".join(f"{name:>10}" for name in (*self.per_class, "support"))]
        for i, class_name in enumerate(self.class_names):
            scores = "".join(f"{scores[i]:10.3f}" for scores in self.per_class.values())
            lines.append(f"{class_name:>{width - 1}} {scores}{self.support[i]:10d}")
        lines.append("")
        lines.append(f"{'accuracy':>{width - 1}} {'':20}{self.accuracy:10.3f}{total:10d}")
        for average, row in self.averages.items():
            scores = "".join(f"{value:10.3f}" for value in row.values())
            lines.append(f"{average:>{width - 1}} {scores}{total:10d}")
        return "\n".join(lines)

    __repr__ = __str__


# A ratio's numerator and denominator, from true positives and the sizes of the predicted and the real class.
_RATIOS = {
    "precision": lambda tp, predicted, actual: (tp, predicted),
    "recall": lambda tp, predicted, actual: (tp, actual),
    "f1": lambda tp, predicted, actual: (2 * tp, predicted + actual),
}


def _score(name, prediction, target, average, num_classes, zero_division):
    if average not in AVERAGES:
        raise ValueError(f"{name}: expected average to be one of {AVERAGES}, got {average!r}")
    counts = _counts(name, prediction, target, num_classes)
    if average == "micro":
        return float(np.trace(counts) / counts.sum())  # all false positives are somebody's false negatives
    scores = _per_class(name, counts, zero_division)
    if average in ("none", None):
        from minitorch import from_numpy

        return from_numpy(scores)
    return _average(counts, scores, average)


def _per_class(name, counts, zero_division):
    over, under = _RATIOS[name](np.diagonal(counts), counts.sum(axis=0), counts.sum(axis=1))
    return np.divide(over, under, out=np.full(len(counts), float(zero_division)), where=under > 0)


def _average(counts, scores, average):
    support = counts.sum(axis=1)
    weights = support if average == "weighted" else (support + counts.sum(axis=0) > 0).astype(float)
    weights = np.where(np.isnan(scores), 0, weights)
    total = weights.sum()
    return float((np.nan_to_num(scores) * weights).sum() / total) if total else math.nan


def _counts(name, prediction, target, num_classes):
    """The confusion matrix as an array."""
    scores, target = _check(name, prediction, target)
    has_scores = scores.ndim > target.ndim
    predicted = scores.argmax(axis=1) if has_scores else scores
    needed = scores.shape[1] if has_scores else int(max(predicted.max(), target.max())) + 1
    size = needed if num_classes is None else num_classes
    if size < needed:
        raise ValueError(f"{name}: num_classes={size}, but {needed} classes occur in prediction or target")
    pairs = target.reshape(-1) * size + predicted.reshape(-1)
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def _check(name, prediction, target):
    """Both arguments as arrays that fit together."""
    prediction, target = _array(prediction), _array(target)
    target = _class_indices(name, "target", target)
    if prediction.ndim == target.ndim + 1 and target.ndim > 0:
        expected = (target.shape[0], "C", *target.shape[1:])
        fits = prediction.shape[:1] + prediction.shape[2:] == target.shape
    else:
        expected = target.shape
        fits = prediction.shape == target.shape
    if not fits:
        raise ShapeError(f"{name}: expected prediction of shape {expected} for target, got {prediction.shape}")
    if target.size == 0:
        raise ValueError(f"{name}: expected at least one sample, got target of shape {target.shape}")
    if prediction.ndim == target.ndim:
        return _class_indices(name, "prediction", prediction), target
    if np.isnan(prediction).any():
        raise ValueError(f"{name}: prediction has NaN among its scores")
    if target.max() >= prediction.shape[1]:
        raise ValueError(f"{name}: target has class {target.max()}, but prediction scores {prediction.shape[1]} only")
    return prediction, target


def _class_indices(name, argument, values):
    if values.size and values.dtype.kind not in "iub":
        raise TypeError(f"{name}: expected {argument} to hold integer class indices, got {values.dtype}")
    if values.size and values.min() < 0:
        raise ValueError(f"{name}: expected classes from 0, got {argument} with {values.min()}")
    return values.astype(np.int64)


def _array(values):
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy() if values.is_floating_point() else values.cpu().numpy()
    return np.asarray(values)
