"""Losses of likelihoods and distances: classification, regression, probabilities."""
from __future__ import annotations

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, distinct, register

INF = np.inf


def reduced(loss, reduction, weight=None):
    """The loss, its sum, or its mean: over the weights where there are some."""
    if reduction == "none":
        return loss
    total = np.sum(loss)
    return total if reduction == "sum" else total / (loss.size if weight is None else np.sum(weight))


def log_softmax(x):
    """Along axis 1."""
    top = np.max(x, 1, keepdims=True, initial=-INF)
    return x - top - np.log(np.exp(x - top).sum(1, keepdims=True))


def nll_loss(logp, target, weight=None, ignore_index=-100, reduction="mean", smoothing=0.0):
    """Target after target: minus the log-probability, times the class's weight."""
    single = logp.ndim == 1
    logp, target = (logp[None], target.reshape(1)) if single else (logp, target)
    classes = logp.shape[1]
    weight = np.ones(classes) if weight is None else weight
    loss, weights = np.zeros(target.shape), np.zeros(target.shape)
    for place in np.ndindex(*target.shape):
        c = target[place]
        if c == ignore_index:
            continue
        row = logp[(place[0], slice(None), *place[1:])]
        weights[place] = weight[c]
        q = np.full(classes, smoothing / classes)
        q[c] += 1 - smoothing
        counts = q * weight != 0
        loss[place] = -np.sum((q * weight)[counts] * row[counts])
    return reduced(loss, reduction, weights) if reduction != "none" or not single else loss[0]


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    if target.dtype.kind == "f":
        return of_probabilities(x, target, weight, reduction, label_smoothing)
    logp = log_softmax(x) if x.ndim > 1 else log_softmax(x[None])[0]
    return nll_loss(logp, target, weight, ignore_index, reduction, label_smoothing)


def of_probabilities(x, target, weight, reduction, smoothing):
    single = x.ndim == 1
    x, target = (x[None], target[None]) if single else (x, target)
    target = target * (1 - smoothing) + smoothing / x.shape[1]
    weight = np.ones(x.shape[1]) if weight is None else weight
    loss = -(target * log_softmax(x) * weight.reshape(-1, *[1] * (x.ndim - 2))).sum(1)
    return reduced(loss[0] if single else loss, reduction)


def classes(*shape, ignored=None):
    """Arguments: logits, and a class for each row of them, here and there `ignored`."""
    def make(rng):
        target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
        if ignored is not None:
            target[rng.random(target.shape) < 0.4] = ignored
        return rng.standard_normal(shape), target
    return make


def logp(*shape, **options):
    """The same with log-probabilities."""
    def make(rng):
        x, target = classes(*shape, **options)(rng)
        return log_softmax(x), target
    return make


def weighted(n, **options):
    return {"weight": lambda rng: np.float32(rng.uniform(0.5, 2, n)).astype(float), **options}


