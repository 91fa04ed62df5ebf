"""Versions: of minitorch, and None for the libraries that it is not built with."""
from __future__ import annotations

from minitorch import __version__ as __version__

git_version: str | None = None
cuda: str | None = None  # kernels are compiled for the GPU that is there when they are first used
hip: str | None = None
rocm: str | None = None
xpu: str | None = None
debug = False
