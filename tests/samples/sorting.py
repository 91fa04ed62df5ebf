"""Sorting, the first k of an order, the k-th."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, distinct, register

INTS = np.array([[3, -1, 4], [1, -5, 9]])
BYTES = np.array([[200, 100, 7], [0, 255, 3]], np.uint8)
BOOLS = np.array([[True, False, True], [False, True, True]])
TIES = np.array([[1.0, 3.0, 1.0, 3.0, 1.0], [2.0, 2.0, 2.0, 2.0, 2.0]])
EDGES = np.array([[np.nan, 1.0, -np.inf, np.nan], [np.inf, 0.0, -0.0, np.inf]])
OUTSIDE = BadInput((np.ones((2, 3)),), {"dim": 2}, IndexError, r"Dimension out of range .*\[-2, 1\], but got 2")
FRACTION = BadInput((np.ones((2, 3)),), {"dim": 0.5}, TypeError, "'dim' must be int")


def ordered(line, descending=False):
    """The indices that sort a list: equal elements keep their order, nan is the largest."""
    return sorted(range(len(line)), key=lambda i: (line[i] != line[i], line[i] if line[i] == line[i] else 0),
                  reverse=descending)


def picked(x, dim, choose):
    """Values and indices of the elements along `dim` whose indices choose(line), a list for a list, gives."""
    lines = np.moveaxis(np.atleast_1d(x), dim, -1)
    count = len(choose(list(range(lines.shape[-1]))))
    index = np.array([choose(lines[row].tolist()) for row in np.ndindex(lines.shape[:-1])], np.int64)
    index = index.reshape(*lines.shape[:-1], count)
    pair = [np.moveaxis(a, -1, dim) for a in (np.take_along_axis(lines, index, -1), index)]
    return [a.reshape(()) if x.ndim == 0 and count == 1 else a for a in pair]


def sort(x, dim=-1, descending=False, stable=False):
    return picked(x, dim, lambda line: ordered(line, descending))


def topk(x, k, dim=-1, largest=True, sorted=True):
    return picked(x, dim, lambda line: ordered(line, largest)[:k])


def kthvalue(x, k, dim=-1, keepdim=False):
    pair = picked(x, dim, lambda line: ordered(line)[k - 1:k])
    return pair if keepdim or not x.ndim else [a.squeeze(dim) for a in pair]


ORDERS = [*(Sample(distinct(shape), options) for shape, options in (
    ((5,), {}), ((3, 4), {"dim": 0}), ((2, 3, 2), {"dim": -2, "descending": True}), ((3, 1), {}), ((), {}),
    ((), {"dim": 0, "descending": True}), ((0, 3), {"dim": 0}), ((2, 0), {"dim": 0}))),
    *(Sample((x,), {"dim": 1, "stable": True, "descending": descending}, grad=False, name=f"{name},{descending}")
      for name, x in (("ints", INTS), ("bytes", BYTES), ("bools", BOOLS), ("ties", TIES), ("edges", EDGES))
      for descending in (False, True)),
    Sample(lambda rng: (rng.integers(0, 9, 70) * 0.5,), {"dim": 0, "stable": True, "descending": True}, grad=False,
           name="many ties"),
    Sample(distinct((40, 300), gap=1e-3), {"dim": 1}, big=True, dtypes=WIDE)]
register(OpCase("sort", sort, ORDERS, errors=[OUTSIDE, FRACTION]))
register(OpCase("argsort", lambda *args, **options: sort(*args, **options)[1], ORDERS, grad=False,
                errors=[OUTSIDE, FRACTION]))
register(OpCase("msort", lambda x: sort(x, 0)[0], [
    Sample(distinct((4, 3))), Sample(distinct((1,))), Sample((INTS,)), Sample((EDGES,), grad=False),
    Sample(distinct((0, 2)))]))

FEW = [Sample((x, 2), {"dim": 1, "largest": largest}, name=f"{name},{largest}") for largest in (True, False)
       for name, x in (("ints", INTS), ("bytes", BYTES))]
register(OpCase("topk", topk, [
    *(Sample(lambda rng, shape=shape, k=k: (*distinct(shape)(rng), k), options) for shape, k, options in (
        ((5,), 2, {}), ((3, 4), 3, {"dim": 0}), ((2, 3, 2), 1, {"dim": -2, "largest": False}), ((3, 4), 0, {}),
        ((3, 1), 1, {}), ((), 1, {}), ((0, 3), 2, {}), ((33,), 3, {}), ((2, 40), 5, {"largest": False}),
        ((24, 2), 3, {"dim": 0, "sorted": True}))), *FEW,
    Sample((EDGES[:1], 3), {"dim": 1}, grad=False, name="nan is the largest"),
    Sample((np.where(np.arange(40) % 9 == 4, np.nan, np.arange(40) * 0.5)[None], 3), {"dim": 1, "largest": False},
           grad=False, name="few, and nan"),
    Sample(lambda rng: (*distinct((30, 400), gap=1e-3)(rng), 7), {"dim": 1}, big=True, dtypes=WIDE),
], errors=[BadInput((np.ones((2, 3)), 1), {"dim": 2}, IndexError, "Dimension out of range"),
           BadInput((np.ones((2, 3)), 4), {}, RuntimeError, "out of range"),
           BadInput((np.ones((2, 3)), -1), {}, RuntimeError, "out of range")]))


def values(x, k, dim):
    """The values alone, of a tensor here and in PyTorch: which of equal elements come is open."""
    return x.topk(k, dim)[0]


register(OpCase("topk", lambda x, k, dim: topk(x, k, dim)[0], [
    Sample((TIES, 4), {"dim": 1}), Sample((np.repeat(np.arange(10.0), 4), 3), {"dim": 0})], variant="ties", grad=False,
    call=values, torch=values))
register(OpCase("kthvalue", kthvalue, [
    *(Sample(lambda rng, shape=shape, k=k: (*distinct(shape)(rng), k), options) for shape, k, options in (
        ((5,), 2, {}), ((3, 4), 3, {"dim": 0}), ((2, 3, 2), 1, {"dim": -2, "keepdim": True}), ((3, 1), 1, {"dim": 1}),
        ((), 1, {}), ((0, 3), 2, {}))), *(Sample((x, 2), {"dim": 1}) for x in (INTS, BYTES)),
    Sample((EDGES[:1], 3), grad=False), Sample(arrays_like((1, 1)), {"k": 1, "keepdim": True}),
], errors=[BadInput((np.ones((2, 3)), 1), {"dim": 2}, IndexError, "Dimension out of range"),
           BadInput((np.ones((2, 3)), 4), {}, (IndexError, RuntimeError), "out of range"),
           BadInput((np.ones((2, 3)), 0), {}, (IndexError, RuntimeError), "out of range"),
           BadInput((np.ones((2, 0)), 1), {"dim": 1}, (IndexError, RuntimeError), "out of range")]))
