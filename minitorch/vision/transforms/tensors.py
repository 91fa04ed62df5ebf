"""Tensor images (..., C, H, W): geometry and colour in tensor operations, on any device and differentiable."""
from __future__ import annotations

import math

import numpy as np

from minitorch.vision.transforms.arrays import NUMPY_PAD_MODES
from minitorch.vision.transforms.modes import InterpolationMode


def dimensions(image):
    return [image.shape[-3] if image.ndim > 2 else 1, image.shape[-2], image.shape[-1]]


def hflip(image):
    return image.flip((-1,))


def vflip(image):
    return image.flip((-2,))


def crop(image, top, left, height, width):
    """The part of an image; what lies outside of it is 0."""
    rows, columns = image.shape[-2:]
    padding = (max(-left, 0), max(-top, 0), max(left + width - columns, 0), max(top + height - rows, 0))
    if any(padding):
        image = pad(image, padding, 0, "constant")
    top, left = max(top, 0), max(left, 0)
    return image[..., top : top + height, left : left + width]


def pad(image, padding, fill, mode):
    """`padding` is (left, top, right, bottom), none negative; a sequence `fill` has one value a channel."""
    left, top, right, bottom = padding
    rows, columns = image.shape[-2:]
    if mode != "constant":
        row_of = np.pad(np.arange(rows), (top, bottom), mode=NUMPY_PAD_MODES[mode])
        column_of = np.pad(np.arange(columns), (left, right), mode=NUMPY_PAD_MODES[mode])
        return image[..., _index(image, row_of), :][..., _index(image, column_of)]
    padded = image.new_zeros((*image.shape[:-2], rows + top + bottom, columns + left + right))
    if fill:
        padded[...] = _per_channel(image, fill)
    padded[..., top : top + rows, left : left + columns] = image
    return padded


