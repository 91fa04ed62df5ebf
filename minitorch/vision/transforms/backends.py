"""Which module works on an image: `images` (PIL), `tensors`, or `arrays`."""
from __future__ import annotations

from types import ModuleType

import numpy as np

from minitorch.tensor import Tensor
from minitorch.vision.pillow import is_pil_image
from minitorch.vision.transforms import arrays, images, tensors


def backend_of(name: str, img, needed: str = "") -> ModuleType:
    """The module that works on this kind of image. Arrays only move pixels: they cannot do what is `needed`."""
    if isinstance(img, Tensor):
        if img.ndim < 2:
            raise TypeError(f"{name}: expected a tensor image (..., C, H, W), got shape {tuple(img.shape)}")
        return tensors
    if is_pil_image(img):
        return images
    if isinstance(img, np.ndarray) and img.ndim in (2, 3) and not needed:
        return arrays
    raise TypeError(f"{name}: img should be PIL Image or Tensor. Got {type(img)}")
