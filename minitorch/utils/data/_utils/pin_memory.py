"""`minitorch.utils.data.collate.pin_memory` under PyTorch's name."""
from minitorch.utils.data.collate import pin_memory

__all__ = ["pin_memory"]
