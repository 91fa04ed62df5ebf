"""USPS: digits from envelopes."""
from __future__ import annotations

import bz2
from pathlib import Path
from typing import ClassVar

import numpy as np

from minitorch.vision.datasets.utils import DatasetError, download_from_mirrors
from minitorch.vision.datasets.vision import ImageArrayDataset


class USPS(ImageArrayDataset):
    """9,298 handwritten digits, 16x16: 7,291 for training, 2,007 for testing (J. Hull, 1994).

    `data` is a uint8 array (N, 16, 16), `targets` a list. usps.bz2 or usps.t.bz2, in LIBSVM's text format, is looked
    for in `root`; `download=True` fetches it if it is missing.

    Raises DatasetError (a RuntimeError) where it is missing, damaged or cannot be downloaded.
    """

    split_list: ClassVar[dict[str, list[str]]] = {
        split: [f"https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/{name}", name, md5]
        for split, name, md5 in (("train", "usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),
                                 ("test", "usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"))
    }
    classes: ClassVar[list[str]] = [str(digit) for digit in range(10)]

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        url, name, md5 = self.split_list["train" if train else "test"]
        path, advice = Path(self.root) / name, f"Place {name} in {self.root}"
        if download and not path.is_file():
            download_from_mirrors([url], self.root, name, md5, advice)
        if not path.is_file():
            raise DatasetError(f"USPS: Dataset not found. You can use download=True to download it. {advice}")
        try:
            rows = [line.split() for line in bz2.decompress(path.read_bytes()).decode().splitlines()]
            values = np.array([[field.rpartition(":")[2] for field in row[1:]] for row in rows], np.float32)
            self.data = ((values.reshape(-1, 16, 16) + 1) / 2 * 255).astype(np.uint8)  # from -1 to 1 in the file
            self.targets = [int(row[0]) - 1 for row in rows]
        except (OSError, ValueError, IndexError) as error:
            raise DatasetError(f"{path}: expected lines 'label 1:value ... 256:value' in bzip2: {error}") from error

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"
