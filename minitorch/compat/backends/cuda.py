"""Switches of CUDA's libraries, and of the ways to compute attention: they remember; `matmul.allow_tf32` counts."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minitorch_kernels.cuda import settings

_PRECISIONS = {"highest": "ieee", "high": "tf32", "medium": "tf32"}
_state = {"precision": "highest", "flash": True, "mem_efficient": True, "math": True, "cudnn": True,
          "fp16_bf16_reduction_math": False, "library": "cublas"}


class _Matmul:
    """Switches of matrix products."""

    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True
    allow_fp16_accumulation = False

    @property
    def allow_tf32(self) -> bool:
        """Whether products of float32 may use tensor cores."""
        return _state["precision"] != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        _set_precision("high" if allowed else "highest")

    @property
    def fp32_precision(self) -> str:
        """The same as a word: ieee or tf32."""
        return _PRECISIONS[str(_state["precision"])]

    @fp32_precision.setter
    def fp32_precision(self, word: str) -> None:
        self.allow_tf32 = word == "tf32"


class _PlanCache:
    """cuFFT's cache of plans: CuPy keeps its own."""

    size = 0
    max_size = 4096

    def clear(self) -> None:
        """Nothing to forget."""


def _set_precision(word: str) -> None:
    _state["precision"] = word
    settings.tf32_products = word != "highest"


matmul = _Matmul()
cufft_plan_cache = _PlanCache()


def is_built() -> bool:
    """Whether a GPU could be used: CuPy is installed."""
    from importlib.util import find_spec

    return find_spec("cupy") is not None


def preferred_linalg_library(backend: str | None = None) -> Any:
    """The name of the library for linear algebra; setting it does nothing."""
    return _state["library"]


preferred_blas_library = preferred_linalg_library


def _switch(name: str) -> tuple[Any, Any]:
    def enabled() -> bool:
        return bool(_state[name])

    def enable(enabled: bool) -> None:
        _state[name] = bool(enabled)

    enabled.__doc__ = f"Whether attention may be computed the {name} way; it is always this framework's own."
    enable.__doc__ = "Remember it."
    return enabled, enable


flash_sdp_enabled, enable_flash_sdp = _switch("flash")
mem_efficient_sdp_enabled, enable_mem_efficient_sdp = _switch("mem_efficient")
math_sdp_enabled, enable_math_sdp = _switch("math")
cudnn_sdp_enabled, enable_cudnn_sdp = _switch("cudnn")
fp16_bf16_reduction_math_sdp_allowed, allow_fp16_bf16_reduction_math_sdp = _switch("fp16_bf16_reduction_math")


@contextmanager
def sdp_kernel(enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True,
               enable_cudnn: bool = True) -> Iterator[None]:
    """Those switches for the block."""
    before = {name: _state[name] for name in ("flash", "math", "mem_efficient", "cudnn")}
    _state.update(flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn)
    try:
        yield
    finally:
        _state.update(before)
