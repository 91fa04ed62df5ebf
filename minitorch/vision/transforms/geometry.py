"""Transforms of size and position, fixed and random."""
from __future__ import annotations

import math
import numbers

from minitorch.tensor import Tensor
from minitorch.vision.transforms import functional as F
from minitorch.vision.transforms.compose import Transform
from minitorch.vision.transforms.modes import InterpolationMode

NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR


class Resize(Transform):
    """Scale to `size` (height, width), or the shorter side to an int `size`; see `functional.resize`."""

    _shown = ("size", "interpolation", "max_size", "antialias")

    def __init__(self, size, interpolation=BILINEAR, max_size: int | None = None, antialias: bool | None = True):
        super().__init__()
        self.size = size
        self.interpolation = interpolation
        self.max_size = max_size
        self.antialias = antialias

    def forward(self, img):
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)


class CenterCrop(Transform):
    """The middle of an image, `size` an int or (height, width)."""

    _shown = ("size",)

    def __init__(self, size):
        super().__init__()
        self.size = F._pair("CenterCrop", "size", size)

    def forward(self, img):
        return F.center_crop(img, self.size)


class Pad(Transform):
    """Add a border; see `functional.pad`."""

    _shown = ("padding", "fill", "padding_mode")

    def __init__(self, padding, fill=0, padding_mode: str = "constant"):
        super().__init__()
        F._border(padding)
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img):
        return F.pad(img, self.padding, self.fill, self.padding_mode)


class FiveCrop(Transform):
    """The corners and the middle of an image, as a tuple."""

    _shown = ("size",)

    def __init__(self, size):
        super().__init__()
        self.size = F._pair("FiveCrop", "size", size)

    def forward(self, img):
        return F.five_crop(img, self.size)


class TenCrop(Transform):
    """`FiveCrop` of the image and of the flipped image."""

    _shown = ("size", "vertical_flip")

    def __init__(self, size, vertical_flip: bool = False):
        super().__init__()
        self.size = F._pair("TenCrop", "size", size)
        self.vertical_flip = vertical_flip

    def forward(self, img):
        return F.ten_crop(img, self.size, self.vertical_flip)


class RandomCrop(Transform):
    """A part of `size` from a random place, after adding the border `padding`.

    `pad_if_needed` widens an image that is smaller than `size`; without it such an image raises ValueError.
    """

    _shown = ("size", "padding")

    def __init__(self, size, padding=None, pad_if_needed: bool = False, fill=0, padding_mode: str = "constant"):
        super().__init__()
        self.size = F._pair("RandomCrop", "size", size)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img, output_size):
        """A random (top, left, height, width)."""
        _, rows, columns = F.get_dimensions(img)
        height, width = output_size
        if rows < height or columns < width:
            raise ValueError(
                f"RandomCrop: Required crop size {(height, width)} is larger than input image size {(rows, columns)}"
            )
        if (rows, columns) == (height, width):
            return 0, 0, rows, columns
        return _below(rows - height + 1), _below(columns - width + 1), height, width

    def forward(self, img):
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            _, rows, columns = F.get_dimensions(img)
            height, width = self.size
            if columns < width:
                img = F.pad(img, [width - columns, 0], self.fill, self.padding_mode)
            if rows < height:
                img = F.pad(img, [0, height - rows], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))


class RandomResizedCrop(Transform):
    """A part of random area and aspect ratio, scaled to `size` (C. Szegedy et al., "Going deeper with convolutions").

    `scale` is the range of its share of the area, `ratio` that of width / height.
    """

    _shown = ("size", "scale", "ratio", "interpolation", "antialias")

    def _show(self, name):
        value = super()._show(name)
        return tuple([round(v, 4) for v in value]) if name in ("scale", "ratio") else value

    def __init__(
        self, size, scale=(0.08, 1.0), ratio=(3.0 / 4.0, 4.0 / 3.0), interpolation=BILINEAR, antialias=True
    ):
        super().__init__()
        self.size = F._pair("RandomResizedCrop", "size", size)
        self.scale = scale
        self.ratio = ratio
        self.interpolation = interpolation
        self.antialias = antialias

    @staticmethod
    def get_params(img, scale, ratio):
        """A random (top, left, height, width); after ten misses the largest middle part of an allowed ratio."""
        _, rows, columns = F.get_dimensions(img)
        for _ in range(10):
            height, width = _area_and_ratio(rows * columns, scale, ratio)
            if 0 < width <= columns and 0 < height <= rows:
                return _below(rows - height + 1), _below(columns - width + 1), height, width
        if columns / rows < min(ratio):
            height, width = round(columns / min(ratio)), columns
        elif columns / rows > max(ratio):
            height, width = rows, round(rows * max(ratio))
        else:
            height, width = rows, columns
        return (rows - height) // 2, (columns - width) // 2, height, width

    def forward(self, img):
        part = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *part, self.size, self.interpolation, self.antialias)


