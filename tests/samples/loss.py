"""Losses, written out element by element and then reduced."""
from __future__ import annotations

import numpy as np

from . import BadInput, OpCase, Sample, arrays_like, register


def reduced(loss, reduction):
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def elementwise(function):
    """A reference with `reduction`, from a function of arrays."""
    def loss(*args, reduction="mean", weight=None, **options):
        found = function(*args, **options)
        return reduced(found if weight is None else found * weight, reduction)
    return loss


def log_softmax(x):
    top = x.max(1, keepdims=True)
    return x - top - np.log(np.exp(x - top).sum(1, keepdims=True))


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    if x.ndim == 1:
        loss = cross_entropy(x[None], target[None], weight, ignore_index, "none" if reduction == "none" else reduction,
                             label_smoothing)
        return loss[0] if reduction == "none" else loss
    classes = x.shape[1]
    w = np.ones(classes) if weight is None else weight
    logp = log_softmax(x)
    if target.shape == x.shape:
        q = target * (1 - label_smoothing) + label_smoothing / classes
        loss = -(q * logp * w.reshape(-1, *(1,) * (x.ndim - 2))).sum(1)
        return loss.sum() / loss.size if reduction == "mean" else reduced(loss, reduction)
    loss, share = np.zeros(target.shape), np.zeros(target.shape)
    for at in np.ndindex(*target.shape):
        t = target[at]
        if t != ignore_index:
            column = logp[(at[0], slice(None), *at[1:])]
            loss[at] = -(1 - label_smoothing) * w[t] * column[t] - label_smoothing / classes * (w * column).sum()
            share[at] = w[t]
    return loss.sum() / share.sum() if reduction == "mean" else reduced(loss, reduction)


def nll_loss(x, target, weight=None, ignore_index=-100, reduction="mean"):
    if x.ndim == 1:
        loss = nll_loss(x[None], target[None], weight, ignore_index, reduction)
        return loss[0] if reduction == "none" else loss
    w = np.ones(x.shape[1]) if weight is None else weight
    loss, share = np.zeros(target.shape), np.zeros(target.shape)
    for at in np.ndindex(*target.shape):
        if target[at] != ignore_index:
            share[at] = w[target[at]]
            loss[at] = -share[at] * x[(at[0], target[at], *at[1:])]
    return loss.sum() / share.sum() if reduction == "mean" else reduced(loss, reduction)


def classes(shape, target, *more, count=None, **fixed):
    """Logits of `shape` and class indices of shape `target`."""
    def make(rng):
        n = count or (shape[0] if len(shape) == 1 else shape[1])
        return (rng.standard_normal(shape), rng.integers(0, n, target), *(m(rng) for m in more))
    return make


def with_ignored(rng):
    return rng.standard_normal((4, 3)), np.array([0, -100, 2, -100])


weights = np.array([0.5, 2.0, 1.5], np.float32)  # float32: no gradient is asked of them

