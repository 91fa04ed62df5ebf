"""Kernels that no op needs on the CPU: they are there for arrays, and for second derivatives."""
from __future__ import annotations

import inspect

import numpy as np
from minitorch_kernels.resample import Band
from minitorch_kernels.table import get, names

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


def chosen(shape, a, b, dtype):
    """A mask, and an array or a number where it is True and where not."""
    def make(rng):
        given = [np.asarray(rng.standard_normal(shape), dtype) if x is None else x for x in (a, b)]
        return (rng.random(shape) < 0.3, *given), {}
    return make



def band(rng, n, width, dtype):
    """Some weights side by side in each row of a matrix, and a row of zeros."""
    matrix = np.zeros((n + 13, n))
    for row in matrix[1:]:
        at = rng.integers(0, n)
        row[at:at + width] = rng.standard_normal(width)[:n - at]
    return Band(matrix).arrays(dtype)


# Large inputs, so that the compiled versions run: the calls of samples that are kept may all be small ones
register(KernelCase("where", [chosen((259, 255), a, b, dtype) for dtype in (np.float32, np.float64)
                             for a, b in ((None, None), (0, None), (None, 0.5))]))
register(KernelCase("banded", [
    lambda rng, axis=axis, width=width, dtype=dtype: ((np.asarray(rng.standard_normal((3, 37, 41, 29)), dtype),
                                                       *band(rng, (3, 37, 41, 29)[axis], width, dtype), axis), {})
    for dtype in (np.float32, np.float64) for axis in (1, 2, 3, -1) for width in (1, 2, 5)]))
register(KernelCase("gather", [long_lines((120, 200), 1, 170), long_lines((30, 40, 20), 1, 50)]))
register(KernelCase("gather_dx", [added_lines((120, 200), 1, 170), added_lines((30, 40, 20), 1, 50)]))
register(KernelCase("add_rows", [lambda rng: ((rng.standard_normal((400, 70)), rng.integers(0, 90, 400), 90), {})]))
register(KernelCase("sum", [
    lambda rng, axis=axis: ((rng.standard_normal((4, 5, 7000)).astype(np.float32),), {"axis": axis})
    for axis in (None, 2, 0, (0, 2), 1, (0, 1))]))
register(KernelCase("prod", [
    lambda rng, axis=axis, shape=shape, dtype=dtype: ((np.asarray(rng.random(shape) + 0.5, dtype),), {"axis": axis})
    for dtype in (np.float32, np.float64) for shape, axis in (
        ((301, 70), 1), ((3, 67, 2, 50), (2, 3)), ((9, 5000), -1))]))
register(KernelCase("cumsum", [
    lambda rng, axis=axis: ((rng.standard_normal((3, 40, 300)), axis), {}) for axis in (0, 1, 2)]))


def ranked(shape, dtype, *rest):
    """Numbers among which many are equal."""
    return lambda rng: ((np.asarray(rng.integers(-30, 30, shape), dtype), *rest), {})


for dtype in (np.float32, np.float64, np.int32):
    register(KernelCase("argsort", [ranked((5, 300), dtype, axis, descending)
                                    for axis in (0, 1) for descending in (False, True)]))
    register(KernelCase("top", [ranked((9, 300), dtype, count, 1, largest)
                                for count in (5, 290) for largest in (False, True)]))


def product(rows, columns, depth, turned, dtype):
    """Operands with few rows, or columns, for the products that pack nothing."""
    def make(rng):
        a, b = (np.asarray(rng.standard_normal(shape), dtype) for shape in ((rows, depth), (depth, columns)))
        return (a, np.ascontiguousarray(b.T).T if turned else b), {}
    return make


register(KernelCase("matmul", [
    product(*shape, turned, dtype) for dtype in (np.float32, np.float64) for shape, turned in (
        ((1, 700, 600), False), ((1, 700, 600), True), ((7, 300, 200), True))]))


def with_column(dtype):
    return lambda rng: ((np.asarray(rng.standard_normal((700, 200)), dtype),
                         np.asarray(rng.random((700, 1)) + 0.5, dtype)), {})


for name in ("add", "sub", "mul", "div"):
    register(KernelCase(name, [with_column(np.float32), with_column(np.float64)]))


def crossed(shape, axes, dtype):
    """An array whose last axis is not the one that lies side by side in memory."""
    return lambda rng: ((np.asarray(rng.standard_normal(shape), dtype).transpose(axes),), {})


register(KernelCase("copy", [crossed(shape, axes, dtype) for dtype in (np.float32, np.float64) for shape, axes in [
    ((257, 300), (1, 0)), ((1, 9, 33, 250), (0, 2, 3, 1)), ((5, 8, 17, 100), (3, 0, 2, 1)), ((300, 300), (0, 1))]]))
register(KernelCase("copy", [lambda rng, key=key: ((rng.standard_normal((301, 300))[key],), {})
                             for key in (np.s_[::-1], np.s_[1:, ::-1], np.s_[:, 2:])]))
register(KernelCase("copy_into", [lambda rng, dtype=dtype: (tuple(
    np.asarray(rng.standard_normal((300, 301)), dtype) for _ in range(2)), {}) for dtype in (np.float32, np.float64)],
    lambda out, x: {0: x}))


NUMBERS = {"slope": 0.1, "alpha": 1.3, "scale": 1.1, "input_scale": 0.7, "low": -0.5, "high": 0.75, "width": 0.4,
           "beta": 1.5, "threshold": 2.0, "delta": 0.6}


def large(entry, shape, dtype):
    """Arrays of one shape and the numbers that the kernel's parameters are called after."""
    names = list(inspect.signature(entry.reference).parameters)[1:]
    return lambda rng: (tuple([NUMBERS[name] if name in NUMBERS else np.asarray(rng.standard_normal(shape) * 2, dtype)
                               for name in names]), {})


for entry in map(get, names()):  # those that are written from their references
    if any(version.name == "fused" for version in entry.versions):
        register(KernelCase(entry.name, [large(entry, (259, 255), dtype) for dtype in (np.float32, np.float64)]))
