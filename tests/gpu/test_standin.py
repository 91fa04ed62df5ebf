"""The stand-in for CuPy refuses what CuPy refuses, computes what it computes, and is gone when its tests are done."""
from __future__ import annotations

import pytest


def test_smoke(device):
    import minitorch as mt

    x = mt.ones(3, device="cuda", requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
