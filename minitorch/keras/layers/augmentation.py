"""Layers that change images (N, H, W, C) or (H, W, C): sizes, and in training at random."""
from __future__ import annotations

import math
from typing import Any

from ...nn import functional as F
from ...op import FUNCTIONS
from ...tensor import Tensor
from .. import backend
from .base import Layer
from .core import one_of, seeded

_FILLS = {"constant": "zeros", "nearest": "border", "reflect": "reflection"}


class _Images(Layer):
    """What these layers share: single images are batches of one."""

    def call(self, inputs, training=True):
        x = backend.as_tensor(inputs, self.dtype)
        single = x.ndim == 3
        y = self.change(x.unsqueeze(0) if single else x, training)
        return y.squeeze(0) if single else y

    def change(self, x: Tensor, training: bool) -> Tensor:
        """The images as they shall be."""
        raise NotImplementedError(f"{type(self).__name__}: a layer of images defines change(x, training)")


class Resizing(_Images):
    """Images of another size, without or with (`crop_to_aspect_ratio`) losing what is too long on one side."""

    def __init__(self, height: int, width: int, interpolation: str = "bilinear", crop_to_aspect_ratio: bool = False,
                 **keywords: Any):
        super().__init__(**keywords)
        self.height, self.width, self.crop_to_aspect_ratio = height, width, crop_to_aspect_ratio
        self.interpolation = one_of("Resizing", "interpolation", interpolation, ("bilinear", "nearest", "bicubic"))

    def change(self, x, training):
        if self.crop_to_aspect_ratio:
            scale = min(x.shape[1] / self.height, x.shape[2] / self.width)
            x = _middle(x, int(self.height * scale), int(self.width * scale))
        mode = "nearest-exact" if self.interpolation == "nearest" else self.interpolation
        y = F.interpolate(x.movedim(-1, 1), size=(self.height, self.width), mode=mode,
                          **({} if mode == "nearest-exact" else {"align_corners": False}))
        return y.movedim(1, -1)


class CenterCrop(_Images):
    """The middle of each image; smaller images are made larger first."""

    def __init__(self, height: int, width: int, **keywords: Any):
        super().__init__(**keywords)
        self.height, self.width = height, width

    def change(self, x, training):
        if x.shape[1] < self.height or x.shape[2] < self.width:
            return Resizing(self.height, self.width, crop_to_aspect_ratio=True, dtype=self.dtype)(x)
        return _middle(x, self.height, self.width)


class _Random(_Images):
    """Changes in training only."""

    def __init__(self, seed: int | None = None, **keywords: Any):
        super().__init__(**keywords)
        self.seed, self._generator = seed, seeded(seed)

    def draw(self, n: int, low: float, high: float) -> Tensor:
        """A number for each image."""
        return FUNCTIONS["rand"](n, generator=self._generator) * (high - low) + low


class RandomCrop(_Random):
    """In training a part of each image somewhere, otherwise its middle."""

    def __init__(self, height: int, width: int, seed: int | None = None, **keywords: Any):
        super().__init__(seed, **keywords)
        self.height, self.width = height, width

    def change(self, x, training):
        down, right = x.shape[1] - self.height, x.shape[2] - self.width
        if not training or down < 0 or right < 0:
            return CenterCrop(self.height, self.width, dtype=self.dtype)(x)
        tops, lefts = (self.draw(len(x), 0, n + 1).int().tolist() for n in (down, right))
        return FUNCTIONS["stack"]([image[t:t + self.height, i:i + self.width] for image, t, i in zip(x, tops, lefts)])


class RandomFlip(_Random):
    """Each image as it is or mirrored: "horizontal", "vertical" or "horizontal_and_vertical"."""

    def __init__(self, mode: str = "horizontal_and_vertical", seed: int | None = None, **keywords: Any):
        super().__init__(seed, **keywords)
        self.mode = one_of("RandomFlip", "mode", mode, ("horizontal", "vertical", "horizontal_and_vertical"))

    def change(self, x, training):
        for name, axis in (("horizontal", 2), ("vertical", 1)):
            if training and name in self.mode:
                turned = self.draw(len(x), 0, 1).reshape(-1, 1, 1, 1) < 0.5
                x = FUNCTIONS["where"](turned, x.flip(axis), x)
        return x


