"""Similarities and distances of vectors, and the losses of margins between them, or between classes."""
from __future__ import annotations

import numpy as np

from . import BadInput, OpCase, Sample, arrays_like, distinct, register
from .loss import REDUCTIONS, pair, reduced

AVERAGE = {"reduction": "avg"}


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    norms = [np.maximum(np.sqrt((x**2).sum(dim, keepdims=True)), eps) for x in np.broadcast_arrays(x1, x2)]
    return (x1 * x2 / (norms[0] * norms[1])).sum(dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    d = np.abs(x1 - x2 + eps)
    return d.max(-1, keepdims=keepdim) if p == np.inf else (d**p).sum(-1, keepdims=keepdim) ** (1 / p)


register(OpCase("cosine_similarity", cosine_similarity, [
    Sample(arrays_like((3, 4), (3, 4))), Sample(arrays_like((2, 3, 4), (4,)), {"dim": -1}),
    Sample(arrays_like((4,), (4,)), {"dim": 0}), Sample(arrays_like((2, 1), (2, 3))),
    Sample(arrays_like((0, 4), (0, 4))),
    Sample((np.array([[1e-20, 0.0], [0.0, 0.0]]), np.array([[1.0, 2.0], [0.0, 0.0]])), grad=False, name="short",
           dtypes=("float64",)),
], torch="nn.functional.cosine_similarity", errors=[
    BadInput((np.zeros((2, 3)), np.zeros((2, 4))), {}, RuntimeError, "size of tensor"),
    BadInput((np.zeros(3), np.zeros(3)), {}, IndexError, "Dimension out of range"),
    BadInput((np.zeros((2, 3), int), np.zeros((2, 3), int)), {}, RuntimeError, "floating point"),
]))
register(OpCase("pairwise_distance", pairwise_distance, [
    *[Sample(lambda rng, p=p: (*pair(3, 4)(rng), p)) for p in (2.0, 1.0, 3.0)],
    Sample(lambda rng: (*arrays_like((3, 4), (4,))(rng), np.inf)),
    Sample(arrays_like((2, 3, 4), (4,)), {"keepdim": True, "eps": 0.1}), Sample(arrays_like((4,), (4,))),
    Sample(arrays_like((0, 4), (0, 4))),
], torch="nn.functional.pairwise_distance", tol={"float16": 3e-2}, errors=[  # float16 knows 1e-6 as 6e-8 a step
    BadInput((np.zeros((2, 3)), np.zeros((2, 4))), {}, RuntimeError, "size of tensor")]))


def signs(*shape):
    """Arguments: numbers, and for each 1 or -1."""
    return lambda rng: (*distinct(shape)(rng), np.where(rng.random(shape) < 0.5, 1.0, -1.0))


def hinge_embedding_loss(x, t, margin=1.0, reduction="mean"):
    return reduced(np.where(t == 1, x, np.maximum(0, margin - x)), reduction)


register(OpCase("soft_margin_loss", lambda x, t, reduction="mean": reduced(np.log1p(np.exp(-t * x)), reduction), [
    Sample(signs(3, 4), {"reduction": r}) for r in REDUCTIONS], constant=(1,), torch="nn.functional.soft_margin_loss",
    errors=[BadInput((np.zeros(2), np.ones(2)), AVERAGE, ValueError, "avg is not a valid value")]))
register(OpCase("hinge_embedding_loss", hinge_embedding_loss, [
    *[Sample(signs(3, 4), {"reduction": r, "margin": 0.52}) for r in REDUCTIONS], Sample(signs(5)),
], constant=(1,), torch="nn.functional.hinge_embedding_loss", errors=[
    BadInput((np.zeros(2), np.ones(2)), AVERAGE, ValueError, "avg is not a valid value")]))


def margin_ranking_loss(x1, x2, t, margin=0.0, reduction="mean"):
    return reduced(np.maximum(0, -t * (x1 - x2) + margin), reduction)


def cosine_embedding_loss(x1, x2, t, margin=0.0, reduction="mean"):
    cos = cosine_similarity(x1, x2, -1)
    return reduced(np.where(t == 1, 1 - cos, np.maximum(0, cos - margin)), reduction)


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = np.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(np.maximum(0, pairwise_distance(anchor, positive, p, eps) - far + margin), reduction)


SIGNS = np.array([1.0, -1.0, -1.0, 1.0])
register(OpCase("margin_ranking_loss", margin_ranking_loss, [
    *[Sample(lambda rng: (*pair(3, 4)(rng), SIGNS[None]), {"reduction": r, "margin": 0.13}) for r in REDUCTIONS],
    Sample(lambda rng: (rng.standard_normal(4), rng.standard_normal(4) + 0.5, SIGNS)),
], constant=(2,), torch="nn.functional.margin_ranking_loss", errors=[
    BadInput((np.zeros((2, 1)), np.zeros((2, 1)), np.ones(2)), {}, RuntimeError, "same dimension"),
    BadInput((np.zeros(2), np.zeros(3), np.ones(2)), {}, RuntimeError, "size of tensor"),
    BadInput((np.zeros(2), np.zeros(2), np.ones(2)), AVERAGE, ValueError, "avg is not a valid value")]))
register(OpCase("cosine_embedding_loss", cosine_embedding_loss, [
    *[Sample(lambda rng: (*arrays_like((4, 3), (4, 3))(rng), SIGNS), {"reduction": r}) for r in REDUCTIONS],
    Sample(lambda rng: (*arrays_like((4, 3), (4, 3), low=0.1, high=1)(rng), SIGNS.astype(int)), {"margin": 0.3}),
    Sample(lambda rng: (*arrays_like((3,), (3,))(rng), np.array(1))),
], constant=(2,), torch="nn.functional.cosine_embedding_loss", errors=[
    BadInput((np.zeros((2, 3)), np.zeros((2, 4)), np.ones(2)), {}, RuntimeError, "size of tensor"),
    BadInput((np.zeros((2, 3)), np.zeros((2, 3)), np.ones(3)), {}, RuntimeError, "size of tensor"),
    BadInput((np.zeros((2, 3)), np.zeros((2, 3)), np.ones((2, 1))), {}, RuntimeError, "0D or 1D target"),
    BadInput((np.zeros((2, 3)), np.zeros((2, 3)), np.ones(2)), AVERAGE, ValueError, "avg is not a valid value")]))
register(OpCase("triplet_margin_loss", triplet_margin_loss, [
    *[Sample(arrays_like((4, 3), (4, 3), (4, 3)), {"reduction": r}) for r in REDUCTIONS],
    Sample(arrays_like((4, 3), (4, 3), (4, 3)), {"swap": True, "p": 1.0, "margin": 0.7}),
    Sample(arrays_like((3,), (3,), (3,))),
], torch="nn.functional.triplet_margin_loss", errors=[
    BadInput((np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3))), {"margin": 0.0}, ValueError, "greater than 0"),
    BadInput((np.zeros((2, 3)), np.zeros(3), np.zeros((2, 3))), {}, RuntimeError, "same dimension"),
    BadInput((np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3))), AVERAGE, ValueError, "avg is not a valid value")]))

