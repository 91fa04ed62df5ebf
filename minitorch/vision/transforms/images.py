"""PIL images: geometry and colour by Pillow, as torchvision does it."""
from __future__ import annotations

import numpy as np

from minitorch.vision.pillow import pil
from minitorch.vision.transforms.arrays import NUMPY_PAD_MODES
from minitorch.vision.transforms.modes import PIL_CODES


def dimensions(image):
    return [len(image.getbands()), image.height, image.width]


def hflip(image):
    return image.transpose(0)  # PIL.Image.Transpose.FLIP_LEFT_RIGHT


def vflip(image):
    return image.transpose(1)  # PIL.Image.Transpose.FLIP_TOP_BOTTOM


def crop(image, top, left, height, width):
    return image.crop((left, top, left + width, top + height))


def pad(image, padding, fill, mode):
    left, top, right, bottom = padding
    if mode == "constant":
        return _pil().ImageOps.expand(image, border=(left, top, right, bottom), fill=_fill(image, fill))
    pixels = np.asarray(image)
    widths = [(top, bottom), (left, right)] + [(0, 0)] * (pixels.ndim - 2)
    padded = _pil().Image.fromarray(np.pad(pixels, widths, mode=NUMPY_PAD_MODES[mode]))
    if image.mode == "P":
        padded.putpalette(image.getpalette())
    return padded


def resize(image, height, width, interpolation, antialias):
    return image.resize((width, height), PIL_CODES[interpolation])


def rotate(image, angle, interpolation, expand, center, fill):
    return image.rotate(angle, PIL_CODES[interpolation], expand, center, fillcolor=_fill(image, fill))


def affine(image, matrix, interpolation, fill):
    """`matrix` (2, 3) maps output coordinates to input coordinates, both with the corner of the image as origin."""
    coefficients = tuple(np.ravel(matrix).tolist())
    affine_code = 0  # PIL.Image.Transform.AFFINE
    resample = PIL_CODES[interpolation]
    return image.transform(image.size, affine_code, coefficients, resample, fillcolor=_fill(image, fill))


def perspective(image, coefficients, interpolation, fill):
    perspective_code = 2  # PIL.Image.Transform.PERSPECTIVE
    resample = PIL_CODES[interpolation]
    return image.transform(image.size, perspective_code, coefficients, resample, fillcolor=_fill(image, fill))


def to_grayscale(image, channels):
    gray = image.convert("L")
    return gray if channels == 1 else _pil().Image.merge("RGB", (gray, gray, gray))


def adjust_brightness(image, factor):
    return _pil().ImageEnhance.Brightness(image).enhance(factor)


def adjust_contrast(image, factor):
    return _pil().ImageEnhance.Contrast(image).enhance(factor)


def adjust_saturation(image, factor):
    return _pil().ImageEnhance.Color(image).enhance(factor)


def adjust_hue(image, factor):
    if image.mode in ("L", "1", "I", "F"):
        return image
    hue, saturation, value = image.convert("HSV").split()
    shifted = np.asarray(hue) + np.uint8(int(factor * 255) & 0xFF)  # hue is an angle: it wraps at 256
    hue = _pil().Image.fromarray(shifted)
    return _pil().Image.merge("HSV", (hue, saturation, value)).convert(image.mode)


def adjust_sharpness(image, factor):
    return _pil().ImageEnhance.Sharpness(image).enhance(factor)


def adjust_gamma(image, gamma, gain):
    curve = [int((255 + 1 - 1e-3) * gain * pow(value / 255.0, gamma)) for value in range(256)] * len(image.getbands())
    return image.convert("RGB" if image.mode not in ("L", "RGB") else image.mode).point(curve).convert(image.mode)


def invert(image):
    return _pil().ImageOps.invert(image)


def posterize(image, bits):
    return _pil().ImageOps.posterize(image, bits)


def solarize(image, threshold):
    return _pil().ImageOps.solarize(image, threshold)


def autocontrast(image):
    return _pil().ImageOps.autocontrast(image)


def equalize(image):
    return _pil().ImageOps.equalize(image)


def _pil():
    return pil("a transform of a PIL image")


def _fill(image, fill):
    """`fill` as Pillow wants it: a number, or one for each band."""
    bands = len(image.getbands())
    if fill is None:
        fill = 0
    if isinstance(fill, (int, float)) and bands > 1:
        return (int(fill),) * bands
    if isinstance(fill, (list, tuple)):
        if len(fill) == 1:
            fill = list(fill) * bands
        if len(fill) != bands:
            raise ValueError(f"fill: expected {bands} values for an image of mode {image.mode}, got {len(fill)}")
        return tuple(int(value) for value in fill) if bands > 1 else fill[0]
    return fill
