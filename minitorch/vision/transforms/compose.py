"""Transforms made of others, and those that convert images and scale their values."""
from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from minitorch.nn import Module
from minitorch.vision.transforms import functional as F
from minitorch.vision.transforms.modes import InterpolationMode


class Transform(Module):
    """A module from image to image; it calls `forward` at once, without hooks."""

    _shown: tuple[str, ...] = ()  # the arguments that `repr` shows
    _separator = ", "  # between them, which torchvision does not write alike everywhere
    _names_modes = False  # nor does it "bilinear", or "InterpolationMode.BILINEAR"

    def __call__(self, *args):
        return self.forward(*args)

    def __repr__(self):
        arguments = self._separator.join(f"{name}={self._show(name)}" for name in self._shown)
        return f"{type(self).__name__}({arguments})"

    def _show(self, name: str) -> Any:
        """The argument `name` as `repr` shows it."""
        value = getattr(self, name)
        return value.value if isinstance(value, InterpolationMode) and not self._names_modes else value


class Compose:
    """One transform after another.

    >>> import numpy
    >>> Compose([ToTensor(), Normalize(0.5, 0.5)])(numpy.zeros((1, 1, 1), "uint8"))
    tensor([[[-1.]]])
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = transforms

    def __call__(self, img):
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self):
        return _tree(self, self.transforms)


class Lambda:
    """A function as a transform."""

    def __init__(self, lambd: Callable[[Any], Any]):
        if not callable(lambd):
            raise TypeError(f"Lambda: Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img):
        return self.lambd(img)

    def __repr__(self):
        return "Lambda()"


class ToTensor(Transform):
    """A PIL image or an array (H, W, C) as a tensor (C, H, W); 8-bit values become the default type in [0, 1]."""

    def forward(self, pic):
        return F.to_tensor(pic)


class PILToTensor(Transform):
    """A PIL image as a tensor (C, H, W) of the same values."""

    def forward(self, pic):
        return F.pil_to_tensor(pic)


class ToPILImage(Transform):
    """A tensor (C, H, W) or an array (H, W, C) as a PIL image; `mode` as in `functional.to_pil_image`."""

    def __init__(self, mode: str | None = None):
        super().__init__()
        self.mode = mode

    def __repr__(self):
        return "ToPILImage(" + ("" if self.mode is None else f"mode={self.mode}") + ")"

    def forward(self, pic):
        return F.to_pil_image(pic, self.mode)


class ConvertImageDtype(Transform):
    """Change the type of a tensor image, and scale its values to that type's range."""

    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype

    def forward(self, image):
        return F.convert_image_dtype(image, self.dtype)


class Normalize(Transform):
    """(image - mean) / std, a number a channel, for floating-point tensor images."""

    _shown = ("mean", "std")

    def __init__(self, mean, std, inplace: bool = False):
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor):
        return F.normalize(tensor, self.mean, self.std, self.inplace)


class RandomApply(Transform):
    """All of `transforms` with the probability `p`, else none."""

    def __init__(self, transforms, p: float = 0.5):
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img):
        import minitorch

        if self.p < minitorch.rand(1).item():
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self):
        return _tree(self, [f"p={self.p}", *self.transforms])


class RandomChoice:
    """One of `transforms`, with the probabilities `p`. Draws from Python's `random`, as torchvision does."""

    def __init__(self, transforms, p: Sequence[float] | None = None):
        if p is not None and len(p) != len(transforms):
            raise ValueError(f"RandomChoice: expected {len(transforms)} probabilities in p, got {len(p)}")
        self.transforms = transforms
        self.p = p

    def __call__(self, *args):
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self):
        return _tree(self, self.transforms) + f"(p={self.p})"


class RandomOrder:
    """All of `transforms` in random order. Draws from Python's `random`, as torchvision does."""

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, img):
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img

    def __repr__(self):
        return _tree(self, self.transforms)


def _tree(owner, lines):
    return "\n".join([f"{type(owner).__name__}(", *(f"    {line}" for line in lines), ")"])