# Classes


def multilabel_soft_margin_loss(x, t, weight=None, reduction="mean"):
    loss = t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
    return reduced((loss if weight is None else loss * weight).mean(-1), reduction)


def multi_margin_loss(x, t, p=1, margin=1.0, weight=None, reduction="mean"):
    rows, targets = np.atleast_2d(x), t.reshape(-1)
    loss = np.zeros(len(rows))
    for i, (row, c) in enumerate(zip(rows, targets)):
        for j in range(len(row)):
            if j != c:
                loss[i] += max(0, margin - row[c] + row[j]) ** p * (1 if weight is None else weight[c]) / len(row)
    return reduced(loss.reshape(t.shape), reduction)


def multilabel_margin_loss(x, t, reduction="mean"):
    rows, targets = np.atleast_2d(x), np.atleast_2d(t)
    loss = np.zeros(len(rows))
    for i, (row, listed) in enumerate(zip(rows, targets)):
        right = [c for j, c in enumerate(listed) if -1 not in listed[:j + 1]]
        for c in right:
            loss[i] += sum(max(0, 1 - (row[c] - row[j])) for j in range(len(row)) if j not in right) / len(row)
    return reduced(loss.reshape(x.shape[:-1]), reduction)


register(OpCase("multilabel_soft_margin_loss", multilabel_soft_margin_loss, [
    *[Sample(lambda rng: (rng.standard_normal((3, 4)), rng.integers(0, 2, (3, 4)) * 1.0), {"reduction": r})
      for r in REDUCTIONS],
    Sample(arrays_like((3, 4), (3, 4)), {"weight": lambda rng: rng.uniform(0.5, 2, 4)}),
    Sample(arrays_like((4,), (4,)), name="unbatched"),
], torch="nn.functional.multilabel_soft_margin_loss", errors=[
    BadInput((np.zeros(2), np.zeros(2)), AVERAGE, ValueError, "avg is not a valid value")]))