REDUCTIONS = ("mean", "sum", "none")
WRONG_CLASSES = [
    BadInput((np.zeros((2, 3)), np.array([0, 3])), {}, IndexError, "Target 3 is out of bounds"),
    BadInput((np.zeros((2, 3)), np.array([0, -1])), {}, IndexError, "Target -1 is out of bounds"),
    BadInput((np.zeros((2, 3)), np.array([0])), {}, ValueError, "to match target batch_size"),
    BadInput((np.zeros((2, 3, 4)), np.zeros((2, 5), int)), {}, RuntimeError, r"expects target of shape \(2, 4\)"),
    BadInput((np.zeros((2, 3)), np.zeros((2, 1), int)), {}, RuntimeError, r"expects target of shape \(2,\)"),
    BadInput((np.zeros(()), np.zeros((), int)), {}, RuntimeError, "at least one dimension"),
    BadInput((np.zeros((2, 3)), np.array([True, False])), {}, RuntimeError, "but got Bool"),
    BadInput((np.zeros((2, 3)), np.array([0.0, 1.0])), {}, RuntimeError, "but got Float"),
    BadInput((np.zeros((2, 3)), np.array([0, 1])), {"weight": np.ones(2)}, RuntimeError, "for all 3 classes"),
    BadInput((np.zeros((2, 3)), np.array([0, 1])), {"reduction": "avg"}, ValueError, "avg is not a valid value"),
]
register(OpCase("cross_entropy", cross_entropy, [
    *[Sample(classes(4, 3, ignored=-100), {"reduction": r}) for r in REDUCTIONS],
    *[Sample(classes(3, 4, 2, ignored=-100), weighted(4, reduction=r, label_smoothing=0.2)) for r in REDUCTIONS],
    Sample(classes(2, 3, 2, 2), weighted(3)), Sample(classes(3, 1)),
    Sample(classes(5, 3, ignored=7), {"ignore_index": 7}),
    Sample(classes(5, 3, ignored=1), {"ignore_index": 1}, name="a class is ignored"),
    Sample(lambda rng: (rng.standard_normal(4), np.array(2)), name="unbatched"),
    Sample(lambda rng: (rng.standard_normal(4), np.array([2])), grad=False,
           name="unbatched, batched target"),
    Sample(lambda rng: (rng.standard_normal((2, 3)), np.array([1, 2], np.uint8)), name="uint8 classes"),
    Sample(classes(3, 4), {"label_smoothing": 1.0}), Sample(classes(0, 3), {"reduction": "sum"}),
    Sample(classes(0, 3), grad=False, name="no items: nan"), Sample(classes(0, 3), {"reduction": "none"}, grad=False),
    Sample((np.zeros((2, 3)), np.full(2, -100)), grad=False, name="all are ignored: nan"),
    Sample((np.array([[1000.0, 0.0], [0.0, -1000.0]]), np.array([0, 1])), {"reduction": "none"}, dtypes=WIDE,
           name="far apart"),
    Sample((np.array([[-INF, 0.0], [0.0, -INF]]), np.array([1, 1])), {"reduction": "none"}, grad=False,
           name="infinite"),
    *[Sample(classes(400, 301, ignored=-100), options, big=True, dtypes=("float32",))
      for options in ({}, weighted(301, label_smoothing=0.1))],
    Sample(classes(6, 21, 33, 34), big=True, dtypes=("float32",)),
    Sample(classes(6, 21, 33, 34), weighted(21, label_smoothing=0.1, reduction="sum"), big=True, dtypes=("float32",)),
], constant=("weight",), torch="nn.functional.cross_entropy", kernels=("cross_entropy", "cross_entropy_dx"), errors=[
    *WRONG_CLASSES,
    BadInput((np.zeros((2, 3)), np.array([0, 1])), {"label_smoothing": 1.5}, RuntimeError, "between 0.0 and 1.0"),
    BadInput((np.zeros((2, 3), int), np.array([0, 1])), {}, NotImplementedError, "not implemented for torch.int64"),
    BadInput((np.zeros((2, 3)), np.zeros((2, 3))), {"ignore_index": 1}, RuntimeError, "ignore_index is not supported"),
]))


def probabilities(*shape):
    def make(rng):
        q = rng.uniform(0.1, 1, shape)
        return rng.standard_normal(shape), q / q.sum(0 if len(shape) == 1 else 1, keepdims=True)
    return make


register(OpCase("cross_entropy", cross_entropy, [
    *[Sample(probabilities(3, 4), {"reduction": r}) for r in REDUCTIONS],
    Sample(probabilities(2, 3, 2), weighted(3, label_smoothing=0.3)), Sample(probabilities(4), name="unbatched"),
    Sample(probabilities(0, 3), {"reduction": "sum"}), Sample(probabilities(0, 3), grad=False, name="no items: nan"),
], variant="probabilities", constant=("weight",), torch="nn.functional.cross_entropy"))
register(OpCase("nll_loss", nll_loss, [
    *[Sample(logp(4, 3, ignored=-100), {"reduction": r}) for r in REDUCTIONS],
    *[Sample(logp(3, 4, 2, ignored=2), weighted(4, reduction=r, ignore_index=2)) for r in REDUCTIONS],
    Sample(lambda rng: (rng.standard_normal(4), np.array(2)), name="unbatched"),
    Sample(logp(0, 3), {"reduction": "sum"}),
    Sample(logp(2, 3, 2, 1)), Sample((np.array([[-1.0, -INF], [-INF, -2.0]]), np.array([0, 0])), {"reduction": "none"},
                                     grad=False, name="infinite"),
    Sample(logp(400, 301, ignored=-100), weighted(301), big=True, dtypes=("float32",)),
], constant=("weight",), torch="nn.functional.nll_loss", kernels=("nll_loss", "nll_loss_dx"), errors=WRONG_CLASSES))

