"""Chains of elementwise operations on the GPU: every operation, every kind of operand, special numbers, odd shapes."""
from __future__ import annotations

import inspect
import math
import re

import compilers
import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import get, kernels, names
from minitorch_kernels.cuda.chain import module_text
from minitorch_kernels.fused import BOOLEAN, OPERATIONS, Chain
from minitorch_kernels.layout import along, lay

DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
FLOATING = [operation for operation in OPERATIONS if operation not in ("and", "or")]
TOLERANCE = {"float32": 2e-6, "float64": 1e-14, "float16": 1e-3, "bfloat16": 8e-3}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 4.0, 20.0, -20.0, 88.0, math.inf, -math.inf, math.nan, 1e-3, 2.0, 3.0,
           -0.25]
NUMBERS = {"slope": 0.1, "alpha": 1.3, "scale": 1.1, "input_scale": 0.7, "low": -0.5, "high": 0.75, "width": 0.4,
           "beta": 1.5, "threshold": 2.0, "delta": 0.6}
WRITTEN = [name for name in names() if any(v.name == "fused" for v in get(name).versions)]
MASKED = {"where": 0, "masked_scale": 1}


def arity(operation):
    return 1 + max(int(n) for n in re.findall(r"{(\d)}", "".join(OPERATIONS[operation])))


def one_line(operation, dtype):
    kinds = ["bits" if (operation, i) == ("dropout", 1) else "full" for i in range(arity(operation))]
    return Chain(dtype, tuple(kinds), ((operation, tuple(f"x{i}" for i in range(len(kinds)))),), (0,), (None,))


def as_python(operation, values):
    """The operation on numbers, as Python itself reads the table's text."""
    def logistic(x):
        return 1 / (1 + np.exp(-x))

    def normal(x):
        return 0.5 * math.erfc(-x * math.sqrt(0.5)), np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)

    def twice_inner(x):
        scale = 2 * math.sqrt(2 / math.pi)
        return scale * (x + 0.044715 * x**3), scale * (1 + 3 * 0.044715 * x**2)

    names = {"ZERO": 0.0, "ONE": 1.0, "abs": abs, "sqrt": np.sqrt, "_exp": np.exp, "_expm1": np.expm1, "_log": np.log,
             "_log1p": np.log1p, "_tanh": np.tanh, "_logistic": logistic, "_below": lambda x: normal(x)[0],
             "_normal": normal, "_silu_slope": lambda x: logistic(x) * (1 + x * (1 - logistic(x))),
             "_twice_inner": twice_inner}
    before, value = (part.format(*(f"x{i}" for i in range(len(values))), n=0) for part in OPERATIONS[operation])
    names.update((f"x{i}", x) for i, x in enumerate(values))
    with np.errstate(all="ignore"):
        exec(before, names)
        return eval(value, names)


@pytest.mark.skipif(compilers.missing() is not None, reason=str(compilers.missing()))
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_the_compiler_takes_all_operations(dtype, tmp_path):
    """What is written is CUDA C, too, and nothing is spilled."""
    chains = {f"chain_{operation}": one_line(operation, dtype) for operation in FLOATING}
    chains |= {f"chain_{kind}": Chain(dtype, ("full", kind), (("add", ("x0", "x1")),), (0,), (0,))
               for kind in ("row", "column", "element", "scalar")}
    wrong, report = compilers.compile_cuda(module_text(chains), list(chains), "sm_80", tmp_path)
    assert wrong is None, wrong[-4000:]
    stored = re.findall(r"(\d+) bytes spill stores", report)
    assert len(stored) >= len(chains) and not any(map(int, stored))


CASES = [(operation, dtype) for operation in FLOATING for dtype in DTYPES
         if dtype in ("float32", "float16") or operation in ("add", "gelu_dx", "where", "dropout", "less")]


@pytest.fixture(scope="module")
def chain(device):
    from minitorch_kernels.cuda import chain

    chain.build_all(one_line(*case) for case in CASES)
    return chain


