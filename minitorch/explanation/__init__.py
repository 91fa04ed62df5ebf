"""`minitorch explain`: what an op computes, its gradient, its kernels and which of them run, what proves it, and where.

>>> from minitorch.explanation import describe
>>> describe("relu").formula
'max(x, 0)'
"""
from .description import Explanation, describe

__all__ = ["Explanation", "describe"]