CHOSEN, LISTED = np.array([2, 0, 1]), np.array([[1, 0, -1, 2], [3, -1, -1, -1], [-1, 0, 1, 2]])
register(OpCase("multi_margin_loss", multi_margin_loss, [
    *[Sample(lambda rng: (*distinct((3, 4), gap=0.17)(rng), CHOSEN), {"reduction": r}) for r in REDUCTIONS],
    Sample(lambda rng: (*distinct((3, 4), gap=0.17)(rng), CHOSEN), {"p": 2, "weight": np.array([0.5, 2.0, 3.0, 1.0])}),
    Sample(lambda rng: (*distinct((3, 4), gap=0.17)(rng), CHOSEN), {"p": 2, "margin": 0.4}),
    Sample(lambda rng: (*distinct((4,), gap=0.17)(rng), np.array(3))),
    Sample(lambda rng: (*distinct((4,), gap=0.17)(rng), np.array([3])), {"reduction": "none"}),
], constant=("weight",), torch="nn.functional.multi_margin_loss", errors=[
    BadInput((np.zeros((1, 3)), np.array([1])), {"p": 3}, ValueError, "p == 1 and p == 2"),
    BadInput((np.zeros((1, 3)), np.array([1])), {"weight": np.ones(2)}, RuntimeError, "inconsistent weight size"),
    BadInput((np.zeros((1, 3)), np.array([3])), {}, RuntimeError, "target out of range"),
    BadInput((np.zeros((1, 3)), np.array([1, 2])), {}, RuntimeError, "a target class for each row"),
    BadInput((np.zeros((1, 3)), np.array([1.0])), {}, RuntimeError, "expected scalar type Long"),
    BadInput((np.zeros((1, 3)), np.array([1])), AVERAGE, ValueError, "avg is not a valid value")]))
register(OpCase("multilabel_margin_loss", multilabel_margin_loss, [
    *[Sample(lambda rng: (*distinct((3, 4), gap=0.17)(rng), LISTED), {"reduction": r}) for r in REDUCTIONS],
    Sample(lambda rng: (*distinct((4,), gap=0.17)(rng), LISTED[0]), name="unbatched"),
], torch="nn.functional.multilabel_margin_loss", errors=[
    BadInput((np.zeros((1, 3)), np.array([[3, -1, -1]])), {}, RuntimeError, "target out of range"),
    BadInput((np.zeros((1, 3)), np.array([[0, -1]])), {}, RuntimeError, "one shape"),
    BadInput((np.zeros((1, 3)), np.array([[0, -1, -1]])), AVERAGE, ValueError, "avg is not a valid value")]))
