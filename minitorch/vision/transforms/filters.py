"""Functions on the values of an image: tone curves, histograms, blur and sharpness."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minitorch.tensor import Tensor
from minitorch.vision.transforms.backends import backend_of
from minitorch.vision.transforms.conversions import convert_image_dtype, pil_to_tensor, to_pil_image
from minitorch.vision.transforms.modes import InterpolationMode, interpolation_mode


def invert(img):
    """The negative."""
    return _recoloured("invert", img)


def posterize(img, bits: int):
    """Keep the highest `bits` bits of each 8-bit value; values in [0, 1] to as many levels."""
    return _recoloured("posterize", img, bits)


def solarize(img, threshold: float):
    """Invert the values that are not below `threshold`."""
    return _recoloured("solarize", img, threshold)


def autocontrast(img):
    """Stretch each channel's values to the whole range."""
    return _recoloured("autocontrast", img)


def equalize(img):
    """Make each channel's histogram of 8-bit values as flat as a tone curve can."""
    return _recoloured("equalize", img)


def adjust_sharpness(img, sharpness_factor: float):
    """0 gives a blurred image, 1 the image, 2 a sharpened one."""
    if sharpness_factor < 0:
        raise ValueError(f"sharpness_factor ({sharpness_factor}) is not non-negative.")
    return _recoloured("adjust_sharpness", img, sharpness_factor)


def adjust_gamma(img, gamma: float, gain: float = 1):
    """gain * value ** gamma, for values scaled to [0, 1]."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    backend = backend_of("adjust_gamma", img, "recolours")
    if not isinstance(img, Tensor):
        return backend.adjust_gamma(img, gamma, gain)
    _check_channels("adjust_gamma", img)
    return convert_image_dtype((gain * _unit(img) ** gamma).clamp(0, 1), img.dtype)


def gaussian_blur(img, kernel_size, sigma=None):
    """Blur by a Gaussian of `kernel_size` (odd; one, or x and y) and deviation `sigma` in pixels (one, or x and y;
    by default 0.15 of the size, + 0.35). The image is continued by reflection."""
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}")
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    deviations = _deviations(sigma, sizes)
    return _through_tensor("gaussian_blur", img, lambda image, tensors: tensors.gaussian_blur(image, sizes, deviations))


def elastic_transform(img, displacement: Tensor, interpolation=InterpolationMode.BILINEAR, fill=None):
    """Take each pixel from elsewhere: `displacement` (1, H, W, 2) is the way (x, y) in halves of the image's size."""
    if not isinstance(displacement, Tensor):
        raise TypeError("elastic_transform: Argument displacement should be a Tensor")
    interpolation = interpolation_mode("elastic_transform", interpolation)

    def transform(image, tensors):
        expected = (1, *image.shape[-2:], 2)
        if tuple(displacement.shape) != expected:
            raise ValueError(f"elastic_transform: Argument displacement shape should be {expected}, but given "
                             f"{tuple(displacement.shape)}")
        return tensors.elastic_transform(image, displacement, interpolation, fill)

    return _through_tensor("elastic_transform", img, transform)


def perspective_coefficients(startpoints, endpoints) -> list[float]:
    """The eight numbers a to h that take (x, y) among `endpoints` to ((ax + by + c) / (gx + hy + 1),
    (dx + ey + f) / (gx + hy + 1)) among `startpoints`; four corners each."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(f"Please provide exactly four corners, got {len(startpoints)} startpoints and "
                         f"{len(endpoints)} endpoints.")
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solution, *_ = np.linalg.lstsq(np.array(rows, float), np.array(startpoints, float).reshape(8), rcond=None)
    return solution.astype(np.float32).tolist()


def _recoloured(name, img, *arguments):
    backend = backend_of(name, img, "recolours")
    if isinstance(img, Tensor):
        if img.ndim < 3:
            raise TypeError(f"{name}: Input image tensor should have at least 3 dimensions, but found {img.ndim}")
        _check_channels(name, img)
    return getattr(backend, name)(img, *arguments)


def _check_channels(name, img):
    channels = img.shape[-3] if img.ndim > 2 else 1
    if channels not in (1, 3):
        raise TypeError(f"{name}: Input image tensor permitted channel values are 1 or 3, but found {channels}")


def _through_tensor(name, img, function):
    """What `function` makes of a tensor image, also for a PIL image."""
    from minitorch.vision.transforms import tensors

    backend = backend_of(name, img, "filters")
    if backend is tensors:
        return function(img, tensors)
    return to_pil_image(function(pil_to_tensor(img), tensors), mode=img.mode)


def _deviations(sigma, sizes):
    if sigma is None:
        return [size * 0.15 + 0.35 for size in sizes]
    if not isinstance(sigma, (int, float, list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    values = list(sigma) if isinstance(sigma, Sequence) else [float(sigma)]
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(values)}")
    if any(value <= 0.0 for value in values):
        raise ValueError(f"sigma should have positive values. Got {values}")
    return values


def _unit(image):
    from minitorch import float32

    return image if image.is_floating_point() else convert_image_dtype(image, float32)
