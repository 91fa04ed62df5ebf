"""Transforms of colour, and random erasing."""
from __future__ import annotations

import math
import numbers

from minitorch.vision.transforms import functional as F
from minitorch.vision.transforms.compose import Transform
from minitorch.vision.transforms.geometry import _area_and_ratio, _below, _rand, _uniform


class Grayscale(Transform):
    """A grey image with 1 or 3 equal channels."""

    _shown = ("num_output_channels",)

    def __init__(self, num_output_channels: int = 1):
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img):
        return F.to_grayscale(img, self.num_output_channels)


class RandomGrayscale(Transform):
    """Make grey with the probability `p`, with as many channels as before."""

    _shown = ("p",)

    def __init__(self, p: float = 0.1):
        super().__init__()
        self.p = p

    def forward(self, img):
        channels = F.get_image_num_channels(img)
        return F.to_grayscale(img, channels) if _rand() < self.p else img


class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue at random, in random order.

    A number b stands for a factor from (max(0, 1 - b), 1 + b), for the hue for a turn from (-b, b); a pair is the
    range itself.
    """

    _shown = ("brightness", "contrast", "saturation", "hue")

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0):
        super().__init__()
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = _factors("hue", hue, center=0.0, bound=(-0.5, 0.5))

    @staticmethod
    def get_params(brightness, contrast, saturation, hue):
        """A random order of the four changes, and a factor for each whose range is not None."""
        import minitorch

        order = minitorch.randperm(4)
        ranges = (brightness, contrast, saturation, hue)
        return (order, *(None if limits is None else _uniform(*limits) for limits in ranges))

    def forward(self, img):
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in order.tolist():
            if factors[i] is not None:
                img = changes[i](img, factors[i])
        return img


class RandomErasing(Transform):
    """Overwrite a random rectangle of a tensor image with the probability `p` (Zhong et al., arXiv:1708.04896).

    `scale` is the range of its share of the area, `ratio` that of height / width; `value` is a number, one a
    channel, or "random" for normal noise.
    """

    _shown = ("p", "scale", "ratio", "value", "inplace")

    def __init__(self, p: float = 0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, inplace: bool = False):
        super().__init__()
        if isinstance(value, str) and value != "random":
            raise ValueError(f"RandomErasing: If value is str, it should be 'random', got {value!r}")
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(f"RandomErasing: Scale should be between 0 and 1, got {scale}")
        if not 0 <= p <= 1:
            raise ValueError(f"RandomErasing: Random erasing probability should be between 0 and 1, got {p}")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(img, scale, ratio, value=None):
        """A random (top, left, height, width, value); the whole image unchanged after ten misses."""
        import minitorch

        channels, rows, columns = F.get_dimensions(img)
        for _ in range(10):
            width, height = _area_and_ratio(rows * columns, scale, ratio)
            if height < rows and width < columns:
                if value is None:
                    erased = minitorch.empty([channels, height, width]).normal_()
                else:
                    erased = minitorch.tensor(value, dtype=minitorch.float32)[:, None, None]
                return _below(rows - height + 1), _below(columns - width + 1), height, width, erased
        return 0, 0, rows, columns, img

    def forward(self, img):
        if _rand() >= self.p:
            return img
        value = [self.value] if isinstance(self.value, numbers.Number) else self.value
        value = None if value == "random" else list(value)
        channels = F.get_image_num_channels(img)
        if value is not None and len(value) not in (1, channels):
            raise ValueError(f"RandomErasing: value should have 1 or {channels} numbers, got {len(value)}")
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)


def _factors(name, value, center=1.0, bound=(0.0, math.inf)):
    """The range to draw from; None where it leaves every image as it is."""
    if isinstance(value, numbers.Number):
        if value < 0:
            raise ValueError(f"ColorJitter: If {name} is a single number, it must be non negative, got {value}")
        low, high = center - value, center + value
        low = max(low, 0.0) if center else low
    else:
        low, high = (float(limit) for limit in value)
    if not bound[0] <= low <= high <= bound[1]:
        raise ValueError(f"ColorJitter: {name} values should be between {bound}, but got {[low, high]}.")
    return None if low == high == center else (low, high)
