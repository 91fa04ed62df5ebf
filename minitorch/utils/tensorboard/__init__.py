"""Event files for TensorBoard, through the package tensorboard: `SummaryWriter`."""
from __future__ import annotations

from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
