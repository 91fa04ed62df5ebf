"""Reductions, scans and normalisations under a mask: each against NumPy on the elements that remain, line by line."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, distinct, register

INF, NAN = float("inf"), float("nan")


def lines(compute, scan=False):
    """`compute(elements, **options)` of each line's remaining elements as a function of an array, dims and a mask.

    A `scan` also gets the mask: it returns as many elements as it got.
    """
    def reference(x, *before, dim=None, keepdim=False, mask=None, dtype=None, **options):
        dims = tuple(range(x.ndim)) if dim in (None, ()) else tuple(d % x.ndim for d in np.atleast_1d(dim))
        mask = np.ones(x.shape, bool) if mask is None else np.broadcast_to(mask, x.shape)
        rest = [d for d in range(x.ndim) if d not in dims]
        shape, order = [x.shape[d] for d in rest], (*rest, *dims)
        rows, kept = (np.transpose(z, order).reshape(int(np.prod(shape)), -1) for z in (x, mask))
        if scan:
            y = np.array([compute(row, m, *before, **options) for row, m in zip(rows, kept)]).reshape(
                [x.shape[d] for d in order])
            return np.transpose(y, np.argsort(order))
        y = np.array([compute(row[m], *before, **options) for row, m in zip(rows, kept)]).reshape(shape)
        return np.expand_dims(y, dims) if keepdim else y
    return reference


def moment(x, unbiased=None, correction=1):
    degrees = len(x) - (0 if unbiased is False else correction)
    return ((x - x.mean()) ** 2).sum() / degrees if degrees > 0 else NAN


def length(x, ord=2.0):
    if abs(ord) == INF or len(x) == 0:
        return np.abs(x).max(initial=0) if ord > 0 else np.abs(x).min(initial=INF)
    return (np.abs(x) ** ord).sum() ** (1 / ord)


def middle(x):
    return np.sort(x)[(len(x) - 1) // 2] if len(x) else NAN


def scanned(compute):
    """A scan of the elements with the masked ones replaced."""
    return lines(lambda row, m: compute(row, m), scan=True)


def weights(row, m, sign=1):
    e = np.exp(sign * row) * m
    return e / e.sum()


MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, True]])
COLUMN = np.array([[True], [True], [False]])
FULL = distinct((3, 4), gap=0.3)


def samples(dims=True, lone=True, **options):
    """No mask, a mask, one that broadcasts and leaves nothing of a line."""
    found = [Sample(FULL, {**options, "dim": 1}), Sample(FULL, {**options, "dim": 0, "mask": MASK})]
    if dims:
        found += [Sample(FULL, {**options, "keepdim": True, "mask": MASK}),
                  Sample(distinct((2, 3, 2)), {**options, "dim": (0, -1), "mask": MASK[:, :2]})]
    if lone:
        found.append(Sample(FULL, {**options, "dim": 1, "mask": COLUMN}, grad=False))
    return found


BAD = [BadInput((np.ones(3),), {"dim": 0, "mask": np.ones((2, 3), bool)}, IndexError, "dimensionality"),
       BadInput((np.ones((2, 3)),), {"dim": 1, "mask": np.ones((2, 2), bool)}, RuntimeError, "broadcast"),
       BadInput((np.ones(3),), {"dim": 2, "mask": np.ones(3, bool)}, IndexError, "out of range")]

with np.errstate(all="ignore"):
    REDUCTIONS = {
        "sum": np.sum, "prod": np.prod, "mean": lambda x: x.mean() if len(x) else NAN, "var": moment,
        "std": lambda x, **options: np.sqrt(moment(x, **options)), "norm": length,
        "amax": lambda x: x.max(initial=-INF), "amin": lambda x: x.min(initial=INF),
        "logsumexp": lambda x: np.log(np.exp(x).sum()) if len(x) else -INF}
MORE = {"norm": [Sample(FULL, {"ord": p, "dim": 1, "mask": MASK}, grad=p > 0) for p in (1.0, INF, -INF, 3)],
        "var": samples(unbiased=False), "std": samples(correction=0)}
for _name, _compute in REDUCTIONS.items():
    register(OpCase(f"masked.{_name}", lines(_compute), [*samples(), *MORE.get(_name, [])], dtypes=WIDE, errors=BAD,
                    grad_tol={"float32": 1e-4}))
register(OpCase("masked.median", lines(middle), samples(dims=False), dtypes=WIDE, errors=[
    *BAD, BadInput((np.ones((1, 2), int),), {"dim": 1, "mask": np.array([False])}, ValueError, "fully masked")]))


def place(pick, none):
    """The index of an extreme in the whole line, 0 where the mask leaves none."""
    def reference(x, dim=None, mask=None):
        return pick(x if mask is None else np.where(mask, x, none), axis=dim).astype(x.dtype)
    return reference


for _name, _pick, _none in (("argmax", np.argmax, -INF), ("argmin", np.argmin, INF)):
    register(OpCase(f"masked.{_name}", place(_pick, _none), [
        *samples(dims=False), Sample(FULL, {"mask": MASK})], dtypes=WIDE, grad=False, errors=BAD))

SCANS = {
    "cumsum": lambda row, m: np.cumsum(row * m), "cumprod": lambda row, m: np.cumprod(np.where(m, row, 1)),
    "softmax": weights, "softmin": lambda row, m: weights(row, m, -1),
    "log_softmax": lambda row, m: np.where(m, row, -INF) - np.log((np.exp(row) * m).sum())}
for _name, _compute in SCANS.items():
    register(OpCase(f"masked.{_name}", scanned(_compute), [
        # the logarithm of what is masked is -inf, of which differences say nothing
        Sample(s.arguments, s.options, grad=s.grad and (_name != "log_softmax" or "mask" not in s.options))
        for s in samples(dims=False, lone=_name.startswith("cum"))], dtypes=WIDE, errors=BAD))


def unit(row, m, ord=2.0):
    return row * m / max(length(row[m], ord), 1e-12)


register(OpCase("masked.normalize", lambda x, ord, dim, mask=None: lines(
    lambda row, m: unit(row, m, ord), scan=True)(x, dim=dim, mask=mask), [
    Sample(FULL, {"ord": p, "dim": d, "mask": m}) for p, d, m in ((2.0, 1, MASK), (1.0, 0, COLUMN), (2.0, 1, None))],
    dtypes=WIDE, grad_tol={"float32": 1e-4}))


def logaddexp(a, b, input_mask=None, other_mask=None):
    a, b = (x if m is None else np.where(m, x, -INF) for x, m in ((a, input_mask), (b, other_mask)))
    return np.logaddexp(a, b)


register(OpCase("masked.logaddexp", logaddexp, [
    Sample(distinct((3, 4), (3, 4))), Sample(distinct((3, 4), (3, 4)), {"input_mask": MASK, "other_mask": ~MASK})],
    dtypes=WIDE))
