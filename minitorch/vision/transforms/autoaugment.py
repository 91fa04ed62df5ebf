"""Augmentations that apply operations chosen at random, or by a policy that a search found."""
from __future__ import annotations

import math
from enum import Enum

from minitorch.tensor import Tensor
from minitorch.vision.transforms import functional as F
from minitorch.vision.transforms.compose import Transform
from minitorch.vision.transforms.geometry import _below, _fill
from minitorch.vision.transforms.modes import InterpolationMode

SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness")
NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR


class AutoAugmentPolicy(Enum):
    """The data on which a policy was found."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# Cubuk et al., "AutoAugment", arXiv:1805.09501, appendix: pairs of operation, probability and magnitude (of 0 to 9)
_POLICIES = {
    AutoAugmentPolicy.IMAGENET: """
        Posterize 0.4 8, Rotate 0.6 9; Solarize 0.6 5, AutoContrast 0.6;
        Equalize 0.8, Equalize 0.6; Posterize 0.6 7, Posterize 0.6 6;
        Equalize 0.4, Solarize 0.2 4; Equalize 0.4, Rotate 0.8 8;
        Solarize 0.6 3, Equalize 0.6; Posterize 0.8 5, Equalize 1;
        Rotate 0.2 3, Solarize 0.6 8; Equalize 0.6, Posterize 0.4 6;
        Rotate 0.8 8, Color 0.4 0; Rotate 0.4 9, Equalize 0.6;
        Equalize 0, Equalize 0.8; Invert 0.6, Equalize 1;
        Color 0.6 4, Contrast 1 8; Rotate 0.8 8, Color 1 2;
        Color 0.8 8, Solarize 0.8 7; Sharpness 0.4 7, Invert 0.6;
        ShearX 0.6 5, Equalize 1; Color 0.4 0, Equalize 0.6;
        Equalize 0.4, Solarize 0.2 4; Solarize 0.6 5, AutoContrast 0.6;
        Invert 0.6, Equalize 1; Color 0.6 4, Contrast 1 8;
        Equalize 0.8, Equalize 0.6
    """,
    AutoAugmentPolicy.CIFAR10: """
        Invert 0.1, Contrast 0.2 6; Rotate 0.7 2, TranslateX 0.3 9;
        Sharpness 0.8 1, Sharpness 0.9 3; ShearY 0.5 8, TranslateY 0.7 9;
        AutoContrast 0.5, Equalize 0.9; ShearY 0.2 7, Posterize 0.3 7;
        Color 0.4 3, Brightness 0.6 7; Sharpness 0.3 9, Brightness 0.7 9;
        Equalize 0.6, Equalize 0.5; Contrast 0.6 7, Sharpness 0.6 5;
        Color 0.7 7, TranslateX 0.5 8; Equalize 0.3, AutoContrast 0.4;
        TranslateY 0.4 3, Sharpness 0.2 6; Brightness 0.9 6, Color 0.2 8;
        Solarize 0.5 2, Invert 0; Equalize 0.2, AutoContrast 0.6;
        Equalize 0.2, Equalize 0.6; Color 0.9 9, Equalize 0.6;
        AutoContrast 0.8, Solarize 0.2 8; Brightness 0.1 3, Color 0.7 0;
        Solarize 0.4 5, AutoContrast 0.9; TranslateY 0.9 9, TranslateY 0.7 9;
        AutoContrast 0.9, Solarize 0.8 3; Equalize 0.8, Invert 0.1;
        TranslateY 0.7 9, AutoContrast 0.9
    """,
    AutoAugmentPolicy.SVHN: """
        ShearX 0.9 4, Invert 0.2; ShearY 0.9 8, Invert 0.7;
        Equalize 0.6, Solarize 0.6 6; Invert 0.9, Equalize 0.6;
        Equalize 0.6, Rotate 0.9 3; ShearX 0.9 4, AutoContrast 0.8;
        ShearY 0.9 8, Invert 0.4; ShearY 0.9 5, Solarize 0.2 6;
        Invert 0.9, AutoContrast 0.8; Equalize 0.6, Rotate 0.9 3;
        ShearX 0.9 4, Solarize 0.3 3; ShearY 0.8 8, Invert 0.7;
        Equalize 0.9, TranslateY 0.6 6; Invert 0.9, Equalize 0.6;
        Contrast 0.3 3, Rotate 0.8 4; Invert 0.8, TranslateY 0 2;
        ShearY 0.7 6, Solarize 0.4 8; Invert 0.6, Rotate 0.8 4;
        ShearY 0.3 7, TranslateX 0.9 3; ShearX 0.1 6, Invert 0.6;
        Solarize 0.7 2, TranslateY 0.6 7; ShearY 0.8 4, Invert 0.8;
        ShearX 0.7 9, TranslateY 0.8 3; ShearY 0.8 5, AutoContrast 0.7;
        ShearX 0.7 2, Invert 0.1
    """,
}


class _Augmentation(Transform):
    """Applies operations with the interpolation and the fill of the transform."""

    interpolation: InterpolationMode
    fill: list[float] | None

    def _apply(self, img, name, magnitude):
        return _apply_op(img, name, magnitude, self.interpolation, _fill(img, self.fill))

    def _drawn(self, space, level):
        """A random operation and its magnitude, of the number `level(magnitudes)`."""
        name = list(space)[_below(len(space))]
        magnitudes, signed = space[name]
        magnitude = 0.0 if magnitudes is None else magnitudes[level(magnitudes)]
        return name, -magnitude if signed and self._negative() else magnitude

    def _negative(self):
        """Whether to change a magnitude's sign."""
        return _below(2) == 1


