"""The images of the examples as tensors, read from the files that their publishers offer, and cut into batches."""
from __future__ import annotations

from collections.abc import Iterator

import minitorch as mt
from minitorch.vision import datasets

CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def cifar10(root: str, train: bool) -> tuple[mt.Tensor, mt.Tensor]:
    """CIFAR-10: images (N, 3, 32, 32), uint8, and labels (N,), int64. What `root` lacks is downloaded.

    Raises RuntimeError, which says which files to put where, where that fails.
    """
    split = datasets.CIFAR10(root, train, download=True)
    return mt.from_numpy(split.data.transpose(0, 3, 1, 2)).contiguous(), mt.as_tensor(split.targets)


def mnist(root: str, train: bool) -> tuple[mt.Tensor, mt.Tensor]:
    """MNIST: images (N, 1, 28, 28), float32 in [0, 1], and labels (N,), int64. What `root` lacks is downloaded.

    Raises RuntimeError, which says which files to put where, where that fails.
    """
    split = datasets.MNIST(root, train, download=True)
    return split.data.unsqueeze(1) / 255, split.targets.long()


def batches(n: int, size: int, shuffle: bool = True) -> Iterator[mt.Tensor]:
    """Indices of `n` samples in whole batches of `size`; the rest, fewer than `size`, is left out.

    >>> [len(chosen) for chosen in batches(10, 4)]
    [4, 4]
    """
    order = mt.randperm(n) if shuffle else mt.arange(n)
    for i in range(0, n - size + 1, size):
        yield order[i:i + size]
