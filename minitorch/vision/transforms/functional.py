"""The transforms as functions, on PIL images, tensors (..., C, H, W) and, where they only move pixels, uint8 arrays."""
from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from minitorch.errors import ShapeError
from minitorch.tensor import Tensor
from minitorch.vision.transforms.backends import backend_of as _backend
from minitorch.vision.transforms.conversions import (  # noqa: F401  (public here, as in torchvision)
    convert_image_dtype,
    normalize,
    pil_to_tensor,
    to_pil_image,
    to_tensor,
)
from minitorch.vision.transforms.filters import (  # noqa: F401
    adjust_gamma,
    adjust_sharpness,
    autocontrast,
    elastic_transform,
    equalize,
    gaussian_blur,
    invert,
    perspective_coefficients,
    posterize,
    solarize,
)
from minitorch.vision.transforms.modes import InterpolationMode, interpolation_mode

NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR
PAD_MODES = ("constant", "edge", "reflect", "symmetric")


# Size and position


def get_dimensions(img) -> list[int]:
    """[channels, height, width]."""
    return _backend("get_dimensions", img).dimensions(img)


def get_image_size(img) -> list[int]:
    """[width, height]."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img) -> int:
    return get_dimensions(img)[0]


def hflip(img):
    """Swap left and right."""
    return _backend("hflip", img).hflip(img)


def vflip(img):
    """Swap top and bottom."""
    return _backend("vflip", img).vflip(img)


def crop(img, top: int, left: int, height: int, width: int):
    """The part of an image from row `top` and column `left`; what lies outside of the image is 0."""
    return _backend("crop", img).crop(img, top, left, height, width)


def center_crop(img, output_size):
    """The middle (height, width); a smaller image gets a border of 0."""
    height, width = _pair("center_crop", "output_size", output_size)
    _, rows, columns = get_dimensions(img)
    if height > rows or width > columns:
        wider, higher = max(width - columns, 0), max(height - rows, 0)
        img = pad(img, [wider // 2, higher // 2, (wider + 1) // 2, (higher + 1) // 2])
        _, rows, columns = get_dimensions(img)
    return crop(img, round((rows - height) / 2.0), round((columns - width) / 2.0), height, width)


def pad(img, padding, fill: Any = 0, padding_mode: str = "constant"):
    """Add a border: `padding` is one width, (left and right, top and bottom), or (left, top, right, bottom).

    `padding_mode`: "constant" with the value `fill`, "edge", "reflect" (without the border pixel) or "symmetric"
    (with it). Negative widths cut off.
    """
    backend = _backend("pad", img)
    if padding_mode not in PAD_MODES:
        raise ValueError(f"pad: Padding mode should be one of {PAD_MODES}, got {padding_mode!r}")
    left, top, right, bottom = _border(padding)
    if min(left, top, right, bottom) < 0:
        _, rows, columns = get_dimensions(img)
        kept = [min(side, 0) for side in (left, top, right, bottom)]
        img = crop(img, -kept[1], -kept[0], rows + kept[1] + kept[3], columns + kept[0] + kept[2])
        left, top, right, bottom = (max(side, 0) for side in (left, top, right, bottom))
    return backend.pad(img, (left, top, right, bottom), fill, padding_mode)


def resize(img, size, interpolation=BILINEAR, max_size: int | None = None, antialias: bool | None = True):
    """Scale to `size` (height, width), or the shorter side to an int `size`, the longer one to at most `max_size`.

    PIL images are always antialiased.
    """
    backend = _backend("resize", img, "resizes")
    interpolation = interpolation_mode("resize", interpolation)
    _, rows, columns = get_dimensions(img)
    height, width = _resized(size, rows, columns, max_size)
    if (height, width) == (rows, columns):
        return img
    if min(height, width, rows, columns) <= 0:
        raise ShapeError(f"resize: Input and output sizes should be greater than 0, but got {(rows, columns)} and "
                         f"{(height, width)}")
    return backend.resize(img, height, width, interpolation, bool(antialias))


def resized_crop(img, top, left, height, width, size, interpolation=BILINEAR, antialias=True):
    """`crop`, then `resize`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img, size):
    """The four corners (top left, top right, bottom left, bottom right) and the middle, each of `size`."""
    height, width = _pair("five_crop", "size", size)
    _, rows, columns = get_dimensions(img)
    if height > rows or width > columns:
        raise ValueError(f"five_crop: Requested size {(height, width)} is bigger than input size {(rows, columns)}")
    corners = [(top, left) for top in (0, rows - height) for left in (0, columns - width)]
    return (*(crop(img, top, left, height, width) for top, left in corners), center_crop(img, (height, width)))