# Distances


def pair(*shape):
    """Arguments whose differences are not near 0, 0.6 or 1, where a loss has a kink."""
    def make(rng):
        x, t = distinct(shape, shape, gap=0.13)(rng)
        return x, t + 0.06
    return make


def d_loss(function, over_weights=True):
    """A loss of the difference, for each reduction; the mean is over the weights, or of the weighted losses."""
    def reference(x, t, reduction="mean", weight=None, **options):
        loss = function(x - t, **options)
        return reduced(loss if weight is None else loss * weight, reduction, weight if over_weights else None)
    return reference


def huber(d, delta=1.0):
    return np.where(np.abs(d) < delta, d**2 / 2, delta * (np.abs(d) - delta / 2))


def smooth_l1(d, beta=1.0):
    return np.where(np.abs(d) < beta, d**2 / (2 * beta), np.abs(d) - beta / 2) if beta else np.abs(d)


def sized(name, *others):
    """What every loss of two tensors refuses."""
    return [BadInput((np.zeros((2, 3)), np.zeros((2, 4))), {}, RuntimeError, "size of tensor"),
            BadInput((np.zeros(2), np.zeros(2)), {"reduction": "avg"}, ValueError, "avg is not a valid value"), *others]


WEIGHTS = {"weight": lambda rng: rng.uniform(0.5, 2, (3, 4))}
for name, reference, options, errors in (
        ("mse_loss", d_loss(np.square), {}, [
            BadInput((np.zeros(2, int), np.zeros(2, int)), {}, NotImplementedError, "not implemented"),
            BadInput((np.zeros((2, 3)), np.zeros((2, 3))), {"weight": np.ones(3)}, ValueError, "same size")]),
        ("l1_loss", d_loss(np.abs), {}, [
            BadInput((np.zeros((2, 3)), np.zeros((2, 3))), {"weight": np.ones(3)}, ValueError, "same size")]),
        ("huber_loss", d_loss(huber, False), {"delta": 0.6}, [
            BadInput((np.zeros(2), np.zeros(2)), {"delta": 0.0}, RuntimeError, "non-positive values for delta")]),
        ("smooth_l1_loss", d_loss(smooth_l1), {"beta": 0.6}, [
            BadInput((np.zeros(2), np.zeros(2)), {"beta": -1.0}, RuntimeError, "negative values for beta")])):
    register(OpCase(name, reference, [
        *[Sample(pair(3, 4), {"reduction": r, **options}) for r in REDUCTIONS], Sample(pair(5)), Sample(pair(1)),
        *([Sample(pair(3, 4), {"reduction": r, **WEIGHTS}) for r in REDUCTIONS] if name != "smooth_l1_loss" else
          [Sample(pair(3, 4), {"beta": 0.0})]),
        Sample(lambda rng: (*distinct((2, 3))(rng), rng.standard_normal(3) + 9.0), name="broadcast"),
        Sample(pair(0, 3), {"reduction": "sum"}), Sample(pair(0, 3), grad=False, name="no items: nan"),
        *([] if name == "huber_loss" else  # where PyTorch fails
          [Sample(lambda rng: (*distinct((6,))(rng), np.arange(6) - 9), name="integer target")]),
    ], torch=f"nn.functional.{name}", errors=sized(name, *errors)))

# Probabilities


def binary_cross_entropy(p, t, weight=None, reduction="mean"):
    loss = -(t * np.maximum(np.log(p), -100) + (1 - t) * np.maximum(np.log(1 - p), -100))
    return reduced(loss if weight is None else loss * weight, reduction)


def with_logits(x, t, weight=None, reduction="mean", pos_weight=1.0):
    loss = pos_weight * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
    return reduced(loss if weight is None else loss * weight, reduction)


def unit(*shape):
    return arrays_like(shape, shape, low=0.1, high=0.9)