register(OpCase("cross_entropy", cross_entropy, [
    Sample(classes((4, 3), (4,))),
    Sample(classes((4, 3), (4,)), dict(reduction="sum")),
    Sample(classes((4, 3), (4,)), dict(reduction="none")),
    Sample(with_ignored, name="ignored"),
    Sample(with_ignored, dict(label_smoothing=0.2), name="ignored,smoothed"),
    Sample(classes((4, 3), (4,)), dict(ignore_index=1, label_smoothing=0.1, reduction="none")),
    Sample(classes((4, 3), (4,)), dict(weight=weights, label_smoothing=0.1), dtypes=("float32",)),
    Sample(classes((2, 3, 2, 2), (2, 2, 2)), dict(reduction="none"), name="images"),
    Sample(classes((2, 3, 4), (2, 4)), name="sequences"),
    Sample(classes((3,), ()), name="one item"),
    Sample(classes((3,), ()), dict(reduction="none"), name="one item, none"),
    Sample(classes((4, 1), (4,)), name="one class"),
    Sample(lambda rng: (rng.standard_normal((4, 3)) * 50, rng.integers(0, 3, 4)), name="large", dtypes=("float64", "float32")),
    Sample(lambda rng: (rng.standard_normal((64, 100)), rng.integers(0, 100, 64)), big=True),
], [
    BadInput((np.zeros((4, 3)), np.zeros(3, np.int64)), {}, ValueError, "cross_entropy: Expected input batch_size"),
    BadInput((np.zeros((4, 3)), np.array([0, 1, 3, 0])), {}, IndexError, "cross_entropy: Target 3 is out of bounds"),
    BadInput((np.zeros((4, 3)), np.array([0, 1, -1, 0])), {}, IndexError, "cross_entropy: Target -1 is out of bounds"),
    BadInput((np.zeros((4, 3)), np.zeros(4)), {}, RuntimeError, "cross_entropy: expected scalar type Long"),
    BadInput((np.zeros((4, 3)), np.zeros(4, np.int64)), dict(weight=np.zeros(2)), RuntimeError, "cross_entropy: weight"),
    BadInput((np.zeros((4, 3)), np.zeros(4, np.int64)), dict(reduction="average"), ValueError, "average is not a valid"),
    BadInput((np.zeros((4, 3)), np.zeros(4, np.int64)), dict(label_smoothing=2.0), RuntimeError, "label_smoothing"),
    BadInput((np.zeros(()), np.zeros((), np.int64)), {}, (RuntimeError, IndexError), "cross_entropy: input"),
], kernels=("cross_entropy", "cross_entropy_dx")))

register(OpCase("cross_entropy", cross_entropy, [
    Sample(lambda rng: (rng.standard_normal((4, 3)), rng.dirichlet(np.ones(3), 4))),
    Sample(lambda rng: (rng.standard_normal((2, 3, 2)), rng.dirichlet(np.ones(3), (2, 2)).swapaxes(1, 2)),
           dict(label_smoothing=0.1, reduction="sum")),
    Sample(lambda rng: (rng.standard_normal((4, 3)), rng.dirichlet(np.ones(3), 4).astype(np.float32)),
           dict(weight=weights), dtypes=("float32",)),
], variant="probabilities"))

register(OpCase("nll_loss", nll_loss, [
    Sample(classes((4, 3), (4,))),
    Sample(classes((4, 3), (4,)), dict(reduction="sum", ignore_index=1)),
    Sample(classes((2, 3, 2, 2), (2, 2, 2)), dict(reduction="none")),
    Sample(classes((4, 3), (4,)), dict(weight=weights), dtypes=("float32",)),
    Sample(classes((3,), ()), name="one item"),
    Sample(lambda rng: (rng.standard_normal((64, 100)), rng.integers(0, 100, 64)), big=True),
], [
    BadInput((np.zeros((4, 3)), np.array([0, 1, 3, 0])), {}, IndexError, "nll_loss: Target 3 is out of bounds"),
    BadInput((np.zeros((4, 3)), np.zeros(3, np.int64)), {}, ValueError, "nll_loss: Expected input batch_size"),
], kernels=("nll_loss", "nll_loss_dx")))


def pairs(low=None, high=None, shape=(3, 4)):
    return arrays_like(shape, shape, low=low, high=high)


def signs(rng, shape=(3, 4)):
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0).astype(np.float32)


def simple(name, function, arguments, *options, errors=(), **more):
    """A case with a sample for each reduction, and one for each of `options`."""
    chosen = [dict(reduction=r) for r in ("mean", "sum", "none")] + list(options)
    register(OpCase(name, elementwise(function), [Sample(arguments, o) for o in chosen], [
        BadInput((np.zeros((2, 2)), np.zeros((2, 2))), dict(reduction="no"), ValueError, "no is not a valid value"),
        *errors], **{"torch": f"nn.functional.{name}", **more}))


simple("mse_loss", lambda x, t: (x - t) ** 2, pairs(), dict(weight=np.ones((3, 4), np.float32)))
simple("l1_loss", lambda x, t: abs(x - t), pairs())
simple("smooth_l1_loss", lambda x, t, beta=1.0: np.where(abs(x - t) < beta, 0.5 * (x - t) ** 2 / max(beta, 1e-9),
                                                        abs(x - t) - 0.5 * beta), pairs(), dict(beta=0.3), dict(beta=0),
       errors=[BadInput((np.zeros(2), np.zeros(2)), dict(beta=-1.0), RuntimeError, "smooth_l1_loss: .*negative")])
