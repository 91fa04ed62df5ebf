"""Layers, models and losses, under PyTorch's names.

>>> from minitorch import nn
>>> model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
>>> sum(p.numel() for p in model.parameters())
79510
"""
from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..errors import NoAttributeError
from . import functional, init, modules, parallel, parameter, utils
from .modules import *  # noqa: F403  every layer, from the files of its family
from .parallel import DataParallel
from .parameter import Buffer, Parameter


def __getattr__(name: str) -> Any:  # `modules` finds the layers in the files of their families
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise NoAttributeError(f"module 'torch.nn' has no attribute '{name}'", name, lambda: globals())
