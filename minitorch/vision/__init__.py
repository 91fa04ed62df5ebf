"""Images under torchvision's names: datasets, models, transforms, ops, io, utils.

Each is imported when first used. Pillow is needed only where PIL images appear.
"""
from __future__ import annotations

import importlib
from typing import Any

from minitorch.vision.absent import absent

__all__ = ["datasets", "io", "models", "ops", "transforms", "utils"]
__version__ = "0.28.0"  # of torchvision, whose names these are: programs compare it


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise absent(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def get_image_backend() -> str:
    """The package that reads images: always Pillow."""
    return "PIL"


def set_image_backend(backend: str) -> None:
    """Choose the package that reads images; raises ValueError for any but "PIL"."""
    if backend != "PIL":
        raise ValueError(f"set_image_backend: Invalid backend {backend!r}; images are read by Pillow, 'PIL'")