class AutoAugment(_Augmentation):
    """A random pair of operations out of those of `policy`, each with its probability and magnitude."""

    _shown = ("policy", "fill")

    def __init__(self, policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET, interpolation=NEAREST, fill=None):
        super().__init__()
        if policy not in _POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy = policy
        self.interpolation = interpolation
        self.fill = fill
        self.policies = [[_step(text) for text in pair.split(",")] for pair in _POLICIES[policy].split(";")]

    @staticmethod
    def get_params(transform_num: int):
        """A random (number of the pair, two probabilities, two signs)."""
        from minitorch import rand, randint

        return int(randint(transform_num, (1,)).item()), rand((2,)), randint(2, (2,))

    def forward(self, img):
        _, height, width = F.get_dimensions(img)
        space = {**_imagenet_space(10, height, width), "Invert": (None, False)}
        for (name, _, level), negative in self._draw_pair():
            magnitudes, signed = space[name]
            magnitude = 0.0 if level is None else magnitudes[level]
            img = self._apply(img, name, -magnitude if signed and negative else magnitude)
        return img

    def _draw_pair(self):
        """The steps to apply, each with whether its magnitude is negative."""
        chosen, draws, signs = self.get_params(len(self.policies))
        for step, draw, sign in zip(self.policies[chosen], draws.tolist(), signs.tolist()):
            if draw <= step[1]:
                yield step, sign == 0


class RandAugment(_Augmentation):
    """`num_ops` operations drawn with equal probability, all of one magnitude (Cubuk et al., arXiv:1909.13719)."""

    _shown = ("num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill")
    _names_modes = True

    def __init__(self, num_ops: int = 2, magnitude: int = 9, num_magnitude_bins: int = 31, interpolation=NEAREST,
                 fill=None):
        super().__init__()
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, img):
        _, height, width = F.get_dimensions(img)
        space = {"Identity": (None, False), **_imagenet_space(self.num_magnitude_bins, height, width)}
        for _ in range(self.num_ops):
            img = self._apply(img, *self._drawn(space, lambda magnitudes: self.magnitude))
        return img


class TrivialAugmentWide(_Augmentation):
    """One operation of a random magnitude, from a wide range (Müller and Hutter, arXiv:2103.10158)."""

    _shown = ("num_magnitude_bins", "interpolation", "fill")
    _names_modes = True

    def __init__(self, num_magnitude_bins: int = 31, interpolation=NEAREST, fill=None):
        super().__init__()
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, img):
        bins = self.num_magnitude_bins
        space = {"Identity": (None, False), **_space(bins, 0.99, (32.0, 32.0), 135.0, 0.99, (8, 6))}
        return self._apply(img, *self._drawn(space, lambda magnitudes: _below(len(magnitudes))))