@pytest.mark.parametrize("operation, dtype", CASES)
def test_operation(chain, operation, dtype):
    import cupy

    rng = np.random.default_rng(0)
    columns = [np.concatenate([np.roll(SPECIAL, 5 * i), rng.standard_normal(24)]).astype(DTYPES[dtype])
               for i in range(arity(operation))]
    if operation in MASKED:
        columns[MASKED[operation]] = rng.random(41) < 0.5
    flags = rng.random(41) < 0.5
    given = [cupy.asarray(np.packbits(flags, bitorder="little")) if (operation, i) == ("dropout", 1)
             else cupy.asarray(x) for i, x in enumerate(columns)]
    if operation == "dropout":
        columns[1] = flags
    boolean = operation in BOOLEAN
    out = cupy.empty(41, bool if boolean else DTYPES[dtype])
    chain.build(one_line(operation, dtype))(1, 41, *given, out)
    wide = [x if x.dtype == bool else x.astype(np.float64) for x in columns]
    expected = np.array([as_python(operation, row) for row in zip(*wide)])
    if boolean:
        np.testing.assert_array_equal(out.get(), expected)
        return
    with np.errstate(over="ignore"):  # 1e-30 of float64 is 0 in 16 bits, 1e30 infinite
        expected = expected.astype(DTYPES[dtype]).astype(np.float64)
    tolerance = TOLERANCE[dtype]
    cancelled = 20 * tolerance if dtype in ("float32", "float64") else tolerance  # of gelu's 1 + erf, at -3
    np.testing.assert_allclose(out.get().astype(np.float64), expected, rtol=tolerance, atol=cancelled)


ALL_KINDS = ("full", "row", "column", "scalar", "element", "bits", "full")


