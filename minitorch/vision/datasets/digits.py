"""The 1,797 handwritten digits that come with the package."""
from __future__ import annotations

import gzip
from pathlib import Path
from typing import ClassVar

import numpy as np

from minitorch.vision.datasets.vision import ImageArrayDataset


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """All images (1797, 8, 8) as uint8 ink counts from 0 to 16, and their int64 labels (1797,), in published order.

    >>> images, labels = read_digits()
    >>> images.shape, labels[:5].tolist()
    ((1797, 8, 8), [0, 1, 2, 3, 4])
    """
    with gzip.open(Path(__file__).parents[1] / "data" / "digits.csv.gz") as file:
        rows = np.loadtxt(file, np.int64, delimiter=",")
    return rows[:, :64].astype(np.uint8).reshape(-1, 8, 8), rows[:, 64]


class Digits(ImageArrayDataset):
    """Handwritten digits, 8x8 grey levels: 1,437 for training, 360 for testing. Needs no download.

    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits" (UCI, 1998); see vision/data/README.md.
    The test set is every fifth image of the list sorted by label (stably), so both parts have the classes in the
    same shares. Used as `MNIST` is: `data` (N, 8, 8) holds the grey level 255 c / 16, rounded, of the published
    count c.

    >>> len(Digits(train=True)), len(Digits(train=False))
    (1437, 360)
    """

    classes: ClassVar[list[str]] = list("0123456789")

    def __init__(self, train=True, transform=None, target_transform=None):
        import minitorch

        super().__init__(None, transform=transform, target_transform=target_transform)
        self.train = train
        images, labels = read_digits()
        is_test = np.zeros(len(labels), bool)
        is_test[np.argsort(labels, kind="stable")[::5]] = True
        chosen = ~is_test if train else is_test
        self.data = minitorch.from_numpy(np.round(images[chosen] * (255 / 16)).astype(np.uint8))
        self.targets = minitorch.from_numpy(labels[chosen])

    def extra_repr(self):
        return f"Split: {'Train' if self.train else 'Test'}"
