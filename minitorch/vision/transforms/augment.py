"""Random changes of tone, sharpness and shape, and a linear transformation of the whole image."""
from __future__ import annotations

import numbers

from minitorch.tensor import Tensor
from minitorch.vision.transforms import functional as F
from minitorch.vision.transforms.compose import Transform
from minitorch.vision.transforms.geometry import _fill, _rand, _uniform
from minitorch.vision.transforms.modes import InterpolationMode

BILINEAR = InterpolationMode.BILINEAR


class _WithProbability(Transform):
    """A fixed change with the probability `p`."""

    _shown: tuple[str, ...] = ("p",)

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def forward(self, img):
        return self._change(img) if _rand() < self.p else img

    def _change(self, img):
        raise NotImplementedError


class RandomInvert(_WithProbability):
    """The negative, with the probability `p`."""

    def _change(self, img):
        return F.invert(img)


class RandomPosterize(_WithProbability):
    """Keep `bits` bits of each value, with the probability `p`."""

    _shown = ("bits", "p")
    _separator = ","

    def __init__(self, bits: int, p: float = 0.5):
        super().__init__(p)
        self.bits = bits

    def _change(self, img):
        return F.posterize(img, self.bits)


class RandomSolarize(_WithProbability):
    """Invert the values from `threshold` on, with the probability `p`."""

    _shown = ("threshold", "p")
    _separator = ","

    def __init__(self, threshold: float, p: float = 0.5):
        super().__init__(p)
        self.threshold = threshold

    def _change(self, img):
        return F.solarize(img, self.threshold)


class RandomAdjustSharpness(_WithProbability):
    """Blur or sharpen by `sharpness_factor`, with the probability `p`."""

    _shown = ("sharpness_factor", "p")
    _separator = ","

    def __init__(self, sharpness_factor: float, p: float = 0.5):
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def _change(self, img):
        return F.adjust_sharpness(img, self.sharpness_factor)


class RandomAutocontrast(_WithProbability):
    """Stretch the values to the whole range, with the probability `p`."""

    def _change(self, img):
        return F.autocontrast(img)


class RandomEqualize(_WithProbability):
    """Flatten the histogram, with the probability `p`."""

    def _change(self, img):
        return F.equalize(img)


class GaussianBlur(Transform):
    """Blur by a Gaussian of a deviation out of `sigma`: (least, most), or the deviation itself."""

    _shown = ("kernel_size", "sigma")

    def __init__(self, kernel_size, sigma=(0.1, 2.0)):
        super().__init__()
        self.kernel_size = F._pair("GaussianBlur", "kernel_size", kernel_size)
        if any(size <= 0 or size % 2 == 0 for size in self.kernel_size):
            raise ValueError(f"Kernel size value should be an odd and positive number, got {kernel_size}.")
        if isinstance(sigma, numbers.Number):
            if sigma <= 0:
                raise ValueError(f"If sigma is a single number, it must be positive, got {sigma}.")
            sigma = (sigma, sigma)
        if len(sigma) != 2 or not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError(f"sigma values should be positive and of the form (min, max), got {sigma}.")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A random deviation."""
        return _uniform(sigma_min, sigma_max)

    def forward(self, img):
        sigma = self.get_params(*self.sigma)
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])


class RandomPerspective(Transform):
    """With the probability `p` move each corner inwards at random, by up to `distortion_scale` of half the side."""

    _shown = ("p",)

    def __init__(self, distortion_scale: float = 0.5, p: float = 0.5, interpolation=BILINEAR, fill=0):
        super().__init__()
        self.distortion_scale = distortion_scale
        self.p = p
        self.interpolation = interpolation
        self.fill = 0 if fill is None else fill

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float):
        """(corners, random new corners): lists of [x, y] from the top left clockwise."""
        across, down = int(distortion_scale * (width // 2)), int(distortion_scale * (height // 2))
        left, right = (0, across + 1), (width - across - 1, width)
        top, bottom = (0, down + 1), (height - down - 1, height)
        ends = [[_between(*x), _between(*y)] for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]
        return [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], ends

    def forward(self, img):
        if _rand() >= self.p:
            return img
        _, height, width = F.get_dimensions(img)
        starts, ends = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, starts, ends, self.interpolation, _fill(img, self.fill))


class ElasticTransform(Transform):
    """Move each pixel by smoothed noise: of strength `alpha`, smoothed by a Gaussian of `sigma` (each one number, or
    two for x and y). Simard et al., "Best practices for convolutional neural networks" (2003)."""

    _shown = ("alpha", "sigma", "interpolation", "fill")
    _names_modes = True

    def __init__(self, alpha=50.0, sigma=5.0, interpolation=BILINEAR, fill=0):
        super().__init__()
        self.alpha = _two("alpha", alpha)
        self.sigma = _two("sigma", sigma)
        self.interpolation = interpolation
        self.fill = [float(value) for value in fill] if isinstance(fill, (list, tuple)) else [float(fill)]

    @staticmethod
    def get_params(alpha, sigma, size) -> Tensor:
        """A random displacement (1, height, width, 2) for an image of `size` (height, width)."""
        from minitorch import cat, rand

        ways = []
        for strength, deviation, side in zip(alpha, sigma, reversed(size)):
            way = rand([1, 1, *size]) * 2 - 1
            if deviation > 0.0:
                kernel = int(8 * deviation + 1) // 2 * 2 + 1  # odd
                way = F.gaussian_blur(way, [kernel, kernel], list(sigma))
            ways.append(way * strength / side)
        return cat(ways, 1).permute(0, 2, 3, 1)

    def forward(self, tensor):
        _, height, width = F.get_dimensions(tensor)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, displacement, self.interpolation, self.fill)


class LinearTransformation(Transform):
    """(flattened image - mean_vector) @ transformation_matrix, for tensor images of D values: whitening, say."""

    _shown = ("transformation_matrix", "mean_vector")

    def _show(self, name):
        return getattr(self, name).tolist()

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor):
        super().__init__()
        rows, columns = transformation_matrix.shape
        if rows != columns:
            raise ValueError(f"transformation_matrix should be square. Got {(rows, columns)} rectangular matrix.")
        if mean_vector.shape[0] != rows:
            raise ValueError(f"mean_vector should have the same length {mean_vector.shape[0]} as any one of the "
                             f"dimensions of the transformation_matrix [{(rows, columns)}]")
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor):
        *batch, channels, height, width = tensor.shape
        size = channels * height * width
        if size != self.transformation_matrix.shape[0]:
            raise ValueError("Input tensor and transformation matrix have incompatible shape: "
                             f"{channels} x {height} x {width} and {self.transformation_matrix.shape[0]}")
        flat = tensor.reshape(-1, size) - self.mean_vector
        return (flat @ self.transformation_matrix).reshape(*batch, channels, height, width)


def _between(low, high):
    from minitorch import randint

    return int(randint(low, high, size=(1,)).item())


def _two(name, value):
    if not isinstance(value, (int, float, list, tuple)):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    values = [float(item) for item in (value if isinstance(value, (list, tuple)) else [value])]
    if len(values) not in (1, 2):
        raise ValueError(f"{name} is a sequence its length should be 1 or 2. Got {len(values)}")
    return values * (3 - len(values))
