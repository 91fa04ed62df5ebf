"""Layers, models and losses, under PyTorch's names.

>>> from minitorch import nn
>>> model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
>>> sum(p.numel() for p in model.parameters())
79510
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import functional, init, modules, parallel, parameter, utils
from .modules import *  # noqa: F403  every layer, from the files of its family
from .parallel import DataParallel
from .parameter import Buffer, Parameter

if TYPE_CHECKING:  # `modules` finds the layers in the files of their families
    def __getattr__(name: str) -> Any: ...