register(OpCase("binary_cross_entropy", binary_cross_entropy, [
    *[Sample(unit(3, 4), {"reduction": r}) for r in REDUCTIONS], Sample(unit(3, 4), WEIGHTS),
    Sample(unit(0, 2), {"reduction": "sum"}),
    Sample(lambda rng: (rng.uniform(0.1, 0.9, (2, 3)), rng.uniform(0.1, 0.9, (2, 3))),
           {"weight": lambda rng: rng.uniform(0.5, 2, 3)}, name="broadcast weight"),
    Sample((np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.5])), {"reduction": "none"}, grad=False,
           name="certain"),
], torch="nn.functional.binary_cross_entropy", constant=("weight",), errors=[
    BadInput((np.array([0.5, 1.5]), np.ones(2)), {}, RuntimeError, "input should be between 0 and 1"),
    BadInput((np.array([0.5, np.nan]), np.ones(2)), {}, RuntimeError, "input should be between 0 and 1"),
    BadInput((np.array([0.5, 0.5]), np.array([-1.0, 0.0])), {}, RuntimeError, "target should be between 0 and 1"),
    BadInput((np.array([0.5, 0.5]), np.ones((1, 2))), {}, ValueError, "target size"),
    BadInput((np.array([0.5, 0.5]), np.ones(2)), {"reduction": "avg"}, ValueError, "avg is not a valid value"),
]))
register(OpCase("binary_cross_entropy_with_logits", with_logits, [
    *[Sample(arrays_like((3, 4), (3, 4)), {"reduction": r}) for r in REDUCTIONS],
    Sample(arrays_like((3, 4), (3, 4)), {**WEIGHTS, "pos_weight": lambda rng: rng.uniform(0.5, 2, 4)}),
    Sample((np.zeros(3), np.array([0.0, 0.3, 1.0])), name="at zero"),
    Sample(arrays_like((0, 2), (0, 2)), {"reduction": "sum"}),
    Sample((np.array([1000.0, 1000.0, -1000.0, -1000.0]), np.array([0.0, 1.0, 0.0, 1.0])), {"reduction": "none"},
           dtypes=WIDE, name="far from zero"),
], torch="nn.functional.binary_cross_entropy_with_logits", constant=("weight", "pos_weight"), errors=[
    BadInput((np.zeros(2), np.zeros((1, 2))), {}, ValueError, "Target size"),
    BadInput((np.zeros((2, 3)), np.zeros((2, 3))), {"pos_weight": np.ones(2)}, RuntimeError, "pos_weight"),
    BadInput((np.zeros(2), np.zeros(2)), {"reduction": "avg"}, ValueError, "avg is not a valid value"),
]))


def kl_div(x, t, reduction="mean", log_target=False):
    loss = np.exp(t) * (t - x) if log_target else np.where(t > 0, t * np.log(np.where(t > 0, t, 1)), 0) - t * x
    return loss.sum() / len(loss) if reduction == "batchmean" else reduced(loss, reduction)


register(OpCase("kl_div", kl_div, [
    *[Sample(arrays_like((3, 4), (3, 4), low=0.1, high=0.9), {"reduction": r}) for r in (*REDUCTIONS, "batchmean")],
    *[Sample(arrays_like((3, 4), (3, 4)), {"reduction": r, "log_target": True}) for r in ("none", "batchmean")],
    Sample((np.array([-1.0, -2.0]), np.array([0.0, 0.5])), {"reduction": "none"}, grad=False, name="probability 0"),
], torch="nn.functional.kl_div", errors=sized("kl_div")[1:]))


def poisson_nll_loss(x, t, log_input=True, full=False, eps=1e-8, reduction="mean"):
    loss = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    if full:
        loss = loss + np.where(t > 1, t * np.log(t) - t + 0.5 * np.log(2 * np.pi * t), 0)
    return reduced(loss, reduction)


def gaussian_nll_loss(x, t, var, full=False, eps=1e-6, reduction="mean"):
    var = np.full_like(x, var) if np.isscalar(var) else var[..., None] if var.ndim < x.ndim else var
    loss = 0.5 * (np.log(np.maximum(var, eps)) + (x - t) ** 2 / np.maximum(var, eps))
    return reduced(loss + (0.5 * np.log(2 * np.pi) if full else 0), reduction)


