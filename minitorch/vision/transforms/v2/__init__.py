"""Transforms of whole samples, under the names of torchvision's transforms.v2.

Those of v1, and some more, take (image, label), dicts and lists, and change the images in them. Boxes and masks are not
known here: they pass as they are, like labels.

>>> from minitorch import zeros
>>> image, label = RandomHorizontalFlip(p=1.0)(zeros(3, 4, 4), 7)
>>> image.shape, label
(torch.Size([3, 4, 4]), 7)
"""
from __future__ import annotations

from typing import Any

from minitorch.vision import transforms as _v1
from minitorch.vision.absent import absent
from minitorch.vision.transforms import AutoAugmentPolicy, InterpolationMode
from minitorch.vision.transforms.v2 import functional
from minitorch.vision.transforms.v2.mixing import CutMix, MixUp
from minitorch.vision.transforms.v2.samples import Transform
from minitorch.vision.transforms.v2.transforms import (
    RGB,
    AugMix,
    AutoAugment,
    Compose,
    GaussianNoise,
    Identity,
    Lambda,
    PILToTensor,
    RandAugment,
    RandomApply,
    RandomChannelPermutation,
    RandomChoice,
    RandomCrop,
    RandomErasing,
    RandomOrder,
    RandomPhotometricDistort,
    RandomResize,
    RandomShortestSize,
    RandomZoomOut,
    ScaleJitter,
    ToDtype,
    ToImage,
    ToPILImage,
    ToPureTensor,
    ToTensor,
    TrivialAugmentWide,
)
from minitorch.vision.transforms.v2.transforms import lifted as _lifted

# v1's transforms, lifted to samples
_LIFTED = """
    CenterCrop ColorJitter ConvertImageDtype ElasticTransform FiveCrop GaussianBlur Grayscale LinearTransformation
    Normalize Pad RandomAdjustSharpness RandomAffine RandomAutocontrast RandomEqualize RandomGrayscale
    RandomHorizontalFlip RandomInvert RandomPerspective RandomPosterize RandomResizedCrop RandomRotation RandomSolarize
    RandomVerticalFlip Resize TenCrop
""".split()  # noqa: SIM905
globals().update({_name: _lifted(getattr(_v1, _name)) for _name in _LIFTED})

__all__ = [
    "RGB", "AugMix", "AutoAugment", "AutoAugmentPolicy", "Compose", "CutMix", "GaussianNoise", "Identity",
    "InterpolationMode", "Lambda", "MixUp", "PILToTensor", "RandAugment", "RandomApply", "RandomChannelPermutation",
    "RandomChoice", "RandomCrop", "RandomErasing", "RandomOrder", "RandomPhotometricDistort", "RandomResize",
    "RandomShortestSize", "RandomZoomOut", "ScaleJitter", "ToDtype", "ToImage", "ToPILImage", "ToPureTensor",
    "ToTensor", "Transform", "TrivialAugmentWide", "functional", *_LIFTED,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    raise absent(__name__, name, __all__)
