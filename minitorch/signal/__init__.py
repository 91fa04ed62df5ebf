"""Signal processing: `torch.signal`, of which `windows` is all there is."""
from . import windows

__all__ = ["windows"]
