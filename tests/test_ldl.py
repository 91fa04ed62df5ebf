"""Factors of symmetric matrices that are not definite: what they solve, their gradients, PyTorch's pivots."""
from __future__ import annotations

import numpy as np
import pytest

import minitorch as mt
from minitorch.autograd import gradcheck


def _matrices(n, kind, hermitian):
    rng = np.random.default_rng(n)
    a = rng.standard_normal((3, n, n)) + (1j * rng.standard_normal((3, n, n)) if kind == "complex128" else 0)
    a = a + np.swapaxes(a.conj() if hermitian else a, -1, -2)
    if n > 1:
        a[0][np.arange(n), np.arange(n)] = 0  # needs blocks of two rows
    return a, rng.standard_normal((3, n, 2)).astype(kind)


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_ldl(n, kind, hermitian):
    a, b = _matrices(n, kind, hermitian)
    found = mt.linalg.ldl_factor_ex(mt.from_numpy(a), hermitian=hermitian)
    assert not found.info.any() and found.pivots.dtype is mt.int32
    x = mt.linalg.ldl_solve(found.LD, found.pivots, mt.from_numpy(b), hermitian=hermitian)
    np.testing.assert_allclose(a @ x.numpy(), b, atol=1e-9)
    try:
        import torch
    except ImportError:
        return
    theirs = torch.linalg.ldl_factor_ex(torch.from_numpy(a), hermitian=hermitian)
    assert theirs.pivots.tolist() == found.pivots.tolist()
    np.testing.assert_allclose(found.LD.numpy(), theirs.LD.numpy(), atol=1e-10)


def test_recorded():
    found = mt.linalg.ldl_factor(mt.tensor([[1.0, 2, 3], [2, 0, 4], [3, 4, 1]]))
    np.testing.assert_allclose(found.LD.numpy(), [[1, 0, 0], [3, 1, 0], [1.25, 0.25, -3.5]], atol=1e-6)
    assert found.pivots.tolist() == [-3, -3, 3]


def test_gradient_errors_and_empty():
    a, b = _matrices(3, "float64", False)
    found = mt.linalg.ldl_factor(mt.from_numpy(a))
    assert gradcheck(lambda b: mt.linalg.ldl_solve(*found, b), mt.from_numpy(b).requires_grad_())
    with pytest.raises(RuntimeError, match=r"D\[1, 1\] is zero"):
        mt.linalg.ldl_factor(mt.zeros(2, 2))
    assert mt.linalg.ldl_factor_ex(mt.zeros(2, 2)).info.item() == 1
    with pytest.raises(RuntimeError, match="needs pivots"):
        mt.linalg.ldl_solve(*found, mt.ones(3, 2, 2))
    assert mt.linalg.ldl_factor(mt.zeros(0, 3, 3)).LD.shape == (0, 3, 3)
    assert mt.linalg.ldl_factor(mt.zeros(2, 0, 0)).LD.shape == (2, 0, 0)
