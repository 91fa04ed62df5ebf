"""The functions of `minitorch.vision.transforms.functional`, and v2's own."""
from __future__ import annotations

from typing import Any

import numpy as np

from minitorch import from_numpy, int16, randn_like, uint8
from minitorch.tensor import Tensor
from minitorch.vision.pillow import is_pil_image
from minitorch.vision.transforms.functional import *  # noqa: F403
from minitorch.vision.transforms.functional import (
    convert_image_dtype,
    get_dimensions,
    get_image_num_channels,
    hflip,
    pil_to_tensor,
    rgb_to_grayscale,
    to_pil_image,
    vflip,
)

horizontal_flip = hflip
vertical_flip = vflip
get_num_channels = get_image_num_channels


def get_size(inpt) -> list[int]:
    """[height, width]."""
    return get_dimensions(inpt)[1:]


def to_image(inpt: Any) -> Tensor:
    """A PIL image or an array (H, W, C) or (H, W) as a tensor (C, H, W); a tensor as it is."""
    if isinstance(inpt, np.ndarray):
        return from_numpy(np.ascontiguousarray(np.atleast_3d(inpt).transpose(2, 0, 1)))
    if is_pil_image(inpt):
        return pil_to_tensor(inpt)
    if isinstance(inpt, Tensor):
        return inpt
    raise TypeError(f"to_image: Input can either be a pure Tensor, a numpy array, or a PIL image, but got {type(inpt)}")


def to_dtype(inpt: Tensor, dtype: Any = None, scale: bool = False) -> Tensor:
    """Another type, with `scale` for the range of values too."""
    return convert_image_dtype(inpt, dtype) if scale else inpt.to(dtype)


def grayscale_to_rgb(inpt):
    """Three equal channels in the place of one; other images as they are."""
    if is_pil_image(inpt):
        return inpt.convert("RGB")
    return rgb_to_grayscale(inpt, 3) if get_num_channels(inpt) == 1 else inpt


def permute_channels(inpt, permutation):
    """The channels in the order `permutation`."""
    if is_pil_image(inpt):
        return to_pil_image(permute_channels(pil_to_tensor(inpt), permutation))
    return inpt[..., permutation, :, :]


def gaussian_noise(inpt: Tensor, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> Tensor:
    """Normal noise added to values in [0, 1], or the same for bytes."""
    from minitorch import float32

    if not isinstance(inpt, Tensor):
        raise ValueError(f"Gaussian Noise is not implemented for PIL images: expected a tensor image, got {type(inpt)}")
    if sigma < 0:
        raise ValueError(f"sigma shouldn't be negative. Got {sigma}")
    if inpt.is_floating_point():
        noisy = inpt + (mean + randn_like(inpt) * sigma)
        return noisy.clamp(0, 1) if clip else noisy
    if inpt.dtype != uint8:
        raise ValueError(f"Input tensor is expected to be in uint8 or float dtype, got dtype={inpt.dtype}")
    noisy = inpt + (mean * 255 + randn_like(inpt, dtype=float32) * (sigma * 255)).to(int16)
    return (noisy.clamp(0, 255) if clip else noisy).to(uint8)
