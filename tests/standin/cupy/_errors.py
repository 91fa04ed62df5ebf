"""The errors of CUDA's runtime."""
from __future__ import annotations

NAMES = {1: ("cudaErrorInvalidValue", "invalid argument"), 2: ("cudaErrorMemoryAllocation", "out of memory"),
         101: ("cudaErrorInvalidDevice", "invalid device ordinal"),
         400: ("cudaErrorInvalidResourceHandle", "invalid resource handle"),
         700: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
         900: ("cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"),
         901: ("cudaErrorStreamCaptureInvalidated",
               "operation failed due to a previous error during capture")}


class CUDARuntimeError(RuntimeError):
    """A call of the runtime failed with `status`."""

    def __init__(self, status, what=""):
        self.status = status
        name, text = NAMES[status]
        super().__init__(f"{name}: {text}" + f" ({what})" * bool(what))


class OutOfMemoryError(MemoryError):
    """The pool's limit, or the device's memory, does not suffice."""

    def __init__(self, size, total, limit=0):
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes"
                         + (f", limit set to: {limit:,} bytes)." if limit else ")."))
