"""Layers, models and losses, under PyTorch's names.

>>> from minitorch import nn
>>> model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
>>> sum(p.numel() for p in model.parameters())
79510
"""
from __future__ import annotations

from . import functional, init, modules, parallel, parameter, utils
from .modules import *  # noqa: F403  every layer, from the files of its family
from .parallel import DataParallel
from .parameter import Buffer, Parameter