simple("huber_loss", lambda x, t, delta=1.0: np.where(abs(x - t) < delta, 0.5 * (x - t) ** 2,
                                                     delta * (abs(x - t) - 0.5 * delta)), pairs(), dict(delta=0.4),
       errors=[BadInput((np.zeros(2), np.zeros(2)), dict(delta=0.0), (RuntimeError, ValueError), "huber_loss: .*delta")])
simple("binary_cross_entropy", lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)), pairs(0.05, 0.95),
       errors=[BadInput((np.full((2,), 1.5), np.zeros(2)), {}, RuntimeError, "between 0 and 1"),
               BadInput((np.zeros(2), np.zeros(3)), {}, ValueError, "binary_cross_entropy: Using a target size")],
       tol={"float16": 3e-2}, grad_tol={"float16": 2e-1})  # 1 / p (1 - p) magnifies what float16 rounds p by
simple("binary_cross_entropy_with_logits",
       lambda x, t, pos_weight=1.0: -(pos_weight * t * np.log(1 / (1 + np.exp(-x))) +
                                      (1 - t) * np.log(1 - 1 / (1 + np.exp(-x)))),
       lambda rng: (rng.standard_normal((3, 4)), rng.random((3, 4))),
       dict(pos_weight=np.full(4, 2.5, np.float32)), dict(weight=np.full((3, 4), 2.0, np.float32)),
       errors=[BadInput((np.zeros(2), np.zeros(3)), {}, ValueError, "Target size")], torch=None)
simple("kl_div", lambda x, t, log_target=False: np.exp(t) * (t - x) if log_target else t * (np.log(t) - x),
       pairs(0.1, 1.0), dict(log_target=True))
simple("poisson_nll_loss", lambda x, t, log_input=True, eps=1e-8: np.exp(x) - t * x if log_input else
       x - t * np.log(x + eps), pairs(0.5, 2.0), dict(log_input=False))
simple("soft_margin_loss", lambda x, t: np.log1p(np.exp(-t * x)), lambda rng: (rng.standard_normal((3, 4)), signs(rng)))
simple("hinge_embedding_loss", lambda x, t, margin=1.0: np.where(t == 1, x, np.maximum(0, margin - x)),
       lambda rng: (rng.uniform(0.1, 0.9, (3, 4)), signs(rng)), dict(margin=2.0))

register(OpCase("kl_div", lambda x, t, reduction: (t * (np.log(t) - x)).sum() / len(x), [
    Sample(pairs(0.1, 1.0), dict(reduction="batchmean"))], variant="batchmean"))
register(OpCase("poisson_nll_loss", lambda x, t, full: (np.exp(x) - t * x + np.where(
    t > 1, t * np.log(t) - t + 0.5 * np.log(2 * np.pi * t), 0)).mean(), [
        Sample(pairs(1.1, 2.0), dict(full=True))], variant="full"))
register(OpCase("gaussian_nll_loss", lambda x, t, var, full=False: (
    0.5 * (np.log(var) + (x - t) ** 2 / var) + (0.5 * np.log(2 * np.pi) if full else 0)).mean(), [
        Sample(arrays_like((3, 4), (3, 4), (3, 4), low=0.5, high=2.0)),
        Sample(arrays_like((3, 4), (3, 4), (3, 1), low=0.5, high=2.0), dict(full=True)),
    ], [BadInput((np.zeros(2), np.zeros(2), -np.ones(2)), {}, ValueError, "gaussian_nll_loss: var")]))


def cosine(a, b, dim=1, eps=1e-8):
    a, b = np.broadcast_arrays(a, b)
    return (a * b).sum(dim) / np.maximum(np.sqrt((a * a).sum(dim)), eps) / np.maximum(np.sqrt((b * b).sum(dim)), eps)