register(OpCase("poisson_nll_loss", poisson_nll_loss, [
    *[Sample(arrays_like((3, 4), (3, 4), low=0.5, high=3), {"reduction": r, "full": True}) for r in REDUCTIONS],
    Sample(arrays_like((3, 4), (3, 4), low=0.5, high=3), {"log_input": False}),
    Sample((np.array([0.3, -1.0, 2.0]), np.array([0, 1, 4])), {"reduction": "none"}, name="counts"),
], torch="nn.functional.poisson_nll_loss", errors=sized("poisson_nll_loss")[1:]))
register(OpCase("gaussian_nll_loss", gaussian_nll_loss, [
    *[Sample(arrays_like((3, 4), (3, 4), (3, 4), low=0.5, high=2), {"reduction": r, "full": True}) for r in REDUCTIONS],
    Sample(arrays_like((3, 4), (3, 4), (3,), low=0.5, high=2)),
    Sample(arrays_like((3, 4), (3, 4), (3, 1), low=0.5, high=2)),
    Sample(lambda rng: (rng.standard_normal((2, 3)), rng.standard_normal((2, 3)), 2.0)),
    Sample((np.array([0.1, 0.2]), np.array([0.11, 0.5]), np.array([0.0, 1e-9])), {"reduction": "none"}, grad=False,
           dtypes=("float64",), name="no variance"),
], torch="nn.functional.gaussian_nll_loss", errors=[
    BadInput((np.zeros((2, 3)), np.zeros((2, 4)), np.ones((2, 3))), {}, RuntimeError, "size of tensor"),
    BadInput((np.zeros((2, 3)), np.zeros((2, 3)), np.ones(3)), {}, ValueError, "var is of incorrect size"),
    BadInput((np.zeros(2), np.zeros(2), np.array([1.0, -1.0])), {}, ValueError, "negative entry"),
    BadInput((np.zeros(2), np.zeros(2), np.ones(2)), {"reduction": "avg"}, ValueError, "avg is not"),
]))

# The ops below them


def _unwrapped(name):
    """The op, whose targets and weights are arrays."""
    def call(x, *rest):
        from minitorch.op import OPS

        return OPS[name].call(x, *(getattr(a, "_array", a) for a in rest))
    return call


register(OpCase("cross_entropy_classes", lambda x, t, w, ignored, smoothing, reduction: cross_entropy(
    x, t, w, ignored, reduction, smoothing), [
    Sample(lambda rng: (*classes(3, 4)(rng), None, -100, 0.1, "mean")),
    Sample(lambda rng: (*classes(2, 3, 2)(rng), np.array([0.5, 2.0, 1.0]), -100, 0.0, "none")),
], call=_unwrapped("cross_entropy_classes"), constant=(2,)))
register(OpCase("nll_loss_classes", lambda x, t, w, ignored, reduction: nll_loss(x, t, w, ignored, reduction), [
    Sample(lambda rng: (*logp(3, 4)(rng), None, -100, "mean")),
    Sample(lambda rng: (*logp(2, 3, 2)(rng), np.array([0.5, 2.0, 1.0]), -100, "none")),
], call=_unwrapped("nll_loss_classes"), constant=(2,)))
register(OpCase("squared_error", lambda x, t, reduction: reduced((x - t) ** 2, reduction), [
    Sample(lambda rng: (*arrays_like((3, 4), (4,))(rng), "mean")),
    Sample(lambda rng: (*arrays_like((3,), (3,))(rng), "none"))],
    torch=None))
register(OpCase("huber", lambda x, t, delta: huber(x - t, delta), [
    Sample(lambda rng: (*pair(3, 4)(rng), 0.6)),
    Sample(lambda rng: (*distinct((2, 3))(rng), np.arange(3) * 9.0, 2.0))],
    torch=None))
register(OpCase("bernoulli_entropy", lambda p, t: binary_cross_entropy(p, t, reduction="none"), [Sample(unit(3, 4))],
                torch=None))
register(OpCase("bernoulli_entropy_of_logits", lambda x, t, w: with_logits(x, t, None, "none", 1 if w is None else w), [
    Sample(lambda rng: (*arrays_like((3, 4), (3, 4))(rng), None)),
    Sample(arrays_like((3, 4), (3, 4), (4,), low=0.2, high=2))],
    torch=None))
