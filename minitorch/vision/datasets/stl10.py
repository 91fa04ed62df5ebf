"""STL-10: few labelled and many unlabelled images."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from minitorch.vision.datasets.utils import DatasetError, download_from_mirrors, extract_archive, verify_str_arg
from minitorch.vision.datasets.vision import PlanarArrayDataset

_FILES = {"train": ["train_X.bin", "train_y.bin"], "unlabeled": ["unlabeled_X.bin"],
          "test": ["test_X.bin", "test_y.bin"]}


class STL10(PlanarArrayDataset):
    """Colour images, 96x96, of 10 classes: `split` "train" (5,000), "test" (8,000), "unlabeled" (100,000, label -1) or
    "train+unlabeled". `folds` from 0 to 9 takes the 1,000 training images of that published fold.

    `data` is a uint8 array (N, 3, 96, 96), `labels` an array (N,). The files are looked for in `root`/stl10_binary;
    `download=True` fetches the archive if those of the split are missing.

    Raises DatasetError (a RuntimeError) where files are missing, damaged or cannot be downloaded.
    """

    base_folder = "stl10_binary"
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    filename = "stl10_binary.tar.gz"
    tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
    splits = ("train", "train+unlabeled", "unlabeled", "test")

    def __init__(self, root, split="train", folds=None, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.splits)
        if folds is not None and not isinstance(folds, int):
            raise ValueError(f"Expected type None or int for argument folds, but got type {type(folds)}.")
        if folds is not None and folds not in range(10):
            raise ValueError(f"Value for argument folds should be in the range [0, 10), but got {folds}.")
        self.folds = folds
        if download:
            self.download()
        missing = [name for name in self._needed() if not self._path(name).is_file()]
        if missing:
            raise DatasetError("STL10: Dataset not found or corrupted. You can use download=True to download it. "
                               f"Missing: {', '.join(missing)}. {self._advice()}")
        parts = [self._read(part) for part in split.split("+")]
        self.data = np.concatenate([images for images, _ in parts])
        self.labels = np.concatenate([labels for _, labels in parts])
        names = self._path("class_names.txt")
        if names.is_file():
            self.classes = names.read_text().splitlines()

    def download(self) -> None:
        """Fetch and unpack the archive, unless the files of the split are there."""
        if not all(self._path(name).is_file() for name in self._needed()):
            archive = download_from_mirrors([self.url], self.root, self.filename, self.tgz_md5, self._advice())
            extract_archive(archive, self.root)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"

    def _needed(self):
        names = [name for part in self.split.split("+") for name in _FILES[part]]
        return names if self.folds is None else [*names, "fold_indices.txt"]

    def _read(self, part):
        path = self._path(_FILES[part][0])
        content = np.fromfile(path, np.uint8)
        if content.size % (3 * 96 * 96):
            raise DatasetError(f"{path}: expected images of {3 * 96 * 96} bytes, got {content.size} bytes in all")
        images = content.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)  # the files go down the columns
        if part == "unlabeled":
            return images, np.full(len(images), -1)
        labels = np.fromfile(self._path(_FILES[part][1]), np.uint8) - np.uint8(1)
        if len(labels) != len(images):
            raise DatasetError(f"{path}: {len(images)} images, but {len(labels)} labels")
        if part == "train" and self.folds is not None:
            rows = self._path("fold_indices.txt").read_text().splitlines()
            chosen = np.array(rows[self.folds].split(), np.int64)
            images, labels = images[chosen], labels[chosen]
        return images, labels

    def _path(self, name):
        return Path(self.root) / self.base_folder / name

    def _advice(self):
        return f"Place the unpacked files in {Path(self.root) / self.base_folder}"
