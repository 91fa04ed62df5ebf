"""Look at images: put a batch into one grid, draw on one, save it to a file."""
from __future__ import annotations

import math

from minitorch.tensor import Tensor
from minitorch.vision.drawing import draw_bounding_boxes, draw_keypoints, draw_segmentation_masks
from minitorch.vision.transforms.functional import to_pil_image

__all__ = ["draw_bounding_boxes", "draw_keypoints", "draw_segmentation_masks", "make_grid", "save_image"]


def make_grid(
    tensor,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
    range: tuple[float, float] | None = None,
) -> Tensor:
    """Lay images out in a grid of `nrow` columns: a tensor (3, H', W') (or (C, H', W') for C > 1).

    `tensor` is a batch (N, C, H, W), a list of images (C, H, W), or one image. `normalize` maps `value_range` (its name
    before torchvision 0.9: `range`), by default the least and the largest value (of each image with `scale_each`), to
    (0, 1).

    Raises TypeError where that is no tensor or list of tensors.

    >>> from minitorch import zeros
    >>> make_grid(zeros(5, 1, 4, 4), nrow=3).shape
    torch.Size([3, 14, 20])
    """
    from minitorch import cat, stack

    if isinstance(tensor, (list, tuple)) and all(isinstance(image, Tensor) for image in tensor):
        tensor = stack(list(tensor), 0)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"make_grid: tensor or list of tensors expected, got {type(tensor)}")
    images = tensor.detach()
    if not 2 <= images.ndim <= 4:
        raise ValueError(f"make_grid: expected images (N, C, H, W), (C, H, W) or (H, W), got {tuple(images.shape)}")
    while images.ndim < 4:
        images = images.unsqueeze(0)
    if images.shape[1] == 1:
        images = cat([images, images, images], 1)
    value_range = range if value_range is None else value_range
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError("make_grid: value_range has to be a tuple (min, max) if specified. min and max are numbers")
    if normalize:
        parts = images.unbind(0) if scale_each else [images]
        images = stack([_scaled(part, value_range) for part in parts], 0).reshape(images.shape)
    if len(images) == 1:
        return images.squeeze(0)
    columns = min(nrow, len(images))
    rows = math.ceil(len(images) / columns)
    channels, height, width = images.shape[1], images.shape[2] + padding, images.shape[3] + padding
    grid = images.new_full((channels, height * rows + padding, width * columns + padding), pad_value)
    for k, image in enumerate(images):
        top, left = k // columns * height + padding, k % columns * width + padding
        grid[:, top : top + height - padding, left : left + width - padding] = image
    return grid


def save_image(tensor, fp, format: str | None = None, **kwargs):
    """Save an image with values in [0, 1], or a grid of several, to a file; `kwargs` are those of `make_grid`."""
    grid = make_grid(tensor, **kwargs)
    pixels = (grid * 255 + 0.5).clamp(0, 255).permute(1, 2, 0).cpu().numpy().astype("uint8")
    to_pil_image(pixels).save(fp, format=format)


def _scaled(images, value_range):
    low, high = value_range or (float(images.min()), float(images.max()))
    return (images.clamp(low, high) - low) / max(high - low, 1e-5)
