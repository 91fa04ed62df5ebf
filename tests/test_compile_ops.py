"""minitorch.compile on every op: replays with other values give the eager results and gradients, or there are none."""
from __future__ import annotations

import warnings

import numpy as np
import pytest
import samples

import minitorch as mt
from minitorch import selfcheck
from minitorch.selfcheck import Trial, dtypes_of, function_of, outputs

CASES = [case for case in samples.load() if any(not sample.big for sample in case.samples)]


def trial(case, sample, dtype, seed, monkeypatch):
    """The sample's arguments, with other numbers for each seed."""
    with monkeypatch.context() as patch:
        own = selfcheck.seed_of
        patch.setattr(selfcheck, "seed_of", lambda *which: own(*which) + 7919 * seed)
        return Trial(case, sample, dtype)


def results(function, trial):
    """Outputs, gradients, and the arguments afterwards; or the error's type."""
    mt.manual_seed(0)
    try:
        ys = function(trial.args, trial.options)
        values = [y._array.copy() if isinstance(y, mt.Tensor) else y for y in ys]
        roots = [y for y in ys if isinstance(y, mt.Tensor) and y.requires_grad]
        if roots:
            mt.autograd.backward(roots, [mt.ones_like(y) for y in roots])
    except Exception as error:  # the same one is expected of both
        return [type(error)]
    return [*values, *(None if t.grad is None else t.grad._array for t in trial.leaves),
            *(t._array for t in trial.tensors)]


def same(a, b):
    if a is None:  # where a gradient does not exist, a compiled function gives zeros or none
        return b is None or not np.any(b)
    if not isinstance(a, np.ndarray):
        return a == b or a != a
    if a.dtype.kind not in "fc":
        return np.array_equal(a, b)
    tolerance = 2e-2 if a.dtype == np.float16 else 1e-4
    return a.shape == b.shape and a.dtype == b.dtype and np.allclose(a, b, tolerance, tolerance, equal_nan=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_replays(case, monkeypatch):
    sample = next(sample for sample in case.samples if not sample.big)
    dtypes, function = dtypes_of(case, sample), function_of(case)
    dtype = "float32" if "float32" in dtypes else dtypes[0]

    def run(args, options):
        return outputs(function(*args, **options))

    compiled = mt.compile(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(4):
            found = [results(f, trial(case, sample, dtype, seed, monkeypatch)) for f in (run, compiled)]
            assert len(found[0]) == len(found[1]), compiled.explain()
            assert all(map(same, *found)), compiled.explain()
