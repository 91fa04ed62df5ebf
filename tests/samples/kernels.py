"""Kernels that no op needs on the CPU: they are there for arrays, and for second derivatives."""
from __future__ import annotations

from . import KernelCase, register

register(KernelCase("square", [lambda rng: ((rng.standard_normal((3, 4)),), {})]))
register(KernelCase("conj", [lambda rng: ((rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4)),), {})]))
