"""Every CUDA version of every kernel against the kernel's reference on the CPU, on calls that samples make."""
from __future__ import annotations

import contextlib
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_calls import compare
from minitorch_kernels import table
from minitorch_kernels.cuda import build, chain
from minitorch_kernels.table import explain, get, use

VERSIONS = [pytest.param(name, version, id=f"{name}-{version.name}")
            for name in table.names() for version in get(name).versions
            if version.device == "cuda" and version.backend != "ladder"]  # which test_matmul_ladder.py tests
EACH = {"float32": 8, "float64": 1, "float16": 1, "bfloat16": 1}  # calls of a dtype: each may be compiled anew
LARGEST = 20_000  # elements: without a GPU threads run one after the other


@pytest.fixture(scope="module", autouse=True)
def compiled(device, calls):
    """All that these tests will launch, compiled beforehand, a source at a time: that takes a fraction of the time."""
    wanted, chains = {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build.Program, "launch", lambda program, name, types, *_, **__:
                      wanted.setdefault(program, []).append((name, types)))
        patch.setattr(chain.Kernel, "__call__", lambda kernel, *_: chains.append(kernel.chain))
        for name, version in [case.values for case in VERSIONS]:
            for _, _, there, there_too in accepted(name, version, calls):
                with contextlib.suppress(Exception):  # what fails without results will be compiled by itself
                    version.load()(*there, **there_too)
    different = list(dict.fromkeys(chains))
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(program.compile, instances) for program, instances in wanted.items()]
        done += [pool.submit(chain.build_all, different[i:i + 40]) for i in range(0, len(different), 40)]
    for each in done:
        each.exception()  # what cannot be compiled fails in the tests that launch it


@pytest.mark.parametrize("name, version", VERSIONS)
def test_version(device, calls, name, version):
    """The version takes some call that the samples make, is then what runs, and gives what the reference gives."""
    reached = False
    with use(**{name: version.name}):
        for arguments, options, there, there_too in accepted(name, version, calls):
            line = next(s for s in explain(name, *there, device="cuda", **there_too).splitlines()
                        if s.split()[0] == version.name)
            assert line.split()[1] == "runs", line
            compare(version, get(name), arguments, options, moved)
            reached = True
    assert reached, f"no sample reaches {name}'s version {version.name!r}"


def accepted(name, version, calls):
    """The calls that the version takes, some of each dtype, and their arguments on the GPU."""
    found = {}
    for arguments, options in calls.get(name, []):
        dtype = dtype_of(arguments)
        if size_of(arguments) > LARGEST or found.get(dtype, 0) == EACH.get(dtype, 8):
            continue
        there, there_too = moved(arguments), moved(options)
        if version.refuses(*there, **there_too) is None:
            found[dtype] = found.get(dtype, 0) + 1
            yield arguments, options, there, there_too


def moved(value):
    """A copy on the GPU that keeps the layout in memory: contiguous arrays stay so, others stay what they are."""
    import cupy

    if isinstance(value, np.ndarray):
        if value.flags.c_contiguous or not value.ndim:
            return cupy.asarray(value)
        spaced = cupy.zeros((*value.shape[:-1], 2 * value.shape[-1]), value.dtype)[..., ::2]
        spaced[...] = cupy.asarray(np.ascontiguousarray(value))
        return spaced
    if isinstance(value, (list, tuple)):
        return type(value)(map(moved, value))
    return {k: moved(v) for k, v in value.items()} if isinstance(value, dict) else value


def arrays_in(value):
    if isinstance(value, (list, tuple)):
        return [a for v in value for a in arrays_in(v)]
    return [value] if isinstance(value, np.ndarray) else []


def dtype_of(arguments):
    """The dtype of the first array of numbers."""
    return next((a.dtype.name for a in arrays_in(arguments) if a.dtype.name in EACH), "other")


def size_of(arguments):
    return sum(math.prod(a.shape) for a in arrays_in(arguments))
