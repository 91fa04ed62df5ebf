"""Settings that programs make here before compiling. They may be set, and nothing reads them."""
from __future__ import annotations

from typing import Any


class triton:
    """Settings of the generated GPU kernels."""

    unique_kernel_names = False
    cudagraphs = False


debug = False
coordinate_descent_tuning = False
fx_graph_cache = True
max_autotune = False
cpp: Any = type("cpp", (), {"threads": -1, "simdlen": None})
