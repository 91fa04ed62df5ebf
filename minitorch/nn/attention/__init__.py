"""Which way `functional.scaled_dot_product_attention` is computed."""
from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager

from minitorch_kernels import use

from ...ops import attention

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.Enum):
    """MATH holds all weights at once; the others, the fused ones, a block of them at a time."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __int__(self) -> int:
        return self.value

    def __str__(self) -> str:
        return f"SDPBackend.{self.name}"


@contextmanager
def sdpa_kernel(backends: list[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[dict]:
    """Within the block, or the function that it decorates, attention is computed by one of `backends`.

    On the CPU those are MATH and FLASH_ATTENTION, on the GPU also EFFICIENT_ATTENTION and CUDNN_ATTENTION, which there
    mean the same fused kernel. A fused one is taken where both are allowed, unless `set_priority` and MATH comes
    first. Where none is to be had, attention raises RuntimeError. Raises AssertionError for what is no backend.

    >>> from minitorch import ones
    >>> from minitorch.nn import functional as F
    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     F.scaled_dot_product_attention(ones(1, 2), ones(3, 2), ones(3, 1))
    tensor([[1.]])
    """
    names = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(names, list) or not all(isinstance(b, SDPBackend) for b in names):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend instances, got "
                             f"{type(backends).__name__}")
    allowed = {b.name for b in names}
    by_math = allowed == {"MATH"} or (set_priority and names[:1] == [SDPBackend.MATH])
    way = "reference" if by_math else "auto"
    before, attention.allowed = attention.allowed, allowed
    try:
        with use(attention=way, attention_backward=way):
            yield {}
    finally:
        attention.allowed = before
