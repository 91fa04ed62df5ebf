"""What image datasets have in common: transforms, how they print, and images held as one array."""
from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np

from minitorch.tensor import Tensor
from minitorch.utils.data.dataset import Columns, Dataset
from minitorch.vision.pillow import pil
from minitorch.vision.transforms.arrays import batch_to_tensor, takes_array, takes_batch


class VisionDataset(Dataset):
    """A dataset of images below the folder `root`, with a transform of the image and one of the target."""

    def __init__(self, root=None, transforms=None, transform=None, target_transform=None):
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError("Only transforms or transform/target_transform can be passed as argument")
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self._joint = transforms
        apart = transform is not None or target_transform is not None
        self.transforms = StandardTransform(transform, target_transform) if apart else transforms
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def __repr__(self):
        lines = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"Root location: {self.root}")
        lines += self.extra_repr().splitlines()
        if isinstance(self.transforms, StandardTransform):
            lines.append(repr(self.transforms))
        return "\n    ".join([f"Dataset {type(self).__name__}", *lines])

    def extra_repr(self) -> str:
        return ""

    def _transformed(self, image, target):
        if self._joint is not None:
            return self._joint(image, target)
        return StandardTransform(self.transform, self.target_transform)(image, target)  # either may have been replaced


class StandardTransform:
    """A transform of the image and one of the target as one function of both, which a dataset has as `transforms`."""

    def __init__(self, transform=None, target_transform=None):
        self.transform, self.target_transform = transform, target_transform

    def __call__(self, input, target):
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self):
        lines = ["StandardTransform"]
        for name, transform in (("Transform: ", self.transform), ("Target transform: ", self.target_transform)):
            if transform is not None:
                first, *rest = repr(transform).splitlines()
                lines += [name + first, *(" " * len(name) + line for line in rest)]
        return "\n".join(lines)


class ImageArrayDataset(VisionDataset):
    """Images in one uint8 array `data`, (N, H, W) or (N, H, W, C), with one integer of `targets` each.

    A sample is a PIL image, or what the transform makes of it, and a class index. Where a transform begins with
    ToTensor, or reaches it by crops, paddings and flips, it is given the array itself: the values are the same
    without Pillow. A transform of ToTensor and Normalize alone is applied to a whole batch at once.
    """

    data: Any
    targets: Any
    classes: ClassVar[list[str]]

    def __getitem__(self, index) -> tuple[Any, Any]:
        pixels = self._pixels(index)
        image = pixels if self._joint is None and takes_array(self.transform) else self._as_pil(pixels)
        return self._transformed(image, int(self.targets[index]))

    def __getitems__(self, indices):
        plain = self._joint is None and self.target_transform is None
        if not (plain and takes_batch(self.transform)):
            return [self[index] for index in indices]
        import minitorch

        targets = minitorch.tensor([int(self.targets[index]) for index in indices], dtype=minitorch.int64)
        return Columns([batch_to_tensor(self._pixels(indices), self.transform), targets], len(indices))

    def __len__(self):
        return len(self.data)

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    def _pixels(self, index) -> np.ndarray:
        pixels = self.data[index]
        return pixels.numpy() if isinstance(pixels, Tensor) else np.asarray(pixels)

    def _as_pil(self, pixels):
        return pil(f"an image of {type(self).__name__} without ToTensor as its transform").Image.fromarray(pixels)


class PlanarArrayDataset(ImageArrayDataset):
    """Images in one uint8 array `data`, (N, C, H, W), with one integer of `labels` each."""

    labels: np.ndarray

    @property
    def targets(self):
        return self.labels

    def _pixels(self, index):
        return np.moveaxis(np.asarray(self.data[index]), -3, -1)