def resize(image, height, width, interpolation, antialias):
    """Two matrix products with the resampling weights of the rows and of the columns."""
    rows, columns = image.shape[-2:]
    if interpolation in (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        center = 0.5 if interpolation is InterpolationMode.NEAREST_EXACT else 0.0
        row_of = np.floor((np.arange(height) + center) * (rows / height)).astype(np.int64)
        column_of = np.floor((np.arange(width) + center) * (columns / width)).astype(np.int64)
        return image[..., _index(image, row_of), :][..., _index(image, column_of)]
    if interpolation not in _FILTERS:
        raise ValueError(f"resize: {interpolation} is for PIL images only; tensors have nearest, bilinear and bicubic")
    values = _floating(image)
    down = _like(values, _resampling_weights(rows, height, interpolation, antialias))
    across = _like(values, _resampling_weights(columns, width, interpolation, antialias))
    return _rounded(down @ values @ across.T, image)


def rotate(image, angle, interpolation, expand, center, fill):
    """Counter-clockwise by `angle` degrees about `center` (x, y), by default the middle."""
    rows, columns = image.shape[-2:]
    height, width = rows, columns
    middle = (columns / 2, rows / 2)
    matrix = np.eye(3)
    turn = math.radians(angle)
    matrix[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    origin = middle if center is None or expand else center
    if expand:
        corners = matrix[:2, :2].T @ (np.array([[0, columns, columns, 0], [0, 0, rows, rows]]) - np.array([middle]).T)
        low, high = corners.min(axis=1) + np.array(middle), corners.max(axis=1) + np.array(middle)
        width, height = (math.ceil(round(b, 6)) - math.floor(round(a, 6)) for a, b in zip(low, high))
    target = (width / 2, height / 2) if expand else origin
    matrix[:2, 2] = np.array(origin) - matrix[:2, :2] @ np.array(target)
    return _sample(image, *_mapped(matrix[:2], height, width), interpolation, fill)


def affine(image, matrix, interpolation, fill):
    """`matrix` (2, 3) maps output coordinates to input coordinates, both with the corner of the image as origin."""
    return _sample(image, *_mapped(np.asarray(matrix), *image.shape[-2:]), interpolation, fill)


def perspective(image, coefficients, interpolation, fill):
    """`coefficients` take output coordinates to input coordinates: see `filters.perspective_coefficients`."""
    a, b, c, d, e, f, g, h = coefficients
    x, y = _pixel_centers(*image.shape[-2:])
    below = g * x + h * y + 1
    return _sample(image, (a * x + b * y + c) / below, (d * x + e * y + f) / below, interpolation, fill)


def elastic_transform(image, displacement, interpolation, fill):
    rows, columns = image.shape[-2:]
    x, y = _pixel_centers(rows, columns)
    way = displacement[0].detach().cpu().numpy()
    return _sample(image, x + way[..., 0] * (columns / 2), y + way[..., 1] * (rows / 2), interpolation, fill)


def to_grayscale(image, channels):
    """The luma of ITU-R 601: 0.2989 R + 0.587 G + 0.114 B."""
    if image.shape[-3] == 3:
        red, green, blue = image.unbind(-3)
        image = (0.2989 * red + 0.587 * green + 0.114 * blue).to(image.dtype).unsqueeze(-3)
    return image if channels == 1 else image.expand((*image.shape[:-3], channels, *image.shape[-2:]))


def adjust_brightness(image, factor):
    return _blend(image, image.new_zeros(()), factor)


def adjust_contrast(image, factor):
    gray = to_grayscale(image, 1)
    gray = gray if image.is_floating_point() else gray.float()
    return _blend(image, gray.mean(dim=(-3, -2, -1), keepdim=True), factor)


def adjust_saturation(image, factor):
    return image if image.shape[-3] == 1 else _blend(image, to_grayscale(image, 1), factor)


def adjust_hue(image, factor):
    """Through HSV (A. R. Smith, "Color gamut transform pairs", 1978)."""
    from minitorch import minimum, stack, where

    if image.shape[-3] == 1:
        return image
    rgb = image if image.is_floating_point() else image.float() / 255
    red, green, blue = rgb.unbind(-3)
    value = rgb.amax(dim=-3)
    spread = value - rgb.amin(dim=-3)
    gray = spread == 0
    ones = value * 0 + 1
    saturation = spread / where(gray, ones, value)
    divisor = where(gray, ones, spread)
    to_red, to_green, to_blue = ((value - channel) / divisor for channel in (red, green, blue))
    hue = where(value == red, to_blue - to_green, where(value == green, 2 + to_red - to_blue, 4 + to_green - to_red))
    hue = (hue / 6 + factor) % 1.0
    channels = []
    for corner in (5, 3, 1):  # red, green, blue: where on the hue circle, in sixths, the channel begins to fall
        sixths = (hue * 6 + corner) % 6
        channels.append(value - value * saturation * minimum(sixths, 4 - sixths).clamp(0, 1))
    return _in_type_of(image, stack(channels, -3))


def invert(image):
    return _top(image) - image


def posterize(image, bits):
    if image.is_floating_point():
        levels = 2 ** int(bits)
        return (image * levels).floor().clamp(0, levels - 1) / levels
    _check_bytes("posterize", image)
    return image & (256 - 2 ** (8 - int(bits)))


def solarize(image, threshold):
    from minitorch import where

    if threshold > _top(image):
        raise TypeError(f"solarize: Threshold should be less than bound of img, {_top(image)}, got {threshold}")
    return where(image >= threshold, invert(image), image)


def autocontrast(image):
    from minitorch import where

    values = _floating(image)
    low, high = values.amin(dim=(-2, -1), keepdim=True), values.amax(dim=(-2, -1), keepdim=True)
    flat = low == high
    scale = _top(image) / where(flat, high * 0 + _top(image), high - low)  # 1 for a channel of one value
    return ((values - where(flat, low * 0, low)) * scale).clamp(0, _top(image)).to(image.dtype)


def equalize(image):
    """Each channel by itself, as Pillow does it."""
    from minitorch import as_tensor

    if image.is_floating_point():
        return equalize((image * 255.999).to(_uint8())).to(image.dtype) / 255
    _check_bytes("equalize", image)
    channels = image.cpu().numpy().reshape(-1, *image.shape[-2:])
    result = np.stack([_equalized(channel) for channel in channels]) if len(channels) else channels
    return as_tensor(result.reshape(tuple(image.shape)), device=image.device)


def adjust_sharpness(image, factor):
    if min(image.shape[-2:]) <= 2:
        return image
    smooth = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    blurred = image.clone()
    blurred[..., 1:-1, 1:-1] = _rounded(_filtered(_floating(image), smooth), image)
    return _blend(image, blurred, factor)


def gaussian_blur(image, sizes, deviations):
    """`sizes` and `deviations` are (x, y)."""
    across, down = (_gaussian(size, deviation) for size, deviation in zip(sizes, deviations))
    width, height = (size // 2 for size in sizes)
    padded = pad(_floating(image), (width, height, width, height), 0, "reflect")
    return _rounded(_filtered(padded, np.outer(down, across)), image)


def _filtered(image, kernel):
    """Correlation of each channel with `kernel`, where it fits into the image."""
    from minitorch.nn import functional as F

    planes = image.reshape(-1, 1, *image.shape[-2:])
    result = F.conv2d(planes, _like(image, kernel[None, None]))
    return result.reshape(*image.shape[:-2], *result.shape[-2:])


def _gaussian(size, deviation):
    x = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (x / deviation) ** 2)
    return weights / weights.sum()


def _equalized(channel):
    counts = np.bincount(channel.reshape(-1), minlength=256)
    present = counts[counts != 0]
    step = present[:-1].sum() // 255
    if step == 0:
        return channel
    curve = (np.cumsum(counts) - counts + step // 2) // step  # of the pixels that are darker
    return np.clip(curve, 0, 255).astype(np.uint8)[channel]


def _uint8():
    from minitorch import uint8

    return uint8


def _check_bytes(name, image):
    if image.dtype != _uint8():
        raise TypeError(f"{name}: Only torch.uint8 and floating-point image tensors are supported, but found "
                        f"{image.dtype}")


def _top(image):
    """The value of full brightness."""
    from minitorch import iinfo

    return 1.0 if image.is_floating_point() else iinfo(image.dtype).max


def _blend(image, other, factor):
    """factor * image + (1 - factor) * other, within the range of the type."""
    return (factor * image + (1.0 - factor) * other).clamp(0, _top(image)).to(image.dtype)


def _in_type_of(image, rgb):
    """Values from 0 to 1 in the type of `image`."""
    return rgb if image.is_floating_point() else (rgb * 255.999).to(image.dtype)


def _pixel_centers(height, width):
    """x and y of each pixel, both (height, width)."""
    return np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)


def _mapped(matrix, height, width):
    """The pixel centres, moved by `matrix` (2, 3)."""
    x, y = _pixel_centers(height, width)
    return [row[0] * x + row[1] * y + row[2] for row in matrix]


def _sample(image, x, y, interpolation, fill):
    """The image whose pixels are taken from the places `x`, `y`; what comes from outside is `fill`."""
    x, y = x - 0.5, y - 0.5
    if interpolation is InterpolationMode.NEAREST:
        taps = [(np.rint(x), np.rint(y), np.ones_like(x))]
    elif interpolation is InterpolationMode.BILINEAR:
        left, top = np.floor(x), np.floor(y)
        right, below = x - left, y - top
        taps = [
            (left, top, (1 - right) * (1 - below)),
            (left + 1, top, right * (1 - below)),
            (left, top + 1, (1 - right) * below),
            (left + 1, top + 1, right * below),
        ]
    else:
        raise ValueError(f"{interpolation} is for PIL images only; tensors have nearest and bilinear")
    rows, columns = image.shape[-2:]
    values = _floating(image)
    result, covered = 0.0, 0.0
    for column, row, weight in taps:
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        weight = weight * inside
        row_of = _index(image, np.where(inside, row, 0).astype(np.int64))
        column_of = _index(image, np.where(inside, column, 0).astype(np.int64))
        result = result + values[..., row_of, column_of] * _like(values, weight)
        covered = covered + weight
    if fill is not None:  # the part of a border pixel that lies inside counts twice, as in torchvision
        result = result * _like(values, covered) + _like(values, 1 - covered) * _per_channel(values, fill)
    return _rounded(result, image)


def _resampling_weights(size, new_size, interpolation, antialias):
    """(new_size, size): row i holds the weights of the old pixels in new pixel i.

    With `antialias` the filter is as wide as a new pixel, and cut off at the border, as in Pillow; without, it is as
    wide as an old one, and the border pixel stands for what lies beyond it, as in `interpolate`.
    """
    kernel, support = _FILTERS[interpolation]
    scale = size / new_size
    stretch = max(scale, 1.0) if antialias else 1.0
    margin = 0 if antialias else support
    positions = np.arange(-margin, size + margin)
    centers = (np.arange(new_size) + 0.5) * scale
    spread = kernel((positions + 0.5 - centers[:, None]) / stretch, antialias)
    weights = spread[:, margin : margin + size].copy()
    if margin:
        weights[:, 0] += spread[:, :margin].sum(axis=1)
        weights[:, -1] += spread[:, margin + size :].sum(axis=1)
    return weights / weights.sum(axis=1, keepdims=True)


def _triangle(x, antialias):
    return np.maximum(1 - np.abs(x), 0)


def _cubic(x, antialias):
    """R. Keys, "Cubic convolution interpolation" (1981), with PyTorch's choice of a."""
    a = -0.5 if antialias else -0.75
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_FILTERS = {InterpolationMode.BILINEAR: (_triangle, 1), InterpolationMode.BICUBIC: (_cubic, 2)}


def _floating(image):
    return image if image.is_floating_point() else image.float()


def _rounded(values, image):
    """Computed values in the type of `image`."""
    if image.is_floating_point():
        return values
    return values.round().clamp(0, 255).to(image.dtype)


def _like(values, array):
    from minitorch import as_tensor

    return as_tensor(array, dtype=values.dtype, device=values.device)


def _index(image, array):
    from minitorch import as_tensor

    return as_tensor(array, device=image.device)


def _per_channel(image, fill):
    """A number, or one a channel as (C, 1, 1)."""
    if isinstance(fill, (int, float)):
        return fill
    channels = dimensions(image)[0]
    if len(fill) not in (1, channels):
        raise ValueError(f"fill: expected 1 or {channels} values, one a channel, got {len(fill)}")
    return _like(image, np.array(fill, float).reshape(-1, 1, 1))
