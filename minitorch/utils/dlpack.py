"""Tensors shared with other libraries by the DLPack protocol."""
from ..ops.values import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
