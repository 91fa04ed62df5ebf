"""Mixing the images and labels of a batch."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minitorch import randint
from minitorch.nn import functional as F
from minitorch.tensor import Tensor
from minitorch.vision.transforms.v2.samples import Transform, images_of, replace


class _Mix(Transform):
    """Mixes each image of a batch (N, C, H, W) with the one before it, and labels (N,) or (N, num_classes) alike."""

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None,
                 labels_getter: str | Callable[..., Any] = "default"):
        super().__init__()
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self._labels_getter = _second if labels_getter == "default" else labels_getter

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        labels = self._labels_getter(sample)  # type: ignore[operator]
        images, = images_of(sample)
        self._check(images, labels)
        mixed, share = self._mixed(images)
        return replace(sample, [images, labels], [mixed, self._mixed_labels(labels, share)])

    def _share(self) -> float:
        from minitorch import as_tensor
        from minitorch.distributions import Beta

        return float(Beta(as_tensor([self.alpha]), as_tensor([self.alpha])).sample(()))

    def _mixed(self, images: Tensor) -> tuple[Tensor, float]:
        """The mixed images, and the share that is left of each."""
        raise NotImplementedError

    def _mixed_labels(self, labels, share):
        if labels.ndim == 1:
            labels = F.one_hot(labels, num_classes=self.num_classes)
        labels = labels if labels.is_floating_point() else labels.float()
        return labels.roll(1, 0) * (1.0 - share) + labels * share

    def _check(self, images, labels):
        name = type(self).__name__
        if not isinstance(images, Tensor):
            raise ValueError(f"{name}() does not support PIL images, bounding boxes, keypoints and masks.")
        if not isinstance(labels, Tensor):
            raise ValueError(f"The labels must be a tensor, but got {type(labels)} instead.")
        if labels.ndim not in (1, 2):
            raise ValueError("labels should be index based with shape (batch_size,) or probability based with shape "
                             f"(batch_size, num_classes), but got a tensor of shape {tuple(labels.shape)} instead.")
        if labels.ndim == 1 and self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based (1D)")
        if labels.ndim == 2 and self.num_classes not in (None, labels.shape[-1]):
            raise ValueError("When passing 2D labels, the number of elements in last dimension must match num_classes: "
                             f"{labels.shape[-1]} != {self.num_classes}. You can Leave num_classes to None.")
        if images.ndim != 4:
            raise ValueError(f"Expected a batched input with 4 dims, but got {images.ndim} dimensions instead.")
        if len(images) != len(labels):
            raise ValueError("The batch size of the image or video does not match the batch size of the labels: "
                             f"{len(images)} != {len(labels)}.")


class MixUp(_Mix):
    """Weighted means of images and of labels, of a share from Beta(alpha, alpha) (Zhang et al., arXiv:1710.09412)."""

    def _mixed(self, images):
        share = self._share()
        return images.roll(1, 0) * (1.0 - share) + images * share, share


class CutMix(_Mix):
    """A rectangle from another image, labels mixed by its area (Yun et al., arXiv:1905.04899)."""

    def _mixed(self, images):
        left_over = self._share()
        height, width = images.shape[-2:]
        x, y = int(randint(width, (1,))), int(randint(height, (1,)))
        half = 0.5 * math.sqrt(1.0 - left_over)
        across, down = int(half * width), int(half * height)
        left, right = max(x - across, 0), min(x + across, width)
        top, bottom = max(y - down, 0), min(y + down, height)
        mixed = images.clone()
        mixed[..., top:bottom, left:right] = images.roll(1, 0)[..., top:bottom, left:right]
        return mixed, 1.0 - (right - left) * (bottom - top) / (width * height)


def _second(sample: Any) -> Any:
    """The labels of (images, labels, ...), or what a dict calls so."""
    if isinstance(sample, (list, tuple)):
        return sample[1]
    if isinstance(sample, dict):
        for key in sample:
            if key.lower() in ("label", "labels"):
                return sample[key]
    raise ValueError(f"Could not infer where the labels are in the sample of type {type(sample)}. Pass labels_getter")