class RandomHorizontalFlip(Transform):
    """Swap left and right with the probability `p`."""

    _shown = ("p",)

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def forward(self, img):
        return F.hflip(img) if _rand() < self.p else img


class RandomVerticalFlip(Transform):
    """Swap top and bottom with the probability `p`."""

    _shown = ("p",)

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def forward(self, img):
        return F.vflip(img) if _rand() < self.p else img


class RandomRotation(Transform):
    """Turn by a random angle out of `degrees`: (least, most), or a number for (-degrees, degrees)."""

    _shown = ("degrees", "interpolation", "expand", "fill")

    def __init__(self, degrees, interpolation=NEAREST, expand: bool = False, center=None, fill=0, resample=None):
        super().__init__()
        if resample is not None:  # the name of `interpolation` before torchvision 0.10
            interpolation = F.interpolation_mode("RandomRotation", resample)
        self.degrees = _range("RandomRotation", "degrees", degrees)
        self.interpolation = interpolation
        self.expand = expand
        self.center = center
        self.fill = 0 if fill is None else fill

    @staticmethod
    def get_params(degrees):
        """A random angle."""
        return _uniform(*degrees)

    def forward(self, img):
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, _fill(img, self.fill))


class RandomAffine(Transform):
    """A random rotation, and if given translation (shares of width and height), scale and shear (degrees).

    `shear` is a number s for x from (-s, s), (least, most) for x, or four numbers for x and y.
    """


    @property
    def _shown(self):
        usual = {"translate": None, "scale": None, "shear": None, "interpolation": InterpolationMode.NEAREST, "fill": 0}
        return ("degrees", *[name for name, value in usual.items() if getattr(self, name) != value])

    def __init__(
        self, degrees, translate=None, scale=None, shear=None, interpolation=NEAREST, fill=0, center=None
    ):
        super().__init__()
        if translate is not None and not all(0.0 <= share <= 1.0 for share in translate):
            raise ValueError(f"RandomAffine: translation values should be between 0 and 1, got {translate}")
        if scale is not None and not all(factor > 0 for factor in scale):
            raise ValueError(f"RandomAffine: scale values should be positive, got {scale}")
        self.degrees = _range("RandomAffine", "degrees", degrees)
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else _range("RandomAffine", "shear", shear, lengths=(2, 4))
        self.interpolation = interpolation
        self.fill = 0 if fill is None else fill
        self.center = center

    @staticmethod
    def get_params(degrees, translate, scale_ranges, shears, img_size):
        """A random (angle, (dx, dy), scale, (shear x, shear y)) for an image of (width, height)."""
        angle = _uniform(*degrees)
        shift = (0, 0)
        if translate is not None:
            reach = [share * side for share, side in zip(translate, img_size)]
            shift = tuple(round(_uniform(-side, side)) for side in reach)
        scale = 1.0 if scale_ranges is None else _uniform(*scale_ranges)
        shear_x = shear_y = 0.0
        if shears is not None:
            shear_x = _uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = _uniform(shears[2], shears[3])
        return angle, shift, scale, (shear_x, shear_y)

    def forward(self, img):
        params = self.get_params(self.degrees, self.translate, self.scale, self.shear, F.get_image_size(img))
        return F.affine(img, *params, self.interpolation, _fill(img, self.fill), self.center)


def _rand() -> float:
    import minitorch

    return minitorch.rand(1).item()


def _fill(img, fill):
    """For tensors one number a channel; None stays."""
    if not isinstance(img, Tensor) or fill is None:
        return fill
    values = [fill] * F.get_image_num_channels(img) if isinstance(fill, (int, float)) else fill
    return [float(value) for value in values]


def _below(n: int) -> int:
    """A random integer from 0 to n - 1."""
    import minitorch

    return minitorch.randint(0, n, size=(1,)).item()


def _uniform(low: float, high: float) -> float:
    import minitorch

    return minitorch.empty(1).uniform_(float(low), float(high)).item()


def _area_and_ratio(area, scale, ratio):
    """A random (height, width) of an area within `scale` and a width / height within `ratio`, log-uniformly."""
    import minitorch

    target = area * _uniform(*scale)
    low, high = minitorch.log(minitorch.tensor(ratio)).tolist()
    aspect = minitorch.exp(minitorch.empty(1).uniform_(low, high)).item()
    return round(math.sqrt(target / aspect)), round(math.sqrt(target * aspect))


def _range(owner, name, value, lengths=(2,)):
    if isinstance(value, numbers.Number):
        if value < 0:
            raise ValueError(f"{owner}: If {name} is a single number, it must be positive, got {value}")
        return [-float(value), float(value)]
    if len(value) not in lengths:
        raise ValueError(f"{owner}: expected {name} to have {' or '.join(map(str, lengths))} numbers, got {value}")
    return [float(number) for number in value]
