"""The transforms' classes once more, under the module that torchvision keeps them in.

>>> from minitorch.vision.transforms import transforms
>>> transforms.Compose([transforms.CenterCrop(2)])
Compose(
    CenterCrop(size=(2, 2))
)
"""
from __future__ import annotations

from typing import Any

from minitorch.vision import transforms as _package
from minitorch.vision.transforms import autoaugment as _policies
from minitorch.vision.transforms import functional as F  # noqa: F401

__all__ = [name for name in _package.__all__ if isinstance(getattr(_package, name), type)
           and getattr(_package, name).__module__ != _policies.__name__]


def __getattr__(name: str) -> Any:
    return getattr(_package, name)
