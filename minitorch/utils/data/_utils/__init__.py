"""Those modules of PyTorch's data loader that programs import from, under its names."""
from minitorch.utils.data._utils import collate, pin_memory, worker

__all__ = ["collate", "pin_memory", "worker"]