def of_all_kinds(dtype):
    """t2 = (x0 + x1) x2 - x3, t3 = t2 x4, t4 = dropout(t3) and t5 = t4 > x6; t4 goes over x6, the others are fresh."""
    lines = (("add", ("x0", "x1")), ("mul", ("t0", "x2")), ("sub", ("t1", "x3")), ("mul", ("t2", "x4")),
             ("dropout", ("t3", "x5", "x3")), ("greater", ("t4", "x6")))
    return Chain(dtype, ALL_KINDS, lines, (2, 4, 5), (None, 6, None))


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("rows, n", [(1, 5), (3, 4), (7, 24), (5, 13), (300, 1), (2, 1100)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_kind_of_operand(chain, monkeypatch, dtype, rows, n, offset):
    import cupy

    monkeypatch.setattr(chain, "BLOCKS", 2)  # so that blocks go round
    rng, kind = np.random.default_rng(1), DTYPES[dtype]

    def drawn(*shape):  # whole numbers, with which every order of operations gives the same
        return rng.integers(-3, 4, shape).astype(kind)

    def placed(x):  # not at the beginning of what is aligned
        whole = cupy.asarray(np.concatenate([np.zeros(offset, x.dtype), x.ravel()]))
        return whole[offset:].reshape(x.shape)

    x0, x1, x2, x4, x6 = drawn(rows, n), drawn(n), drawn(rows), drawn(1), drawn(rows, n)
    flags = rng.random(rows * n) < 0.5
    bits = cupy.asarray(np.packbits(flags, bitorder="little"))
    kernel = chain.build(of_all_kinds(dtype))
    fresh, larger, over = placed(np.zeros((rows, n), kind)), cupy.empty((rows, n), bool), placed(x6)
    kernel(rows, n, placed(x0), placed(x1), placed(x2), kernel.scalar(2), placed(x4), bits, over, fresh, larger)
    t2 = (x0 + x1) * x2[:, None] - kind(2)
    t4 = t2 * x4 * (2 * flags.reshape(rows, n)).astype(kind)
    np.testing.assert_array_equal(fresh.get(), t2)
    np.testing.assert_array_equal(over.get(), t4)
    np.testing.assert_array_equal(larger.get(), t4 > x6)


def test_written_kernels_with_special_numbers(chain, monkeypatch):
    import cupy

    k, calls, wanted = kernels(cupy), {}, []
    for name in WRITTEN:
        x = np.resize(np.array([*SPECIAL, 1e-30, 1e30], np.float32), 45).reshape(5, 9)
        parameters = list(inspect.signature(get(name).reference).parameters)[1:]
        calls[name] = [NUMBERS[p] if p in NUMBERS else np.roll(x, i) for i, p in enumerate(parameters)]
    moved = {name: [cupy.asarray(x) if isinstance(x, np.ndarray) else x for x in call] for name, call in calls.items()}
    with monkeypatch.context() as patch:
        patch.setattr(chain.Kernel, "__call__", lambda kernel, *_: wanted.append(kernel.chain))
        for name, call in moved.items():
            getattr(k, name)(*call)
    assert len(wanted) == len(WRITTEN)
    chain.build_all(wanted)
    for name, call in moved.items():
        with np.errstate(all="ignore"):
            expected = get(name).reference(np, *[x.astype(np.float64) if isinstance(x, np.ndarray) else x
                                                 for x in calls[name]]).astype(np.float32)
            single = get(name).reference(np, *calls[name])
        found = getattr(k, name)(*call).get()
        assert found.dtype == single.dtype
        same = np.isclose(found, expected, rtol=5e-6, atol=1e-6, equal_nan=True)
        same |= np.isclose(found, single, rtol=5e-6, equal_nan=True)  # where float32 overflows on the way
        assert same.all(), (name, found[~same], expected[~same])


def test_shapes_that_are_broadcast(device):
    import cupy

    k, rng = kernels(cupy), np.random.default_rng(2)
    a = rng.integers(-9, 9, (5, 6, 7)).astype(np.float32)
    version = next(v for v in get("sub").versions if v.name == "cuda")
    pairs = [(2.5, 2.5), (3, 3)]
    for shape in ((), (7,), (6, 7), (1, 6, 7), (5, 1, 1), (5, 6, 1), (1, 1, 1)):
        b = rng.integers(-9, 9, shape).astype(np.float32)
        pairs += [(b, cupy.asarray(b)), (b, cupy.broadcast_to(cupy.asarray(b), a.shape))]
    for b, there in pairs:
        assert version.refuses(cupy.asarray(a), there) is None
        np.testing.assert_array_equal(k.sub(cupy.asarray(a), there).get(), a - b)
        np.testing.assert_array_equal(k.sub(there, cupy.asarray(a)).get(), b - a)


def test_what_cupy_keeps(device):
    import cupy

    x = cupy.asarray(np.ones((4, 6), np.float32))
    version = next(v for v in get("add").versions if v.name == "cuda")
    for a, b in ((x, x.astype(np.float64)), (x.astype(np.int32), x.astype(np.int32)), (x.T, x.T), (x, x[:, ::2][:, :1]),
                 (x[:, :1], x[:1]), (x, np.float64(2)), (x, cupy.asarray(np.ones((6, 4), np.float32)).T)):
        assert isinstance(version.refuses(a, b), str)


@pytest.mark.parametrize("own, strides, shape, kind", [
    ((2, 3), (12, 4), (2, 3), ("a", 1)), ((3,), (4,), (2, 3), ("r", 3)), ((2, 1), (4, 4), (2, 3), ("c", 3)),
    ((2, 3), (0, 0), (2, 3), ("e", 1)), ((2, 3), (4, 8), (2, 3), ("", 1)), ((1, 3), (99, 4), (1, 3), ("a", 1)),
    ((4, 1, 5), (20, 4, 4), (4, 3, 5), ("", 1)), ((1, 3, 1), (4, 4, 4), (4, 3, 5), ("", 1)),
    ((2, 3), (12, 4), (3,), ("", 1)), ((2, 2), (8, 4), (2, 3), ("", 1)), ((), (), (), ("e", 1))])
def test_how_operands_lie(own, strides, shape, kind):
    assert along(own, strides, 4, shape) == kind


def test_lay_wants_an_array():
    assert isinstance(lay((1.0, 2)), str)
