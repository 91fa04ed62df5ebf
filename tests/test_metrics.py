"""Classification scores against definitions written out in NumPy, and values worked out by hand."""
import math

import numpy as np
import pytest

import minitorch
from minitorch import metrics

rng = np.random.default_rng(0)
TARGET = rng.integers(0, 4, 200)
SCORES = rng.normal(size=(200, 4)) + 1.5 * np.eye(4)[TARGET]
PREDICTED = SCORES.argmax(1)


def counted(predicted, target, classes):
    """The confusion matrix by definition: one sample after the other."""
    matrix = np.zeros((classes, classes), int)
    for p, t in zip(predicted, target):
        matrix[t, p] += 1
    return matrix


def as_given(values, kind):
    return {"tensor": minitorch.tensor, "array": np.asarray, "list": lambda v: np.asarray(v).tolist()}[kind](values)


@pytest.mark.parametrize("kind", ["tensor", "array", "list"])
def test_scores_and_indices_in_every_form(kind):
    target = as_given(TARGET, kind)
    for prediction in (as_given(SCORES, kind), as_given(PREDICTED, kind)):
        assert metrics.accuracy(prediction, target) == np.mean(PREDICTED == TARGET)
        assert metrics.confusion_matrix(prediction, target).tolist() == counted(PREDICTED, TARGET, 4).tolist()


def test_float32_scores_that_require_grad():
    scores = minitorch.tensor(SCORES.astype(np.float32), requires_grad=True)
    assert metrics.accuracy(scores * 2, TARGET) == np.mean(PREDICTED == TARGET)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_top_k(k):
    best = np.argsort(-SCORES, axis=1)[:, :k]
    expected = np.mean([t in row for t, row in zip(TARGET, best)])
    assert metrics.accuracy(SCORES, TARGET, top_k=k) == expected


def test_equal_scores_favour_the_lower_class():
    assert metrics.accuracy([[1.0, 1.0], [1.0, 1.0]], [0, 1]) == 0.5
    assert metrics.accuracy([[1.0, 1.0, 1.0]], [2], top_k=2) == 0.0


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_averages(name):
    matrix = counted(PREDICTED, TARGET, 4)
    true = np.diag(matrix)
    p, r = true / matrix.sum(0), true / matrix.sum(1)
    per_class = {"precision": p, "recall": r, "f1": 2 * p * r / (p + r)}[name]
    score = getattr(metrics, name)
    np.testing.assert_allclose(score(SCORES, TARGET, average=None).numpy(), per_class)
    assert score(SCORES, TARGET, average="none").tolist() == score(SCORES, TARGET, average=None).tolist()
    assert score(SCORES, TARGET) == pytest.approx(per_class.mean())
    support = matrix.sum(1)
    assert score(SCORES, TARGET, average="weighted") == pytest.approx((per_class * support).sum() / support.sum())
    assert score(SCORES, TARGET, average="micro") == pytest.approx(true.sum() / matrix.sum())


def test_a_worked_example():
    """Three cats, of which two were found; one dog taken for a cat. No bird at all."""
    target, predicted = [0, 0, 0, 1, 1], [0, 0, 1, 0, 1]
    assert metrics.precision(predicted, target, None).tolist() == pytest.approx([2 / 3, 1 / 2])
    assert metrics.recall(predicted, target, None).tolist() == pytest.approx([2 / 3, 1 / 2])
    assert metrics.f1(predicted, target, None).tolist() == pytest.approx([2 / 3, 1 / 2])
    assert metrics.f1(predicted, target, num_classes=3) == pytest.approx((2 / 3 + 1 / 2) / 2)  # the bird counts not
    assert metrics.f1(predicted, target, None, num_classes=3).tolist()[2] == 0


def test_zero_division():
    target, predicted = [0, 0, 2], [0, 1, 0]  # class 1 never occurs, class 2 is never predicted
    assert metrics.precision(predicted, target, None).tolist() == [0.5, 0.0, 0.0]
    assert metrics.precision(predicted, target, None, zero_division=1).tolist() == [0.5, 0.0, 1.0]
    assert metrics.recall(predicted, target, None, zero_division=1).tolist() == [0.5, 1.0, 0.0]
    assert metrics.precision(predicted, target) == pytest.approx(0.5 / 3)
    assert metrics.precision(predicted, target, zero_division=math.nan) == pytest.approx(0.5 / 2)
    assert metrics.precision(predicted, target, "weighted", zero_division=math.nan) == pytest.approx(0.5)
    assert math.isnan(metrics.precision([1], [0], "weighted", zero_division=math.nan))
    assert metrics.f1(predicted, target, None, zero_division=1).tolist() == [0.5, 0.0, 0.0]


def test_more_dimensions():
    target = rng.integers(0, 3, (2, 4, 5))
    scores = rng.normal(size=(2, 3, 4, 5))
    predicted = scores.argmax(1)
    assert metrics.accuracy(scores, target) == np.mean(predicted == target)
    assert metrics.accuracy(scores, target, top_k=3) == 1.0
    expected = counted(predicted.ravel(), target.ravel(), 3)
    assert metrics.confusion_matrix(scores, target).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: metrics.accuracy(SCORES, TARGET[:-1]), ValueError, r"\(199, 'C'\) for target, got \(200, 4\)"),
        (lambda: metrics.accuracy(PREDICTED, TARGET[:-1]), ValueError, r"\(199,\) for target, got \(200,\)"),
        (lambda: metrics.accuracy(SCORES, TARGET, top_k=5), ValueError, "from 1 to 4 classes, got 5"),
        (lambda: metrics.accuracy(PREDICTED, TARGET, top_k=2), ValueError, r"needs scores of shape \(N, C\)"),
        (lambda: metrics.accuracy([0.2, 0.7], [0, 1]), TypeError, "prediction to hold integer class indices"),
        (lambda: metrics.accuracy([[1.0, 2.0]], [1.0]), TypeError, "target to hold integer class indices, got float64"),
        (lambda: metrics.accuracy(np.zeros((0, 3)), []), ValueError, "at least one sample"),
        (lambda: metrics.accuracy([[1.0, math.nan]], [0]), ValueError, "NaN"),
        (lambda: metrics.accuracy([[1.0, 2.0]], [2]), ValueError, "class 2, but prediction scores 2 only"),
        (lambda: metrics.accuracy([0], [-1]), ValueError, "target with -1"),
        (lambda: metrics.confusion_matrix([3], [0], num_classes=2), ValueError, "num_classes=2, but 4 classes"),
        (lambda: metrics.f1([0], [0], average="mean"), ValueError, "got 'mean'"),
        (lambda: metrics.ClassificationReport([0], [1], ["cat"]), ValueError, "num_classes=1, but 2"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_report():
    report = metrics.ClassificationReport(SCORES, TARGET, class_names=["north", "east", "south", "a very long name"])
    rows = report.to_dict()
    assert rows["accuracy"] == metrics.accuracy(SCORES, TARGET)
    assert rows["macro"]["f1"] == metrics.f1(SCORES, TARGET)
    assert rows["weighted"]["recall"] == pytest.approx(rows["accuracy"])
    assert sum(rows[name]["support"] for name in report.class_names) == 200
    lines = str(report).splitlines()
    assert len(lines) == 1 + 4 + 1 + 3 and len({len(line) for line in lines if line}) == 1
    assert f"{rows['south']['f1']:.3f}" in lines[3]