def ten_crop(img, size, vertical_flip: bool = False):
    """`five_crop` of the image and of the flipped image."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def rotate(img, angle: float, interpolation=NEAREST, expand: bool = False, center=None, fill: Any = None):
    """Turn counter-clockwise by `angle` degrees about `center` (x, y), by default the middle.

    `expand` makes the result large enough for all of the image.
    """
    backend = _backend("rotate", img, "rotates")
    return backend.rotate(img, angle, interpolation_mode("rotate", interpolation), expand, center, fill)


def affine(
    img, angle: float, translate, scale: float, shear, interpolation=NEAREST, fill: Any = None, center=None
):
    """Turn clockwise by `angle`, shear by `shear` (x, y), and scale about `center`; then move by `translate` (x, y).

    Angles are in degrees, distances in pixels.
    """
    backend = _backend("affine", img, "transforms")
    if scale <= 0:
        raise ValueError(f"affine: Argument scale should be positive, got {scale}")
    shear = (shear, 0.0) if isinstance(shear, (int, float)) else (*shear, 0.0)[:2]
    if center is None:
        center = [side / 2 for side in get_image_size(img)]
    matrix = _inverse_affine_matrix(center, angle, translate, scale, shear)
    return backend.affine(img, matrix, interpolation_mode("affine", interpolation), fill)


def perspective(img, startpoints, endpoints, interpolation=BILINEAR, fill: Any = None):
    """Move the corners `startpoints` (top left, top right, bottom right, bottom left; each x, y) to `endpoints`."""
    backend = _backend("perspective", img, "transforms")
    coefficients = perspective_coefficients(startpoints, endpoints)
    return backend.perspective(img, coefficients, interpolation_mode("perspective", interpolation), fill)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v, inplace: bool = False) -> Tensor:
    """Overwrite the part of a tensor image from row `i` and column `j` with `v`."""
    if not isinstance(img, Tensor):
        raise TypeError(f"erase: img should be Tensor Image. Got {type(img)}")
    img = img if inplace else img.clone()
    img[..., i : i + h, j : j + w] = v
    return img


# Colour


def to_grayscale(img, num_output_channels: int = 1):
    """A grey image with 1 or 3 equal channels."""
    if num_output_channels not in (1, 3):
        raise ValueError(f"to_grayscale: num_output_channels should be either 1 or 3, got {num_output_channels}")
    return _backend("to_grayscale", img, "recolours").to_grayscale(img, num_output_channels)


rgb_to_grayscale = to_grayscale


def adjust_brightness(img, brightness_factor: float):
    """0 gives black, 1 the image, 2 twice the brightness."""
    return _adjust("brightness", img, brightness_factor)


def adjust_contrast(img, contrast_factor: float):
    """0 gives a grey image of the mean luma, 1 the image."""
    return _adjust("contrast", img, contrast_factor)


def adjust_saturation(img, saturation_factor: float):
    """0 gives the grey image, 1 the image."""
    return _adjust("saturation", img, saturation_factor)


def adjust_hue(img, hue_factor: float):
    """Turn the hue circle by `hue_factor` turns, from -0.5 to 0.5."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return _backend("adjust_hue", img, "recolours").adjust_hue(img, hue_factor)


# Helpers


def _adjust(what, img, factor):
    if factor < 0:
        raise ValueError(f"{what}_factor ({factor}) is not non-negative.")
    name = f"adjust_{what}"
    return getattr(_backend(name, img, "recolours"), name)(img, factor)


def _pair(name, argument, size):
    """(height, width)."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(f"{name}: expected {argument} to be an int or (height, width), got {size}")
    return tuple(size)


def _border(padding):
    """(left, top, right, bottom)."""
    if isinstance(padding, numbers.Number):
        return (int(padding),) * 4
    if len(padding) not in (1, 2, 4):
        raise ValueError(f"pad: Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element one")
    return tuple(padding) * (4 // len(padding))


def _resized(size, rows, columns, max_size):
    sizes = [size] if isinstance(size, int) else list(size)
    if len(sizes) == 2:
        if max_size is not None:
            raise ValueError(f"resize: max_size is for an int size only, got size={size}")
        return tuple(sizes)
    if len(sizes) != 1:
        raise ValueError(f"resize: Size must be an int or a 1 or 2 element tuple/list, not a {len(sizes)} element one")
    short, long = min(rows, columns), max(rows, columns)
    new_short, new_long = sizes[0], int(sizes[0] * long / short)
    if max_size is not None:
        if max_size <= sizes[0]:
            raise ValueError(f"resize: max_size = {max_size} must be strictly greater than the requested size = {size}")
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_short, new_long) if rows <= columns else (new_long, new_short)


def _inverse_affine_matrix(center, angle, translate, scale, shear):
    """(2, 3), from output to input coordinates: the inverse of a shear, a turn and a scaling about `center`, then a
    shift. In closed form: where nothing turns, the zeros must be exact, since Pillow has a path of its own for them."""
    turn, shear_x, shear_y = (math.radians(value) for value in (angle, *shear))
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -math.cos(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -math.sin(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) + math.cos(turn)
    rows = [[d / scale, -b / scale], [-c / scale, a / scale]]  # the determinant of shear and turn is 1
    x, y = center[0] + translate[0], center[1] + translate[1]
    return np.array([[p, q, origin - p * x - q * y] for (p, q), origin in zip(rows, center)])