def distance(a, b, p=2.0, eps=1e-6, keepdim=False):
    return (abs(a - b + eps) ** p).sum(-1, keepdims=keepdim) ** (1 / p)


def triplet(a, b, c, margin=1.0, p=2.0, eps=1e-6, swap=False):
    far = distance(a, c, p, eps)
    far = np.minimum(far, distance(b, c, p, eps)) if swap else far
    return np.maximum(distance(a, b, p, eps) - far + margin, 0).mean()


register(OpCase("cosine_similarity", cosine, [Sample(pairs()), Sample(pairs(), dict(dim=0)),
                                              Sample(arrays_like((2, 3, 1), (3, 4)), dict(dim=1))]))
register(OpCase("pairwise_distance", distance, [Sample(pairs()), Sample(pairs(), dict(p=1.0, keepdim=True)),
                                                Sample(arrays_like((4,), (4,)), dict(p=3.0))]))
register(OpCase("triplet_margin_loss", triplet, [
    Sample(arrays_like((3, 4), (3, 4), (3, 4)), dict(margin=5.0)),
    Sample(arrays_like((3, 4), (3, 4), (3, 4)), dict(margin=5.0, swap=True, p=3.0)),
], torch="nn.functional.triplet_margin_loss"))
register(OpCase("margin_ranking_loss", lambda a, b, t, margin=0.0: np.maximum(-t * (a - b) + margin, 0).mean(), [
    Sample(lambda rng: (rng.standard_normal(5), rng.standard_normal(5), signs(rng, (5,))), dict(margin=0.3))], torch="nn.functional.margin_ranking_loss"))
register(OpCase("cosine_embedding_loss", lambda a, b, t, margin=0.0: np.where(
    t == 1, 1 - cosine(a, b, -1), np.maximum(cosine(a, b, -1) - margin, 0)).mean(), [
        Sample(lambda rng: (rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), signs(rng, (5,))), dict(margin=-0.9)),
    ], torch="nn.functional.cosine_embedding_loss"))


def multi_margin(x, t, p=1, margin=1.0, weight=None):
    loss = []
    for row, right in zip(x.reshape(-1, x.shape[-1]), np.atleast_1d(t)):
        each = [max(0.0, margin - row[right] + v) ** p for i, v in enumerate(row) if i != right]
        loss.append(sum(each) * (1 if weight is None else weight[right]) / len(row))
    return np.array(loss).mean()


def multilabel_margin(x, t):
    loss = []
    for row, listed in zip(np.atleast_2d(x), np.atleast_2d(t)):
        right = list(listed[:list(listed).index(-1)] if -1 in listed else listed)
        loss.append(sum(max(0.0, 1 - (row[r] - row[w])) for r in right for w in range(len(row)) if w not in right) / len(row))
    return np.array(loss).mean()


def multilabel_soft_margin(x, t, weight=None):
    loss = -(t * np.log(1 / (1 + np.exp(-x))) + (1 - t) * np.log(1 - 1 / (1 + np.exp(-x))))
    return (loss if weight is None else loss * weight).mean(-1).mean()


register(OpCase("multi_margin_loss", multi_margin, [
    Sample(classes((4, 3), (4,))), Sample(classes((4, 3), (4,)), dict(p=2, margin=0.5)),
    Sample(classes((4, 3), (4,)), dict(weight=weights), dtypes=("float32",)),
]))
register(OpCase("multilabel_margin_loss", multilabel_margin, [
    Sample(lambda rng: (rng.standard_normal((2, 4)), np.array([[3, 0, -1, 1], [1, -1, -1, -1]]))),
    Sample(lambda rng: (rng.standard_normal(4), np.array([3, 0, 2, 1]))),
], [BadInput((np.zeros((2, 3)), np.zeros((2, 2), np.int64)), {}, RuntimeError, "multilabel_margin_loss: expects")]))
register(OpCase("multilabel_soft_margin_loss", multilabel_soft_margin, [
    Sample(lambda rng: (rng.standard_normal((3, 4)), rng.random((3, 4)).astype(np.float32)), dtypes=("float32",)),
]))
