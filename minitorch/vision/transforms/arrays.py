"""Images as uint8 arrays (H, W) or (H, W, C): the transforms that move pixels but do not change them.

They let a pipeline that ends in a tensor skip Pillow: the values are the same.
"""
from __future__ import annotations

import numpy as np

NUMPY_PAD_MODES = {"edge": "edge", "reflect": "reflect", "symmetric": "symmetric"}


def dimensions(image):
    return [image.shape[2] if image.ndim == 3 else 1, image.shape[0], image.shape[1]]


def hflip(image):
    return image[:, ::-1]


def vflip(image):
    return image[::-1]


def crop(image, top, left, height, width):
    """The part of an image; what lies outside of it is 0."""
    rows, columns = image.shape[:2]
    if top >= 0 and left >= 0 and top + height <= rows and left + width <= columns:
        return image[top : top + height, left : left + width]
    padding = (max(-left, 0), max(-top, 0), max(left + width - columns, 0), max(top + height - rows, 0))
    top, left = max(top, 0), max(left, 0)
    return pad(image, padding, 0, "constant")[top : top + height, left : left + width]


def pad(image, padding, fill, mode):
    """`padding` is (left, top, right, bottom), none negative."""
    left, top, right, bottom = padding
    rows, columns = image.shape[:2]
    if mode != "constant":
        widths = [(top, bottom), (left, right)] + [(0, 0)] * (image.ndim - 2)
        return np.pad(image, widths, mode=NUMPY_PAD_MODES[mode])
    padded = np.empty((rows + top + bottom, columns + left + right, *image.shape[2:]), image.dtype)
    padded[...] = 0 if fill is None else fill
    padded[top : top + rows, left : left + columns] = image
    return padded


def takes_array(transform) -> bool:
    """Whether `transform` may be given the array in place of a PIL image.

    So it is if a conversion to a tensor is reached by transforms of this file only; what follows sees a tensor
    either way.
    """
    from minitorch.vision import transforms as T

    if transform is None:
        return False
    moving = (T.RandomCrop, T.CenterCrop, T.Pad, T.RandomHorizontalFlip, T.RandomVerticalFlip)
    for step in _steps(transform):
        if type(step) in (T.ToTensor, T.PILToTensor):
            return True
        if type(step) not in moving:
            return False
    return False


def takes_batch(transform) -> bool:
    """Whether `transform` is ToTensor and Normalize alone, which `batch_to_tensor` applies to a whole batch."""
    from minitorch.vision import transforms as T

    steps = [] if transform is None else _steps(transform)
    kinds = [type(step) for step in steps]
    return kinds[:1] == [T.ToTensor] and set(kinds[1:]) <= {T.Normalize}


def batch_to_tensor(images, transform):
    """What stacking `transform(image)` for each of the uint8 `images` (N, H, W) or (N, H, W, C) gives."""
    from minitorch import from_numpy, get_default_dtype

    dtype = get_default_dtype().numpy
    planes = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    batch = np.empty(planes.shape, dtype)
    np.divide(planes, dtype.type(255), out=batch)
    tensor = from_numpy(batch)
    for step in _steps(transform)[1:]:
        tensor = step(tensor)
    return tensor


def _steps(transform):
    """The transforms that run one after another."""
    from minitorch.vision import transforms as T

    if type(transform) is not T.Compose:
        return [transform]
    return [step for part in transform.transforms for step in _steps(part)]
