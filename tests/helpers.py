"""Small things that several test files use."""
from __future__ import annotations

import minitorch as mt


def leaf(*values, dtype=None):
    """A tensor of these values, float64 unless said, that gets a gradient."""
    return mt.tensor(values if len(values) != 1 else values[0], dtype=dtype or mt.float64, requires_grad=True)


def values(t):
    """The values of a tensor as lists; None stays None."""
    return None if t is None else t.tolist()