class AugMix(_Augmentation):
    """A random mixture of the image and of `mixture_width` chains of operations (Hendrycks et al., arXiv:1912.02781).

    A chain has `chain_depth` operations, or one to three if that is negative; magnitudes are below `severity` of 10.
    `alpha` is the parameter of the Dirichlet distribution of the weights.
    """

    _shown = ("severity", "mixture_width", "chain_depth", "alpha", "all_ops", "interpolation", "fill")
    _names_modes = True
    _bins = 10

    def __init__(self, severity: int = 3, mixture_width: int = 3, chain_depth: int = -1, alpha: float = 1.0,
                 all_ops: bool = True, interpolation=BILINEAR, fill=None):
        super().__init__()
        if not 1 <= severity <= self._bins:
            raise ValueError(f"The severity must be between [1, {self._bins}]. Got {severity} instead.")
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, orig_img):
        _, height, width = F.get_dimensions(orig_img)
        img = orig_img if isinstance(orig_img, Tensor) else F.pil_to_tensor(orig_img)
        batch = img.reshape((1,) * max(4 - img.ndim, 0) + tuple(img.shape))
        space = _space(self._bins, 0.3, (width / 3.0, height / 3.0), 30.0, 0.9, (4, 4))
        colours = {name: space.pop(name) for name in ("Brightness", "Color", "Contrast", "Sharpness")}
        if self.all_ops:
            space.update(colours)
        shape = (len(batch),) + (1,) * (batch.ndim - 1)
        kept, mixed = self._weights(len(batch), 2).unbind(1)
        weights = self._weights(len(batch), self.mixture_width) * mixed.reshape(-1, 1)
        mix = kept.reshape(shape) * batch
        for i in range(self.mixture_width):
            chain = batch
            for _ in range(self.chain_depth if self.chain_depth > 0 else 1 + _below(3)):
                chain = self._apply(chain, *self._drawn(space, lambda magnitudes: _below(self.severity)))
            mix = mix + weights[:, i].reshape(shape) * chain
        mix = mix.reshape(img.shape).to(img.dtype)
        return mix if isinstance(orig_img, Tensor) else F.to_pil_image(mix)

    def _weights(self, count, width):
        from minitorch import full
        from minitorch.distributions import Dirichlet

        return Dirichlet(full((count, width), self.alpha)).sample()


def _imagenet_space(bins, height, width):
    return _space(bins, 0.3, (150.0 / 331.0 * width, 150.0 / 331.0 * height), 30.0, 0.9, (8, 4))


def _space(bins, shear, shifts, degrees, factor, bits):
    """Operation -> (magnitudes from weak to strong or None, whether the sign is drawn); `bits` are the most for
    Posterize, and how many fewer the strongest leaves."""
    from minitorch import arange

    posterize = (bits[0] - (arange(bins) / ((bins - 1) / bits[1])).round().int()).tolist()
    strongest = (shear, shear, *shifts, degrees, factor, factor, factor, factor)
    space = {name: (_levels(top, bins), True) for name, top in zip(SIGNED, strongest)}
    return {**space, "Posterize": (posterize, False), "Solarize": (_levels(255.0, bins)[::-1], False),
            "AutoContrast": (None, False), "Equalize": (None, False)}


def _levels(top, bins):
    from minitorch import linspace

    return linspace(0.0, top, bins).tolist()


def _step(text):
    name, probability, *level = text.split()
    return name, float(probability), int(level[0]) if level else None


def _apply_op(img, op_name: str, magnitude: float, interpolation, fill):
    """The operation `op_name`, of that strength. Raises ValueError for an unknown name."""
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], "interpolation": interpolation,
             "fill": fill}
    slant = math.degrees(math.atan(magnitude))
    if op_name == "ShearX":
        return F.affine(img, **{**still, "shear": [slant, 0.0], "center": [0, 0]})
    if op_name == "ShearY":
        return F.affine(img, **{**still, "shear": [0.0, slant], "center": [0, 0]})
    if op_name == "TranslateX":
        return F.affine(img, **{**still, "translate": [int(magnitude), 0]})
    if op_name == "TranslateY":
        return F.affine(img, **{**still, "translate": [0, int(magnitude)]})
    if op_name == "Rotate":
        return F.rotate(img, magnitude, interpolation=interpolation, fill=fill)
    if op_name in _FACTORS:
        return _FACTORS[op_name](img, 1.0 + magnitude)
    if op_name == "Posterize":
        return F.posterize(img, int(magnitude))
    if op_name == "Solarize":
        in_unit_range = isinstance(img, Tensor) and img.is_floating_point()
        return F.solarize(img, magnitude / 255 if in_unit_range else magnitude)
    if op_name in _PLAIN:
        return _PLAIN[op_name](img)
    raise ValueError(f"The provided operator {op_name} is not recognized.")


_FACTORS = {"Brightness": F.adjust_brightness, "Color": F.adjust_saturation, "Contrast": F.adjust_contrast,
            "Sharpness": F.adjust_sharpness}
_PLAIN = {"AutoContrast": F.autocontrast, "Equalize": F.equalize, "Invert": F.invert, "Identity": lambda img: img}