class _Moved(_Random):
    """Images looked up at places that a matrix for each of them tells of."""

    def __init__(self, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: int | None = None,
                 **keywords: Any):
        super().__init__(seed, **keywords)
        self.fill_mode = one_of(type(self).__name__, "fill_mode", fill_mode, tuple(_FILLS))
        self.interpolation = one_of(type(self).__name__, "interpolation", interpolation, ("bilinear", "nearest"))

    def matrices(self, n: int, h: int, w: int) -> tuple:
        """The six numbers a, b, c, d, e, f of each: x' = a x + b y + c, y' = d x + e y + f, from -1 to 1."""
        raise NotImplementedError(f"{type(self).__name__}: defines matrices(n, h, w)")

    def change(self, x, training):
        if not training:
            return x
        n, h, w, _ = x.shape
        parts = [FUNCTIONS["full"]((n,), part) if isinstance(part, float) else part for part in self.matrices(n, h, w)]
        grid = F.affine_grid(FUNCTIONS["stack"](parts, 1).reshape(n, 2, 3), [n, x.shape[3], h, w], align_corners=False)
        y = F.grid_sample(x.movedim(-1, 1), grid.to(x.dtype), self.interpolation, _FILLS[self.fill_mode], False)
        return y.movedim(1, -1)


class RandomRotation(_Moved):
    """Turned by up to `factor` full turns either way, or between its two numbers."""

    def __init__(self, factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear",
                 seed: int | None = None, **keywords: Any):
        super().__init__(fill_mode, interpolation, seed, **keywords)
        self.factor = factor

    def matrices(self, n, h, w):
        angle = self.draw(n, *_range(self.factor)) * (2 * math.pi)
        cos, sin = angle.cos(), angle.sin()
        return cos, -sin * (h / w), 0.0, sin * (w / h), cos, 0.0


class RandomTranslation(_Moved):
    """Moved by up to these shares of height and width."""

    def __init__(self, height_factor: Any, width_factor: Any, fill_mode: str = "reflect",
                 interpolation: str = "bilinear", seed: int | None = None, **keywords: Any):
        super().__init__(fill_mode, interpolation, seed, **keywords)
        self.height_factor, self.width_factor = height_factor, width_factor

    def matrices(self, n, h, w):
        down, right = self.draw(n, *_range(self.height_factor)), self.draw(n, *_range(self.width_factor))
        return 1.0, 0.0, -2 * right, 0.0, 1.0, -2 * down


class RandomZoom(_Moved):
    """Smaller (above 0) or larger (below 0) by up to these shares; without `width_factor` both sides alike."""

    def __init__(self, height_factor: Any, width_factor: Any = None, fill_mode: str = "reflect",
                 interpolation: str = "bilinear", seed: int | None = None, **keywords: Any):
        super().__init__(fill_mode, interpolation, seed, **keywords)
        self.height_factor, self.width_factor = height_factor, width_factor

    def matrices(self, n, h, w):
        high = 1 + self.draw(n, *_range(self.height_factor))
        wide = high if self.width_factor is None else 1 + self.draw(n, *_range(self.width_factor))
        return wide, 0.0, 0.0, 0.0, high, 0.0


class RandomContrast(_Random):
    """(x - mean) c + mean for each channel, c between 1 - factor and 1 + factor."""

    def __init__(self, factor: Any, seed: int | None = None, **keywords: Any):
        super().__init__(seed, **keywords)
        self.factor = factor

    def change(self, x, training):
        if not training:
            return x
        mean, c = x.mean((1, 2), keepdim=True), 1 + self.draw(len(x), *_range(self.factor)).reshape(-1, 1, 1, 1)
        return (x - mean) * c + mean


class RandomBrightness(_Random):
    """Lighter or darker by up to `factor` of the range of values, and kept within it."""

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **keywords: Any):
        super().__init__(seed, **keywords)
        self.factor, self.value_range = factor, value_range

    def change(self, x, training):
        if not training:
            return x
        low, high = self.value_range
        more = self.draw(len(x), *_range(self.factor)).reshape(-1, 1, 1, 1) * (high - low)
        return (x + more).clamp(low, high)


def _range(factor: Any) -> tuple[float, float]:
    return (-factor, factor) if isinstance(factor, (int, float)) else tuple(factor)


def _middle(x: Tensor, height: int, width: int) -> Tensor:
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top:top + height, left:left + width]
