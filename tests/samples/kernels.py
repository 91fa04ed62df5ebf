"""Kernels that no op needs on the CPU: they are there for arrays, and for second derivatives."""
from __future__ import annotations

import numpy as np

from . import KernelCase, register

register(KernelCase("square", [lambda rng: ((rng.standard_normal((3, 4)),), {})]))
register(KernelCase("conj", [lambda rng: ((rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4)),), {})]))


def long_lines(shape, axis, count):
    """An array and an index of `count` positions along an axis, large enough for the compiled loops."""
    def make(rng):
        places = tuple(count if i == axis else n for i, n in enumerate(shape))
        return (rng.standard_normal(shape).astype(np.float32), rng.integers(0, shape[axis], places), axis), {}
    return make


def added_lines(shape, axis, count):
    def make(rng):
        (_, index, _), _ = long_lines(shape, axis, count)(rng)
        return (rng.standard_normal(index.shape).astype(np.float32), index, axis, shape), {}
    return make


register(KernelCase("add_into", [lambda rng, shape=shape, dtype=dtype: (tuple(
    np.asarray(rng.standard_normal(shape), dtype) for _ in range(2)), {})
    for shape in ((3, 4), (300, 301)) for dtype in (np.float32, np.float64)], lambda total, x: {0: total + x}))

# Large inputs, so that the compiled versions run: the calls of samples that are kept may all be small ones
register(KernelCase("gather", [long_lines((120, 200), 1, 170), long_lines((30, 40, 20), 1, 50)]))
register(KernelCase("gather_dx", [added_lines((120, 200), 1, 170), added_lines((30, 40, 20), 1, 50)]))
register(KernelCase("add_rows", [lambda rng: ((rng.standard_normal((400, 70)), rng.integers(0, 90, 400), 90), {})]))
register(KernelCase("sum", [
    lambda rng, axis=axis: ((rng.standard_normal((4, 5, 7000)).astype(np.float32),), {"axis": axis})
    for axis in (None, 2, 0, (0, 2), 1, (0, 1))]))
register(KernelCase("cumsum", [
    lambda rng, axis=axis: ((rng.standard_normal((3, 40, 300)), axis), {}) for axis in (0, 1, 2)]))
